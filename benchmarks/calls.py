"""Answered calls a second that the SIP core alone carries, beside the least that a responder can do, in one run.

``python benchmarks/calls.py [CALLS]``: each call is INVITE, 180, 200, ACK, BYE, 200, without sockets and media. The
responder splits each message into lines and copies the five headers that every response needs: no transactions, no
dialogs, no rules.
"""

import os
import sys
import time
from ipaddress import ip_network
from statistics import median, quantiles

from parse import SDP

from sip_bridge.sip.endpoint import Endpoint
from sip_bridge.sip.events import CallReceived, Transmit
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.line import DirectLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus

CALLS = 5000
PEER = ("192.0.2.10", 5060)
FLOW = Flow(transport="UDP", local=("192.0.2.2", 5060), remote=PEER)


def request(method: str, number: int, seq: int, to_tag: str = "", content: bytes = b"") -> bytes:
    """A message of the caller, as a telephone system would write it."""
    tag = f";tag={to_tag}" if to_tag else ""
    lines = [
        f"{method} sip:door@192.0.2.2:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK{number:08x}{seq}{method}",
        f'From: "Front Door" <sip:1337@192.0.2.10>;tag=from{number:08x}',
        f"To: <sip:door@192.0.2.2>{tag}",
        "Contact: <sip:1337@192.0.2.10:5060>",
        f"Call-ID: {number:032x}",
        f"CSeq: {seq} {method}",
        "Allow: OPTIONS, SUBSCRIBE, NOTIFY, INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, MESSAGE, REFER",
        "Supported: 100rel, timer, replaces, norefersub",
        "Max-Forwards: 70",
        "User-Agent: Asterisk PBX 22.5.2",
        *(["Content-Type: application/sdp"] if content else []),
        f"Content-Length: {len(content)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + content


def engine(calls: int) -> tuple[float, list[float]]:
    """Calls a second, and the seconds from each INVITE to its 180."""
    endpoint = Endpoint(entropy=os.urandom)
    line = DirectLine(id="door", user="door", display_name="Door", allow_from=(ip_network("192.0.2.0/24"),))
    endpoint.add_line(line)
    delays = []
    started = time.perf_counter()
    for number in range(calls):
        now = time.perf_counter()
        endpoint.tick(now)
        endpoint.receive(request("INVITE", number, 1, content=SDP), FLOW, now)
        received = next(event for event in endpoint.drain() if isinstance(event, CallReceived))
        endpoint.ring(received.call, SIPStatus.RINGING, now)
        sent = [output.data for output in endpoint.drain() if isinstance(output, Transmit)]
        delays.append(time.perf_counter() - now)
        endpoint.answer(received.call, SDP, now)
        sent += [output.data for output in endpoint.drain() if isinstance(output, Transmit)]
        tag = SIPMessage(sent[-1]).to.tag or ""
        endpoint.receive(request("ACK", number, 1, tag), FLOW, now)
        endpoint.receive(request("BYE", number, 2, tag), FLOW, now)
        for _ in endpoint.drain():
            pass
    seconds = time.perf_counter() - started
    assert endpoint.calls == 0
    return calls / seconds, delays


def responder(calls: int) -> float:
    """Calls a second of something that copies lines and knows nothing."""
    started = time.perf_counter()
    for number in range(calls):
        copy(request("INVITE", number, 1, content=SDP), b"180 Ringing")
        copy(request("INVITE", number, 1, content=SDP), b"200 OK")
        request("ACK", number, 1, "tag").split(b"\r\n")
        copy(request("BYE", number, 2, "tag"), b"200 OK")
    return calls / (time.perf_counter() - started)


def copy(message: bytes, status: bytes) -> bytes:
    """A response to a request, line by line."""
    kept = [line for line in message.split(b"\r\n") if line[:4] in (b"Via:", b"From", b"To: ", b"Call", b"CSeq")]
    return b"\r\n".join([b"SIP/2.0 " + status, *kept, b"Content-Length: 0", b"", b""])


def main() -> None:
    """Print the figures."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    floor = responder(calls)
    rate, delays = engine(calls)
    p50, p99 = median(delays) * 1e3, quantiles(delays, n=100)[98] * 1e3
    print(f"{'responder that knows nothing':30} {floor:7.0f} calls/s")
    print(f"{'engine':30} {rate:7.0f} calls/s   INVITE to 180: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


if __name__ == "__main__":
    main()
