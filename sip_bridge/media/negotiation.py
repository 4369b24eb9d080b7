"""Offer and answer (RFC 3264) for one audio stream; everything else that is offered is refused with port 0."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from sip_bridge.errors import NegotiationError
from sip_bridge.media.codec import FRAME_MS, Codec, codec_named
from sip_bridge.media.formats import Format, Formats, answered, fmtp, offered, rtpmaps
from sip_bridge.media.sdes import Crypto, SRTPKeys, SRTPPolicy
from sip_bridge.media.sdp import Concealed, MediaDescription, SessionDescription

AVP: Final = "RTP/AVP"
SAVP: Final = "RTP/SAVP"
_SECURE: Final = (SAVP, "RTP/SAVPF")
_PROTOCOLS: Final = (AVP, "RTP/AVPF", *_SECURE)
_PROFILES: Final = {
    SRTPPolicy.OFF: AVP,
    SRTPPolicy.OPTIONAL: f"{AVP} or {SAVP}",
    SRTPPolicy.REQUIRED: f"{SAVP} with a key by SDES",
}
_NOWHERE: Final = ("0.0.0.0", "::")  # noqa: S104  # how RFC 2543 peers say hold
_SENDING: Final = ("sendrecv", "sendonly")
_RECEIVING: Final = ("sendrecv", "recvonly")
_MIN_PTIME: Final = 10  # milliseconds
_MAX_PTIME: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What was agreed: where to send which codec under which payload types, and who may send.

    ``remote`` is None while the peer has no address (hold as RFC 2543 had it); ``ptime`` is in milliseconds; ``fmtp``
    is how the peer wants the codec; key presses have a clock rate of their own; without ``keys`` the stream is plain.
    """

    remote: tuple[str, int] | None
    remote_rtcp: tuple[str, int] | None
    codec: Codec
    payload_type: int
    receive_payload_types: tuple[tuple[int, Codec], ...]
    events_payload_type: int | None
    receive_events_payload_types: tuple[tuple[int, int], ...]  # and the clock rate of each
    sends: bool
    receives: bool
    ptime: int = FRAME_MS
    fmtp: str = ""
    events_clock_rate: int = 8000
    receive_comfort_noise_payload_types: tuple[int, ...] = ()
    keys: SRTPKeys | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Our end: address, codecs by preference, the session's id, and the direction that we want.

    ``keys`` is what we offer for SRTP, one for each suite; ``payload_types`` is what numbers meant so far in the call.
    """

    host: str
    port: int
    codecs: tuple[str, ...]
    session_id: int
    direction: str = "sendrecv"
    srtp: SRTPPolicy = SRTPPolicy.OFF
    keys: tuple[Crypto, ...] = ()
    payload_types: Mapping[int, str] = field(default_factory=dict)


def create_offer(local: Local, *, previous: SessionDescription | None = None) -> SessionDescription:
    """Our offer: every codec that the account allows, comfort noise and telephone-event.

    A further one keeps the sections, the profile and the payload types of what we said last, ``previous`` (RFC 3264
    §8). Where SRTP is optional the keys stand in RTP/AVP: who can't use them passes them over, who can takes one.
    """
    sections = previous.media if previous else ()
    at = _audio_at(sections)
    before = next((media for media in sections[at : at + 1] if media.kind == "audio"), None)
    known = {} if before is None else rtpmaps(before)
    codecs = [codec for codec in map(codec_named, local.codecs) if codec is not None]
    audio = _audio(
        local,
        offered(codecs, {**local.payload_types, **known}),
        direction=local.direction,
        protocol=_profile(local.srtp, before),
        is_multiplexed=True,
        crypto=local.keys,
    )
    return _describe(local, (*sections[:at], audio, *sections[at + 1 :]), previous)


def check_offer(body: bytes, *, codecs: tuple[str, ...], srtp: SRTPPolicy) -> str | None:
    """The IP address of the audio that we would take, so that ours can be of its family; None while it has none.

    NegotiationError when an offer has nothing that we can do; an empty one asks for ours and is fine.
    """
    if not body:
        return None
    offer = SessionDescription.parse(body)
    host = _host(offer, offer.media[_choose(offer, codecs, srtp)[0]])
    return None if host in _NOWHERE else host


def payload_types(description: SessionDescription) -> dict[int, str]:
    """What the numbers of a description's audio mean; where its sections differ the first holds."""
    found: dict[int, str] = {}
    for media in description.media:
        if media.kind == "audio":
            found = {**rtpmaps(media), **found}
    return found


