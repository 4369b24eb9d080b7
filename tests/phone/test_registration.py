"""A registered account on real sockets, at a registrar that says what the test dictates."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from sip_bridge.errors import InvalidAccountInfoError
from sip_bridge.phone import client as client_module
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, RegisteredAccount, Secret, SIPSettings
from sip_bridge.phone.transport import routes
from sip_bridge.sip import registration
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.stream import PingReceived
from tests.phone.peer import until
from tests.phone.sip_peer import StreamPeer, serving

TIMEOUT = 5.0


class Registrar(asyncio.DatagramProtocol):
    """Answers every REGISTER with the next of ``statuses``; the last one stays."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses)
        self.received: list[SIPMessage] = []
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.transport is not None
        request = SIPMessage(data)
        self.received.append(request)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status is None:
            return
        copied = [f"{name}: {request.get(name.lower())}" for name in ("Via", "From", "Call-ID", "CSeq")]
        challenge = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
        lines = [f"SIP/2.0 {status} X", *copied, f"To: {request.get('to')};tag=r", challenge, "Expires: 300"]
        self.transport.sendto("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode(), addr)


@asynccontextmanager
async def phone_at(registrar: Registrar) -> AsyncIterator[VoIPPhone]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: registrar, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    async with SIPClient(SIPSettings(bind="0.0.0.0", port=0)) as client:  # loopback is what answers
        account = RegisteredAccount(
            id="pbx", name="PBX", user="620", server="127.0.0.1", port=port, password=Secret("secret")
        )
        phone = VoIPPhone(client, account, listener=lambda *_: None)
        phone.start()
        yield phone
        phone.stop()
    transport.close()


async def test_a_phone_waits_until_it_is_registered() -> None:
    async with phone_at(Registrar(401, 200)) as phone:
        await phone.registered(timeout=TIMEOUT)
        assert phone.is_registered


@pytest.mark.parametrize("statuses", [(401, 401, 200), (403, 200)])
async def test_a_wrong_password_is_told_as_such(statuses: tuple[int, ...]) -> None:
    async with phone_at(Registrar(*statuses)) as phone:
        with pytest.raises(InvalidAccountInfoError, match="pbx: the registrar refused the account: X"):
            await phone.registered(timeout=TIMEOUT)
        assert not phone.is_registered


async def test_waiting_for_a_registrar_that_is_silent_ends() -> None:
    async with phone_at(Registrar(None, 200)) as phone:
        with pytest.raises(TimeoutError):
            await phone.registered(timeout=0.05)


async def test_a_direct_line_needs_no_registration() -> None:
    async with SIPClient(SIPSettings(bind="127.0.0.1", port=0)) as client:
        phone = VoIPPhone(client, DirectAccount(id="door", name="Door", user="door"), listener=lambda *_: None)
        phone.start()
        await phone.registered(timeout=TIMEOUT)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Sets what the kernel says that our address is, None for an unreachable network."""
    monkeypatch.setattr(routes, "_AGE", 0.0)
    monkeypatch.setattr(client_module, "ADDRESS_CHECK", 0.02)

    def answer(host: str | None) -> None:
        def towards(_remote: str) -> str:
            if host is None:
                raise OSError(101, "Network is unreachable")
            return host

        monkeypatch.setattr(routes, "local_address_towards", towards)

    return answer


async def test_a_changed_local_address_is_registered_without_delay(kernel: Callable[[str | None], None]) -> None:
    kernel("127.0.0.1")
    registrar = Registrar(200)
    async with phone_at(registrar) as phone:
        await phone.registered(timeout=TIMEOUT)
        await asyncio.sleep(0.05)
        assert len(registrar.received) == 1
        kernel(None)
        await asyncio.sleep(0.05)
        kernel("127.0.0.2")
        await until(lambda: len(registrar.received) == 2)
    port = phone.client.port
    assert [message.items("contact") for message in registrar.received[:2]] == [
        [f"<sip:620@127.0.0.1:{port}>"],
        [f"<sip:620@127.0.0.2:{port}>", f"<sip:620@127.0.0.1:{port}>;expires=0"],
    ]


def granting(request: SIPMessage) -> bytes:
    copied = [f"{name}: {request.get(name.lower())}" for name in ("Via", "From", "To", "Call-ID", "CSeq")]
    return "\r\n".join(["SIP/2.0 200 OK", *copied, "Expires: 300", "Content-Length: 0", "", ""]).encode()


async def register_at(peer: StreamPeer) -> str | None:
    request = await peer.receive()
    peer.send(granting(request))
    return request.get("contact")


async def test_a_connection_that_the_registrar_drops_is_registered_over_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "STABLE_AFTER", 0.0)
    async with serving("TCP") as server, SIPClient(SIPSettings(bind=("127.0.0.1",), port=0)) as client:
        account = RegisteredAccount(
            id="pbx", name="PBX", user="620", server="127.0.0.1", port=server.port, transport="tcp"
        )
        phone = VoIPPhone(client, account, listener=lambda *_: None)
        phone.start()
        first = await server.peer()
        contact = await register_at(first)
        await phone.registered(timeout=TIMEOUT)
        first.reset()
        second = await server.peer()
        assert await register_at(second) == contact == f"<sip:620@127.0.0.1:{client.port};transport=tcp>"
        client.transports.renew(client.transports.flow_to("TCP", "127.0.0.1", server.port))
        third = await server.peer()
        assert await register_at(third) == contact


async def test_a_connection_to_the_registrar_is_kept_alive_by_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving("TCP") as server, SIPClient(SIPSettings(bind=("127.0.0.1",), port=0)) as client:
        monkeypatch.setattr(registration, "STREAM_INTERVAL", 0.05)
        account = RegisteredAccount(
            id="pbx", name="PBX", user="620", server="127.0.0.1", port=server.port, transport="tcp"
        )
        VoIPPhone(client, account, listener=lambda *_: None).start()
        peer = await server.peer()
        await register_at(peer)
        assert isinstance(await peer.item(), PingReceived)
        peer.send(b"\r\n")
        assert isinstance(await peer.item(), PingReceived)
