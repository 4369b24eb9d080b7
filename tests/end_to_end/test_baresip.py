"""A softphone at the other end: baresip, over UDP, TCP and TLS."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.settings import SIPSettings, TLSSettings
from sip_bridge.sip.events import EndCause
from tests.end_to_end.phone import DOOR, RTP, Handset, handset
from tests.peers.baresip import Baresip
from tests.peers.ports import LOOPBACK, free_port
from tests.phone.certificates import Authority, Issued

TRANSPORTS = ("udp", "tcp", "tls")


@pytest.fixture
async def baresip(tmp_path: Path, authority: Authority, certificate: Issued) -> AsyncIterator[Baresip]:
    async with Baresip(tmp_path / "baresip", certificate=certificate, ca=authority.certificate) as phone:
        yield phone


@pytest.fixture
async def phone(authority: Authority, certificate: Issued) -> AsyncIterator[Handset]:
    tls = TLSSettings(certificate=certificate.certificate, key=certificate.key, ca=authority.certificate)
    settings = SIPSettings(bind=LOOPBACK, port=0, tls_port=free_port(), tls=tls, rtp_ports=RTP)
    async with handset(replace(DOOR, accept_transfers=True), settings) as phone:
        yield phone


def uri_of(baresip: Baresip, transport: str) -> str:
    port = baresip.tls_port if transport == "tls" else baresip.port
    return f"sip:baresip@{LOOPBACK}:{port};transport={transport}"


def uri_to(phone: Handset, transport: str) -> str:
    client = phone.phone.client
    port = client.settings.tls_port if transport == "tls" else client.port
    return f"sip:door@{LOOPBACK}:{port};transport={transport}"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_baresip_calls_and_we_hang_up(phone: Handset, baresip: Baresip, transport: str) -> None:
    await baresip.dial(uri_to(phone, transport))
    call = await phone.call_in(CallState.RINGING)
    await baresip.wait_for("CALL_RINGING")
    await call.answer()
    await phone.signal("ACK")
    await baresip.wait_for("CALL_ESTABLISHED")
    call.hangup()
    await baresip.wait_for("CALL_CLOSED")
    assert phone.signals == ["< INVITE", "> INVITE 180", "> INVITE 200", "< ACK", "> BYE"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_baresip_is_called_and_hangs_up(phone: Handset, baresip: Baresip, transport: str) -> None:
    await phone.dial(uri_of(baresip, transport))
    await baresip.wait_for("CALL_INCOMING")
    await baresip.accept()
    await phone.call_in(CallState.IN_CALL)
    await baresip.wait_for("CALL_ESTABLISHED")
    await baresip.hangup()
    assert (await phone.finished()).cause is EndCause.HANGUP_REMOTE


async def talking(phone: Handset, baresip: Baresip) -> None:
    await baresip.dial(uri_to(phone, "udp"))
    call = await phone.call_in(CallState.RINGING)
    await call.answer()
    await phone.signal("ACK")
    await baresip.wait_for("CALL_ESTABLISHED")


async def test_baresip_holds_and_resumes(phone: Handset, baresip: Baresip) -> None:
    await talking(phone, baresip)
    await baresip.hold()
    await phone.call_in(CallState.ON_HOLD)
    await baresip.resume()
    call = await phone.call_in(CallState.IN_CALL)
    call.hangup()
    await baresip.wait_for("CALL_CLOSED")


async def test_we_hold_baresip_and_resume(phone: Handset, baresip: Baresip) -> None:
    await talking(phone, baresip)
    [call] = phone.phone.calls.values()
    await call.hold()
    await phone.call_in(CallState.ON_HOLD)
    await call.resume()
    await phone.call_in(CallState.IN_CALL)
    call.hangup()
    await baresip.wait_for("CALL_CLOSED")


async def test_baresip_transfers_us(phone: Handset, baresip: Baresip) -> None:
    async with handset(replace(DOOR, id="third", user="third"), answers=True) as third:
        await talking(phone, baresip)
        await baresip.transfer(f"sip:third@{third.address}")
        await third.call_in(CallState.IN_CALL)
        await baresip.wait_for("CALL_CLOSED")
        assert (await phone.finished()).cause is EndCause.HANGUP_REMOTE
        [call] = phone.phone.calls.values()
        assert call.is_talking
        call.hangup()
        await third.finished()


async def test_we_transfer_baresip(phone: Handset, baresip: Baresip) -> None:
    async with handset(replace(DOOR, id="third", user="third"), answers=True) as third:
        await talking(phone, baresip)
        [call] = phone.phone.calls.values()
        await call.transfer(f"sip:third@{third.address}")
        await phone.finished()
        [moved] = third.phone.calls.values()
        assert moved.is_talking
        moved.hangup()
        await third.finished()
