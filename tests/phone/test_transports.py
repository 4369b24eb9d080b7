"""Phones over UDP, TCP and TLS, IPv4 and IPv6, against bare peers on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged, PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, PortRange, SIPSettings
from tests.phone.sip_peer import Dialog, connected, sending_to

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


@pytest.fixture
async def door() -> AsyncIterator[VoIPPhone]:
    async with door_of(SIPSettings(bind=LOOPBACK, port=0, rtp_ports=RTP)) as phone:
        yield phone


async def test_calls_come_over_udp_and_tcp_and_both_families_at_the_same_time_to_one_port(door: VoIPPhone) -> None:
    port = door.client.port
    async with AsyncExitStack() as stack:
        dialogs = [
            Dialog(await stack.enter_async_context(sending_to("127.0.0.1", port)), f"sip:door@127.0.0.1:{port}"),
            Dialog(await stack.enter_async_context(sending_to("::1", port)), f"sip:door@[::1]:{port}"),
            Dialog(await stack.enter_async_context(connected("TCP", "127.0.0.1", port)), f"sip:door@127.0.0.1:{port}"),
            Dialog(await stack.enter_async_context(connected("TCP", "::1", port)), f"sip:door@[::1]:{port}"),
        ]
        outcomes = await asyncio.gather(*(dialog.call() for dialog in dialogs))
    assert outcomes == [["180", "200", "200"]] * 4
    assert [dialog.target for dialog in dialogs] == [
        f"sip:door@127.0.0.1:{port}",
        f"sip:door@[::1]:{port}",
        f"sip:door@127.0.0.1:{port};transport=tcp",
        f"sip:door@[::1]:{port};transport=tcp",
    ]
