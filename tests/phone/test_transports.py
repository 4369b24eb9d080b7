"""Phones over UDP, TCP and TLS, IPv4 and IPv6, against bare peers on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, PortRange, RegisteredAccount, SIPSettings, TLSSettings
from sip_bridge.sip.uri import format_host_port
from tests.phone.certificates import Authority
from tests.phone.peer import until
from tests.phone.sip_peer import Dialog, connected, sdp, sending_to, serving

LOOPBACK = ("127.0.0.1", "::1")
RTP = PortRange(low=20000, high=29999)


def answering(phone: VoIPPhone, event: PhoneEvent) -> None:
    """A listener that takes every call."""
    match event:
        case CallChanged(call=call) if call.is_incoming and call.state is CallState.RINGING:
            phone.start_task(call.answer(), name="answer")
        case _:
            pass


@asynccontextmanager
async def door_of(settings: SIPSettings) -> AsyncIterator[VoIPPhone]:
    """A direct line that answers every call."""
    async with SIPClient(settings) as client:
        networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
        phone = VoIPPhone(
            client, DirectAccount(id="door", name="Door", user="door", allow_from=networks), listener=answering
        )
        phone.start()
        yield phone
        phone.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> TLSSettings:
    issued = authority.issue("door", "IP:127.0.0.1", "IP:::1")
    return TLSSettings(certificate=issued.certificate, key=issued.key, ca=authority.certificate)


@pytest.fixture
async def door(tls: TLSSettings) -> AsyncIterator[VoIPPhone]:
    async with door_of(SIPSettings(bind=LOOPBACK, port=0, tls_port=0, tls=tls, rtp_ports=RTP)) as phone:
        yield phone


async def test_calls_come_over_every_transport_and_both_families_at_the_same_time(
    door: VoIPPhone, authority: Authority
) -> None:
    port, tls_port = door.client.port, door.client.transports.tls_port
    assert tls_port is not None
    context = ssl.create_default_context(cafile=authority.certificate)
    async with AsyncExitStack() as stack:
        dialogs = []
        for host, shown in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
            over_udp = await stack.enter_async_context(sending_to(host, port))
            over_tcp = await stack.enter_async_context(connected("TCP", host, port))
            over_tls = await stack.enter_async_context(connected("TLS", host, tls_port, tls=context, name=host))
            dialogs += [
                Dialog(over_udp, f"sip:door@{shown}:{port}"),
                Dialog(over_tcp, f"sip:door@{shown}:{port};transport=tcp"),
                Dialog(over_tls, f"sip:door@{shown}:{tls_port};transport=tls"),
            ]
        outcomes = await asyncio.gather(*(dialog.call() for dialog in dialogs))
    assert outcomes == [["180", "200", "200"]] * 6
    assert [dialog.target for dialog in dialogs] == [dialog.uri for dialog in dialogs]
    assert [family_of_sound(dialog.answer) for dialog in dialogs] == ["IP4"] * 3 + ["IP6"] * 3


def family_of_sound(answer: bytes) -> str:
    return next(line.split()[1] for line in answer.decode().splitlines() if line.startswith("c="))


@pytest.mark.parametrize(("signalling", "sound", "family"), [("127.0.0.1", "::1", "IP6"), ("::1", "127.0.0.1", "IP4")])
async def test_sound_travels_in_the_family_of_the_offer(
    signalling: str, sound: str, family: str, door: VoIPPhone
) -> None:
    async with sending_to(signalling, door.client.port) as peer:
        dialog = Dialog(peer, f"sip:door@{format_host_port(signalling, door.client.port)}")
        assert await dialog.call(offer=sdp(sound)) == ["180", "200", "200"]
    assert family_of_sound(dialog.answer) == family


async def test_a_hangup_reaches_a_caller_whose_contact_names_no_transport(door: VoIPPhone) -> None:
    async with connected("TCP", "127.0.0.1", door.client.port) as peer:
        dialog = Dialog(
            peer, f"sip:door@127.0.0.1:{door.client.port}", contact=f"sip:station@127.0.0.1:{peer.local[1]}"
        )
        await dialog.establish()
        await until(lambda: [call.state for call in door.calls.values()] == [CallState.IN_CALL])
        (call,) = door.calls.values()
        call.hangup()
        bye = await peer.receive()
        assert (bye.method, bye.via.transport) == ("BYE", "TCP")
        peer.send(dialog.response(bye))


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
async def test_a_call_goes_out_over_the_transport_that_the_uri_names(
    transport: str, door: VoIPPhone, authority: Authority, tls: TLSSettings
) -> None:
    assert tls.certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    own_port = door.client.port if transport == "TCP" else door.client.transports.tls_port
    async with serving(transport, tls=context if transport == "TLS" else None) as server:
        await door.dial(f"sip:bell@127.0.0.1:{server.port};transport={transport.lower()}", timeout=5)
        peer = await server.peer()
        invite = await peer.receive()
        assert (invite.method, invite.via.transport, invite.via.sent_by) == (
            "INVITE",
            transport,
            ("127.0.0.1", own_port),
        )
        assert invite.contact is not None
        assert invite.contact.uri == f"sip:door@127.0.0.1:{own_port};transport={transport.lower()}"
        peer.send(Dialog(peer, "sip:x").response(invite, "486 Busy Here"))
        ack = await peer.receive()
        assert ack.method == "ACK"
    await until(lambda: not door.calls)


async def test_a_sips_call_is_never_made_in_the_clear(door: VoIPPhone) -> None:
    async with serving("TCP") as server:
        await door.dial(f"sips:bell@127.0.0.1:{server.port}", timeout=5)
        peer = await server.peer()
        peer.close()
        await until(lambda: not door.calls)
        assert peer.items.get_nowait() is None


async def test_a_request_too_large_for_a_datagram_comes_over_udp_after_all_where_nobody_listens_for_tcp(
    door: VoIPPhone,
) -> None:
    async with sending_to("127.0.0.1", door.client.port) as peer:
        texting = asyncio.create_task(door.send_message(f"sip:bell@127.0.0.1:{peer.local[1]}", "x" * 1200))
        request = await peer.receive()
        assert (request.method, request.via.transport, len(request.content)) == ("MESSAGE", "UDP", 1200)
        peer.send(Dialog(peer, "sip:x").response(request))
        await texting


async def test_an_account_registers_over_tls_and_is_called_over_that_connection(
    authority: Authority, tls: TLSSettings
) -> None:
    """Without a certificate there is no listener: what is told in Contact is the connection's own port."""
    assert tls.certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    settings = SIPSettings(bind="127.0.0.1", port=0, tls=TLSSettings(ca=authority.certificate), rtp_ports=RTP)
    async with serving("TLS", tls=context) as server, SIPClient(settings) as client:
        account = RegisteredAccount(
            id="pbx", name="PBX", user="620", server="127.0.0.1", port=server.port, transport="tls"
        )
        phone = VoIPPhone(client, account, listener=answering)
        phone.start()
        peer = await server.peer()
        register = await peer.receive()
        assert peer.stream is not None
        port = peer.stream.get_extra_info("peername")[1]
        assert register.contact is not None
        assert register.contact.uri == f"sip:620@127.0.0.1:{port};transport=tls"
        dialog = Dialog(peer, register.contact.uri)
        peer.send(dialog.response(register))
        await until(lambda: phone.is_registered)
        assert await dialog.call() == ["180", "200", "200"]
        phone.stop()
        goodbye = await peer.receive()
        assert (goodbye.method, goodbye.get("expires")) == ("REGISTER", "0")
        peer.send(dialog.response(goodbye))
        assert server.peers.empty()


