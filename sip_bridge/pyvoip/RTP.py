"""RTP as this API shows it: payload types, directions, packets, and a buffer in their order."""

from enum import Enum, IntEnum, StrEnum
from typing import Final, Self

from sip_bridge.media.rtp import RTPPacket

SILENCE: Final = 0x80  # a sample of silence in unsigned 8-bit PCM
MAX_BEHIND: Final = 100_000  # samples: a packet that is older belongs to another stream


class DynamicPayloadType(Exception):  # noqa: N818  # the name is the API's
    """The payload type has no number of its own."""


class RTPParseError(Exception):
    """These bytes are no RTP packet."""


def byte_to_bits(byte: bytes) -> str:
    """The eight binary digits of a byte."""
    return format(byte[0], "08b")


def add_bytes(data: bytes) -> int:
    """The value of big-endian bytes."""
    return int.from_bytes(data)


class RTPProtocol(StrEnum):
    """The protocol of a media line; one that is not listed stays text."""

    UDP = "udp"
    AVP = "RTP/AVP"
    SAVP = "RTP/SAVP"


class TransmitType(StrEnum):
    """Who sends and who receives."""

    RECVONLY = "recvonly"
    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    INACTIVE = "inactive"


class DTMF(IntEnum):
    """RTP events of keys (RFC 4733 §3.2); ``str()`` is the key."""

    ZERO = 0
    ONE = 1
    TWO = 2
    THREE = 3
    FOUR = 4
    FIVE = 5
    SIX = 6
    SEVEN = 7
    EIGHT = 8
    NINE = 9
    STAR = 10
    POUND = 11
    A = 12
    B = 13
    C = 14
    D = 15

    def __str__(self) -> str:
        return "0123456789*#ABCD"[self]


class PayloadType(Enum):
    """A payload type; ``int()`` is its number, DynamicPayloadType when SDP has to give it one (RFC 3551 §6)."""

    rate: int
    channel: int
    description: str

    def __new__(cls, value: int | str, clock: int = 0, channel: int = 0, description: str = "") -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.rate = clock
        member.channel = channel
        member.description = description
        return member

    def __int__(self) -> int:
        if isinstance(self.value, int):
            return self.value
        raise DynamicPayloadType(f"{self.description} has no payload type of its own")

    def __str__(self) -> str:
        return self.description if isinstance(self.value, int) else str(self.value)

    PCMU = 0, 8000, 1, "PCMU"
    GSM = 3, 8000, 1, "GSM"
    G723 = 4, 8000, 1, "G723"
    DVI4_8000 = 5, 8000, 1, "DVI4"
    DVI4_16000 = 6, 16000, 1, "DVI4"
    LPC = 7, 8000, 1, "LPC"
    PCMA = 8, 8000, 1, "PCMA"
    G722 = 9, 8000, 1, "G722"
    L16_2 = 10, 44100, 2, "L16"
    L16 = 11, 44100, 1, "L16"
    QCELP = 12, 8000, 1, "QCELP"
    CN = 13, 8000, 1, "CN"
    MPA = 14, 90000, 0, "MPA"
    G728 = 15, 8000, 1, "G728"
    DVI4_11025 = 16, 11025, 1, "DVI4"
    DVI4_22050 = 17, 22050, 1, "DVI4"
    G729 = 18, 8000, 1, "G729"
    CELB = 25, 90000, 0, "CelB"
    JPEG = 26, 90000, 0, "JPEG"
    NV = 28, 90000, 0, "nv"
    H261 = 31, 90000, 0, "H261"
    MPV = 32, 90000, 0, "MPV"
    MP2T = 33, 90000, 1, "MP2T"
    H263 = 34, 90000, 0, "H263"
    EVENT = "telephone-event", 8000, 0, "telephone-event"
    UNKNOWN = "UNKNOWN", 0, 0, "UNKNOWN CODEC"


class RTPPacketManager:
    """Unsigned 8-bit samples in the order of their timestamps; what is missing is silence."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begin: int | None = None  # the timestamp of the first sample in the buffer

    def read(self, length: int = 160) -> bytes:
        """The next samples, filled up with silence."""
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        if self._begin is not None:
            self._begin += len(taken)
        return taken.ljust(length, bytes([SILENCE]))

    def write(self, offset: int, data: bytes) -> None:
        """Samples that begin at a timestamp; what was read already is left out, as is what another stream left."""
        if self._begin is None:
            self._begin = offset
        behind = self._begin - offset
        if abs(behind) >= MAX_BEHIND:
            self.rebuild(True, offset, data)  # the API's signature
        elif behind > 0:
            self.rebuild(False, offset, data)
        else:
            self._put(-behind, data)

    def rebuild(self, reset: bool, offset: int = 0, data: bytes = b"") -> None:
        """Begin anew with these samples (``reset``), or put them before those that wait."""
        if reset or self._begin is None:
            self._buffer, self._begin = bytearray(data), offset
            return
        gap = self._begin - offset
        waiting, self._buffer, self._begin = self._buffer, bytearray(), offset
        self._put(0, data)
        self._put(gap, bytes(waiting))

    def _put(self, at: int, data: bytes) -> None:
        end = at + len(data)
        if len(self._buffer) < end:
            self._buffer.extend(bytes([SILENCE]) * (end - len(self._buffer)))
        self._buffer[at:end] = data


class RTPMessage:
    """One RTP packet (RFC 3550 §5.1); header extension and padding are no part of ``payload``."""

    def __init__(self, data: bytes, assoc: dict[int, PayloadType]) -> None:
        self.assoc = assoc
        self.parse(data)

    def parse(self, data: bytes) -> None:
        """Read a packet; RTPParseError when it is none."""
        packet = RTPPacket.parse(data)
        if packet is None:
            raise RTPParseError("not an RTP packet")
        self.raw = data
        self.version = data[0] >> 6
        self.padding = bool(data[0] & 0x20)
        self.extension = bool(data[0] & 0x10)
        self.CC = data[0] & 0x0F
        self.marker = packet.marker
        self.payload_type = self._payload_type(packet.payload_type)
        self.sequence = packet.sequence
        self.timestamp = packet.timestamp
        self.SSRC = packet.ssrc
        self.CSRC = [int.from_bytes(data[12 + 4 * i : 16 + 4 * i]) for i in range(self.CC)]
        self.payload = packet.payload

    def _payload_type(self, number: int) -> PayloadType:
        if number in self.assoc:
            return self.assoc[number]
        try:
            return PayloadType(number)
        except ValueError:
            raise RTPParseError(f"payload type {number} was not agreed on") from None

    def summary(self) -> str:
        """A readable form."""
        return "\n".join(
            (
                f"Version: {self.version}",
                f"Padding: {self.padding}",
                f"Extension: {self.extension}",
                f"CC: {self.CC}",
                f"Marker: {self.marker}",
                f"Payload Type: {self.payload_type}",
                f"Sequence Number: {self.sequence}",
                f"Timestamp: {self.timestamp}",
                f"SSRC: {self.SSRC}",
            )
        )
