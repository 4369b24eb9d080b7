"""SIPp scenarios put together from steps: `sipp.call([invite(), receive(200), ack(), ...], ...)`.

`[words]` are SIPp's own and are filled in by it. Requests within the call are `CALLER`'s or `CALLEE`'s.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

Step = str  # a piece of the scenario's XML

URI = "sip:[service]@[remote_ip]:[remote_port]"
CONTACT = "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"
OUR_TAG = ";tag=[pid]sipp[call_number]"


def sdp(direction: str = "sendrecv", *, port: str = "[media_port]") -> str:
    """An offer or an answer of one PCMU stream."""
    return (
        "v=0\no=sipp 1 1 IN IP[media_ip_type] [media_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n"
        f"m=audio {port} RTP/AVP 0 101\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\n"
        f"a=fmtp:101 0-15\na={direction}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a call, as its requests name it and the other."""

    from_: str
    to: str

    def request(
        self,
        method: str,
        seq: int,
        *headers: str,
        uri: str = "[next_url]",
        body: str = "",
        kind: str = "application/sdp",
        branch: str = "[branch]",
    ) -> Step:
        """A request, repeated until it is answered (an ACK is not)."""
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}",
            "[routes]",
            f"From: {self.from_}",
            f"To: {self.to}",
            "Call-ID: [call_id]",
            f"CSeq: {seq} {method}",
            CONTACT,
            "Max-Forwards: 70",
            *headers,
        ]
        return _send(lines, body, kind, repeats=method != "ACK")


CALLER = Side(from_=f'"Front door" <sip:sipp@[local_ip]:[local_port]>{OUR_TAG}', to=f"<{URI}>[peer_tag_param]")
CALLEE = Side(from_=f"[$called]{OUR_TAG}", to="[$caller]")


def invite(*headers: str, body: str | None = None) -> Step:
    """The caller's first INVITE; with an empty body it makes no offer."""
    return CALLER.request("INVITE", 1, *headers, uri=URI, body=sdp() if body is None else body)


def cancel(*, back: int) -> Step:
    """Gives up the INVITE, which was the message so many steps ago."""
    return CALLER.request("CANCEL", 1, uri=URI, branch=f"[branch-{back}]").replace("[peer_tag_param]", "")


def ack_refusal(*, back: int) -> Step:
    """The ACK to a refused INVITE, which was so many steps ago: it is part of the same transaction."""
    return CALLER.request("ACK", 1, uri=URI, branch=f"[branch-{back}]")


def ack(seq: int = 1, *, body: str = "") -> Step:
    """The caller's ACK to a 2xx."""
    return CALLER.request("ACK", seq, body=body)


def receive(what: int | str, *, optional: bool = False, then: int = 0, keep: tuple[str, str] | None = None) -> Step:
    """Waits for a response or a request; ``keep`` is a variable and the regular expression of what goes into it.

    ``then`` is the label to go on at.
    """
    kind = "response" if isinstance(what, int) else "request"
    attributes = f'{kind}="{what}" rrs="true"' + (' optional="true"' if optional else "")
    attributes += f' next="{then}"' if then else ""
    if keep is None:
        return f"<recv {attributes}/>"
    variable, expression = keep
    return (
        f'<recv {attributes}><action><ereg regexp="{expression}" search_in="msg" check_it="true" '
        f'assign_to="whole_{variable},{variable}"/></action></recv>'
    )


_PARTIES = (
    '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>'
    '<ereg regexp=".*" search_in="hdr" header="To:" assign_to="called"/>'
)


def receive_invite(*, again: bool = False, flag: str = "") -> Step:
    """Waits for a call, and keeps who calls whom and how to answer late; ``again`` for a re-INVITE.

    ``flag`` is a regular expression for `go_on_if_flagged`.
    """
    flagged = f'<ereg regexp="{flag}" search_in="msg" assign_to="flagged"/>' if flag else ""
    return (
        f'<recv request="INVITE" rrs="true"><action>{"" if again else _PARTIES}{flagged}'
        '<ereg regexp=".*" search_in="hdr" header="CSeq:" assign_to="invite"/>'
        '<ereg regexp="(Via:[^[:cntrl:]]*[[:cntrl:]]+)+" search_in="msg" assign_to="way"/>'
        "</action></recv>"
    )


def respond(
    status: str, *headers: str, body: str = "", tag: str = OUR_TAG, contact: str = CONTACT, repeats: bool = False
) -> Step:
    """Answers the request that came last; within a call it has our tag already: ``tag`` is empty then."""
    lines = [f"SIP/2.0 {status}", "[last_Via:]", "[last_Record-Route:]", "[last_From:]", f"[last_To:]{tag}"]
    lines += ["[last_Call-ID:]", "[last_CSeq:]", contact, *headers]
    return _send(lines, body, "application/sdp", repeats=repeats)


def respond_to_invite(status: str, *headers: str, body: str = "", tag: str = OUR_TAG, repeats: bool = True) -> Step:
    """Answers the INVITE, though another message has come since."""
    lines = [f"SIP/2.0 {status}", "[$way]From:[$caller]", f"To:[$called]{tag}", "[last_Call-ID:]", "CSeq:[$invite]"]
    return _send([*lines, CONTACT, *headers], body, "application/sdp", repeats=repeats)


def answer(*headers: str, body: str | None = None) -> Step:
    """200 OK to the INVITE that came last, repeated until the ACK comes."""
    return respond("200 OK", *headers, body=sdp() if body is None else body, repeats=True)


def hang_up(side: Side, seq: int) -> list[Step]:
    """BYE and its answer."""
    return [side.request("BYE", seq), receive(200)]


def hung_up() -> list[Step]:
    """The other side's BYE."""
    return [receive("BYE"), respond("200 OK", tag="")]


def pause(milliseconds: int) -> Step:
    """Does nothing for a while."""
    return f'<pause milliseconds="{milliseconds}"/>'


def label(number: int) -> Step:
    """A place to go on at."""
    return f'<label id="{number}"/>'


def go_on(number: int) -> Step:
    """Leaves out what is before a label."""
    return f'<nop next="{number}"/>'


def go_on_if_flagged(number: int) -> Step:
    """As `go_on`, if the INVITE had what `receive_invite` was told to look for."""
    return f'<nop next="{number}" test="flagged"/>'


def scenario(steps: Iterable[Step]) -> str:
    """The XML file."""
    text = "\n".join(steps)
    variables = {name for names in re.findall(r'assign_to="([^"]+)"', text) for name in names.split(",")}
    used = f'<Reference variables="{",".join(sorted(variables))}"/>' if variables else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="steps">\n{text}\n{used}\n</scenario>\n'


def _send(lines: list[str], body: str, kind: str, *, repeats: bool) -> Step:
    described = [f"Content-Type: {kind}", "Content-Length: [len]"] if body else ["Content-Length: 0"]
    text = "\n".join([*lines, *described, "", body])
    repetition = ' retrans="500"' if repeats else ""
    return f"<send{repetition}><![CDATA[\n{text}\n]]></send>"
