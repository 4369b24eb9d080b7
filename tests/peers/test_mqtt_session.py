"""The MQTT session at a real mosquitto; a relay between the two makes the outages."""

import asyncio
import contextlib
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from sip_bridge.errors import LocalProtocolError
from sip_bridge.mqtt.listening import stop_listening
from sip_bridge.mqtt.session import MAX_WAITING_BYTES, InboundMessage, MQTTSession, MQTTSettings, RetryDelays
from tests.peers import missing
from tests.peers.ports import free_port

LOCALHOST: Final = "127.0.0.1"
STATE: Final = "t/state"
QUICK: Final = RetryDelays(first=0.02, most=0.1, refused=0.05)


class Mosquitto:
    """A mosquitto on a port that the kernel chose; it remembers nothing across `restart`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.passwords = folder / "passwords"
        self._config = folder / "mosquitto.conf"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *options: str) -> None:
        lines = [f"listener {self.port} {LOCALHOST}", "user root", *(options or ["allow_anonymous true"])]
        self._config.write_text("\n".join(lines) + "\n")
        self._process = await asyncio.create_subprocess_exec(
            missing.command("mosquitto"), "-c", self._config, stderr=subprocess.DEVNULL
        )
        await eventually(lambda: is_listening(self.port))

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> None:
        self.send(signal.SIGTERM)
        assert self._process is not None
        await asyncio.wait_for(self._process.wait(), 5)

    def set_password(self, username: str, password: str) -> None:
        subprocess.run(
            [missing.command("mosquitto_passwd"), "-b", "-c", self.passwords, username, password],
            check=True,
            capture_output=True,
        )

    async def publish(self, topic: str, payload: str, *options: str) -> None:
        """With mosquitto_pub; it returns when the broker has acknowledged."""
        command = ["-p", str(self.port), "-q", "1", "-t", topic, "-m", payload, *options]
        process = await asyncio.create_subprocess_exec(missing.command("mosquitto_pub"), *command)
        assert await process.wait() == 0

    async def retained(self, count: int) -> list[str]:
        """The retained topics below t/, with mosquitto_sub."""
        command = ["-p", str(self.port), "-t", "t/#", "-F", "%t %p", "-C", str(count), "-W", "10"]
        process = await asyncio.create_subprocess_exec(
            missing.command("mosquitto_sub"), *command, stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
        return sorted(output.decode().splitlines())


class Observer:
    """mosquitto_sub on every topic: each line is ``<retain flag> <topic> <payload>``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), 10)).decode().rstrip("\n")

    async def lines(self, count: int) -> list[str]:
        return [await self.line() for _ in range(count)]


