"""The offers and answers of one call (RFC 3264): what both sides have agreed that flows between them."""

from typing import TYPE_CHECKING

from sip_bridge.errors import NegotiationError, RequestRefusedError
from sip_bridge.phone.outcomes import Outcomes
from sip_bridge.sip.events import AnswerReceived, OfferNeeded, OfferReceived, OfferRefused
from sip_bridge.sip.status import SIPStatus

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall
    from sip_bridge.phone.phone import VoIPPhone

OfferEvent = AnswerReceived | OfferReceived | OfferNeeded | OfferRefused


class CallOffers:
    """``offer`` is the one that the call came with, if it did; what is agreed the call's media session has."""

    def __init__(self, phone: "VoIPPhone", call: "VoIPCall", outcomes: Outcomes, offer: bytes) -> None:
        self._client = phone.client
        self._call = call
        self._outcomes = outcomes
        self._offer = offer
        self._description = b""  # what we said to it
        self._direction = "sendrecv"  # what we want to flow: sendonly holds the other party

    @property
    def is_on_hold(self) -> bool:
        """Whether one of both holds the other."""
        return self._call.media.held or self._direction == "sendonly"

    async def describe(self) -> bytes:
        """Our half of the session, the same before the answer and in it."""
        media = self._call.media
        self._call.require_ringing()
        await media.open()
        self._call.require_ringing()
        if not self._description:
            try:
                self._description = media.accept_offer(self._offer) if self._offer else media.create_offer()
            except NegotiationError:
                self._client.endpoint.reject(self._call.call_id, SIPStatus.NOT_ACCEPTABLE_HERE, self._client.now)
                self._client.flush()
                raise
        return self._description

    def take_answer(self, answer: bytes) -> bool:
        """Whether it can be taken."""
        try:
            self._call.media.accept_answer(answer)
        except NegotiationError:
            return False
        return True

    async def redirect(self, direction: str) -> None:
        """Offer that sound flows otherwise from now on; RequestRefusedError when the other side does not take that."""
        self._call.require_talking()
        endpoint, before = self._client.endpoint, self._direction

        def change() -> None:
            endpoint.modify(self._call.call_id, self._client.now)
            self._direction = direction

        try:
            await self._outcomes.ask("offer", change)
        except RequestRefusedError:
            self._direction = before
            raise

    def handle(self, event: OfferEvent) -> None:
        """A fact of the core."""
        match event:
            case AnswerReceived(answer=answer):
                self._answer_received(answer)
            case OfferReceived(offer=offer):
                self._offered(offer)
            case OfferNeeded():
                body = self._call.media.create_offer(direction=self._direction)
                self._client.endpoint.send_offer(self._call.call_id, body, self._client.now)
            case OfferRefused(status=status, phrase=phrase):
                self._call.media.forget_offer()
                self._outcomes.settle("offer", status, phrase)

    def _answer_received(self, answer: bytes) -> None:
        if answer and not self.take_answer(answer):
            self._call.media.forget_offer()
            self._outcomes.settle("offer", SIPStatus.NOT_ACCEPTABLE_HERE, "its answer can't be taken")
            return
        self._call.agreed()
        self._outcomes.settle("offer")

    def _offered(self, offer: bytes) -> None:
        endpoint, now = self._client.endpoint, self._client.now
        try:
            body = self._call.media.accept_offer(offer) if offer else self._call.media.create_offer()
        except NegotiationError:
            endpoint.refuse_offer(self._call.call_id, SIPStatus.NOT_ACCEPTABLE_HERE, now)
            return
        endpoint.accept_offer(self._call.call_id, body, now)
        self._call.agreed()
