"""Who watches our lines: the notifier of the ``dialog`` package (RFC 4235 over RFC 6665)."""

import pytest

from sip_bridge.sip import notifier as notifier_module
from sip_bridge.sip import watcher as watcher_module
from sip_bridge.sip.call_states import MAX_IDENTITY, CallStates
from sip_bridge.sip.caller import MAX_TEXT
from sip_bridge.sip.capabilities import ALLOW_EVENTS
from sip_bridge.sip.dialog_info import CONTENT_TYPE, DialogEntry, DialogInfo, DialogState, Participant
from sip_bridge.sip.events import (
    CallEnded,
    CallSignaled,
    DialogStateReceived,
    EndCause,
    SubscriptionChanged,
    SubscriptionState,
)
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.notifier import MAX_WATCHERS, MAX_WATCHERS_PER_SOURCE
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, PBX, Party, RawPeer, Wire, assert_nothing_left

Seen = tuple[DialogState, str | None, str | None]


class Lamp(RawPeer):
    """A phone that watches the line ``door`` of a party; it answers NOTIFY with ``answer``, or not at all."""

    def __init__(self, wire: Wire, host: str = "192.0.2.66") -> None:
        super().__init__(wire, host)
        self.answer: int | None = 200
        self.on_request = self._answer
        self.seq = 0

    def _answer(self, request: SIPMessage) -> None:
        if request.method == "NOTIFY" and self.answer is not None:
            self.respond(request, self.answer, contact="")

    def subscribe(self, to: Party, *headers: str, in_dialog: bool = False, seq: int | None = None, **more: str) -> None:
        self.seq += 1
        fields = headers or ("Event: dialog", "Expires: 600")
        to_tag = self.last("NOTIFY").from_.tag if in_dialog else None
        self.request(to, "SUBSCRIBE", headers=fields, to_tag=to_tag, seq=seq or self.seq, **more)  # type: ignore[arg-type]
        self.wire.run(0.1)

    @property
    def notifies(self) -> list[SIPMessage]:
        return [message for message in self.received if message.method == "NOTIFY"]

    @property
    def documents(self) -> list[DialogInfo]:
        return [DialogInfo.parse(message.content) for message in self.notifies]

    @property
    def seen(self) -> list[list[Seen]]:
        """Of each document the calls' state, direction and other party."""
        return [
            [(entry.state, entry.direction, entry.remote.uri if entry.remote else None) for entry in document.dialogs]
            for document in self.documents
        ]


@pytest.fixture
def lamp(wire: Wire) -> Lamp:
    return Lamp(wire)


CALLER = "sip:alice@192.0.2.1"


def test_a_watcher_is_told_at_once_and_at_each_change(wire: Wire, alice: Party, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob)
    accepted, first = lamp.received
    assert (int(accepted.status), accepted.get("expires"), accepted.get("contact")) == (
        200,
        "600",
        "<sip:door@192.0.2.2:5060>",
    )
    assert (first.uri, first.get("event"), first.get("subscription-state"), first.get("content-type")) == (
        "sip:raw@192.0.2.66:5060",
        "dialog",
        "active;expires=600",
        CONTENT_TYPE,
    )
    assert (first.to.tag, first.from_.tag, first.call_id) == ("raw", accepted.to.tag, "raw-call")
    assert lamp.documents == [DialogInfo(entity="sip:door@192.0.2.2", version=0, is_full=True)]
    wire.run(2)
    call = alice.dial(bob, "alice", "door")
    wire.run(2)
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(2)
    bob.do(bob.endpoint.answer, call, ANSWER)
    wire.run(2)
    alice.do(alice.endpoint.hangup, call)
    wire.run(2)
    assert lamp.seen[1:] == [
        [(DialogState.TRYING, "recipient", CALLER)],
        [(DialogState.EARLY, "recipient", CALLER)],
        [(DialogState.CONFIRMED, "recipient", CALLER)],
        [(DialogState.TERMINATED, "recipient", CALLER)],
    ]
    assert [document.version for document in lamp.documents] == [0, 1, 2, 3, 4]
    assert [notify.cseq.number - first.cseq.number for notify in lamp.notifies] == [0, 1, 2, 3, 4]
    assert len({entry.id for document in lamp.documents[1:] for entry in document.dialogs}) == 1


