"""Offer and answer (RFC 3264) for one audio stream; everything else that is offered is refused with port 0."""

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from sip_bridge.errors import NegotiationError
from sip_bridge.media.codec import CODECS, FRAME_MS, Codec
from sip_bridge.media.sdp import MediaDescription, SessionDescription

AVP: Final = "RTP/AVP"
_PROTOCOLS: Final = (AVP, "RTP/AVPF")
_EVENTS: Final = "telephone-event/8000"
_OUR_EVENTS: Final = 101  # our payload type for telephone-event
_MIRROR: Final = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_NOWHERE: Final = ("0.0.0.0", "::")  # noqa: S104  # how RFC 2543 peers say hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What was agreed: where to send which codec under which payload types, and who may send."""

    remote: tuple[str, int]
    codec: Codec
    payload_type: int
    receive_payload_types: tuple[tuple[int, Codec], ...]
    events_payload_type: int | None
    sends: bool
    receives: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Our end: address, codecs by preference, and the o= line's numbers."""

    host: str
    port: int
    codecs: tuple[str, ...]
    session_id: int
    version: int


def create_offer(local: Local, *, direction: str = "sendrecv") -> SessionDescription:
    """Our offer: every codec that the account allows, and telephone-event."""
    codecs = [CODECS[name] for name in local.codecs]
    formats = tuple(str(codec.payload_type) for codec in codecs)
    attributes = [("rtpmap", f"{codec.payload_type} {codec.name}/{codec.clock_rate}") for codec in codecs]
    return _describe(local, (_audio(local, (*formats, str(_OUR_EVENTS)), attributes, _OUR_EVENTS, direction),))


def check_offer(body: bytes, *, codecs: tuple[str, ...]) -> None:
    """NegotiationError when an offer has nothing that we can do; an empty one asks for ours and is fine."""
    if body:
        offer = SessionDescription.parse(body)
        _choose(offer, codecs)


def answer_offer(offer: SessionDescription, local: Local) -> tuple[SessionDescription, Stream]:
    """The answer, and what it agrees to; NegotiationError when nothing fits."""
    index, codec, payload_type = _choose(offer, local.codecs)
    chosen = offer.media[index]
    direction = _MIRROR[_direction(offer, chosen)]
    events = _events_of(chosen)
    formats = (str(payload_type), *((str(events),) if events is not None else ()))
    attributes = [("rtpmap", f"{payload_type} {codec.name}/{codec.clock_rate}")]
    answered = replace(_audio(local, formats, attributes, events, direction), protocol=chosen.protocol)
    media = tuple(answered if i == index else _refused(each) for i, each in enumerate(offer.media))
    stream = _stream(offer, chosen, codec, payload_type, direction)
    return _describe(local, media), stream


def accept_answer(offer: SessionDescription, answer: SessionDescription) -> Stream:
    """What the peer's answer to our offer agrees to; NegotiationError when it refuses the audio."""
    del offer  # static payload types: what we offered can be read from the answer
    names = tuple(CODECS)
    index, codec, payload_type = _choose(answer, names, by_peer=True)
    chosen = answer.media[index]
    return _stream(answer, chosen, codec, payload_type, _MIRROR[_direction(answer, chosen)])


def _stream(
    description: SessionDescription, media: MediaDescription, codec: Codec, payload_type: int, direction: str
) -> Stream:
    host = media.host or description.host or description.origin_host
    return Stream(
        remote=(host, media.port),
        codec=codec,
        payload_type=payload_type,
        receive_payload_types=tuple(_codecs_of(media)),
        events_payload_type=_events_of(media),
        sends=direction in ("sendrecv", "sendonly") and host not in _NOWHERE,
        receives=direction in ("sendrecv", "recvonly"),
    )


def _choose(
    description: SessionDescription, names: tuple[str, ...], *, by_peer: bool = False
) -> tuple[int, Codec, int]:
    """The first audio section that we can do, and of its codecs the one that we (or the peer) like best."""
    for index, media in enumerate(description.media):
        if media.kind != "audio" or media.port == 0 or media.protocol not in _PROTOCOLS:
            continue
        if not _is_usable(media.host or description.host or description.origin_host):
            continue
        offered = [(number, codec) for number, codec in _codecs_of(media) if codec.name in names]
        if offered:
            number, codec = offered[0] if by_peer else min(offered, key=lambda each: names.index(each[1].name))
            return index, codec, number
    raise NegotiationError(f"no audio in {', '.join(names)} over {AVP}")


def _is_usable(host: str) -> bool:
    """A unicast address; names and multicast groups are nowhere that a phone sends from."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not address.is_multicast and host != "255.255.255.255"


def _codecs_of(media: MediaDescription) -> list[tuple[int, Codec]]:
    """Payload type and codec of every format that we know, in the peer's order."""
    names = _rtpmap(media)
    found = []
    for text in media.formats[:_MAX_FORMATS]:
        if not (text.isascii() and text.isdigit() and int(text) <= 127):
            continue
        number = int(text)
        name = names.get(number) or _STATIC.get(number, "")
        codec = CODECS.get(name.split("/")[0].upper())
        if codec is not None and name.split("/")[1:2] == [str(codec.clock_rate)]:
            found.append((number, codec))
    return found


_MAX_FORMATS: Final = 64
_STATIC: Final = {codec.payload_type: f"{codec.name}/{codec.clock_rate}" for codec in CODECS.values()}


def _rtpmap(media: MediaDescription) -> dict[int, str]:
    names = {}
    for value in media.values("rtpmap"):
        number, _, name = value.partition(" ")
        if number.isascii() and number.isdigit() and len(number) <= 3:
            names[int(number)] = name.strip()
    return names


def _events_of(media: MediaDescription) -> int | None:
    """The peer's payload type for telephone-event (RFC 4733), if it has one."""
    numbers = (number for number, name in _rtpmap(media).items() if name.lower() == _EVENTS and number <= 127)
    return next((number for number in numbers if str(number) in media.formats), None)


def _direction(description: SessionDescription, media: MediaDescription) -> str:
    return media.direction or description.direction


def _audio(
    local: Local, formats: tuple[str, ...], rtpmaps: list[tuple[str, str]], events: int | None, direction: str
) -> MediaDescription:
    of_events: list[tuple[str, str | None]] = []
    if events is not None:
        of_events = [("rtpmap", f"{events} {_EVENTS}"), ("fmtp", f"{events} 0-15")]
    attributes = (*rtpmaps, *of_events, ("ptime", str(FRAME_MS)), (direction, None))
    return MediaDescription(kind="audio", port=local.port, protocol=AVP, formats=formats, attributes=attributes)


def _refused(media: MediaDescription) -> MediaDescription:
    return replace(media, port=0, host=None, attributes=())


def _describe(local: Local, media: tuple[MediaDescription, ...]) -> SessionDescription:
    return SessionDescription(
        session_id=local.session_id, version=local.version, origin_host=local.host, host=local.host, media=media
    )
