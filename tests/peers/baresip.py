"""baresip, a softphone without a window, driven over its control connection."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.peers import missing
from tests.peers.ports import LOOPBACK, free_port, free_ports
from tests.peers.process import PeerError, Process
from tests.phone.certificates import Issued

_MODULES = Path("/usr/lib/baresip/modules")
_TONE = "ausine,440\nausrc_srate 48000\nausrc_channels 2"  # it makes no other
_LOADED = ("opus", "g722", "g711", "ausine", "aufile", "aubridge", "sndfile", "srtp")


class Baresip:
    """A phone on loopback that sends a tone: `async with Baresip(folder) as phone`."""

    def __init__(
        self,
        folder: Path,
        *,
        account: str | None = None,
        codec: str = "pcmu",
        encryption: str | None = None,
        says: Path | None = None,
        echoes: bool = False,
        certificate: Issued | None = None,
        ca: Path | None = None,
    ) -> None:
        """`account` is a line of baresip's accounts file; without it, a phone that registers nowhere, with one codec.

        `says` is a WAV file at the codec's rate that it plays into each call. One that `echoes` answers by itself, and
        sends back what it hears. All that any of them sends and hears is in `recordings`. With a certificate it speaks
        TLS too, with everybody whom `ca` signed.
        """
        self.port = free_ports(2)
        self.tls_port = self.port + 1
        self._certificate = certificate
        self._ca = ca
        self.events: list[dict[str, Any]] = []
        encrypted = f";mediaenc={encryption}" if encryption else ""
        self._account = account or f"<sip:baresip@{LOOPBACK}:{self.port}>;regint=0;audio_codecs={codec}{encrypted}"
        self._source = f"aufile,{says}" if says else "aubridge,nobody" if echoes else _TONE
        self._echoes = echoes
        self._folder = folder
        self.recordings = folder / "recordings"
        self._control_port = free_port()
        self._arrived = asyncio.Event()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.process = Process("stdbuf", "-oL", missing.command("baresip"), "-f", folder)  # tells each line at once

    @property
    def address(self) -> str:
        """`host:port` that it listens at, UDP and TCP."""
        return f"{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._write_config)
        await asyncio.to_thread(self.process.start_until, "baresip is ready")
        self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self._control_port)
        self._reading = asyncio.create_task(self._read(), name="reads baresip")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._reading.cancel()
        self._writer.close()
        await asyncio.to_thread(self.process.stop)

    async def command(self, name: str, parameters: str = "") -> str:
        """What baresip answers to one of its commands; PeerError if it refuses."""
        token = f"{name}-{len(self._answers)}"
        self._answers[token] = asyncio.get_running_loop().create_future()
        body = json.dumps({"command": name, "params": parameters, "token": token}).encode()
        self._writer.write(b"%d:%b," % (len(body), body))
        async with asyncio.timeout(5):
            answer = await self._answers[token]
        if not answer["ok"]:
            raise PeerError(f"baresip refused {name} {parameters}: {answer['data']}")
        return str(answer["data"])

    async def dial(self, uri: str) -> None:
        """Starts a call."""
        await self.command("dial", uri)

    async def accept(self) -> None:
        """Answers the call that rings."""
        await self.command("accept")

    async def hold(self) -> None:
        """Puts the other side on hold."""
        await self.command("hold")

    async def resume(self) -> None:
        """Talks again."""
        await self.command("resume")

    async def transfer(self, uri: str) -> None:
        """Asks the other side to call somebody else."""
        await self.command("transfer", uri)

    async def hangup(self) -> None:
        """Ends, refuses or gives up the call."""
        await self.command("hangup")

    async def wait_for(self, kind: str, *, within: float = 10, since: int = 0) -> dict[str, Any]:
        """The first event of a type, as CALL_RINGING, CALL_ESTABLISHED or CALL_CLOSED, from number `since` on."""
        return await self._wait_for(lambda event: event["type"] == kind, kind, within, since)

    async def _wait_for(
        self, predicate: Callable[[dict[str, Any]], bool], what: str, within: float, since: int
    ) -> dict[str, Any]:
        seen = since
        try:
            async with asyncio.timeout(within):
                while True:
                    for event in self.events[seen:]:
                        if predicate(event):
                            return event
                    seen = len(self.events)
                    await self._arrived.wait()
        except TimeoutError:
            raise PeerError(f"baresip had no {what} in {within} s: {self.events}\n{self.process.output}") from None

    async def _read(self) -> None:
        while True:
            size = await self._reader.readuntil(b":")
            body = await self._reader.readexactly(int(size[:-1]) + 1)  # and its comma
            message = json.loads(body[:-1])
            if message.get("response"):
                self._answers[message["token"]].set_result(message)
            else:
                self.events.append(message)
                self._arrived.set()
                self._arrived = asyncio.Event()

    def _write_config(self) -> None:
        self.recordings.mkdir(parents=True, exist_ok=True)
        loaded = "".join(f"module {name}.so\n" for name in _LOADED)
        applications = "module_tmp account.so\n" + "".join(
            f"module_app {name}.so\n" for name in ("menu", "ctrl_tcp", *(["echo"] if self._echoes else []))
        )
        (self._folder / "config").write_text(
            f"sip_listen {self.address}\nnet_interface {LOOPBACK}\nmodule_path {_MODULES}\n{loaded}{applications}"
            f"ctrl_tcp_listen {LOOPBACK}:{self._control_port}\n"
            f"audio_source {self._source}\naudio_player aubridge,nobody\nring_aufile none\n"
            f"snd_path {self.recordings}\n" + self._tls_lines()
        )
        (self._folder / "accounts").write_text(f"{self._account}\n")
        (self._folder / "contacts").write_text("")

    def _tls_lines(self) -> str:
        if self._certificate is None:
            return ""
        both = self._folder / "certificate.pem"
        both.write_text(self._certificate.key.read_text() + self._certificate.certificate.read_text())
        return f"sip_certificate {both}\nsip_cafile {self._ca}\n"
