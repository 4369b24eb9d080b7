"""As test_agreement.py, but the applications take their time to decide, and in the end remember the same exchange."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.events import CallEnded, LineEvent
from sip_bridge.sip.incoming import IncomingCall
from sip_bridge.sip.status import SIPStatus
from tests.scenario import Party
from tests.sip.application import Application, new_offer
from tests.sip.noise import Noise
from tests.sip.test_agreement import Side, is_quiet_after_the_end, picks, sides

MOST_CALLS = 8


class SlowAgreement(RuleBasedStateMachine):
    """Random orders and decisions on both sides; `teardown` has everything decided and compares."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.wire = Noise(seed).wire()
        self.sides = {"alice": Party(self.wire, "192.0.2.1"), "bob": Party(self.wire, "192.0.2.2")}
        for name, party in self.sides.items():
            party.add_direct_line(name)
        self.applications = {name: Application(party) for name, party in self.sides.items()}

    def ringing(self, side: str) -> list[str]:
        sessions = self.sides[side].endpoint._core.sessions
        return [call for call, s in sessions.items() if isinstance(s, IncomingCall) and s._transaction.is_pending]

    def alive(self, side: str) -> list[str]:
        return list(self.sides[side].endpoint._core.sessions)

    # --- orders ---

    @rule(side=sides, delayed=st.booleans())
    def dial(self, side: Side, delayed: bool) -> None:
        other: Side = "bob" if side == "alice" else "alice"
        if len(self.alive(side)) < MOST_CALLS:
            self.sides[side].dial(self.sides[other], side, other, offer=b"" if delayed else new_offer())
        self.follow()

    @precondition(lambda self: any(self.ringing(side) for side in self.sides))
    @rule(side=sides, pick=picks, order=st.sampled_from(["ring", "early media", "answer", "answer", "reject"]))
    def respond(self, side: Side, pick: int, order: str) -> None:
        calls = self.ringing(side)
        if not calls:
            return
        call = calls[pick % len(calls)]
        if order == "answer":
            self.applications[side].answer(call)
        elif order == "reject":
            with suppress(InvalidStateError):
                self.sides[side].do(self.sides[side].endpoint.reject, call, SIPStatus.BUSY_HERE)
        else:
            self.applications[side].ring(call, early=order == "early media")
        self.follow()

    @precondition(lambda self: any(self.alive(side) for side in self.sides))
    @rule(side=sides, pick=picks)
    def hang_up(self, side: Side, pick: int) -> None:
        self.order(side, pick, self.sides[side].endpoint.hangup)

    @precondition(lambda self: any(self.alive(side) for side in self.sides))
    @rule(side=sides, pick=picks)
    def modify(self, side: Side, pick: int) -> None:
        self.order(side, pick, self.sides[side].endpoint.modify)

    @precondition(lambda self: any(self.alive(side) for side in self.sides))
    @rule(side=sides, pick=picks)
    def modify_both(self, side: Side, pick: int) -> None:
        """Glare: both sides change the same call at once."""
        calls = self.alive(side)
        for party in self.sides.values():
            with suppress(InvalidStateError, IndexError):
                party.do(party.endpoint.modify, calls[pick % max(len(calls), 1)])
        self.follow()
        for application in self.applications.values():
            while application.wanted:
                application.give_offer()

    @precondition(lambda self: any(application.wanted for application in self.applications.values()))
    @rule(side=sides)
    def give_offer(self, side: Side) -> None:
        if self.applications[side].wanted:
            self.applications[side].give_offer()
        self.follow()

    @precondition(lambda self: any(application.offers for application in self.applications.values()))
    @rule(side=sides, accept=st.sampled_from([True, True, False]))
    def settle(self, side: Side, accept: bool) -> None:
        if self.applications[side].offers:
            self.applications[side].settle(accept=accept)
        self.follow()

    @precondition(lambda self: any(self.alive(side) for side in self.sides))
    @rule(side=sides, pick=picks, attended=st.booleans())
    def transfer(self, side: Side, pick: int, attended: bool) -> None:
        endpoint, calls = self.sides[side].endpoint, self.alive(side)
        if attended and calls:
            other = calls[(pick + 1) % len(calls)]
            self.order(side, pick, lambda call, now: endpoint.transfer_to(call, other, now))
        else:
            target = f"sip:{side}@{self.sides[side].address[0]}"  # a second call between the same two
            self.order(side, pick, lambda call, now: endpoint.transfer(call, target, now))

    @precondition(lambda self: any(application.transfers for application in self.applications.values()))
    @rule(side=sides, outcome=st.sampled_from([SIPStatus.OK, SIPStatus.BUSY_HERE, SIPStatus.TRYING]))
    def decide_transfer(self, side: Side, outcome: SIPStatus) -> None:
        if self.applications[side].transfers and len(self.alive(side)) < MOST_CALLS:
            self.applications[side].decide_transfer(side, outcome)
        self.follow()

    def order(self, side: Side, pick: int, order: Callable[[str, float], None]) -> None:
        """An order for one of the calls, if there is one that it makes sense for."""
        calls = self.alive(side)
        if calls:
            with suppress(InvalidStateError):
                self.sides[side].do(order, calls[pick % len(calls)])
        self.follow()

    def follow(self) -> None:
        for application in self.applications.values():
            application.follow()

    @rule(seconds=st.sampled_from([0.005, 0.02, 0.3, 1.0, 5.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.wire.run(seconds)
        self.follow()

    # --- what must hold ---

    @invariant()
    def no_call_speaks_after_its_end(self) -> None:
        for party in self.sides.values():
            assert is_quiet_after_the_end(party.events)

    def teardown(self) -> None:
        if not hasattr(self, "wire"):
            return
        self.wire.run(200)
        for _ in range(8):  # the people involved decide what is open
            self.decide()
            self.wire.run(40)
        for party in self.sides.values():  # ... and end what rings without an end
            for call in list(party.endpoint._core.sessions):
                if not party.endpoint._core.sessions[call].is_confirmed:
                    party.do(party.endpoint.hangup, call)
        self.wire.run(200)
        self.follow()
        alice, bob = self.sides["alice"].endpoint, self.sides["bob"].endpoint
        assert sorted(alice._core.sessions) == sorted(bob._core.sessions)
        assert self.applications["alice"].agreed == self.applications["bob"].agreed
        for side in self.sides:
            for call in self.alive(side):
                party = self.sides[side]
                party.do(party.endpoint.hangup, call)
        self.wire.run(400)
        for endpoint in (alice, bob):
            left = (endpoint.calls, len(endpoint._core.dialogs), endpoint.transactions, endpoint.next_deadline)
            assert left == (0, 0, 0, None)
        for party in self.sides.values():
            ends = Counter(event.call for event in party.events if isinstance(event, CallEnded))
            known = {event.call for event in party.events if not isinstance(event, LineEvent)}
            assert ends == dict.fromkeys(known, 1)

    def decide(self) -> None:
        self.follow()
        for application in self.applications.values():
            while application.wanted:
                application.give_offer()
            while application.offers:
                application.settle(accept=True)
            application.transfers.clear()


TestSlowAgreement = SlowAgreement.TestCase
TestSlowAgreement.settings = settings(max_examples=settings().max_examples // 2)  # each is a long story