class Relay:
    """A TCP relay in front of a broker that can be cut, can swallow bytes, and can play a broker older than MQTT 5."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.refuse_v5_with: bytes | None = None
        self.refused = 0
        self.swallows = False
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def restore(self) -> None:
        self.swallows = False
        self._server = await asyncio.start_server(self._serve, LOCALHOST, self.port)

    async def cut(self) -> None:
        assert self._server is not None
        await stop_listening(self._server)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        first = await reader.read(65536)
        if first == b"":
            await hang_up(writer)
            return
        if self.refuse_v5_with is not None and first[8:9] == b"\x05":  # the protocol level of CONNECT
            self.refused += 1
            writer.write(self.refuse_v5_with)
            await hang_up(writer)
            return
        up_reader, up_writer = await asyncio.open_connection(LOCALHOST, self._target)
        up_writer.write(first)
        self._writers.add(up_writer)
        await asyncio.gather(self._pipe(reader, up_writer), self._pipe(up_reader, writer))
        self._writers -= {writer, up_writer}

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.swallows:
                    writer.write(data)
                    await writer.drain()
        await hang_up(writer)


class Recorder:
    """What a session told its owner."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[InboundMessage] = asyncio.Queue()
        self.connects: asyncio.Queue[None] = asyncio.Queue()
        self.home_assistant_starts = 0

    def home_assistant_started(self) -> None:
        self.home_assistant_starts += 1

    def session(self, port: int, *, client_id: str = "bridge", **settings: object) -> MQTTSession:
        """A session of settings like the bridge's, except that it is in a hurry."""
        max_waiting = settings.pop("max_waiting", 1000)
        filters = settings.pop("filters", ("t/request/+",))
        return MQTTSession(
            MQTTSettings(host=LOCALHOST, port=port, client_id=client_id, **settings),  # type: ignore[arg-type]
            will=(STATE, "offline"),
            filters=filters,  # type: ignore[arg-type]
            on_message=self.messages.put_nowait,
            on_connect=lambda: self.connects.put_nowait(None),
            on_home_assistant_online=self.home_assistant_started,
            max_waiting=max_waiting,  # type: ignore[arg-type]
            retry=QUICK,
            stop_timeout=1.0,
        )

    async def connected(self) -> None:
        await asyncio.wait_for(self.connects.get(), 10)

    async def message(self) -> InboundMessage:
        return await asyncio.wait_for(self.messages.get(), 10)

    async def messages_until(self, payload: bytes) -> list[InboundMessage]:
        heard = [await self.message()]
        while heard[-1].payload != payload:
            heard.append(await self.message())
        return heard


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def is_listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((LOCALHOST, port)) == 0


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path)
    await mosquitto.start()
    yield mosquitto
    await mosquitto.stop()


@pytest.fixture
async def guarded_broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path)
    mosquitto.set_password("bridge", "another")
    await mosquitto.start("allow_anonymous false", f"password_file {mosquitto.passwords}")
    yield mosquitto
    await mosquitto.stop()


@pytest.fixture
async def relay(broker: Mosquitto) -> AsyncIterator[Relay]:
    relay = Relay(broker.port)
    await relay.restore()
    yield relay
    await relay.cut()


@pytest.fixture
async def observer(broker: Mosquitto) -> AsyncIterator[Observer]:
    await broker.publish("ready", "yes", "-r")
    process = await asyncio.create_subprocess_exec(
        missing.command("mosquitto_sub"),
        "-p",
        str(broker.port),
        "-q",
        "1",
        "-t",
        "#",
        "-F",
        "%r %t %p",
        stdout=subprocess.PIPE,
    )
    observer = Observer(process)
    assert await observer.line() == "1 ready yes"
    yield observer
    process.terminate()
    await process.wait()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What the session logged, for the operator."""
    with caplog.at_level(logging.INFO, logger="sip_bridge.mqtt.session"):
        yield lambda: [record.getMessage() for record in caplog.records if record.name == "sip_bridge.mqtt.session"]


# --- publishing ----------------------------------------------------------------------------------------------------


async def test_an_event_is_published_once_and_not_retained(
    broker: Mosquitto, observer: Observer, recorder: Recorder
) -> None:
    async with recorder.session(broker.port) as session:
        await recorder.connected()
        session.publish("t/event/INVITE", "Grüße")
        session.publish("t/event/BYE", "x")
        assert await observer.lines(2) == ["0 t/event/INVITE Grüße", "0 t/event/BYE x"]
        await eventually(lambda: session.queued == 0)


async def test_what_is_published_before_the_connect_waits_for_it(
    broker: Mosquitto, observer: Observer, recorder: Recorder
) -> None:
    async with recorder.session(broker.port) as session:
        session.publish("t/event/ONE", "1")
        session.retain(STATE, "online")
        session.retain("t/info", "i")
        session.publish("t/event/TWO", "2")
        assert session.queued == 2
        assert await observer.lines(4) == ["0 t/info i", "0 t/state online", "0 t/event/ONE 1", "0 t/event/TWO 2"]


async def test_an_orderly_stop_says_offline_after_all_else(
    broker: Mosquitto, observer: Observer, recorder: Recorder
) -> None:
    async with recorder.session(broker.port) as session:
        await recorder.connected()
        session.retain(STATE, "online")
        for number in range(50):  # more than are on their way at once
            session.publish("t/event/E", str(number))
    await broker.publish("end", "")
    assert await observer.lines(53) == [
        "0 t/state online",
        *(f"0 t/event/E {number}" for number in range(50)),
        "0 t/state offline",
        "0 end ",
    ]


async def test_a_killed_bridge_is_offline(broker: Mosquitto, observer: Observer) -> None:
    script = f"""
