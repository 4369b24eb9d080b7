"""What an application does at an endpoint: it makes offers, answers them, and remembers what was agreed on last."""

from contextlib import suppress
from itertools import count

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.events import (
    AnswerReceived,
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallProgressed,
    CallReceived,
    Event,
    OfferNeeded,
    OfferReceived,
    TransferRequested,
)
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party

_numbers = count(1)


def new_offer() -> bytes:
    return OFFER + b"a=offer:%d\r\n" % next(_numbers)


def answer_to(offer: bytes) -> bytes:
    """There is one answer to each offer, so the offer alone says what was agreed on."""
    return ANSWER + b"a=answer:" + offer.rpartition(b":")[2]


def offer_of(answer: bytes) -> bytes:
    return OFFER + b"a=offer:" + answer.rpartition(b":")[2]


class Application:
    """Follows one endpoint's events; decides when the test says so, with whatever is open then."""

    def __init__(self, party: Party) -> None:
        self.party = party
        self.agreed: dict[str, bytes] = {}  # by call: the offer of the latest exchange
        self.invited: dict[str, bytes] = {}  # by received call: the offer of the INVITE
        self.described: set[str] = set()  # received calls whose offer was answered before the 2xx
        self.wanted: list[str] = []  # calls that were asked for an offer
        self.offers: dict[str, bytes] = {}  # by call: the offer that waits for our answer
        self.transfers: dict[str, TransferRequested] = {}
        self._seen = 0

    def follow(self) -> None:
        """Take note of what happened."""
        events = list(self.party.events)
        for event in events[self._seen :]:
            self._note(event)
        self._seen = len(events)

    def _note(self, event: Event) -> None:
        match event:
            case CallReceived(call=call, offer=offer):
                self.invited[call] = offer
            case CallProgressed(call=call, answer=answer) | CallAnswered(call=call, answer=answer) if answer:
                self.agreed[call] = offer_of(answer)
            case AnswerReceived(call=call, answer=answer) | CallConfirmed(call=call, answer=answer) if answer:
                self.agreed[call] = offer_of(answer)
            case OfferReceived(call=call, offer=offer):
                self.offers[call] = offer
            case OfferNeeded(call=call):
                self.wanted.append(call)
            case TransferRequested(call=call):
                self.transfers[call] = event
            case CallEnded(call=call):
                for known in (self.agreed, self.offers, self.transfers):
                    known.pop(call, None)
            case _:
                pass

    # --- decisions; those that come too late are none ---

    def ring(self, call: str, *, early: bool) -> None:
        offer = self.invited[call]
        content = answer_to(offer) if early and offer and call not in self.described else b""
        with suppress(InvalidStateError):
            status = SIPStatus.SESSION_PROGRESS if content else SIPStatus.RINGING
            self.party.endpoint.ring(call, status, self.party.wire.now, content)
            if content:
                self.described.add(call)
                self.agreed[call] = offer
        self.party.drain()

    def answer(self, call: str) -> None:
        offer = self.invited[call]
        with suppress(InvalidStateError):
            self.party.endpoint.answer(call, answer_to(offer) if offer else new_offer(), self.party.wire.now)
            if offer and call not in self.described:
                self.agreed[call] = offer
        self.party.drain()

    def give_offer(self) -> None:
        call = self.wanted.pop(0)
        with suppress(InvalidStateError):
            self.party.do(self.party.endpoint.send_offer, call, new_offer())

    def settle(self, *, accept: bool) -> None:
        call = next(iter(self.offers))
        offer = self.offers.pop(call)
        with suppress(InvalidStateError):
            if accept:
                self.party.endpoint.accept_offer(call, answer_to(offer), self.party.wire.now)
                self.agreed[call] = offer
            else:
                self.party.endpoint.refuse_offer(call, SIPStatus.NOT_ACCEPTABLE_HERE, self.party.wire.now)
        self.party.drain()

    def decide_transfer(self, line: str, outcome: SIPStatus) -> None:
        wish = self.transfers.pop(next(iter(self.transfers)))
        endpoint = self.party.endpoint
        with suppress(InvalidStateError):
            if outcome.is_provisional:
                self.party.do(endpoint.refuse_transfer, wish.call, SIPStatus.DECLINE)
            else:
                self.party.do(endpoint.accept_transfer, wish.call)
                endpoint.invite(line, wish.target, new_offer(), self.party.wire.now, replaces=wish.replaces)
                self.party.drain()
                self.party.do(endpoint.report_transfer, wish.call, SIPStatus.RINGING)
                self.party.do(endpoint.report_transfer, wish.call, outcome)
