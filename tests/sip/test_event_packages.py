"""Event and Subscription-State (RFC 6665 §8.2)."""

import pytest

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.event_package import MAX_SECONDS, EventType, SubscriptionStatus, seconds_of
from sip_bridge.sip.message import SIPMessage


def notify(*headers: tuple[str, str]) -> SIPMessage:
    return SIPMessage.request("NOTIFY", "sip:x@y", headers)


@pytest.mark.parametrize(
    ("text", "event", "formatted"),
    [
        ("dialog", EventType(package="dialog"), "dialog"),
        ("Dialog ; id=7", EventType(package="dialog", id="7"), "dialog;id=7"),
        ("message-summary;x=y", EventType(package="message-summary"), "message-summary"),
        ("presence.winfo;ID=a", EventType(package="presence.winfo", id="a"), "presence.winfo;id=a"),
    ],
)
def test_event_names_a_package(text: str, event: EventType, formatted: str) -> None:
    assert EventType.of(notify(("o", text))) == event
    assert event.format() == formatted


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 489),
        ([("Event", "")], 489),
        ([("Event", "a b")], 489),
        ([("Event", ";id=1")], 489),
        ([("Event", "a;=")], 400),
    ],
)
def test_event_without_a_package_is_refused(headers: list[tuple[str, str]], status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        EventType.of(notify(*headers))
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("text", "status", "formatted"),
    [
        ("active", SubscriptionStatus(word="active"), "active"),
        ("Active;expires=60", SubscriptionStatus(word="active", expires=60), "active;expires=60"),
        (
            "terminated;reason=Probation;retry-after=9",
            SubscriptionStatus(word="terminated", reason="probation", retry_after=9),
            "terminated;reason=probation;retry-after=9",
        ),
        ("pending;expires=x;reason", SubscriptionStatus(word="pending"), "pending"),
        ("active;expires=\u0663", SubscriptionStatus(word="active"), "active"),
        (
            "active;expires=99999999999999999999",
            SubscriptionStatus(word="active", expires=MAX_SECONDS),
            f"active;expires={MAX_SECONDS}",
        ),
    ],
)
def test_subscription_state_is_read_and_written(text: str, status: SubscriptionStatus, formatted: str) -> None:
    assert SubscriptionStatus.of(notify(("Subscription-State", text))) == status
    assert status.format() == formatted


def test_without_subscription_state_all_is_well() -> None:
    assert SubscriptionStatus.of(notify()) == SubscriptionStatus(word="active")


@pytest.mark.parametrize("text", ["", ";expires=1", "a b", "active;=1"])
def test_subscription_state_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        SubscriptionStatus.of(notify(("Subscription-State", text)))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [([], None), ([("Expires", "60;x")], 60), ([("Expires", "soon")], None), ([("Expires", "9" * 15)], MAX_SECONDS)],
)
def test_seconds_are_bounded_and_nonsense_is_none(headers: list[tuple[str, str]], seconds: int | None) -> None:
    assert seconds_of(notify(*headers), "expires") == seconds