def test_a_call_of_ours_is_seen_too(wire: Wire, bob: Party, lamp: Lamp) -> None:
    callee = RawPeer(wire, "192.0.2.77")
    lamp.subscribe(bob)
    call = bob.endpoint.invite("door", "sip:x@192.0.2.77", OFFER, wire.now)
    bob.drain()
    for status in (100, 183, 180, 200):
        wire.run(2)
        callee.respond(callee.last("INVITE"), status, content=ANSWER if status > 100 else b"")
    wire.run(2)
    bob.do(bob.endpoint.hangup, call)
    wire.run(2)
    other = "sip:x@192.0.2.77"
    states = (DialogState.TRYING, DialogState.PROCEEDING, DialogState.EARLY, DialogState.CONFIRMED)
    assert lamp.seen[1:] == [[(state, "initiator", other)] for state in (*states, DialogState.TERMINATED)]


def test_a_refused_call_is_seen_once_more_and_then_no_more(wire: Wire, alice: Party, bob: Party, lamp: Lamp) -> None:
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    lamp.subscribe(bob)
    wire.run(2)
    bob.do(bob.endpoint.reject, call, SIPStatus.BUSY_HERE)
    wire.run(2)
    lamp.subscribe(bob, in_dialog=True)
    assert lamp.seen == [
        [(DialogState.TRYING, "recipient", CALLER)],
        [(DialogState.TERMINATED, "recipient", CALLER)],
        [],
    ]


def test_a_document_names_neither_call_id_nor_tags_and_long_identities_are_cut(
    wire: Wire, bob: Party, lamp: Lamp
) -> None:
    caller = RawPeer(wire, "192.0.2.77")
    name = "n" * 3000
    caller.send(
        "INVITE sip:door@192.0.2.2 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKlong\nCSeq: 1 INVITE\n"
        f'From: "{name}" <sip:{name}@h>;tag=1\nTo: <sip:door@192.0.2.2>\nCall-ID: secret\nContact: <sip:c@192.0.2.77>\n'
        "Content-Length: 0\n\n",
        bob,
    )
    wire.run(0.1)
    lamp.subscribe(bob)
    ((entry,),) = [document.dialogs for document in lamp.documents]
    remote = Participant(uri=f"sip:{name}@h"[:MAX_IDENTITY], name=name[:MAX_TEXT])
    assert entry == DialogEntry(id=entry.id, state=DialogState.TRYING, direction="recipient", remote=remote)
    assert "secret" not in entry.id


def test_a_caller_who_wants_to_be_hidden_is(wire: Wire, bob: Party, lamp: Lamp) -> None:
    caller = RawPeer(wire, "192.0.2.77")
    caller.request(bob, "INVITE", call_id="hidden", content=OFFER, headers=["Privacy: id"])
    wire.run(0.1)
    lamp.subscribe(bob)
    assert lamp.seen == [[(DialogState.TRYING, "recipient", "sip:anonymous@anonymous.invalid")]]


def test_changes_are_told_a_second_apart_and_together(wire: Wire, alice: Party, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob)
    began = wire.now
    call = alice.dial(bob, "alice", "door")
    wire.run(0.1)
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(3)
    assert lamp.seen == [[], [(DialogState.EARLY, "recipient", CALLER)]]
    at = [sent.at for sent in wire.sent if sent.word == "NOTIFY"]
    assert 0.9 <= at[1] - at[0] <= 1.1
    assert at[1] > began


