"""SIP messages as a file for Wireshark: each in a UDP datagram of its own, whatever carried it."""

import re
import struct
from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from typing import Final

from sip_bridge.mqtt.contract import Origin, TracedMessage
from sip_bridge.sip.uri import parse_host_port

_RAW_IP: Final = 101  # the link type: IPv4 and IPv6 without a frame around them
_UDP: Final = 17
_ZONE: Final = re.compile(r"%[^\]]*")  # the interface of a link-local address
_MAX_PAYLOAD: Final = 65507 - 40


def pcap(messages: Iterable[tuple[datetime, TracedMessage]]) -> bytes:
    """The file's content (pcap 2.4, microseconds)."""
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _RAW_IP)
    return header + b"".join(_record(at, message) for at, message in messages)


def _record(at: datetime, message: TracedMessage) -> bytes:
    ends = message.local, message.remote
    source, destination = ends if message.origin is Origin.LOCAL else reversed(ends)
    packet = _packet(source, destination, message.message.encode()[:_MAX_PAYLOAD])
    seconds, microseconds = int(at.timestamp()), at.microsecond
    return struct.pack("<IIII", seconds, microseconds, len(packet), len(packet)) + packet


def _packet(source: str, destination: str, payload: bytes) -> bytes:
    (source_host, source_port), (host, port) = (parse_host_port(_ZONE.sub("", each)) for each in (source, destination))
    ours, theirs = ip_address(source_host.strip("[]")), ip_address(host.strip("[]"))
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", source_port or 5060, port or 5060, length, 0)  # no checksum
    if isinstance(ours, IPv6Address):
        head = struct.pack("!IHBB", 6 << 28, length, _UDP, 64)
    else:
        fields = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, _UDP, 0) + ours.packed + theirs.packed
        head = fields[:10] + _checksum(fields).to_bytes(2)
    return head + ours.packed + theirs.packed + udp + payload


def _checksum(header: bytes) -> int:
    """The internet checksum."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
