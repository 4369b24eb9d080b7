"""The codecs that we speak, by their name in SDP."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sip_bridge.media import g711

PCM_RATE: Final = 8000  # samples a second of every PCM stream inside
FRAME_MS: Final = 20
FRAME_BYTES: Final = PCM_RATE * FRAME_MS // 1000 * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """An audio codec; ``silence`` is one code of silence."""

    name: str
    payload_type: int
    clock_rate: int
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]
    silence: bytes


CODECS: Final = {
    codec.name: codec
    for codec in (
        Codec(
            name="PCMU",
            payload_type=0,
            clock_rate=8000,
            encode=g711.encode_ulaw,
            decode=g711.decode_ulaw,
            silence=b"\xff",
        ),
        Codec(
            name="PCMA",
            payload_type=8,
            clock_rate=8000,
            encode=g711.encode_alaw,
            decode=g711.decode_alaw,
            silence=b"\xd5",
        ),
    )
}
