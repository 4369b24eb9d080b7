"""Two endpoints over a wire that loses, reorders and duplicates: whatever they do, in the end they agree."""

import random
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sip_bridge.sip.events import CallEnded, Event, LineEvent
from sip_bridge.sip.incoming import IncomingCall
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, Party, Sent, Wire

LOSS = 0.2
MOST_LOSSES = 5  # of the same message
Side = Literal["alice", "bob"]
sides = st.sampled_from(["alice", "bob"])
picks = st.integers(0, 10)


class Agreement(RuleBasedStateMachine):
    """Random orders on both sides, random time between them; `teardown` lets the line be quiet and compares."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.losses: Counter[bytes] = Counter()
        self.wire = Wire(drops=self.loses, copies=self.copies)
        self.sides = {"alice": Party(self.wire, "192.0.2.1"), "bob": Party(self.wire, "192.0.2.2")}
        for name, party in self.sides.items():
            party.add_direct_line(name)

    def loses(self, sent: Sent) -> bool:
        """Never the same bytes for ever: then no protocol could agree."""
        lost = self.chance.random() < LOSS and self.losses[sent.data] < MOST_LOSSES
        self.losses[sent.data] += lost
        return lost

    def copies(self, _: Sent) -> tuple[float, ...]:
        """Each message is late by up to a second, and one in five comes twice."""
        times = 2 if self.chance.random() < 0.2 else 1
        return tuple(self.chance.choice([0.0, 0.0, 0.05, self.chance.random()]) for _ in range(times))

    def ringing(self, side: str) -> list[str]:
        sessions = self.sides[side].endpoint._core.sessions
        return [call for call, s in sessions.items() if isinstance(s, IncomingCall) and s._transaction.is_pending]

    def alive(self, side: str) -> list[str]:
        return list(self.sides[side].endpoint._core.sessions)

    # --- orders ---

    @rule(side=sides)
    def dial(self, side: Side) -> None:
        other: Side = "bob" if side == "alice" else "alice"
        if len(self.alive(side)) < 8:
            self.sides[side].dial(self.sides[other], side, other)

    @precondition(lambda self: any(self.ringing(side) for side in self.sides))
    @rule(side=sides, pick=picks, order=st.sampled_from(["ring", "answer", "reject"]))
    def respond(self, side: Side, pick: int, order: str) -> None:
        party, calls = self.sides[side], self.ringing(side)
        if not calls:
            return
        call = calls[pick % len(calls)]
        if order == "ring":
            party.do(party.endpoint.ring, call, SIPStatus.RINGING)
        elif order == "answer":
            party.do(party.endpoint.answer, call, ANSWER)
        else:
            party.do(party.endpoint.reject, call, SIPStatus.BUSY_HERE)

    @precondition(lambda self: any(self.alive(side) for side in self.sides))
    @rule(side=sides, pick=picks)
    def hang_up(self, side: Side, pick: int) -> None:
        party, calls = self.sides[side], self.alive(side)
        if calls:
            party.do(party.endpoint.hangup, calls[pick % len(calls)])

    @rule(seconds=st.sampled_from([0.005, 0.02, 0.3, 1.0, 5.0, 31.0]))
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
        self.wire.run(200)
        for party in self.sides.values():  # what rings without an end, the people involved end
            for call in list(party.endpoint._core.sessions):
                if not party.endpoint._core.sessions[call].is_confirmed:
                    party.do(party.endpoint.hangup, call)
        self.wire.run(200)
        alice, bob = self.sides["alice"].endpoint, self.sides["bob"].endpoint
        assert sorted(alice._core.sessions) == sorted(bob._core.sessions)
        for side in self.sides:
            for call in self.alive(side):
                party = self.sides[side]
                party.do(party.endpoint.hangup, call)
        self.wire.run(200)
        for endpoint in (alice, bob):
            left = (endpoint.calls, len(endpoint._core.dialogs), endpoint.transactions, endpoint.next_deadline)
            assert left == (0, 0, 0, None)
        for party in self.sides.values():
            ends = Counter(event.call for event in party.events if isinstance(event, CallEnded))
            known = {event.call for event in party.events if not isinstance(event, LineEvent)}
            assert ends == dict.fromkeys(known, 1)


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
