"""RTCP (RFC 3550 §6): sender and receiver reports, the source's name and its goodbye. Other types are passed over."""

import struct
from dataclasses import dataclass
from typing import Final, assert_never

MAX_PACKETS: Final = 16  # of one compound that are looked at
_SR: Final = 200
_RR: Final = 201
_SDES: Final = 202
_BYE: Final = 203
_CNAME: Final = 1
_HEADER: Final = struct.Struct("!BBH")
_WORD: Final = struct.Struct("!I")
_SENDER: Final = struct.Struct("!IQIII")
_BLOCK: Final = struct.Struct("!IIIIII")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBlock:
    """How one source is received: ``fraction_lost`` in 1/256, jitter in clock units, the times in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_sr: int = 0
    delay: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReport:
    """SR (§6.4.1); ``ntp`` is a 64-bit NTP timestamp."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverReport:
    """RR (§6.4.2)."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDescription:
    """SDES (§6.5) with the canonical name of one source."""

    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """BYE (§6.6)."""

    ssrcs: tuple[int, ...]


RTCPPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a shared port is RTCP (RFC 5761 §4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


def format_rtcp(packets: tuple[RTCPPacket, ...]) -> bytes:
    """A compound packet; the inverse of `parse_rtcp`."""
    return b"".join(_format(packet) for packet in packets)


def parse_rtcp(data: bytes) -> tuple[RTCPPacket, ...]:
    """The packets of a compound that we know; none when it is malformed (appendix A.2)."""
    found: list[RTCPPacket] = []
    at = 0
    for _ in range(MAX_PACKETS):
        if at == len(data):
            break
        if len(data) - at < _HEADER.size:
            return ()
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 * (words + 1)
        if first & 0xC0 != 0x80 or end > len(data) or (at == 0 and kind not in (_SR, _RR)):
            return ()
        body = data[at + _HEADER.size : end]
        if first & 0x20:
            if not body or not 0 < body[-1] <= len(body):
                return ()
            body = body[: len(body) - body[-1]]
        packet = _parse(kind, first & 0x1F, body)
        if packet is not None:
            found.append(packet)
        at = end
    return tuple(found)


def _parse(kind: int, count: int, body: bytes) -> RTCPPacket | None:
    if kind == _SR and len(body) >= _SENDER.size + count * _BLOCK.size:
        ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
        return SenderReport(
            ssrc=ssrc,
            ntp=ntp,
            rtp_timestamp=timestamp,
            packets=packets,
            octets=octets,
            blocks=_parse_blocks(body[_SENDER.size :], count),
        )
    if kind == _RR and len(body) >= _WORD.size + count * _BLOCK.size:
        return ReceiverReport(ssrc=_WORD.unpack_from(body)[0], blocks=_parse_blocks(body[_WORD.size :], count))
    if kind == _SDES and count and len(body) >= _WORD.size:
        return _parse_description(body)
    if kind == _BYE and len(body) >= count * _WORD.size:
        return Goodbye(ssrcs=struct.unpack_from(f"!{count}I", body))
    return None


def _parse_blocks(data: bytes, count: int) -> tuple[ReportBlock, ...]:
    blocks = []
    for i in range(count):
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(data, i * _BLOCK.size)
        lost = loss & 0xFFFFFF
        blocks.append(
            ReportBlock(
                ssrc=ssrc,
                fraction_lost=loss >> 24,
                lost=lost - 0x1000000 if lost & 0x800000 else lost,
                highest_sequence=highest,
                jitter=jitter,
                last_sr=last_sr,
                delay=delay,
            )
        )
    return tuple(blocks)


def _parse_description(body: bytes) -> SourceDescription | None:
    """The first chunk's canonical name."""
    at = _WORD.size
    while at + 2 <= len(body) and body[at]:
        kind, size = body[at], body[at + 1]
        if kind == _CNAME and at + 2 + size <= len(body):
            text = body[at + 2 : at + 2 + size].decode("utf-8", "replace")
            return SourceDescription(ssrc=_WORD.unpack_from(body)[0], cname=text)
        at += 2 + size
    return None


def _format(packet: RTCPPacket) -> bytes:
    match packet:
        case SenderReport():
            sender = _SENDER.pack(packet.ssrc, packet.ntp, packet.rtp_timestamp, packet.packets, packet.octets)
            return _framed(_SR, len(packet.blocks), sender + _format_blocks(packet.blocks))
        case ReceiverReport():
            return _framed(_RR, len(packet.blocks), _WORD.pack(packet.ssrc) + _format_blocks(packet.blocks))
        case SourceDescription():
            name = packet.cname.encode()[:255]
            chunk = _WORD.pack(packet.ssrc) + bytes((_CNAME, len(name))) + name
            return _framed(_SDES, 1, chunk + bytes(4 - len(chunk) % 4))
        case Goodbye():
            return _framed(_BYE, len(packet.ssrcs), struct.pack(f"!{len(packet.ssrcs)}I", *packet.ssrcs))
        case _:
            assert_never(packet)


def _format_blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | block.lost & 0xFFFFFF,
            block.highest_sequence,
            block.jitter,
            block.last_sr,
            block.delay,
        )
        for block in blocks
    )


def _framed(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body
