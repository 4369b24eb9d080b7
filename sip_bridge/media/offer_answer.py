"""What the two ends of one call have told each other (RFC 3264), and what of it must not change any more."""

from collections.abc import Callable
from dataclasses import replace

from sip_bridge.errors import NegotiationError
from sip_bridge.media.negotiation import (
    Local,
    Stream,
    accept_answer,
    answer_offer,
    create_offer,
    payload_types,
)
from sip_bridge.media.sdes import SRTPPolicy, new_keys
from sip_bridge.media.sdp import SessionDescription


class OfferAnswer:
    """Offers and answers of one call. A call that is on SRTP never comes off it, and its numbers keep their meaning."""

    def __init__(
        self, *, host: str, codecs: tuple[str, ...], srtp: SRTPPolicy, entropy: Callable[[int], bytes]
    ) -> None:
        self._local = Local(
            host=host,
            port=0,
            codecs=codecs,
            session_id=int.from_bytes(entropy(4)),
            srtp=srtp,
            keys=() if srtp is SRTPPolicy.OFF else new_keys(entropy),
        )
        self._offer: SessionDescription | None = None
        self._said: SessionDescription | None = None  # our offer or answer that came last
        self._heard: SessionDescription | None = None  # the peer's that was agreed on last
        self._agreed_direction = self._local.direction

    def create_offer(self, port: int, *, direction: str | None = None) -> bytes:
        """Our first or further offer. ``sendonly`` or ``inactive`` holds the peer until ``sendrecv`` is said."""
        self._remember()
        self._local = replace(self._local, port=port, direction=direction or self._local.direction)
        self._offer = self._said = create_offer(self._local, previous=self._said)
        return self._offer.format()

    def forget_offer(self) -> None:
        """The peer refused our offer: the direction that was agreed before holds."""
        self._local = replace(self._local, direction=self._agreed_direction)

    def accept_offer(self, body: bytes, port: int) -> tuple[bytes, Stream]:
        """The answer to a first or further offer; NegotiationError when nothing fits: all stays as it was."""
        offer = SessionDescription.parse(body)
        self._remember()
        self._local = replace(self._local, port=port)
        self._said, stream = answer_offer(offer, self._local, previous=self._said)
        self._agree(offer, stream)
        return self._said.format(), stream

    def accept_answer(self, body: bytes) -> Stream:
        """The peer's answer to our offer; NegotiationError when it refuses the audio: all stays as it was."""
        if self._offer is None:
            raise NegotiationError("an answer to no offer")
        answer = SessionDescription.parse(body)
        self._remember()
        stream = accept_answer(self._offer, answer, srtp=self._local.srtp)
        self._agree(answer, stream)
        return stream

    def _agree(self, heard: SessionDescription, stream: Stream) -> None:
        self._agreed_direction = self._local.direction
        self._heard = heard
        if stream.keys is not None:
            self._local = replace(self._local, srtp=SRTPPolicy.REQUIRED)

    def _remember(self) -> None:
        """What numbers meant in what is about to be replaced. Most calls have one exchange only, and need not know."""
        for description in (self._said, self._heard):
            if description is not None:
                known = {**payload_types(description), **self._local.payload_types}
                self._local = replace(self._local, payload_types=known)