def answer_offer(
    offer: SessionDescription, local: Local, *, previous: SessionDescription | None = None
) -> tuple[SessionDescription, Stream]:
    """The answer, and what it agrees to; NegotiationError when nothing fits. ``previous`` is what we said last."""
    index, formats, crypto = _choose(offer, local.codecs, local.srtp, ours=local.host)
    chosen = offer.media[index]
    payload_type, codec = min(formats.codecs, key=lambda each: local.codecs.index(each[1].name))
    wanted = _direction(offer, chosen)
    direction = _direction_of(
        sends=local.direction in _SENDING and wanted in _RECEIVING and _host(offer, chosen) not in _NOWHERE,
        receives=local.direction in _RECEIVING and wanted in _SENDING,
    )
    ours = _audio(
        local,
        answered(formats, payload_type, codec),
        direction=direction,
        protocol=chosen.protocol,
        is_multiplexed=_is_multiplexed(chosen),
        crypto=() if crypto is None else (_key_for(crypto, local.keys),),
    )
    sections = tuple(ours if i == index else _refused(each) for i, each in enumerate(offer.media))
    stream = _stream(
        (offer, chosen),
        (payload_type, codec),
        theirs=formats,
        ours=formats,
        direction=direction,
        keys=None if crypto is None else _keys(_key_for(crypto, local.keys), crypto),
    )
    return _describe(local, sections, previous, timing=offer.timing), stream


def accept_answer(
    offer: SessionDescription, answer: SessionDescription, *, srtp: SRTPPolicy = SRTPPolicy.OFF
) -> Stream:
    """What the peer's answer to our offer agrees to; NegotiationError when it refuses the audio, or SRTP we need."""
    at = _audio_at(offer.media)
    ours = offer.media[at]
    if len(answer.media) <= at or not _is_possible(answer, answer.media[at], offer.host):
        raise NegotiationError("the answer refuses the audio")
    theirs = answer.media[at]
    own = Formats.parse(ours)
    formats = Formats.parse(theirs).only({codec.name for _, codec in own.codecs})
    if not formats.codecs:
        raise NegotiationError(f"the answer refuses the audio: it has {answer.summary()}")
    keys = _answered_keys(ours, theirs)
    is_required = srtp is SRTPPolicy.REQUIRED or not {ours.protocol, theirs.protocol}.isdisjoint(_SECURE)
    if keys is None and is_required:
        raise NegotiationError("the answer refuses the audio: it would not be encrypted")
    said, wanted = _direction(offer, ours), _direction(answer, theirs)
    direction = _direction_of(
        sends=said in _SENDING and wanted in _RECEIVING, receives=said in _RECEIVING and wanted in _SENDING
    )
    if not _is_multiplexed(ours):
        theirs = replace(theirs, attributes=tuple(each for each in theirs.attributes if each[0] != "rtcp-mux"))
    return _stream((answer, theirs), formats.codecs[0], theirs=formats, ours=own, direction=direction, keys=keys)


def _stream(
    described: tuple[SessionDescription, MediaDescription],
    sent: tuple[int, Codec],
    *,
    theirs: Formats,
    ours: Formats,
    direction: str,
    keys: SRTPKeys | None,
) -> Stream:
    """We send by the peer's numbers; what comes may have ours or the peer's, ours where they differ."""
    media = described[1]
    payload_type, codec = sent
    host = _host(*described)
    is_nowhere = host in _NOWHERE
    events = theirs.events_at(codec.clock_rate) if ours.events else None
    return Stream(
        remote=None if is_nowhere else (host, media.port),
        remote_rtcp=None if is_nowhere else (host, _rtcp_port(media)),
        codec=codec,
        payload_type=payload_type,
        receive_payload_types=tuple({**dict(theirs.codecs), **dict(ours.codecs)}.items()),
        events_payload_type=events[0] if events else None,
        receive_events_payload_types=tuple({**dict(theirs.events), **dict(ours.events)}.items()) if events else (),
        sends=direction in _SENDING and not is_nowhere,
        receives=direction in _RECEIVING,
        ptime=_ptime(media),
        fmtp=fmtp(media, payload_type),
        events_clock_rate=events[1] if events else 8000,
        receive_comfort_noise_payload_types=tuple(dict.fromkeys((*theirs.comfort_noise, *ours.comfort_noise))),
        keys=keys,
    )


# --- reading a description ---


def _choose(
    description: SessionDescription, names: tuple[str, ...], srtp: SRTPPolicy, *, ours: str | None = None
) -> tuple[int, Formats, Crypto | None]:
    """The first audio section that we can do, one with SRTP before others; what of it we can do, and its key.

    ``ours`` is our address: what is of another family can't be reached from it.
    """
    plain = None
    for index, media in enumerate(description.media):
        formats = Formats.parse(media).only(set(names))
        if not _is_possible(description, media, ours) or not formats.codecs:
            continue
        crypto = None if srtp is SRTPPolicy.OFF else next(iter(_cryptos(media)), None)
        if crypto is not None:
            return index, formats, crypto
        if plain is None and srtp is not SRTPPolicy.REQUIRED and media.protocol not in _SECURE:
            plain = index, formats, None
    if plain is None:
        raise NegotiationError(
            f"no audio in {', '.join(names)} over {_PROFILES[srtp]}: {description.summary()} was offered"
        )
    return plain