def test_what_changes_while_a_notify_is_unanswered_is_told_after_its_answer(
    wire: Wire, alice: Party, bob: Party, lamp: Lamp
) -> None:
    lamp.answer = None
    lamp.subscribe(bob)
    call = alice.dial(bob, "alice", "door")
    wire.run(1.5)
    bob.do(bob.endpoint.ring, call, SIPStatus.RINGING)
    wire.run(1.5)
    assert len({notify.cseq.number for notify in lamp.notifies}) == 1
    lamp.answer = 200
    lamp.respond(lamp.last("NOTIFY"), 100, contact="")
    lamp.respond(lamp.last("NOTIFY"), 200, contact="")
    wire.run(1)
    assert lamp.seen[-1] == [(DialogState.EARLY, "recipient", CALLER)]


def test_only_the_calls_of_the_line_are_seen(wire: Wire, alice: Party, lamp: Lamp) -> None:
    house = Party(wire, "192.0.2.9")
    house.add_direct_line("door")
    house.add_direct_line("garage")
    lamp.subscribe(house, uri="sip:garage@192.0.2.9")
    alice.dial(house, "alice", "door")
    wire.run(3)
    assert (lamp.seen, lamp.documents[0].entity) == ([[]], "sip:garage@192.0.2.9")


def test_the_calls_in_one_document_are_bounded(
    wire: Wire, alice: Party, bob: Party, lamp: Lamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "MAX_LISTED", 2)
    for _ in range(3):
        alice.dial(bob, "alice", "door")
    wire.run(0.1)
    lamp.subscribe(bob)
    assert [len(document.dialogs) for document in lamp.documents] == [2]


# --- the course of a subscription ---


def test_a_refresh_is_told_the_whole_state_and_lasts_from_then_on(wire: Wire, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob)
    wire.run(500)
    lamp.subscribe(bob, "o: dialog", "Expires: 300", in_dialog=True, contact="<sip:moved@192.0.2.66>")
    assert (lamp.notifies[-1].uri, lamp.notifies[-1].get("subscription-state")) == (
        "sip:moved@192.0.2.66",
        "active;expires=300",
    )
    wire.run(299)
    assert len(lamp.notifies) == 2
    wire.run(2)
    assert lamp.notifies[-1].get("subscription-state") == "terminated;reason=timeout"
    assert_nothing_left(wire, bob)
    assert bob.endpoint._core.dialogs == {}


def test_a_notify_in_between_says_how_long_is_left(wire: Wire, alice: Party, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob)
    wire.run(100)
    alice.dial(bob, "alice", "door")
    wire.run(1)
    assert lamp.notifies[-1].get("subscription-state") == "active;expires=500"


@pytest.mark.parametrize("expires", [(), ("Expires: 99999999",), ("Expires: never",)])
def test_what_is_granted_is_an_hour_at_the_most(wire: Wire, bob: Party, lamp: Lamp, expires: tuple[str, ...]) -> None:
    lamp.subscribe(bob, "Event: dialog", *expires)
    assert (lamp.last("200").get("expires"), lamp.notifies[0].get("subscription-state")) == (
        "3600",
        "active;expires=3600",
    )


def test_unsubscribing_gets_a_last_notify(wire: Wire, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob)
    lamp.subscribe(bob, "Event: dialog", "Expires: 0", in_dialog=True)
    assert lamp.words == ["200", "NOTIFY", "200", "NOTIFY"]
    assert lamp.notifies[-1].get("subscription-state") == "terminated;reason=timeout"
    lamp.subscribe(bob, in_dialog=True)
    assert lamp.words[-1] == "481"
    assert_nothing_left(wire, bob)


def test_a_watcher_that_has_forgotten_us_already_changes_nothing(wire: Wire, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob)
    lamp.answer = 481
    lamp.subscribe(bob, "Event: dialog", "Expires: 0", in_dialog=True)
    assert lamp.words == ["200", "NOTIFY", "200", "NOTIFY"]
    assert_nothing_left(wire, bob)


def test_a_watcher_without_an_address_is_forgotten(wire: Wire, bob: Party, lamp: Lamp) -> None:
    bob.resolves = False
    lamp.subscribe(bob, "Event: dialog", contact="<sip:x@nowhere.invalid>")
    tag = lamp.last("200").to.tag
    lamp.request(bob, "SUBSCRIBE", headers=["Event: dialog"], to_tag=tag, seq=9, contact="<sip:x@nowhere.invalid>")
    wire.run(0.1)
    bob.resolve_now()
    assert (lamp.words, bob.endpoint._core.dialogs) == (["200", "200"], {})
    assert_nothing_left(wire, bob)


