"""Offer and answer (RFC 3264) for one audio stream; everything else that is offered is refused with port 0."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from sip_bridge.errors import NegotiationError
from sip_bridge.media.codec import CODECS, FRAME_MS, Codec, codec_named
from sip_bridge.media.sdp import MediaDescription, SessionDescription

AVP: Final = "RTP/AVP"
_PROTOCOLS: Final = (AVP, "RTP/AVPF")
_EVENTS: Final = "telephone-event/8000"
_OUR_EVENTS: Final = 101  # our payload type for telephone-event
_NOWHERE: Final = ("0.0.0.0", "::")  # noqa: S104  # how RFC 2543 peers say hold
_SENDING: Final = ("sendrecv", "sendonly")
_RECEIVING: Final = ("sendrecv", "recvonly")
_MIN_PTIME: Final = 10  # milliseconds
_MAX_PTIME: Final = 60
_STATIC: Final = {codec.payload_type: codec.rtpmap for codec in CODECS.values()}
_FIRST_DYNAMIC: Final = 96
_DYNAMIC: Final = [codec.name for codec in CODECS.values() if codec.payload_type is None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What was agreed: where to send which codec under which payload types, and who may send.

    ``remote`` is None while the peer has no address (hold as RFC 2543 had it); ``ptime`` is in milliseconds;
    ``fmtp`` is how the peer wants the codec.
    """

    remote: tuple[str, int] | None
    remote_rtcp: tuple[str, int] | None
    codec: Codec
    payload_type: int
    receive_payload_types: tuple[tuple[int, Codec], ...]
    events_payload_type: int | None
    receive_events_payload_types: tuple[int, ...]
    sends: bool
    receives: bool
    ptime: int = FRAME_MS
    fmtp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Our end: address, codecs by preference, the session's id, and the direction that we want."""

    host: str
    port: int
    codecs: tuple[str, ...]
    session_id: int
    direction: str = "sendrecv"


def create_offer(local: Local, *, previous: SessionDescription | None = None) -> SessionDescription:
    """Our offer: every codec that the account allows, and telephone-event.

    A further one keeps the sections and the payload types of what we said last, ``previous`` (RFC 3264 §8).
    """
    at, sections = 0, previous.media if previous else ()
    if sections:
        at = _audio_at(sections)
    events = (_events_of(sections[at]) if sections else None) or _OUR_EVENTS
    audio = _audio(local, [(_number_of(CODECS[name]), CODECS[name]) for name in local.codecs], events, local.direction)
    media = (*sections[:at], audio, *sections[at + 1 :])
    return _describe(local, media, previous)


def check_offer(body: bytes, *, codecs: tuple[str, ...]) -> None:
    """NegotiationError when an offer has nothing that we can do; an empty one asks for ours and is fine."""
    if body:
        _choose(SessionDescription.parse(body), codecs)


def described_host(body: bytes) -> str | None:
    """The IP address that a description's audio is at; None when it names none."""
    try:
        description = SessionDescription.parse(body)
    except NegotiationError:
        return None
    hosts = [_host(description, media) for media in description.media if _is_possible(description, media)]
    return next((host for host in hosts if host not in _NOWHERE), None)


def answer_offer(
    offer: SessionDescription, local: Local, *, previous: SessionDescription | None = None
) -> tuple[SessionDescription, Stream]:
    """The answer, and what it agrees to; NegotiationError when nothing fits. ``previous`` is what we said last."""
    index, codec, payload_type = _choose(offer, local.codecs)
    chosen = offer.media[index]
    wanted = _direction(offer, chosen)
    direction = _direction_of(
        sends=local.direction in _SENDING and wanted in _RECEIVING,
        receives=local.direction in _RECEIVING and wanted in _SENDING,
    )
    events = _events_of(chosen)
    ours = _audio(local, [(payload_type, codec)], events, direction)
    if _is_multiplexed(chosen):
        ours = replace(ours, attributes=(*ours.attributes, ("rtcp-mux", None)))
    ours = replace(ours, protocol=chosen.protocol)
    answer = _describe(
        local, tuple(ours if i == index else _refused(each) for i, each in enumerate(offer.media)), previous
    )
    known = [(number, each) for number, each in _codecs_of(chosen) if each.name in local.codecs]
    return answer, _stream(
        theirs=(offer, chosen),
        sent=(payload_type, codec),
        received=known,
        events=(events, () if events is None else (events,)),
        direction=direction,
    )