import asyncio
from sip_bridge.mqtt.session import MQTTSession, MQTTSettings

async def main():
    settings = MQTTSettings(host="{LOCALHOST}", port={broker.port}, client_id="bridge")
    async with MQTTSession(settings, will=("{STATE}", "offline"), on_message=print) as session:
        session.retain("{STATE}", "online")
        await asyncio.Event().wait()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await observer.line() == "0 t/state online"
    process.kill()
    await process.wait()
    assert await observer.line() == "0 t/state offline"
    assert await broker.retained(1) == ["t/state offline"]


async def test_a_wildcard_is_no_topic_to_publish_to(recorder: Recorder) -> None:
    session = recorder.session(1)
    with pytest.raises(LocalProtocolError, match=r"^'t/#' is no topic to publish to$"):
        session.publish("t/#", "x")
    with pytest.raises(LocalProtocolError):
        session.retain("", "x")


async def test_a_lone_surrogate_from_a_peer_does_no_harm(
    broker: Mosquitto, observer: Observer, recorder: Recorder
) -> None:
    async with recorder.session(broker.port) as session:
        session.publish("t/event/E", "a\ud800b")
        assert await observer.line() == "0 t/event/E a?b"


async def test_an_event_that_follows_an_acknowledgement_does_not_wait_for_another(
    broker: Mosquitto, recorder: Recorder
) -> None:
    async with recorder.session(broker.port) as session:
        await recorder.connected()
        assert session._connection is not None
        assert session._connection._client is not None
        sock = session._connection._client.socket()
        assert isinstance(sock, socket.socket)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


# --- outages -------------------------------------------------------------------------------------------------------


