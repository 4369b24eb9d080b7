"""Responses to requests: Via, From, To, Call-ID and CSeq are copied as raw text (RFC 3261 §8.2.6)."""

from dataclasses import replace

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import check_value, default_port, partition_outside
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.message import VERSION, Headers, SIPMessage
from sip_bridge.sip.status import SIPStatus


def stamp_via(request: SIPMessage, flow: Flow) -> str:
    """The Via lines of every response to a request, the topmost one with received and rport."""
    lines = request.get_all("via")
    top, others = partition_outside(lines[0], ",")
    host, port = flow.remote
    stamped = request.via.received_from(
        host.partition("%")[0], port
    )  # our name of the interface is of no use to others
    first = top if stamped is request.via else stamped.format()
    if others:
        first = f"{first}, {others}"
    return "".join(f"Via: {line}\r\n" for line in (first, *lines[1:]))


def build_response(
    request: SIPMessage,
    via: str,
    status: SIPStatus,
    *,
    to_tag: str | None = None,
    headers: Headers = (),
    content: bytes = b"",
    phrase: str | None = None,
) -> bytes:
    """The bytes of a response; ``via`` comes from `stamp_via`, a tag is only added where To has none."""
    to = request.get("to") or ""
    if to_tag is not None and request.keys.to_tag is None:
        to = f"{to};tag={to_tag}"
    extra = "".join(f"{name}: {check_value(value, name)}\r\n" for name, value in headers)
    head = (
        f"{VERSION} {status.value} {check_value(phrase or status.phrase, 'phrase')}\r\n"
        f"{via}From: {request.get('from')}\r\nTo: {to}\r\nCall-ID: {request.get('call-id')}\r\n"
        f"CSeq: {request.get('cseq')}\r\n{extra}Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode("utf-8", "surrogateescape") + content


def build_refusal(request: SIPMessage, flow: Flow, status: SIPStatus, to_tag: str) -> tuple[bytes, Flow] | None:
    """The answer to a request that breaks the rules, and where it goes; None when it has no Via.

    Whatever is there is copied, legible or not; when Via can't be read, the answer goes back to where it came from.
    """
    if request.get("via") is None:
        return None
    try:
        via, target = stamp_via(request, flow), reply_flow(request, flow)
    except RemoteProtocolError:
        via, target = "".join(f"Via: {line}\r\n" for line in request.get_all("via")), flow
    lines = [f"{name}: {value}\r\n" for name in ("From", "Call-ID", "CSeq") if (value := request.get(name.lower()))]
    to = request.get("to")
    if to is not None:
        lines.append(f"To: {_tagged(request, to, to_tag)}\r\n")
    head = f"{VERSION} {status.value} {status.phrase}\r\n{via}{''.join(lines)}Content-Length: 0\r\n\r\n"
    return head.encode("utf-8", "surrogateescape"), target


def _tagged(request: SIPMessage, to: str, tag: str) -> str:
    try:
        return f"{to};tag={tag}" if request.to.tag is None else to
    except RemoteProtocolError:
        return to


def reply_flow(request: SIPMessage, flow: Flow) -> Flow:
    """Where responses go (RFC 3261 §18.2.2, RFC 3581 §4): on UDP without rport, to the port of sent-by or 5060."""
    via = request.via
    if flow.is_reliable or any(name.lower() == "rport" for name, _ in via.params):
        return flow
    return replace(flow, remote=(flow.remote[0], via.port or default_port("UDP")))


def reopened_flow(response: bytes, flow: Flow) -> Flow:
    """Where a response goes when the connection that its request came on is gone (RFC 3261 §18.2.2).

    To the port of sent-by; without a legible Via, to where the request came from.
    """
    try:
        host, port = SIPMessage(response).via.sent_by
    except RemoteProtocolError:
        host, port = flow.remote
    return replace(flow, remote=(flow.remote[0], port), connection=0, server_name=host)