def test_who_asks_once_is_told_once(wire: Wire, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob, "Event: dialog", "Expires: 0")
    assert (lamp.words, lamp.last("200").get("expires")) == (["200", "NOTIFY"], "0")
    assert lamp.last("NOTIFY").get("subscription-state") == "terminated;reason=timeout"
    assert_nothing_left(wire, bob)


@pytest.mark.parametrize("answer", [481, 500, None])
def test_a_notify_that_is_refused_or_unanswered_ends_the_subscription(
    wire: Wire, bob: Party, lamp: Lamp, answer: int | None
) -> None:
    lamp.answer = answer
    lamp.subscribe(bob)
    wire.run(33)
    lamp.received.clear()
    assert bob.endpoint._core.dialogs == {}
    assert_nothing_left(wire, bob)
    assert lamp.words == []


def test_the_event_id_comes_back(wire: Wire, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob, "Event: dialog;id=7")
    assert lamp.last("NOTIFY").get("event") == "dialog;id=7"
    lamp.subscribe(bob, "Event: dialog;id=8", in_dialog=True)
    assert (lamp.words[-1], lamp.last("489").get("allow-events")) == ("489", ALLOW_EVENTS)


def test_the_way_that_the_subscribe_came_is_the_way_of_the_notify(wire: Wire, bob: Party, lamp: Lamp) -> None:
    route = "<sip:192.0.2.66;lr>"
    lamp.subscribe(bob, "Event: dialog", f"Record-Route: {route}", contact="<sip:far@192.0.2.99>")
    assert (lamp.last("200").get("record-route"), lamp.last("NOTIFY").get("route")) == (route, route)
    assert lamp.last("NOTIFY").uri == "sip:far@192.0.2.99"


# --- what is refused ---


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        (("Expires: 60",), ("489", "allow-events", ALLOW_EVENTS)),
        (("Event: presence",), ("489", "allow-events", ALLOW_EVENTS)),
        (("Event: message-summary",), ("489", "allow-events", ALLOW_EVENTS)),
        (("Event: dialog", "Accept: application/pidf+xml"), ("406", "accept", None)),
        (("Event: dialog", "Require: eventlist"), ("420", "unsupported", "eventlist")),
    ],
)
def test_what_we_can_not_notify_of_is_refused(
    wire: Wire, bob: Party, lamp: Lamp, headers: tuple[str, ...], answer: tuple[str, str, str | None]
) -> None:
    lamp.subscribe(bob, *headers)
    word, name, value = answer
    assert (lamp.words, lamp.last(word).get(name)) == ([word], value)


@pytest.mark.parametrize("accept", [f"text/x, {CONTENT_TYPE};q=1", "*/*", "application/*"])
def test_an_accept_that_lets_us_in_is_enough(wire: Wire, bob: Party, lamp: Lamp, accept: str) -> None:
    lamp.subscribe(bob, "Event: dialog", f"Accept: {accept}")
    assert lamp.words == ["200", "NOTIFY"]


def test_a_subscribe_without_contact_or_to_nobody_makes_no_subscription(wire: Wire, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob, contact="")
    lamp.subscribe(bob, call_id="other", uri="sip:nobody@192.0.2.2")
    assert lamp.words == ["400", "404"]
    assert bob.endpoint._core.dialogs == {}


def test_strangers_see_nothing(wire: Wire, lamp: Lamp) -> None:
    guarded = Party(wire, "192.0.2.9")
    guarded.add_direct_line("door", allow="10.0.0.0/8")
    lamp.subscribe(guarded)
    assert (lamp.words, guarded.endpoint.counters["strangers"]) == ([], 1)


