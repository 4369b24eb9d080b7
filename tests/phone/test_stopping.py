"""A client that is left: nothing of it goes on."""

import asyncio
import gc
import socket
import weakref

import pytest

from sip_bridge.errors import InvalidStateError
from sip_bridge.phone import client as client_module
from sip_bridge.phone.announcement import Announcement
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import CallChanged
from sip_bridge.phone.settings import SIPSettings
from tests.phone.phones import TIMEOUT, Phone, talking

SETTINGS = SIPSettings(bind=("127.0.0.1",), port=0)


async def left_while_it_plays(bob: Phone) -> "weakref.ref[SIPClient]":
    """A client whose call ends with its announcement, and so with the client."""
    async with SIPClient(SETTINGS) as client:
        alice = Phone(client, "alice")
        alice.phone.start()
        call = await talking(alice, bob)
        alice.told.clear()
        call.announce(Announcement(source="tone:ringback", hangup_after=True))
        await alice.until(lambda: alice.told == [CallChanged(call=call)])
    return weakref.ref(client)


async def test_the_last_hang_up_of_a_client_that_is_left_arms_no_timer(bob: Phone) -> None:
    client = await left_while_it_plays(bob)
    gc.collect()
    assert client() is None


async def test_who_waits_for_an_answer_hears_that_the_client_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "STOP_TIMEOUT", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with asyncio.timeout(TIMEOUT), SIPClient(SETTINGS) as client:
            alice = Phone(client, "alice")
            alice.phone.start()
            text = asyncio.create_task(alice.phone.send_message(f"sip:bob@127.0.0.1:{silent.getsockname()[1]}", "hi"))
            await asyncio.sleep(0)
            assert client.endpoint.has_open_requests
    with pytest.raises(InvalidStateError, match="the phone has stopped"):
        await text


async def waiting_for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_task_that_waits_for_ever_ends_with_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "STOP_TIMEOUT", 0.05)
    async with asyncio.timeout(TIMEOUT), SIPClient(SETTINGS) as client:
        task = client.start_task(waiting_for_ever(), name="wait")
    assert task.cancelled()