def accept_answer(offer: SessionDescription, answer: SessionDescription) -> Stream:
    """What the peer's answer to our offer agrees to; NegotiationError when it refuses the audio."""
    at = _audio_at(offer.media)
    ours = offer.media[at]
    if len(answer.media) <= at:
        raise NegotiationError("the answer refuses the audio")
    theirs = answer.media[at]
    offered = _codecs_of(ours)
    names = {codec.name for _, codec in offered}
    accepted = [(number, codec) for number, codec in _codecs_of(theirs) if codec.name in names]
    if not _is_possible(answer, theirs) or not accepted:
        raise NegotiationError("the answer refuses the audio")
    said, wanted = _direction(offer, ours), _direction(answer, theirs)
    events, our_events = _events_of(theirs), _events_of(ours)
    return _stream(
        theirs=(answer, theirs),
        sent=accepted[0],
        received=list({**dict(accepted), **dict(offered)}.items()),
        events=(events, tuple({each for each in (our_events, events) if each is not None})),
        direction=_direction_of(
            sends=said in _SENDING and wanted in _RECEIVING, receives=said in _RECEIVING and wanted in _SENDING
        ),
    )


def _stream(
    *,
    theirs: tuple[SessionDescription, MediaDescription],
    sent: tuple[int, Codec],
    received: Iterable[tuple[int, Codec]],
    events: tuple[int | None, tuple[int, ...]],
    direction: str,
) -> Stream:
    media = theirs[1]
    host = _host(*theirs)
    is_nowhere = host in _NOWHERE
    return Stream(
        remote=None if is_nowhere else (host, media.port),
        remote_rtcp=None if is_nowhere else (host, _rtcp_port(media)),
        codec=sent[1],
        payload_type=sent[0],
        receive_payload_types=tuple(received),
        events_payload_type=events[0],
        receive_events_payload_types=events[1],
        sends=direction in _SENDING and not is_nowhere,
        receives=direction in _RECEIVING,
        ptime=_ptime(media),
        fmtp=_fmtp(media, sent[0]),
    )


# --- reading a description ---


def _choose(description: SessionDescription, names: tuple[str, ...]) -> tuple[int, Codec, int]:
    """The first audio section that we can do, and of its codecs the one that we like best."""
    for index, media in enumerate(description.media):
        if _is_possible(description, media):
            offered = [(number, codec) for number, codec in _codecs_of(media) if codec.name in names]
            if offered:
                number, codec = min(offered, key=lambda each: names.index(each[1].name))
                return index, codec, number
    raise NegotiationError(f"no audio in {', '.join(names)} over {AVP}")


def _is_possible(description: SessionDescription, media: MediaDescription) -> bool:
    """Audio over RTP to a unicast address; names and multicast groups are nowhere that a phone sends from."""
    if media.kind != "audio" or media.port == 0 or media.protocol not in _PROTOCOLS:
        return False
    try:
        address = ip_address(_host(description, media))
    except ValueError:
        return False
    return not address.is_multicast and str(address) != "255.255.255.255"


def _host(description: SessionDescription, media: MediaDescription) -> str:
    """The address as the kernel writes it, so that a packet's source can be compared with it."""
    text = media.host or description.host or description.origin_host
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _audio_at(sections: tuple[MediaDescription, ...]) -> int:
    """Which section of a description of ours is the audio: the one that is not refused."""
    return next((i for i, media in enumerate(sections) if media.kind == "audio" and media.port != 0), 0)


def _codecs_of(media: MediaDescription) -> list[tuple[int, Codec]]:
    """Payload type and codec of every format that we know, in the peer's order."""
    names = _rtpmap(media)
    found = []
    for number in _payload_types(media.formats):
        name = names.get(number) or _STATIC.get(number, "")
        codec = codec_named(name.split("/")[0])
        if codec is not None and _is_same(name, codec):
            found.append((number, codec))
    return found


