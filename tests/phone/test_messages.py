"""Texts and questions between two phones on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from sip_bridge.errors import LocalProtocolError, NotAllowedError
from sip_bridge.phone import phone as phone_module
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.events import PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, SIPSettings
from sip_bridge.sip.capabilities import ALLOW
from sip_bridge.sip.events import (
    DialogStateReceived,
    EndCause,
    MessageFailed,
    MessageReceived,
    MessageSent,
    OptionsAnswered,
    SubscriptionChanged,
    SubscriptionState,
)
from sip_bridge.sip.status import SIPStatus

TIMEOUT = 10.0


@asynccontextmanager
async def phone_of(user: str, told: list[PhoneEvent]) -> AsyncIterator[VoIPPhone]:
    async with SIPClient(SIPSettings(bind="127.0.0.1", port=0)) as client:
        account = DirectAccount(id=user, name=user, user=user, allow_from=(ip_network("127.0.0.0/8"),))
        phone = VoIPPhone(client, account, listener=lambda _, event: told.append(event))
        phone.start()
        yield phone
        phone.stop()


@pytest.fixture
def told() -> list[PhoneEvent]:
    return []


@pytest.fixture
async def alice() -> AsyncIterator[VoIPPhone]:
    async with phone_of("alice", []) as phone:
        yield phone


@pytest.fixture
async def door(told: list[PhoneEvent]) -> AsyncIterator[VoIPPhone]:
    async with phone_of("door", told) as phone:
        yield phone


def uri_of(phone: VoIPPhone) -> str:
    return f"sip:{phone.account.user}@127.0.0.1:{phone.client.port}"


async def test_a_text_is_sent_and_heard(alice: VoIPPhone, door: VoIPPhone, told: list[PhoneEvent]) -> None:
    async with asyncio.timeout(TIMEOUT):
        outcome = await alice.send_message(uri_of(door), "The post is here")
    (heard,) = told
    assert isinstance(outcome, MessageSent)
    assert (outcome.line, outcome.status) == ("alice", SIPStatus.OK)
    assert isinstance(heard, MessageReceived)
    assert (heard.line, heard.remote.display_name, heard.text) == ("door", "alice", "The post is here")


async def test_a_text_to_nobody_says_why_it_failed(alice: VoIPPhone, door: VoIPPhone) -> None:
    async with asyncio.timeout(TIMEOUT):
        outcome = await alice.send_message(uri_of(door).replace("door", "nobody"), "hi")
    assert isinstance(outcome, MessageFailed)
    assert (outcome.cause, outcome.status) == (EndCause.REJECTED, SIPStatus.NOT_FOUND)


async def test_a_peer_is_asked_what_it_can_do(alice: VoIPPhone, door: VoIPPhone) -> None:
    async with asyncio.timeout(TIMEOUT):
        outcome = await alice.send_options(uri_of(door))
    assert isinstance(outcome, OptionsAnswered)
    assert outcome.allow == tuple(ALLOW.split(", "))


async def test_a_phone_watches_another_until_that_one_stops(door: VoIPPhone) -> None:
    events: asyncio.Queue[PhoneEvent] = asyncio.Queue()
    async with SIPClient(SIPSettings(bind="127.0.0.1", port=0)) as client, asyncio.timeout(TIMEOUT):
        account = DirectAccount(id="lamp", name="lamp", user="lamp")
        lamp = VoIPPhone(client, account, listener=lambda _, event: events.put_nowait(event))
        lamp.start()
        subscription = lamp.subscribe(uri_of(door))
        first = await events.get()
        assert isinstance(first, DialogStateReceived)
        assert (first.subscription, first.info.entity, first.info.dialogs) == (subscription, "sip:door@127.0.0.1", ())
        assert await events.get() == changed(subscription, SubscriptionState.ACTIVE)
        door.stop()
        last = await events.get()
        assert isinstance(last, DialogStateReceived)
        assert await events.get() == changed(subscription, SubscriptionState.FAILED, reason="probation", retry_in=30)
        lamp.unsubscribe(subscription)
        assert await events.get() == changed(subscription, SubscriptionState.ENDED)
        lamp.stop()


def changed(
    subscription: str, state: SubscriptionState, *, reason: str | None = None, retry_in: float | None = None
) -> SubscriptionChanged:
    return SubscriptionChanged(
        line="lamp", subscription=subscription, package="dialog", state=state, reason=reason, retry_in=retry_in
    )


async def test_a_text_that_can_not_be_sent_is_refused_at_once(alice: VoIPPhone) -> None:
    with pytest.raises(LocalProtocolError):
        await alice.send_message("200", "a direct line has no PBX")


async def test_who_stops_waiting_is_forgotten_and_texts_that_wait_are_bounded(
    alice: VoIPPhone, door: VoIPPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_module, "MAX_REQUESTS", 1)
    waiting = asyncio.create_task(alice.send_message(uri_of(door), "first"))
    await asyncio.sleep(0)
    with pytest.raises(NotAllowedError):
        await alice.send_message(uri_of(door), "second")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(TIMEOUT):
        assert isinstance(await alice.send_message(uri_of(door), "third"), MessageSent)