def _is_possible(description: SessionDescription, media: MediaDescription, ours: str | None) -> bool:
    """Audio over RTP to a unicast address; names and multicast groups are nowhere that a phone sends from."""
    if media.kind != "audio" or media.port == 0 or media.protocol not in _PROTOCOLS:
        return False
    address, own = _ip(_host(description, media)), _ip(ours or "")
    if address is None or address.is_multicast or str(address) == "255.255.255.255":
        return False
    return own is None or address.is_unspecified or address.version == own.version


def _host(description: SessionDescription, media: MediaDescription) -> str:
    """The address as the kernel writes it, so that a packet's source can be compared with it."""
    text = (media.host or description.host or description.origin_host).partition("%")[0]  # a zone is the peer's own
    address = _ip(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return text if address is None else str(mapped or address)


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _audio_at(sections: tuple[MediaDescription, ...]) -> int:
    """Which section of a description of ours is the audio: the one that is not refused, else the first is reused."""
    return next((i for i, media in enumerate(sections) if media.kind == "audio" and media.port != 0), 0)


def _cryptos(media: MediaDescription) -> list[Crypto]:
    """The keys that it carries and that we can use, as the peer prefers them."""
    return [crypto for value in media.values("crypto") if (crypto := Crypto.parse(value)) is not None]


def _key_for(crypto: Crypto, keys: tuple[Crypto, ...]) -> Crypto:
    """Ours of the same suite, with the offer's tag (RFC 4568 §5.1.2)."""
    return replace({each.suite: each for each in keys}[crypto.suite], tag=crypto.tag)


def _answered_keys(ours: MediaDescription, theirs: MediaDescription) -> SRTPKeys | None:
    """The key of ours that the answer's tag names, and the peer's; None when the answer is a plain one.

    NegotiationError when a key is there and fits none of ours (RFC 4568 §5.1.3): neither side would hear the other.
    """
    offered = {crypto.tag: crypto for crypto in _cryptos(ours)}
    if not offered or not theirs.values("crypto"):
        return None
    for crypto in _cryptos(theirs):
        mine = offered.get(crypto.tag)
        if mine is not None and mine.suite == crypto.suite:
            return _keys(mine, crypto)
    raise NegotiationError("the answer refuses the audio: its key fits none of ours")


def _keys(mine: Crypto, theirs: Crypto) -> SRTPKeys:
    return SRTPKeys(suite=mine.suite, local=mine.key, remote=theirs.key)


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


def _profile(srtp: SRTPPolicy, before: MediaDescription | None) -> str:
    """The one that was used before, unless RTP might be plain in it."""
    is_required = srtp is SRTPPolicy.REQUIRED
    if before is not None and before.port and (before.values("crypto") or not is_required):
        return before.protocol
    return SAVP if is_required else AVP


def _direction_of(*, sends: bool, receives: bool) -> str:
    if sends:
        return "sendrecv" if receives else "sendonly"
    return "recvonly" if receives else "inactive"


def _audio(
    local: Local,
    formats: list[Format],
    *,
    direction: str,
    protocol: str,
    is_multiplexed: bool,
    crypto: tuple[Crypto, ...],
) -> MediaDescription:
    attributes: list[tuple[str, str | None]] = []
    for each in formats:
        attributes.append(("rtpmap", f"{each.payload_type} {each.rtpmap}"))
        if each.fmtp is not None:
            attributes.append(("fmtp", f"{each.payload_type} {each.fmtp}"))
    attributes.append(("ptime", str(FRAME_MS)))
    attributes += [("crypto", Concealed(each.format())) for each in crypto]
    attributes += [("rtcp-mux", None)] if is_multiplexed else []
    attributes.append((direction, None))
    return MediaDescription(
        kind="audio",
        port=local.port,
        protocol=protocol,
        formats=tuple(str(each.payload_type) for each in formats),
        attributes=tuple(attributes),
    )


def _refused(media: MediaDescription) -> MediaDescription:
    return replace(media, port=0, host=None, attributes=())


def _describe(
    local: Local, media: tuple[MediaDescription, ...], previous: SessionDescription | None, *, timing: str = "0 0"
) -> SessionDescription:
    """The version rises when, and only when, something changed (RFC 3264 §8)."""
    description = SessionDescription(
        session_id=local.session_id,
        version=previous.version if previous else 1,
        origin_host=local.host,
        host=local.host,
        timing=timing,
        media=media,
    )
    return description if previous in (None, description) else replace(description, version=description.version + 1)
