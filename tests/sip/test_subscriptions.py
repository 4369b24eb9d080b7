"""The subscriber's side of event notification (RFC 6665), at a scripted notifier."""

from collections.abc import Iterable

import pytest

from sip_bridge.errors import InvalidStateError, LocalProtocolError
from sip_bridge.sip import subscriber as subscriber_module
from sip_bridge.sip.dialog_info import CONTENT_TYPE, DialogEntry, DialogInfo, DialogState
from sip_bridge.sip.events import (
    DialogStateReceived,
    MessagesWaiting,
    RegistrationState,
    SubscriptionChanged,
    SubscriptionState,
)
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from tests.scenario import PBX, Party, RawPeer, Wire, assert_nothing_left

SUMMARY = "application/simple-message-summary"
INFO = DialogInfo(
    entity="sip:100@192.0.2.100",
    version=0,
    is_full=True,
    dialogs=(DialogEntry(id="1", state=DialogState.EARLY, direction="recipient"),),
)
S = SubscriptionState


class Notifier(RawPeer):
    """Answers REGISTER with 200 and each SUBSCRIBE as ``answers`` say (the last one stays); notifies when told to."""

    def __init__(self, wire: Wire, answers: Iterable[tuple[int, list[str]] | None] = ((200, []),)) -> None:
        super().__init__(wire, PBX.host)
        self.answers = list(answers)
        self.on_request = self._answer
        self.subscribed_at: list[float] = []
        self.seq = 0

    def _answer(self, request: SIPMessage) -> None:
        if request.method == "REGISTER":
            self.respond(request, 200, contact="")
        if request.method != "SUBSCRIBE":
            return
        self.subscribed_at.append(round(self.wire.now, 2))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            status, headers = answer
            expires = [] if status != 200 else [f"Expires: {request.get('expires')}"]
            contact = "" if any(header.startswith("Contact") for header in headers) else None
            self.respond(request, status, headers=[*headers, *(expires if not headers else [])], contact=contact)

    def notify(
        self,
        to: Party,
        state: str = "active;expires=3600",
        *,
        content: bytes = b"",
        content_type: str = CONTENT_TYPE,
        tag: str = "raw",
        event: str = "dialog",
        seq: int | None = None,
        contact: str | None = None,
    ) -> None:
        subscribe = self.last("SUBSCRIBE")
        self.seq += 1
        self.request(
            to,
            "NOTIFY",
            call_id=subscribe.call_id,
            to_tag=subscribe.from_.tag,
            from_tag=tag,
            seq=seq or self.seq,
            content=content,
            content_type=content_type,
            contact=contact,
            headers=[f"Event: {event}", *([f"Subscription-State: {state}"] if state else [])],
        )
        self.wire.run(0.1)

    @property
    def subscribes(self) -> list[SIPMessage]:
        return [message for message in self.received if message.method == "SUBSCRIBE"]

    @property
    def answered(self) -> list[str]:
        """What came back to the NOTIFYs."""
        return [str(int(message.status)) for message in self.received if message.cseq.method == "NOTIFY"]


