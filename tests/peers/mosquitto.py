"""A real MQTT broker."""

from pathlib import Path

from tests.peers import missing
from tests.peers.ports import LOOPBACK, free_port
from tests.peers.process import Process


class Mosquitto:
    """Mosquitto on loopback, for anybody, that remembers nothing over a restart."""

    def __init__(self, folder: Path) -> None:
        self.host = LOOPBACK
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self.process = Process(missing.command("mosquitto"), "-c", self._config)

    def start(self) -> None:
        """Starts it on its port; it listens when this returns."""
        self._config.write_text(
            f"listener {self.port} {LOOPBACK}\nallow_anonymous true\npersistence false\n"
            "set_tcp_nodelay true\nuser root\n"
        )
        self.process.start_until(r"mosquitto version \S+ running")

    def stop(self) -> None:
        """Ends it; its clients see their connections close."""
        self.process.stop()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.process.kill()

    def restart(self) -> None:
        """Ends it and starts it again on the same port; retained messages are lost."""
        self.stop()
        self.start()
