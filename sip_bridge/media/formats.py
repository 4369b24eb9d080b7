"""Payload types: which number means which codec in one section of a description (RFC 3551 §6, RFC 8866 §6.6)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sip_bridge.media.codec import CODECS, NARROWBAND, Codec, codec_named
from sip_bridge.media.sdp import MediaDescription

EVENTS: Final = "telephone-event"
_COMFORT_NOISE: Final = f"CN/{NARROWBAND}"
_KEYS: Final = "0-15"  # the events that we know (RFC 4733 §3.2)
_STATIC: Final = {
    **{codec.payload_type: codec.rtpmap for codec in CODECS.values() if codec.payload_type is not None},
    13: _COMFORT_NOISE,
}
_CLOCK_RATES: Final = {codec.clock_rate for codec in CODECS.values()}
_USUAL: Final = {f"{EVENTS}/8000": 101}  # where devices that don't read SDP look for key presses
_DYNAMIC: Final = (*range(96, 128), *range(35, 64))  # in the order in which they are to be used (RFC 3551 §3)
_RTCP: Final = range(64, 96)  # where RTP and RTCP share a port these can't be told from reports (RFC 5761 §4)
_NUMBERS: Final = {str(number): number for number in range(128) if number not in _RTCP}
_MISTAKEN: Final = {"g722/16000": "G722/8000"}  # its clock rate is an old error that stays (RFC 3551 §4.5.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format of ours."""

    payload_type: int
    rtpmap: str
    fmtp: str | None = None


ClockRates = tuple[tuple[int, int], ...]  # payload types, and the clock rate of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """What we know of the formats that a section lists, in its order: a codec may be there twice."""

    codecs: tuple[tuple[int, Codec], ...]
    events: ClockRates
    comfort_noise: tuple[int, ...]  # RFC 3389, for codecs that have none of their own

    @classmethod
    def parse(cls, media: MediaDescription) -> "Formats":
        """What makes no sense, and what we don't know, is passed over."""
        codecs: list[tuple[int, Codec]] = []
        events: list[tuple[int, int]] = []
        comfort_noise: list[int] = []
        for number, rtpmap in listed(media):
            name, clock_rate, channels = (*rtpmap.split("/"), "1", "1")[:3]
            codec = codec_named(name)
            if codec is not None and [clock_rate, channels] == [str(codec.clock_rate), str(codec.channels)]:
                codecs.append((number, codec))
            elif rtpmap.upper() == _COMFORT_NOISE:
                comfort_noise.append(number)
            elif name.lower() == EVENTS and clock_rate in map(str, _CLOCK_RATES):
                events.append((number, int(clock_rate)))
        return cls(codecs=tuple(codecs), events=tuple(events), comfort_noise=tuple(comfort_noise))

    def only(self, names: Collection[str]) -> "Formats":
        """Without the codecs that have other names."""
        return replace(self, codecs=tuple(each for each in self.codecs if each[1].name in names))

    def events_at(self, clock_rate: int) -> tuple[int, int] | None:
        """Key presses that go with a codec: at its clock rate (RFC 4733 §2.1), or as the peer has them after all."""
        return next((each for each in self.events if each[1] == clock_rate), (*self.events, None)[0])

    def comfort_noise_at(self, clock_rate: int) -> tuple[int, ...]:
        """Comfort noise that goes with a codec, if any does (RFC 3389 §4)."""
        return self.comfort_noise[:1] if clock_rate == NARROWBAND else ()


def listed(media: MediaDescription) -> list[tuple[int, str]]:
    """Payload type and ``name/clock rate[/channels]`` of each format; of a static one that isn't described, its own."""
    described = rtpmaps(media)
    numbers = [_NUMBERS[text] for text in dict.fromkeys(media.formats) if text in _NUMBERS]
    return [(number, described.get(number) or _STATIC.get(number, "")) for number in numbers]


def rtpmaps(media: MediaDescription) -> dict[int, str]:
    """What each payload type means; where one is said twice the first holds."""
    found: dict[int, str] = {}
    for value in media.values("rtpmap"):
        number, _, name = value.partition(" ")
        if number in _NUMBERS:
            found.setdefault(_NUMBERS[number], _MISTAKEN.get(name.strip().lower(), name.strip()))
    return found


def fmtp(media: MediaDescription, payload_type: int) -> str:
    """The parameters of a format (RFC 8866 §6.15)."""
    said = (value.partition(" ") for value in media.values("fmtp"))
    return next((parameters.strip() for number, _, parameters in said if number == str(payload_type)), "")


def offered(codecs: Sequence[Codec], known: Mapping[int, str]) -> list[Format]:
    """All that we offer: the codecs, comfort noise for those that have none of their own, key presses.

    ``known`` is what numbers meant so far in the call: they keep their meaning (RFC 3264 §8.3.2).
    """
    rates = sorted({codec.clock_rate for codec in codecs})
    wanted = [
        *((codec.rtpmap, codec.fmtp) for codec in codecs),
        *((_COMFORT_NOISE, None) for rate in rates if rate == NARROWBAND),
        *((f"{EVENTS}/{rate}", _KEYS) for rate in rates),
    ]
    numbers = _numbered([rtpmap for rtpmap, _ in wanted], known)
    return [
        Format(payload_type=number, rtpmap=rtpmap, fmtp=parameters)
        for number, (rtpmap, parameters) in zip(numbers, wanted, strict=True)
    ]


def answered(formats: Formats, payload_type: int, codec: Codec) -> list[Format]:
    """What we take of an offer's formats: one codec, and what goes with it."""
    found = [Format(payload_type=payload_type, rtpmap=codec.rtpmap, fmtp=codec.fmtp)]
    events = formats.events_at(codec.clock_rate)
    found += [Format(payload_type=each, rtpmap=_COMFORT_NOISE) for each in formats.comfort_noise_at(codec.clock_rate)]
    if events is not None:
        found.append(Format(payload_type=events[0], rtpmap=f"{EVENTS}/{events[1]}", fmtp=_KEYS))
    return found


def _numbered(wanted: Iterable[str], known: Mapping[int, str]) -> list[int]:
    """A number for each encoding: what it has meant already, its static or usual one, or one that is free."""
    usual = {name.lower(): number for number, name in _STATIC.items()} | _USUAL
    before = {name.lower(): number for number, name in reversed(tuple(known.items()))}
    taken: list[int] = []
    for name in map(str.lower, wanted):
        mine = (each for each in (before.get(name), usual.get(name)) if each is not None)
        free = [each for each in (*mine, *_DYNAMIC) if each not in taken]
        fit = (each for each in free if known.get(each, name).lower() == name)
        taken.append(next(fit, free[-1]))  # a peer that has used them all finds a meaning changed
    return taken