def _is_same(rtpmap: str, codec: Codec) -> bool:
    """Whether the clock rate and the channels are the codec's; one channel need not be said."""
    said = rtpmap.split("/")[1:]
    return [*said, "1"][:2] == [str(codec.clock_rate), str(codec.channels)]


def _fmtp(media: MediaDescription, payload_type: int) -> str:
    """The format's parameters (RFC 8866 §6.15)."""
    said = (value.partition(" ") for value in media.values("fmtp"))
    return next((parameters.strip() for number, _, parameters in said if number == str(payload_type)), "")


def _payload_types(texts: Iterable[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 127]


def _rtpmap(media: MediaDescription) -> dict[int, str]:
    names = {}
    for value in media.values("rtpmap"):
        number, _, name = value.partition(" ")
        for payload_type in _payload_types([number]):
            names[payload_type] = name.strip()
    return names


def _events_of(media: MediaDescription) -> int | None:
    """Its payload type for telephone-event (RFC 4733), if it has one."""
    formats = _payload_types(media.formats)
    names = _rtpmap(media).items()
    return next((number for number, name in names if name.lower() == _EVENTS and number in formats), None)


def _ptime(media: MediaDescription) -> int:
    """How much audio the peer wants in a packet: whole 10 ms between 10 and 60, 20 unless it says."""
    asked, longest = (_number((media.values(name) or ["0"])[0]) for name in ("ptime", "maxptime"))
    asked = asked or FRAME_MS
    return min(max(min(asked, longest or asked) // 10 * 10, _MIN_PTIME), _MAX_PTIME)


def _number(text: str) -> int:
    whole = text.partition(".")[0].strip()
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) <= 5 else 0


def _rtcp_port(media: MediaDescription) -> int:
    """RFC 3550 §11's next port, unless RFC 3605 or RFC 5761 says otherwise."""
    if _is_multiplexed(media):
        return media.port
    said = (_number(value.partition(" ")[0]) for value in media.values("rtcp"))
    return next((port for port in said if 0 < port <= 65535), min(media.port + 1, 65535))


def _is_multiplexed(media: MediaDescription) -> bool:
    return bool(media.values("rtcp-mux"))


def _direction(description: SessionDescription, media: MediaDescription) -> str:
    return media.direction or description.direction


# --- writing ours ---


def _number_of(codec: Codec) -> int:
    """The payload type that we offer a codec under."""
    if codec.payload_type is not None:
        return codec.payload_type
    return _FIRST_DYNAMIC + _DYNAMIC.index(codec.name)


def _direction_of(*, sends: bool, receives: bool) -> str:
    if sends:
        return "sendrecv" if receives else "sendonly"
    return "recvonly" if receives else "inactive"


def _audio(local: Local, codecs: list[tuple[int, Codec]], events: int | None, direction: str) -> MediaDescription:
    formats = [str(number) for number, _ in codecs]
    attributes: list[tuple[str, str | None]] = []
    for number, codec in codecs:
        attributes.append(("rtpmap", f"{number} {codec.rtpmap}"))
        if codec.fmtp is not None:
            attributes.append(("fmtp", f"{number} {codec.fmtp}"))
    if events is not None:
        formats.append(str(events))
        attributes += [("rtpmap", f"{events} {_EVENTS}"), ("fmtp", f"{events} 0-15")]
    attributes += [("ptime", str(FRAME_MS)), (direction, None)]
    return MediaDescription(
        kind="audio", port=local.port, protocol=AVP, formats=tuple(formats), attributes=tuple(attributes)
    )


def _refused(media: MediaDescription) -> MediaDescription:
    return replace(media, port=0, host=None, attributes=())


def _describe(
    local: Local, media: tuple[MediaDescription, ...], previous: SessionDescription | None
) -> SessionDescription:
    """The version rises when, and only when, something changed (RFC 3264 §8)."""
    description = SessionDescription(
        session_id=local.session_id,
        version=previous.version if previous else 1,
        origin_host=local.host,
        host=local.host,
        media=media,
    )
    return description if previous in (None, description) else replace(description, version=description.version + 1)