async def test_a_direct_line_calls_over_its_own_transport(tls: TLSSettings) -> None:
    async with serving("TCP") as server, SIPClient(SIPSettings(bind="127.0.0.1", port=0, rtp_ports=RTP)) as client:
        phone = VoIPPhone(
            client, DirectAccount(id="door", name="Door", user="door", transport="tcp"), listener=answering
        )
        phone.start()
        asking = asyncio.create_task(phone.send_options(f"sip:bell@127.0.0.1:{server.port}"))
        peer = await server.peer()
        options = await peer.receive()
        assert (options.method, options.via.transport) == ("OPTIONS", "TCP")
        peer.send(Dialog(peer, "sip:x").response(options))
        await asking


async def test_an_outbound_proxy_is_reached_over_the_accounts_transport() -> None:
    async with serving("TCP", "::1") as server, SIPClient(SIPSettings(bind=LOOPBACK, port=0, rtp_ports=RTP)) as client:
        account = RegisteredAccount(
            id="pbx",
            name="PBX",
            user="620",
            server="pbx.invalid",
            transport="tcp",
            outbound_proxy=f"[::1]:{server.port}",
        )
        phone = VoIPPhone(client, account, listener=answering)
        phone.start()
        peer = await server.peer()
        register = await peer.receive()
        assert (register.uri, register.get("route")) == (
            "sip:pbx.invalid",
            f"<sip:[::1]:{server.port};transport=tcp;lr>",
        )
        peer.send(Dialog(peer, "sip:x").response(register, "403 Forbidden"))
        await until(lambda: phone.registration is not None and phone.registration.account_refused)