async def test_a_broker_that_forgot_everything_is_told_again(
    broker: Mosquitto, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    async with recorder.session(broker.port) as session:
        session.retain(STATE, "online")
        session.retain("t/info", "i")
        await recorder.connected()
        await broker.stop()
        await eventually(lambda: len(said()) == 3)
        session.retain("t/info", "j")
        await broker.start()
        await recorder.connected()
        await eventually(session._idle.is_set)
        assert await broker.retained(2) == ["t/info j", "t/state online"]
    assert said() == [
        f"connected to the MQTT broker at 127.0.0.1:{broker.port} (MQTT 5)",
        f"lost the MQTT broker at 127.0.0.1:{broker.port}: the connection broke",
        f"no connection to the MQTT broker at 127.0.0.1:{broker.port}: Connection refused",
        f"connected to the MQTT broker at 127.0.0.1:{broker.port} (MQTT 5)",
    ]


async def test_events_of_an_outage_follow_in_order_after_the_retained_topics(
    relay: Relay, observer: Observer, recorder: Recorder
) -> None:
    async with recorder.session(relay.port) as session:
        session.retain(STATE, "online")
        await recorder.connected()
        assert await observer.line() == "0 t/state online"
        await relay.cut()
        assert await observer.line() == "0 t/state offline"  # the will
        await eventually(lambda: not session.connected)
        for number in range(30):
            session.publish("t/event/E", str(number))
            session.retain("t/call", str(number))
        await relay.restore()
        assert await observer.lines(32) == [
            "0 t/call 29",
            "0 t/state online",
            *(f"0 t/event/E {number}" for number in range(30)),
        ]
        await eventually(lambda: session.queued == 0)


async def test_an_event_that_was_not_acknowledged_goes_out_again_first(
    relay: Relay, observer: Observer, recorder: Recorder
) -> None:
    async with recorder.session(relay.port) as session:
        await recorder.connected()
        relay.swallows = True
        session.publish("t/event/E", "1")
        session.publish("t/event/E", "2")
        await asyncio.sleep(0.05)  # into the void
        assert session.queued == 2
        await relay.cut()
        assert await observer.line() == "0 t/state offline"
        session.publish("t/event/E", "3")
        await relay.restore()
        assert await observer.lines(3) == ["0 t/event/E 1", "0 t/event/E 2", "0 t/event/E 3"]


async def test_the_oldest_events_give_way(
    relay: Relay, observer: Observer, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    async with recorder.session(relay.port, max_waiting=3) as session:
        await recorder.connected()
        await relay.cut()
        assert await observer.line() == "0 t/state offline"
        await eventually(lambda: not session.connected)
        for number in range(5):
            session.publish("t/event/E", str(number))
        assert (session.queued, session.dropped) == (3, 2)
        await relay.restore()
        assert await observer.lines(3) == ["0 t/event/E 2", "0 t/event/E 3", "0 t/event/E 4"]
    assert said().count("more than 3 MQTT events wait: the oldest are dropped") == 1


async def test_events_that_are_kept_give_way_last(relay: Relay, observer: Observer, recorder: Recorder) -> None:
    async with recorder.session(relay.port, max_waiting=3) as session:
        await recorder.connected()
        await relay.cut()
        assert await observer.line() == "0 t/state offline"
        await eventually(lambda: not session.connected)
        for number in range(8):
            session.publish("t/event/E", str(number), keep=number % 2 == 0)
        assert session.dropped == 5
        await relay.restore()
        assert await observer.lines(3) == ["0 t/event/E 2", "0 t/event/E 4", "0 t/event/E 6"]


async def test_many_bytes_wait_no_longer_than_many_events(recorder: Recorder) -> None:
    async with recorder.session(free_port()) as session:
        for _ in range(20):
            session.publish("t/event/E", "x" * 1024 * 1024)
        assert session.queued == MAX_WAITING_BYTES // 1024 // 1024


async def test_qos_0_is_lost_while_the_broker_is_away(recorder: Recorder) -> None:
    async with recorder.session(free_port()) as session:
        session.publish("t/health", "x", qos=0)
        assert (session.queued, session.dropped) == (0, 0)


async def test_an_outage_is_told_once(recorder: Recorder, said: Callable[[], list[str]]) -> None:
    port = free_port()
    async with recorder.session(port):
        await asyncio.sleep(0.5)  # time for several attempts
    assert said() == [f"no connection to the MQTT broker at 127.0.0.1:{port}: Connection refused"]


async def test_a_broker_that_falls_silent_is_noticed(
    relay: Relay, observer: Observer, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    async with recorder.session(relay.port, keepalive=1) as session:
        await recorder.connected()
        relay.swallows = True
        await eventually(lambda: not session.connected)
        assert said()[-1] == f"lost the MQTT broker at 127.0.0.1:{relay.port}: Keep alive timeout"
        relay.swallows = False
        await recorder.connected()


async def test_an_idle_connection_outlives_its_keepalive(relay: Relay, recorder: Recorder) -> None:
    async with recorder.session(relay.port, keepalive=1) as session:
        await recorder.connected()
        await asyncio.sleep(3.2)
        assert (session.connected, recorder.connects.qsize()) == (True, 0)


# --- what a broker may say -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00", b""])
async def test_a_broker_older_than_mqtt_5_is_spoken_to_in_3_1_1(
    answer: bytes, relay: Relay, observer: Observer, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    relay.refuse_v5_with = answer
    async with recorder.session(relay.port) as session:
        await recorder.connected()
        session.publish("t/event/E", "1", correlation_data=b"c")
        assert await observer.line() == "0 t/event/E 1"
        assert said() == [f"connected to the MQTT broker at 127.0.0.1:{relay.port} (MQTT 3.1.1)"]


async def test_a_broker_that_hangs_up_while_it_restarts_is_not_taken_for_an_older_one(
    relay: Relay, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    async with recorder.session(relay.port):
        await recorder.connected()
        relay.refuse_v5_with = b""
        await relay.cut()
        await relay.restore()
        await eventually(lambda: relay.refused >= 3)
        relay.refuse_v5_with = None
        await recorder.connected()
    where = f"the MQTT broker at 127.0.0.1:{relay.port}"
    assert [line for line in said() if "(MQTT" in line] == [f"connected to {where} (MQTT 5)"] * 2


async def test_a_fixed_protocol_has_no_fallback(
    relay: Relay, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    relay.refuse_v5_with = b"\x20\x02\x00\x01"
    async with recorder.session(relay.port, protocol="5"):
        await eventually(lambda: len(said()) == 1)
    assert said() == [f"no connection to the MQTT broker at 127.0.0.1:{relay.port}: Unsupported protocol version"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_wrong_password_is_told_once_and_tried_until_it_is_right(
    protocol: str, guarded_broker: Mosquitto, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    port = guarded_broker.port
    async with recorder.session(port, protocol=protocol, username="bridge", password="hunter2") as session:
        await asyncio.sleep(0.5)  # time for several attempts
        assert not session.connected
        guarded_broker.set_password("bridge", "hunter2")
        guarded_broker.send(signal.SIGHUP)
        await recorder.connected()
    assert said() == [
        f"no connection to the MQTT broker at 127.0.0.1:{port}: Not authorized; check username and password",
        f"connected to the MQTT broker at 127.0.0.1:{port} (MQTT {protocol})",
    ]


async def test_a_taken_client_id_is_told_and_taken_back(
    broker: Mosquitto, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    async with recorder.session(broker.port) as session:
        await recorder.connected()
        await broker.publish("x", "y", "-i", "bridge")
        await recorder.connected()
        assert session.connected
    assert said()[1].startswith(f"lost the MQTT broker at 127.0.0.1:{broker.port}: ")  # some brokers say why


async def test_credentials_that_are_revoked_are_told_and_tried_until_they_are_back(
    guarded_broker: Mosquitto, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    guarded_broker.set_password("bridge", "hunter2")
    guarded_broker.send(signal.SIGHUP)
    port = guarded_broker.port
    async with recorder.session(port, username="bridge", password="hunter2") as session:
        await recorder.connected()
        guarded_broker.set_password("bridge", "another")
        guarded_broker.send(signal.SIGHUP)
        await eventually(lambda: "check username and password" in said()[-1])
        assert not session.connected
        guarded_broker.set_password("bridge", "hunter2")
        guarded_broker.send(signal.SIGHUP)
        await recorder.connected()
    assert [line.partition(" the MQTT broker")[0] for line in said()] == [
        "connected to",
        "lost",
        "no connection to",
        "connected to",
    ]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("max_inflight_messages 1", []),
        ("max_keepalive 10", []),
        ("max_topic_alias 0", []),
        ("retain_available false", ["retains nothing: who subscribes later knows nothing until something changes"]),
        ("max_qos 0", ["acknowledges nothing (QoS 0): what it loses is lost"]),
        (
            "max_packet_size 200",
            ["does not take all messages: it takes packets of 200 bytes at most; t/event/E is the first"],
        ),
    ],
)
async def test_a_broker_that_is_set_up_narrowly_is_spoken_to_within_its_limits(
    option: str, told: list[str], tmp_path: Path, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    broker = Mosquitto(tmp_path)
    await broker.start("allow_anonymous true", option)
    async with recorder.session(broker.port, filters=("t/event/#",)) as session:
        session.retain(STATE, "online")
        session.publish("t/event/E", "x" * 300)
        session.publish("t/event/E", "1")
        session.publish("t/event/E", "2", keep=True)
        heard = [each.payload for each in await recorder.messages_until(b"2")]
        assert heard[-2:] == [b"1", b"2"]
        await eventually(lambda: session.queued == 0)
        assert session.connected
    await broker.stop()
    where = f"the MQTT broker at 127.0.0.1:{broker.port}"
    assert said() == [f"connected to {where} (MQTT 5)", *(f"{where} {line}" for line in told)]


async def test_what_a_broker_will_never_take_does_not_hold_up_the_rest(
    tmp_path: Path, recorder: Recorder, said: Callable[[], list[str]]
) -> None:
    """mosquitto refuses a long payload with a reason code that MQTT 5 does not have there, which paho can't read."""
    broker = Mosquitto(tmp_path)
    await broker.start("allow_anonymous true", "message_size_limit 200")
    async with recorder.session(broker.port, filters=("t/event/#",)) as session:
        session.retain("t/info", "x" * 300)
        session.retain(STATE, "online")
        session.publish("t/event/E", "x" * 300)
        session.publish("t/event/E", "1")
        session.publish("t/event/E", "2", keep=True)
        assert [each.payload for each in await recorder.messages_until(b"2")] == [b"1", b"2"]
        await eventually(lambda: session.queued == 0)
        assert session.connected
        assert session.refused == 2
        assert await broker.retained(1) == ["t/state online"]
    await broker.stop()
    assert len([line for line in said() if "does not take all messages" in line]) == 1


async def test_an_unknown_host_is_told_once(recorder: Recorder, said: Callable[[], list[str]]) -> None:
    settings = MQTTSettings(host="a..b", client_id="bridge")
    async with MQTTSession(settings, will=(STATE, "offline"), on_message=recorder.messages.put_nowait, retry=QUICK):
        await eventually(lambda: len(said()) == 1)
        await asyncio.sleep(0.2)
    assert [line.startswith("no connection to the MQTT broker at a..b:1883: ") for line in said()] == [True]


# --- what arrives --------------------------------------------------------------------------------------------------


async def test_a_request_arrives_with_its_response_topic(broker: Mosquitto, recorder: Recorder) -> None:
    async with recorder.session(broker.port):
        await recorder.connected()
        await broker.publish("t/request/dial", "100")
        properties = ["-D", "publish", "response-topic", "r/1", "-D", "publish", "correlation-data", "c"]
        await broker.publish("t/request/dial", "101", "-V", "mqttv5", *properties)
        assert [await recorder.message(), await recorder.message()] == [
            InboundMessage(topic="t/request/dial", payload=b"100"),
            InboundMessage(topic="t/request/dial", payload=b"101", response_topic="r/1", correlation_data=b"c"),
        ]


async def test_a_requester_gets_its_response_with_its_correlation_data(broker: Mosquitto, recorder: Recorder) -> None:
    async with recorder.session(broker.port) as session:
        await recorder.connected()
        process = await asyncio.create_subprocess_exec(
            *(
                missing.command("mosquitto_rr"),
                "-V",
                "mqttv5",
                "-p",
                str(broker.port),
                "-t",
                "t/request/dial",
                "-e",
                "r/1",
                "-m",
                "100",
            ),
            *("-D", "publish", "correlation-data", "c", "-F", "%D %p", "-W", "10"),
            stdout=subprocess.PIPE,
        )
        request = await recorder.message()
        session.publish(request.response_topic or "", "answer", correlation_data=request.correlation_data)
        output, _ = await process.communicate()
        assert output == b"c answer\n"


async def test_a_retained_request_is_marked(broker: Mosquitto, recorder: Recorder) -> None:
    await broker.publish("t/request/dial", "100", "-r")
    async with recorder.session(broker.port):
        assert await recorder.message() == InboundMessage(topic="t/request/dial", payload=b"100", retained=True)


async def test_requests_made_while_we_were_away_are_not_done_later(
    relay: Relay, broker: Mosquitto, recorder: Recorder
) -> None:
    async with recorder.session(relay.port) as session:
        await recorder.connected()
        session.retain("t/state", "online")  # its acknowledgement comes after that of the subscriptions
        await relay.cut()
        await eventually(lambda: not session.connected)
        await broker.publish("t/request/dial", "old")
        await relay.restore()
        await recorder.connected()
        await eventually(session._idle.is_set)
        await broker.publish("t/request/dial", "new")
        assert (await recorder.message()).payload == b"new"


async def test_an_exception_of_the_receiver_does_not_end_the_session(
    broker: Mosquitto, observer: Observer, recorder: Recorder
) -> None:
    caught: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: caught.append(context["exception"]))
    trouble = ValueError("trouble")

    def receive(_message: InboundMessage) -> None:
        raise trouble

    settings = MQTTSettings(host=LOCALHOST, port=broker.port, client_id="bridge")
    async with MQTTSession(settings, will=(STATE, "offline"), filters=("in",), on_message=receive) as session:
        session.retain(STATE, "online")
        assert await observer.line() == "0 t/state online"
        await broker.publish("in", "1")
        assert await observer.line() == "0 in 1"
        session.publish("t/event/E", "still here")
        assert await observer.line() == "0 t/event/E still here"
    assert caught == [trouble]


async def test_home_assistant_that_starts_gets_every_retained_topic_again_the_state_last(
    broker: Mosquitto, observer: Observer, recorder: Recorder
) -> None:
    async with recorder.session(broker.port) as session:
        await recorder.connected()
        session.retain(STATE, "online")
        session.retain("t/info", "i")
        assert await observer.lines(2) == ["0 t/state online", "0 t/info i"]
        await broker.publish("homeassistant/status", "offline")
        await broker.publish("homeassistant/status", "online", "-r")
        assert await observer.lines(4) == [
            "0 homeassistant/status offline",
            "0 homeassistant/status online",
            "0 t/info i",
            "0 t/state online",
        ]
    assert (recorder.home_assistant_starts, recorder.messages.qsize()) == (1, 0)


async def test_an_old_retained_start_of_home_assistant_is_no_news(broker: Mosquitto, recorder: Recorder) -> None:
    await broker.publish("homeassistant/status", "online", "-r")
    async with recorder.session(broker.port):
        await recorder.connected()
        await broker.publish("t/request/x", "after it")
        await recorder.message()
    assert recorder.home_assistant_starts == 0


# --- stopping ------------------------------------------------------------------------------------------------------


async def test_a_broker_that_never_answers_does_not_delay_the_stop(recorder: Recorder) -> None:
    accepted, left = asyncio.Event(), asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()  # CONNECT, then the end
        await hang_up(writer)
        left.set()

    server = await asyncio.start_server(swallow, LOCALHOST, 0)
    async with server:
        async with recorder.session(server.sockets[0].getsockname()[1]) as session:
            session.publish("t/event/E", "x")
            await asyncio.wait_for(accepted.wait(), 5)
            began = time.monotonic()
        assert time.monotonic() - began < 0.5
        await asyncio.wait_for(left.wait(), 5)


async def test_a_broker_that_hangs_delays_the_stop_by_its_timeout_and_publishes_the_will(
    relay: Relay, observer: Observer, recorder: Recorder
) -> None:
    async with recorder.session(relay.port) as session:
        await recorder.connected()
        relay.swallows = True
        session.publish("t/event/E", "x")
        began = time.monotonic()
    assert 0.9 < time.monotonic() - began < 1.5
    assert await observer.line() == "0 t/state offline"


async def test_the_session_leaves_nothing_behind(broker: Mosquitto, recorder: Recorder) -> None:
    async with recorder.session(broker.port):
        await recorder.connected()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("mqtt")] == []


def test_no_repr_shows_the_password() -> None:
    assert "hunter2" not in repr(MQTTSettings(host="h", client_id="c", username="u", password="hunter2"))
