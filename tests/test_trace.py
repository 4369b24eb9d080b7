"""The ladder, the picture and the file of `sip-bridge trace`."""

import re
import signal
import struct
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from sip_bridge.cli.ladder import Arrow, Ladder, arrow_of, svg
from sip_bridge.cli.pcap import pcap
from sip_bridge.mqtt.contract import Origin, TracedMessage, encode
from tests.test_cli import config_file, line_with, running_bridge, sip_bridge

__all__ = ["config_file"]  # a fixture

INVITE = "INVITE sip:door@h SIP/2.0\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\r\n"
OURS = TracedMessage(
    origin=Origin.LOCAL, transport="UDP", local="192.0.2.1:5060", remote="192.0.2.9:5070", message=INVITE
)
THEIRS = replace(OURS, origin=Origin.REMOTE, message="SIP/2.0 180 Ringing\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\r\n")
HEAD = "              bridge                              192.0.2.9:5070 UDP                  "
AT = datetime(2026, 11, 23, 12, 0, 0, 123456, UTC)


def arrow(traced: TracedMessage) -> Arrow:
    made = arrow_of(encode(traced, None), AT.isoformat())
    assert made is not None
    return replace(made, at=AT)


def test_the_ladder_grows_by_a_line_for_each_message_and_by_a_column_for_each_peer() -> None:
    ladder = Ladder()
    other = replace(OURS, remote="[2001:db8::1]:5060", transport="TCP")
    drawn = [ladder.lines(arrow(each)) for each in (OURS, THEIRS, other, THEIRS)]
    assert drawn == [
        [
            "",
            HEAD,
            "12:00:00.123  │───────────── INVITE ─────────────▶│",
        ],
        ["12:00:00.123  │◀─────────── 180 Ringing ──────────│"],
        [
            "",
            HEAD + "[2001:db8::1]:5060 TCP              ",
            "12:00:00.123  │─────────────────────────────── INVITE ───────────────────────────────▶│",
        ],
        ["12:00:00.123  │◀─────────── 180 Ringing ──────────│                                   │"],
    ]


def test_a_damaged_message_is_drawn_by_its_first_line() -> None:
    damaged = arrow(replace(OURS, message="HELLO\r\n\r\n"))
    assert (damaged.label, damaged.call_id) == ("HELLO", "")


@pytest.mark.parametrize(("payload", "ts"), [("{}", AT.isoformat()), (encode(OURS, None), "yesterday"), ("x", "")])
def test_what_is_no_trace_is_none(payload: str, ts: str) -> None:
    assert arrow_of(payload, ts) is None


def test_the_picture_names_everybody_and_escapes_what_they_say() -> None:
    picture = svg([arrow(OURS), arrow(replace(THEIRS, message="<&> \r\n\r\n"))])
    assert re.findall(r">([^<>]+)</text>", picture) == [
        "bridge", "192.0.2.9:5070 UDP", "12:00:00.123", "INVITE", "12:00:00.123", "&lt;&amp;&gt; ",
    ]  # fmt: skip


def test_the_file_has_each_message_in_a_udp_datagram() -> None:
    over_ipv6 = replace(THEIRS, local="[fe80::1%eth0]:5060", remote="[2001:db8::1]:5070")
    records = pcap([(AT, OURS), (AT, over_ipv6)])[24:]
    stamp = struct.pack("<II", int(AT.timestamp()), AT.microsecond)
    fields = struct.pack("!BBHIBB", 0x45, 0, 28 + len(INVITE), 0, 64, 17)
    over_ipv4 = fields + records[26:28] + bytes((192, 0, 2, 1, 192, 0, 2, 9))
    addresses = ip_address("2001:db8::1").packed + ip_address("fe80::1").packed
    length = struct.pack("<I", 20 + 8 + len(INVITE)) * 2
    first = stamp + length + over_ipv4 + struct.pack("!HHHH", 5060, 5070, 8 + len(INVITE), 0) + INVITE.encode()
    ringing = THEIRS.message.encode()
    head = struct.pack("!IHBB", 6 << 28, 8 + len(ringing), 17, 64) + addresses
    second = stamp + struct.pack("<I", 48 + len(ringing)) * 2 + head
    second += struct.pack("!HHHH", 5070, 5060, 8 + len(ringing), 0) + ringing
    assert records == first + second
    assert sum(struct.unpack("!10H", over_ipv4)) % 0xFFFF == 0  # its checksum is right


def test_without_messages_the_file_is_a_head_only() -> None:
    assert struct.unpack("<IHHiIII", pcap([])) == (0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)


async def test_a_call_is_traced_as_it_happens_and_written_to_files(config_file: Path, tmp_path: Path) -> None:
    files = tmp_path / "t.pcap", tmp_path / "t.svg"
    port = re.search(r"sip: .*port: (\d+)", config_file.read_text())  # noqa: ASYNC240
    assert port is not None
    async with (
        running_bridge(config_file),
        sip_bridge("trace", "-c", str(config_file), "--pcap", str(files[0]), "--svg", str(files[1])) as trace,
    ):
        assert trace.stderr is not None
        assert await trace.stderr.readline() == b"Every SIP message is drawn here. Ctrl-C stops.\n"
        async with sip_bridge("ring", f"sip:door@127.0.0.1:{port[1]}", "--seconds", "0.2") as station:
            await station.communicate()
        assert "◀" in await line_with(trace, "INVITE (SDP)")
        assert "▶" in await line_with(trace, "487 Request Terminated")
        trace.send_signal(signal.SIGINT)
        _, errors = await trace.communicate()
    assert (trace.returncode, errors) == (0, b"")
    assert b"CANCEL sip:door@" in files[0].read_bytes()
    assert ">180 Ringing</text>" in files[1].read_text()
