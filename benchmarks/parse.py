"""What it costs to parse an INVITE, beside merely finding its header lines, in one run on one machine.

``python benchmarks/parse.py`` prints microseconds a message: the best of many rounds, the candidates by turns.
"""

import timeit
from collections.abc import Callable

from sip_bridge.sip.message import SIPMessage

SDP = (
    b"v=0\r\no=- 1460456014 1460456014 IN IP4 192.0.2.10\r\ns=Asterisk\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    b"m=audio 13344 RTP/AVP 0 8 9 3 111 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\n"
    b"a=rtpmap:3 GSM/8000\r\na=rtpmap:111 G726-32/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    b"a=ptime:20\r\na=maxptime:150\r\na=sendrecv\r\n"
)
INVITE = (
    b"INVITE sip:door@192.0.2.2:5060 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKPjb7ef6d4f-7d5d-4f2b-a1a9-0d1c8e4f5a6b\r\n"
    b'From: "Front Door" <sip:1337@192.0.2.10>;tag=55170a1b-2c3d-4e5f\r\nTo: <sip:door@192.0.2.2>\r\n'
    b"Contact: <sip:1337@192.0.2.10:5060;transport=udp>\r\nCall-ID: 1f0c2b7e-5b7a-4a8f-9e47-5b8d1e0c2a55\r\n"
    b"CSeq: 16613 INVITE\r\nAllow: OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, INVITE, ACK, BYE, CANCEL, UPDATE\r\n"
    b"Supported: 100rel, timer, replaces, norefersub\r\nSession-Expires: 1800\r\nMin-SE: 90\r\nMax-Forwards: 70\r\n"
    b"User-Agent: Asterisk PBX 18.24.2\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(SDP)
) + SDP
NUMBER, ROUNDS = 2000, 25


def find_lines() -> list[tuple[str, str, str]]:
    """The least that reading headers can be: the lines, each cut at its colon."""
    head = INVITE[: INVITE.find(b"\r\n\r\n")].decode()
    return [line.partition(":") for line in head.split("\r\n")]


def find_headers() -> dict[str, list[str]]:
    """The same, so that a header can be found by its name, whatever its case, and more than once."""
    headers: dict[str, list[str]] = {}
    for name, _, value in find_lines()[1:]:
        headers.setdefault(name.lower(), []).append(value.strip())
    return headers


def parse() -> SIPMessage:
    """The start line read, the headers found; compact forms, folding and limits included."""
    return SIPMessage(INVITE)


def parse_and_read_keys() -> object:
    """Call-ID, tags, CSeq, branch and sent-by: what finds the transaction and the dialog."""
    return SIPMessage(INVITE).keys


def parse_and_validate() -> None:
    """All that happens before anything acts on a message."""
    SIPMessage(INVITE).validate()


def parse_and_read_typed() -> object:
    """Every routing header as its typed value."""
    message = SIPMessage(INVITE)
    return message.via, message.from_, message.to, message.cseq, message.call_id


CANDIDATES: tuple[Callable[[], object], ...] = (
    find_lines,
    find_headers,
    parse,
    parse_and_read_keys,
    parse_and_validate,
    parse_and_read_typed,
)


def main() -> None:
    """Print a table."""
    best = dict.fromkeys(CANDIDATES, float("inf"))
    for _ in range(ROUNDS):
        for candidate in CANDIDATES:
            seconds = timeit.timeit(candidate, number=NUMBER) / NUMBER
            best[candidate] = min(best[candidate], seconds)
    print(f"an INVITE of {len(INVITE)} bytes, {len(find_lines()) - 1} of its lines are headers")
    for candidate, seconds in best.items():
        lines, headers = seconds / best[find_lines], seconds / best[find_headers]
        print(f"{candidate.__name__:22}{seconds * 1e6:7.2f} µs {lines:6.2f} x find_lines {headers:6.2f} x find_headers")


if __name__ == "__main__":
    main()
