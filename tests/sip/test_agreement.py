"""Two endpoints over a wire that loses, reorders and duplicates: whatever they do, in the end they agree."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sip_bridge.sip.events import (
    CallEnded,
    Event,
    LineEvent,
    OfferNeeded,
    OfferReceived,
    TransferRequested,
)
from sip_bridge.sip.incoming import IncomingCall
from sip_bridge.sip.session import Session
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party
from tests.sip.noise import Noise

QUIET = 400.0  # seconds in which every request is answered or given up, and every silent transfer too
Side = Literal["alice", "bob"]
sides = st.sampled_from(["alice", "bob"])
picks = st.integers(0, 10)


class Agreement(RuleBasedStateMachine):
    """Random orders on both sides, random time between them; `teardown` lets the line be quiet and compares."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.wire = Noise(seed).wire()
        self.sides = {"alice": Applied(self.wire, "192.0.2.1"), "bob": Applied(self.wire, "192.0.2.2")}
        for name, party in self.sides.items():
            party.add_direct_line(name)

    def sessions(self, side: str, is_it: Callable[[Session], bool] = lambda _: True) -> list[str]:
        return [call for call, session in self.sides[side].endpoint._core.sessions.items() if is_it(session)]

    def ringing(self, side: str) -> list[str]:
        return self.sessions(side, lambda session: isinstance(session, IncomingCall) and session.is_ringing)

    def talking(self, side: str) -> list[str]:
        return self.sessions(side, lambda session: session.is_answered)

    # --- orders ---

    @rule(side=sides, offer=st.sampled_from([OFFER, OFFER, b""]))
    def dial(self, side: Side, offer: bytes) -> None:
        other: Side = "bob" if side == "alice" else "alice"
        if len(self.sessions(side)) < 8:
            self.sides[side].dial(self.sides[other], side, other, offer)

    @precondition(lambda self: any(self.ringing(side) for side in self.sides))
    @rule(side=sides, pick=picks, order=st.sampled_from(["ring", "describe", "answer", "reject"]))
    def respond(self, side: Side, pick: int, order: str) -> None:
        party, calls = self.sides[side], self.ringing(side)
        if not calls:
            return
        call = calls[pick % len(calls)]
        if order == "ring":
            party.do(party.endpoint.ring, call, SIPStatus.RINGING)
        elif order == "describe":
            party.endpoint.ring(call, SIPStatus.SESSION_PROGRESS, self.wire.now, ANSWER)
            party.drain()
        elif order == "answer":
            party.do(party.endpoint.answer, call, ANSWER)
        else:
            party.do(party.endpoint.reject, call, SIPStatus.BUSY_HERE)

    @precondition(lambda self: any(self.talking(side) for side in self.sides))
    @rule(side=sides, pick=picks, order=st.sampled_from(["modify", "modify", "info", "transfer"]))
    def change(self, side: Side, pick: int, order: str) -> None:
        party, calls = self.sides[side], self.talking(side)
        if not calls:
            return
        call = calls[pick % len(calls)]
        if order == "modify":
            party.do(party.endpoint.modify, call)
        elif order == "info":
            party.endpoint.send_info(call, "text/plain", b"x", self.wire.now)
            party.drain()
        elif not party.endpoint._core.sessions[call].transfer.is_open:
            party.do(party.endpoint.transfer, call, "sip:nobody@192.0.2.3")

    @precondition(lambda self: any(self.sessions(side) for side in self.sides))
    @rule(side=sides, pick=picks)
    def hang_up(self, side: Side, pick: int) -> None:
        party, calls = self.sides[side], self.sessions(side)
        if calls:
            party.do(party.endpoint.hangup, calls[pick % len(calls)])

    @rule(seconds=st.sampled_from([0.005, 0.02, 0.3, 1.0, 5.0, 31.0, 900.0]))
    def wait(self, seconds: float) -> None:
        self.wire.run(seconds)

    # --- what must hold ---

    @invariant()
    def no_call_speaks_after_its_end(self) -> None:
        for party in self.sides.values():
            assert is_quiet_after_the_end(party.events)

    def teardown(self) -> None:
        if not hasattr(self, "wire"):
            return
        self.wire.run(QUIET)
        for side, party in self.sides.items():  # what rings without an end, the people involved end
            for call in self.sessions(side, lambda session: not session.is_confirmed):
                party.do(party.endpoint.hangup, call)
        self.wire.run(QUIET)
        assert sorted(self.sessions("alice")) == sorted(self.sessions("bob"))
        for side, party in self.sides.items():
            for call in self.sessions(side):
                assert is_settled(party.endpoint._core.sessions[call])
                party.do(party.endpoint.hangup, call)
        self.wire.run(QUIET)
        for party in self.sides.values():
            endpoint = party.endpoint
            left = (endpoint.calls, len(endpoint._core.dialogs), endpoint.transactions, endpoint.next_deadline)
            assert left == (0, 0, 0, None)
            ends = Counter(event.call for event in party.events if isinstance(event, CallEnded))
            known = {event.call for event in party.events if not isinstance(event, LineEvent)}
            assert ends == dict.fromkeys(known, 1)


class Applied(Party):
    """A party with an application that answers every question at once."""

    def drain(self) -> None:
        seen = len(self.events)
        super().drain()
        for event in list(self.events)[seen:]:
            self.react(event)

    def react(self, event: Event) -> None:
        now = self.wire.now
        match event:
            case OfferNeeded(call=call):
                self.do(self.endpoint.send_offer, call, OFFER)
            case OfferReceived(call=call) if self.endpoint._core.sessions[call].open_offer is not None:
                self.do(self.endpoint.accept_offer, call, ANSWER)
            case TransferRequested(call=call) if call in self.endpoint._core.sessions:
                self.do(self.endpoint.accept_transfer, call)
                self.endpoint.report_transfer(call, SIPStatus.NOT_FOUND, now)
                self.drain()
            case _:
                pass


def is_settled(session: Session) -> bool:
    """Whether nothing of a call that goes on is still open."""
    return session.can_offer and session.open_offer is None and not session.transfer.is_open


def is_quiet_after_the_end(events: Iterable[Event]) -> bool:
    ended: set[str] = set()
    for event in events:
        assert not isinstance(event, LineEvent)
        if event.call in ended:
            return False
        if isinstance(event, CallEnded):
            ended.add(event.call)
    return True


TestAgreement = Agreement.TestCase
TestAgreement.settings = settings()