@pytest.fixture
def carol(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.3")
    party.add_registered_line("620")
    return party


@pytest.fixture
def pbx(wire: Wire) -> Notifier:
    return Notifier(wire)


def watch(party: Party, target: str = "100", package: str = "dialog") -> str:
    subscription = party.endpoint.subscribe("620", target, package, party.wire.now)
    party.drain()
    party.wire.run(0.1)
    return subscription


def changes(party: Party) -> list[tuple[SubscriptionState, SIPStatus | None, str | None]]:
    return [
        (event.state, event.status, event.reason) for event in party.events if isinstance(event, SubscriptionChanged)
    ]


# --- the ordinary course ---


def test_a_subscription_is_active_with_its_first_notify_and_tells_what_that_says(
    wire: Wire, carol: Party, pbx: Notifier
) -> None:
    subscription = watch(carol)
    subscribe = pbx.last("SUBSCRIBE")
    assert (subscribe.uri, subscribe.get("event"), subscribe.get("accept"), subscribe.get("expires")) == (
        "sip:100@192.0.2.100",
        "dialog",
        CONTENT_TYPE,
        "3600",
    )
    assert subscribe.get("contact") == "<sip:620@192.0.2.3:5060>"
    assert list(carol.events) == []
    pbx.notify(carol, content=INFO.format())
    assert pbx.answered == ["200"]
    assert list(carol.events) == [
        DialogStateReceived(line="620", subscription=subscription, info=INFO),
        SubscriptionChanged(line="620", subscription=subscription, package="dialog", state=S.ACTIVE),
    ]


def test_a_notify_may_come_before_the_2xx(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [None])
    watch(carol)
    pbx.notify(carol, content=INFO.format())
    for status in (100, 200):
        pbx.respond(pbx.last("SUBSCRIBE"), status, headers=["Expires: 600"])
    pbx.answers = [(200, [])]
    wire.run(594)
    assert (len(pbx.subscribes), changes(carol)) == (1, [(S.ACTIVE, None, None)])
    wire.run(2)
    assert len(pbx.subscribes) == 2


def test_it_is_refreshed_within_its_dialog_before_the_end(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    pbx.notify(carol, "active;expires=600", contact="<sip:box@192.0.2.100:5060;ob>")
    wire.run(600)
    first, second = pbx.subscribes
    assert pbx.subscribed_at[1] - pbx.subscribed_at[0] == pytest.approx(595.1, abs=0.1)
    assert (second.call_id, second.from_.tag, second.to.tag) == (first.call_id, first.from_.tag, "raw")
    assert (second.uri, second.cseq.number) == ("sip:box@192.0.2.100:5060;ob", 2)
    pbx.notify(carol, "active;expires=3600", contact="<sip:moved@192.0.2.100>")
    wire.run(3600)
    assert pbx.subscribes[-1].uri == "sip:moved@192.0.2.100"
    assert changes(carol) == [(S.ACTIVE, None, None)]


def test_an_illegible_contact_in_a_2xx_moves_nothing(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    pbx.notify(carol, "active;expires=60")
    pbx.answers = [(200, ["Contact: <tel:1>", "Expires: 60"]), (200, ["Contact: <sip:a@", "Expires: 60"])]
    wire.run(120)
    assert [request.uri for request in pbx.subscribes] == ["sip:100@192.0.2.100", *["sip:raw@192.0.2.100:5060"] * 2]
    assert changes(carol) == [(S.ACTIVE, None, None)]


def test_what_the_2xx_grants_counts_too(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [(200, ["Expires: 100"]), (200, ["Expires: 8"]), (200, ["Expires: 99999"])])
    watch(carol)
    pbx.notify(carol, "")
    wire.run(4000)
    assert [round(b - a) for a, b in zip(pbx.subscribed_at, pbx.subscribed_at[1:], strict=False)] == [95, 5, 3595]


def test_a_silent_2xx_grants_what_was_asked(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [(200, ["X: y"])])
    watch(carol)
    pbx.notify(carol, "active")
    wire.run(3600)
    assert round(pbx.subscribed_at[1] - pbx.subscribed_at[0]) == 3595


def test_pending_and_active_are_told_once_each(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    for state in ("pending", "pending;expires=60", "active;expires=60", "active;expires=60"):
        pbx.notify(carol, state)
    assert changes(carol) == [(S.PENDING, None, None), (S.ACTIVE, None, None)]


def test_unsubscribing_asks_for_nothing_more_and_answers_the_last_notify(
    wire: Wire, carol: Party, pbx: Notifier
) -> None:
    subscription = watch(carol)
    pbx.notify(carol)
    carol.do(carol.endpoint.unsubscribe, subscription)
    wire.run(0.1)
    assert (pbx.last("SUBSCRIBE").get("expires"), pbx.last("SUBSCRIBE").to.tag) == ("0", "raw")
    pbx.notify(carol, "active;expires=9", content=INFO.format())
    pbx.notify(carol, "terminated;reason=timeout")
    pbx.notify(carol, "active")
    assert pbx.answered == ["200", "200", "200", "481"]
    assert changes(carol) == [(S.ACTIVE, None, None), (S.ENDED, None, None)]
    assert_nothing_left(wire, carol)
    assert carol.endpoint._core.dialogs == {}
    with pytest.raises(InvalidStateError):
        carol.endpoint.unsubscribe(subscription, wire.now)


@pytest.mark.parametrize("answer", [None, (200, []), (481, []), (500, [])])
def test_unsubscribing_ends_whatever_the_notifier_says(
    wire: Wire, carol: Party, answer: tuple[int, list[str]] | None
) -> None:
    pbx = Notifier(wire, [(200, []), answer])
    subscription = watch(carol)
    pbx.notify(carol)
    carol.do(carol.endpoint.unsubscribe, subscription)
    assert_nothing_left(wire, carol)
    assert carol.endpoint._core.dialogs == {}
    assert changes(carol)[-1] == (S.ENDED, None, None)


def test_unsubscribing_before_the_first_notify_stops_asking(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [None])
    subscription = watch(carol)
    carol.do(carol.endpoint.unsubscribe, subscription)
    carol.resolves = False
    carol.do(carol.endpoint.unsubscribe, watch(carol, "sip:x@nowhere.invalid"))
    carol.resolve_now()
    pbx.notify(carol)
    assert (len(pbx.subscribes), pbx.answered) == (1, ["481"])
    assert_nothing_left(wire, carol)


# --- what goes wrong ---


def test_without_any_notify_it_is_tried_again_after_timer_n(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    wire.run(32.1)
    assert changes(carol) == [(S.FAILED, None, "no NOTIFY came")]
    wire.run(2)
    first, second = pbx.subscribes
    assert first.call_id != second.call_id
    assert (second.to.tag, second.cseq.number) == (None, 2)


def test_a_registrar_that_is_away_is_asked_for_ever_and_that_is_told_once(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [(500, [])])
    watch(carol)
    wire.run(1000)
    gaps = [b - a for a, b in zip(pbx.subscribed_at, pbx.subscribed_at[1:], strict=False)]
    assert all(low <= gap <= high + 0.1 for gap, low, high in zip(gaps, (1, 2, 4, 8), (2, 4, 8, 16), strict=False))
    assert 60 <= max(gaps) <= 120.1
    assert changes(carol) == [(S.FAILED, SIPStatus.SERVER_INTERNAL_ERROR, None)]
    pbx.answers = [(200, [])]
    wire.run(121)
    pbx.notify(carol)
    assert changes(carol)[1:] == [(S.ACTIVE, None, None)]


def test_retry_after_is_obeyed(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [(503, ["Retry-After: 300"])])
    watch(carol)
    wire.run(299)
    assert len(pbx.subscribes) == 1
    wire.run(2)
    assert len(pbx.subscribes) == 2


def test_silence_and_a_name_without_address_are_failures(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [None])
    watch(carol)
    wire.run(33)
    assert changes(carol) == [(S.FAILED, None, None)]
    watch(carol, "sip:x@nowhere.invalid")
    assert [event[0] for event in changes(carol)] == [S.FAILED, S.FAILED]
    assert len({request.call_id for request in pbx.subscribes}) == 1


@pytest.mark.parametrize("status", [403, 404, 405, 489, 501, 603])
def test_a_refusal_is_told_once_and_tried_again_in_an_hour(wire: Wire, carol: Party, status: int) -> None:
    pbx = Notifier(wire, [(status, [])])
    subscription = watch(carol)
    wire.run(3590)
    assert len(pbx.subscribes) == 1
    wire.run(7200)
    assert len(pbx.subscribes) == 3
    assert list(carol.events) == [
        SubscriptionChanged(
            line="620",
            subscription=subscription,
            package="dialog",
            state=S.REFUSED,
            status=SIPStatus(status),
            retry_in=3600.0,
        )
    ]


def test_a_wrong_password_is_a_refusal(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [(401, ['WWW-Authenticate: Digest realm="pbx", nonce="n"'])])
    watch(carol)
    wire.run(60)
    assert (len(pbx.subscribes), changes(carol)) == (2, [(S.REFUSED, SIPStatus.UNAUTHORIZED, None)])


def test_a_longer_interval_is_asked_for_when_told_so(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [(423, ["Min-Expires: 7200"]), (200, [])])
    watch(carol)
    assert [request.get("expires") for request in pbx.subscribes] == ["3600", "7200"]
    assert pbx.subscribes[0].call_id == pbx.subscribes[1].call_id


def test_a_423_that_asks_for_less_is_a_failure(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [(423, ["Min-Expires: 60"])])
    watch(carol)
    assert (len(pbx.subscribes), changes(carol)) == (1, [(S.FAILED, SIPStatus.INTERVAL_TOO_BRIEF, None)])


def test_a_dialog_that_the_notifier_forgot_is_begun_anew(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [(200, []), (481, []), (200, [])])
    watch(carol)
    pbx.notify(carol, "active;expires=60")
    wire.run(60)
    first, refresh, anew = pbx.subscribes
    assert (refresh.call_id == first.call_id, anew.call_id == first.call_id, anew.to.tag) == (True, False, None)
    pbx.notify(carol)
    assert changes(carol) == [(S.ACTIVE, None, None)]


def test_another_answer_to_a_refresh_begins_anew_after_a_while(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [(200, []), (500, []), (200, [])])
    watch(carol)
    pbx.notify(carol, "active;expires=60")
    wire.run(60)
    assert len({request.call_id for request in pbx.subscribes}) == 2
    pbx.notify(carol)
    assert [state for state, _, _ in changes(carol)] == [S.ACTIVE, S.FAILED, S.ACTIVE]


@pytest.mark.parametrize(
    ("state", "told", "next_after"),
    [
        ("terminated;reason=deactivated", [], 0.0),
        ("terminated;reason=timeout", [], 0.0),
        ("terminated;reason=probation;retry-after=90", [(S.FAILED, None, "probation")], 90.0),
        ("terminated;reason=giveup", [(S.FAILED, None, "giveup")], 2.0),
        ("terminated", [(S.FAILED, None, None)], 2.0),
        ("terminated;reason=rejected", [(S.REFUSED, None, "rejected")], 3600.0),
        ("terminated;reason=noresource", [(S.REFUSED, None, "noresource")], 3600.0),
    ],
)
def test_what_follows_from_the_end_depends_on_its_reason(
    wire: Wire,
    carol: Party,
    pbx: Notifier,
    state: str,
    told: list[tuple[SubscriptionState, None, str | None]],
    next_after: float,
) -> None:
    watch(carol)
    pbx.notify(carol)
    pbx.notify(carol, state)
    assert changes(carol) == [(S.ACTIVE, None, None), *told]
    wire.run(next_after / 3)
    assert (len(pbx.subscribes) > 1) == (next_after == 0.0)
    wire.run(next_after * 2 / 3 + 1)
    assert len({request.call_id for request in pbx.subscribes}) == 2


def test_a_state_that_can_not_change_is_not_asked_for_again(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    pbx.notify(carol, "terminated;reason=invariant", content=INFO.format())
    assert changes(carol) == [(S.ENDED, None, "invariant")]
    assert len(carol.told(DialogStateReceived)) == 1
    assert_nothing_left(wire, carol)


def test_a_notifier_that_ends_each_subscription_at_once_slows_us_down(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    for _ in range(3):
        pbx.notify(carol, "terminated;reason=deactivated")
    assert len(pbx.subscribes) == 2
    assert changes(carol) == [(S.FAILED, None, "deactivated")]


def test_a_terminating_notify_before_the_2xx_ends_the_request_too(wire: Wire, carol: Party) -> None:
    pbx = Notifier(wire, [None])
    watch(carol)
    pbx.notify(carol, "terminated;reason=rejected")
    wire.run(40)
    assert (len(pbx.subscribes), pbx.answered) == (1, ["200"])


# --- NOTIFY that does not fit ---


def test_the_notify_of_another_fork_is_refused(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    pbx.notify(carol, content=INFO.format())
    pbx.notify(carol, content=INFO.format(), tag="fork")
    assert pbx.answered == ["200", "481"]
    assert len(carol.told(DialogStateReceived)) == 1


def test_an_older_notify_is_refused(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    pbx.notify(carol, seq=7)
    pbx.notify(carol, seq=7)
    assert pbx.answered == ["200", "500"]


@pytest.mark.parametrize(
    ("event", "state", "content_type", "content", "answer"),
    [
        ("presence", "active", CONTENT_TYPE, b"", ("489", "allow-events", "dialog, message-summary, refer")),
        ("dialog", "active", SUMMARY, b"Messages-Waiting: no", ("415", "accept", CONTENT_TYPE)),
        ("dialog", "active", CONTENT_TYPE, b"<x/>", ("400", "accept", None)),
        ("dialog", ";", CONTENT_TYPE, b"", ("400", "accept", None)),
    ],
)
def test_what_can_not_be_read_is_refused_and_the_subscription_goes_on(
    wire: Wire,
    carol: Party,
    pbx: Notifier,
    event: str,
    state: str,
    content_type: str,
    content: bytes,
    answer: tuple[str, str, str | None],
) -> None:
    watch(carol)
    pbx.notify(carol, state, event=event, content_type=content_type, content=content)
    word, header, value = answer
    assert (pbx.answered, pbx.last(word).get(header)) == ([word], value)
    pbx.notify(carol, content=INFO.format())
    assert pbx.answered == [word, "200"]
    assert changes(carol) == [(S.ACTIVE, None, None)]


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("Require: eventlist", ("420", "unsupported", "eventlist")),
        ("Content-Encoding: gzip", ("415", "accept-encoding", "identity")),
    ],
)
def test_an_extension_or_encoding_that_we_lack_is_refused(
    wire: Wire, carol: Party, pbx: Notifier, header: str, answer: tuple[str, str, str]
) -> None:
    watch(carol)
    subscribe = pbx.last("SUBSCRIBE")
    headers = ["Event: dialog", header]
    pbx.request(carol, "NOTIFY", call_id=subscribe.call_id, to_tag=subscribe.from_.tag, headers=headers, content=b"x")
    wire.run(0.1)
    word, name, value = answer
    assert (pbx.answered, pbx.last(word).get(name)) == ([word], value)


def test_a_notify_without_contact_makes_no_dialog(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    pbx.notify(carol, contact="")
    assert (pbx.answered, changes(carol)) == (["400"], [])


def test_other_requests_have_no_place_in_a_subscription(wire: Wire, carol: Party, pbx: Notifier) -> None:
    watch(carol)
    pbx.notify(carol)
    subscribe = pbx.last("SUBSCRIBE")
    for seq, method in enumerate(("BYE", "INVITE", "ACK", "CANCEL"), 50):
        pbx.request(
            carol, method, call_id=subscribe.call_id, to_tag=subscribe.from_.tag, seq=seq, branch=f"z9hG4bK{seq // 3}"
        )
    wire.run(0.1)
    assert pbx.words[-3:] == ["405", "405", "200"]
    assert pbx.last("405").get("allow") == "NOTIFY"
    assert changes(carol) == [(S.ACTIVE, None, None)]


@pytest.mark.parametrize(("target", "package"), [("100", "presence"), ("", "dialog")])
def test_what_can_not_be_followed_is_refused_here(carol: Party, target: str, package: str) -> None:
    with pytest.raises(LocalProtocolError):
        watch(carol, target, package)


def test_subscriptions_are_bounded(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber_module, "MAX_SUBSCRIPTIONS", 1)
    pbx = Notifier(wire)
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", message_waiting=True)
    watch(carol)
    with pytest.raises(InvalidStateError):
        watch(carol)
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    assert [request.get("event") for request in pbx.subscribes] == ["dialog"]


# --- the line's own mailbox ---

VOICE = b"Messages-Waiting: yes\r\nMessage-Account: sip:620@192.0.2.100\r\nVoice-Message: 2/8 (0/2)\r\n"


@pytest.fixture
def subscribing(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.3")
    party.add_registered_line("620", message_waiting=True)
    return party


def test_a_line_subscribes_to_its_mailbox_once_it_is_registered(wire: Wire, subscribing: Party, pbx: Notifier) -> None:
    subscribing.do(subscribing.endpoint.register, "620")
    wire.run(0.1)
    pbx.notify(subscribing, event="message-summary", content=VOICE, content_type=SUMMARY)
    wire.run(400)
    assert pbx.words.count("REGISTER") == 2
    (subscribe,) = pbx.subscribes
    assert (subscribe.uri, subscribe.get("event")) == ("sip:620@192.0.2.100", "message-summary")
    assert subscribing.told(MessagesWaiting) == [MessagesWaiting(line="620", waiting=True, new=2, old=8)]
    subscribing.do(subscribing.endpoint.unregister, "620")
    wire.run(0.1)
    assert (pbx.last("SUBSCRIBE").get("expires"), pbx.last("REGISTER").get("expires")) == ("0", "0")
    subscribing.do(subscribing.endpoint.register, "620")
    wire.run(0.1)
    assert pbx.last("SUBSCRIBE").get("expires") == "3600"
    pbx.notify(subscribing, event="message-summary", tag="other")
    watch(subscribing)
    subscribing.do(subscribing.endpoint.end_subscriptions, "620")
    assert changes(subscribing)[-1][0] is S.ENDED


@pytest.mark.parametrize("order", ["address_changed", "transport_failed"])
def test_a_line_that_is_reached_elsewhere_says_so_to_its_notifiers_at_once(
    wire: Wire, subscribing: Party, pbx: Notifier, order: str
) -> None:
    subscribing.do(subscribing.endpoint.register, "620")
    wire.run(0.1)
    pbx.notify(subscribing, event="message-summary")
    watch(subscribing, "sip:nobody@192.0.2.77")  # has no dialog yet
    subscribing.add_direct_line("other")
    subscribing.endpoint.subscribe("other", "sip:nobody@192.0.2.78", "dialog", wire.now)
    (before,) = subscribing.endpoint.registrar_flows()
    subscribing.local = ("192.0.2.33", 5060)
    wire.attach(subscribing.local, subscribing.receive)
    wire.run(20)
    for flow in (subscribing.flow_to(("192.0.2.66", 5060)), before):
        subscribing.do(getattr(subscribing.endpoint, order), flow)
    wire.run(0.1)
    first, second = pbx.subscribes
    assert (first.call_id, first.get("contact")) == (second.call_id, "<sip:620@192.0.2.3:5060>")
    assert (second.get("contact"), second.get("expires")) == ("<sip:620@192.0.2.33:5060>", "3600")


def test_a_line_that_is_not_to_subscribe_does_not(wire: Wire, carol: Party, pbx: Notifier) -> None:
    carol.do(carol.endpoint.register, "620")
    wire.run(1)
    assert pbx.subscribes == []
    carol.do(carol.endpoint.unregister, "620")
    wire.run(1)
    assert carol.endpoint.registration_state("620") is RegistrationState.UNREGISTERED


def tell(
    pbx: RawPeer, to: Party, *, event: str = "message-summary", kind: str = SUMMARY, content: bytes = VOICE
) -> None:
    headers = [f"Event: {event}"] if event else []
    pbx.request(to, "NOTIFY", uri="sip:620@192.0.2.3", headers=headers, content=content, content_type=kind)
    pbx.wire.run(0.1)


def test_messages_waiting_are_heard_unasked_from_the_registrar(wire: Wire, carol: Party, pbx: Notifier) -> None:
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    tell(pbx, carol)
    assert pbx.answered == ["200"]
    assert carol.told(MessagesWaiting) == [MessagesWaiting(line="620", waiting=True, new=2, old=8)]


@pytest.mark.parametrize(
    ("event", "kind", "content", "answer"),
    [
        ("presence", SUMMARY, VOICE, "481"),
        ("", SUMMARY, VOICE, "481"),
        ("message-summary", "text/plain", VOICE, "415"),
        ("message-summary", SUMMARY, b"nothing", "400"),
    ],
)
def test_other_news_unasked_are_refused(
    wire: Wire, carol: Party, pbx: Notifier, event: str, kind: str, content: bytes, answer: str
) -> None:
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    tell(pbx, carol, event=event, kind=kind, content=content)
    assert (pbx.answered, carol.told(MessagesWaiting)) == ([answer], [])


def test_who_wants_no_news_refuses_them(wire: Wire, pbx: Notifier) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", message_waiting=False)
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    tell(pbx, carol)
    assert (pbx.answered, carol.told(MessagesWaiting)) == (["481"], [])


def test_messages_waiting_for_a_direct_line_are_nobodys(wire: Wire, bob: Party, raw: RawPeer) -> None:
    raw.request(bob, "NOTIFY", headers=["Event: message-summary"], content=VOICE, content_type=SUMMARY)
    wire.run(0.1)
    assert (raw.words, list(bob.events)) == (["481"], [])