def test_what_has_no_place_in_the_dialog_is_refused(wire: Wire, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob)
    tag = lamp.last("NOTIFY").from_.tag
    lamp.subscribe(bob, in_dialog=True, seq=1)
    for seq, method in enumerate(("BYE", "INVITE", "ACK", "CANCEL"), 50):
        lamp.request(bob, method, to_tag=tag, seq=seq, branch=f"z9hG4bK{seq // 3}")
    wire.run(0.1)
    assert lamp.words[2:] == ["500", "405", "405", "200"]
    assert lamp.last("405").get("allow") == "SUBSCRIBE"


def test_the_watchers_of_one_host_are_bounded(wire: Wire, bob: Party, lamp: Lamp) -> None:
    for number in range(MAX_WATCHERS_PER_SOURCE + 1):
        lamp.subscribe(bob, call_id=f"w{number}")
    assert lamp.words == ["200", "NOTIFY"] * MAX_WATCHERS_PER_SOURCE + ["480"]
    assert (lamp.last("480").get("retry-after"), bob.endpoint.counters["crowded"]) == ("30", 1)


def test_all_watchers_are_bounded(wire: Wire, bob: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    lamps = [Lamp(wire, f"192.0.2.{number}") for number in range(100, 101 + MAX_WATCHERS)]
    for lamp in lamps:
        lamp.subscribe(bob, call_id=lamp.address[0])
    assert [lamp.words[0] for lamp in lamps] == ["200"] * MAX_WATCHERS + ["480"]
    monkeypatch.setattr(notifier_module, "MAX_WATCHERS", MAX_WATCHERS + 1)
    lamps[-1].subscribe(bob, call_id="again")
    assert lamps[-1].words[-1] == "NOTIFY"


# --- both sides are ours ---


def test_one_of_our_endpoints_watches_another(wire: Wire, alice: Party, bob: Party) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_direct_line("carol")
    subscription = carol.endpoint.subscribe("carol", "sip:door@192.0.2.2", "dialog", wire.now)
    carol.drain()
    wire.run(2)
    alice.dial(bob, "alice", "door")
    wire.run(2)
    (empty, ringing) = [event for event in carol.events if isinstance(event, DialogStateReceived)]
    assert (empty.info.dialogs, [entry.state for entry in ringing.info.dialogs]) == ((), [DialogState.TRYING])
    bob.do(bob.endpoint.end_subscriptions, "door")
    wire.run(0.1)
    last = carol.events[-1]
    assert last == SubscriptionChanged(
        line="carol",
        subscription=subscription,
        package="dialog",
        state=SubscriptionState.FAILED,
        reason="probation",
        retry_in=30,
    )
    wire.run(31)
    assert carol.told(SubscriptionChanged)[-1].state is SubscriptionState.ACTIVE  # type: ignore[union-attr]
    carol.do(carol.endpoint.unsubscribe, subscription)
    wire.run(40)
    assert (carol.endpoint._core.dialogs, carol.endpoint.transactions) == ({}, 0)


def test_a_registered_line_is_watched_under_its_domain(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    pbx = Lamp(wire, PBX.host)
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    pbx.subscribe(carol, uri="sip:620@192.0.2.3")
    assert [document.entity for document in pbx.documents] == ["sip:620@192.0.2.100"]


def test_the_end_of_a_call_that_was_never_seen_changes_nothing() -> None:
    changed: list[str] = []
    states = CallStates(token=lambda: "1", on_change=changed.append)
    states.observe(CallEnded(call="x", cause=EndCause.TIMEOUT))
    states.observe(CallSignaled(call="x", origin="local", method="INVITE", status=SIPStatus.RINGING))
    assert (changed, states.of("door")) == ([], {})


def test_the_endpoint_says_how_many_watch(wire: Wire, bob: Party, lamp: Lamp) -> None:
    lamp.subscribe(bob)
    before = bob.endpoint.watchers
    lamp.subscribe(bob, "Event: dialog", "Expires: 0", in_dialog=True)
    wire.run(64)
    assert (before, bob.endpoint.watchers) == (1, 0)
