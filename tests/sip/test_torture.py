"""The situations of RFC 4475 (and of RFC 5118 for IPv6), each with the verdict that its section states.

The messages are written anew from what each section describes. ``rings`` stands for an INVITE that is accepted,
``nothing`` for a message that gets no answer.
"""

import pytest

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.events import CallReceived
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.message import SIPMessage
from tests.scenario import ANSWER, Party, RawPeer, Wire

SDP = "v=0\no=mhandley 29739 7272939 IN IP4 192.0.2.3\ns=-\nc=IN IP4 192.0.2.4\nt=0 0\nm=audio 49217 RTP/AVP 0\n"
SDP_LENGTH = len(SDP.replace("\n", "\r\n"))
SDP_HEADERS = f"Content-Type: application/sdp\nContent-Length: {SDP_LENGTH}\n\n{SDP}"


INVITE = "INVITE sip:user@example.com SIP/2.0\n"
OPTIONS = "OPTIONS sip:user@example.com SIP/2.0\n"
OPTIONS_6 = "OPTIONS sip:user@[2001:db8::10] SIP/2.0\n"
REGISTER = "REGISTER sip:example.com SIP/2.0\n"


def usual(method: str = "INVITE", *, without: str = "", **other: str) -> str:
    """The header lines that are as usual in a message; ``other`` replaces some."""
    lines = {
        "Via": "SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK-torture",
        "To": "<sip:user@example.com>",
        "From": "<sip:caller@example.net>;tag=323",
        "Max-Forwards": "70",
        "Call-ID": "torture@192.0.2.66",
        "CSeq": f"60 {method}",
        "Contact": "<sip:caller@host5.example.net>",
        **{name.replace("_", "-"): value for name, value in other.items()},
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items() if name not in without.split())


TORTUOUS_INVITE = f"""INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : {SDP_LENGTH}
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

{SDP}"""

INTERESTING_METHOD = "!interesting-Method0123456789_*+`.%indeed'~"
WIDE_RANGE = (
    f"{INTERESTING_METHOD} sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too."
    "(doesn't-it)@example.com SIP/2.0\nVia: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n"
    'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>\n'
    "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%="
    '"работающий";tag=_token~1\'+`*%!-.\nCall-ID: intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{\n'
    f"CSeq: 139122385 {INTERESTING_METHOD}\nMax-Forwards: 255\n"
    "extensionHeader-!.%*+_`'~:大停電\nContent-Length: 0\n\n"
)

LONG = (
    f"{INVITE}"
    f'To: "I have a user name of {"extreme" * 20} proportion"<sip:user@example.com:6000;unknownparam1='
    f"{'very' * 30}longvalue;longparam{'name' * 20}=short>\nF: sip:{'amazinglylong' * 20}caller@example.net;tag="
    f"12982{'4' * 30};unknownheaderparam{'name' * 20}=value;{'long' * 20}\n"
    f"Call-ID: longreq.one{'really' * 20}longcallid\nCSeq: 3882340 INVITE\nUnknown-{'Long' * 20}-Name: "
    f"unknown-{'long' * 20}-value; unknown-{'long' * 20}-parameter=value\n"
    + "".join(
        f"{name}: SIP/2.0/TCP sip{number}.example.com\n"
        for number, name in zip(range(33, 0, -1), "vVv" * 11, strict=True)
    )
    + f"Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very{'long' * 20}branchvalue\n"
    f"Max-Forwards: 70\nContact: <sip:{'amazinglylong' * 20}caller@host5.example.net>\n{SDP_HEADERS}"
)

VALID = {
    "3.1.1.1 a short tortuous INVITE (its To has a tag of no dialog here)": (TORTUOUS_INVITE, "481"),
    "3.1.1.2 a wide range of valid characters": (WIDE_RANGE, "501"),
    "3.1.1.3 valid use of the % escape": (
        (
            f"INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0\n"
            f"{usual(To='sip:%75se%72@example.com')}{SDP_HEADERS}"
        ),
        "rings",
    ),
    "3.1.1.4 escaped nulls in URIs": (
        (
            f"{REGISTER}"
            f"{usual('REGISTER', To='sip:null-%00-null@example.com', From='sip:null-%00-null@example.com;tag=1')}"
            "Contact: <sip:%00@host5.example.com>\nContact: <sip:%00%00@host5.example.com>\nL:0\n\n"
        ),
        "405",
    ),
    "3.1.1.5 use of % when it is not an escape": (
        (
            f"RE%47IST%45R sip:registrar.example.com SIP/2.0\n"
            f"{usual('RE%47IST%45R', To=chr(34) + '%Z%45' + chr(34) + ' <sip:resource@example.com>')}\n"
        ),
        "501",
    ),
    "3.1.1.6 no white space between display name and <": (
        f"{OPTIONS}{usual('OPTIONS', From='caller<sip:caller@example.com>;tag=323')}l: 0\n\n",
        "200",
    ),
    "3.1.1.7 long values in header fields": (LONG, "rings"),
    "3.1.1.8 extra trailing octets in a datagram": (
        (
            f"{REGISTER}{usual('REGISTER')}Content-Length: 0\n\n"
            f"INVITE sip:joe@example.com SIP/2.0\n{usual()}{SDP_HEADERS}"
        ),
        "405",
    ),
    "3.1.1.9 semicolon-separated parameters in the user part": (
        f"OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0\n{usual('OPTIONS')}l: 0\n\n",
        "404",
    ),
    "3.1.1.10 varied and unknown transport types": (
        (
            f"{OPTIONS}{usual('OPTIONS')}"
            "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKkl24\nVia: SIP/2.0/TLS t3.example.com;branch=z9hG4bK03kj4\n"
            "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKj3\nVia: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9\n"
            "l: 0\n\n"
        ),
        "200",
    ),
    "3.1.1.11 a multipart body": (
        (
            f"MESSAGE sip:user@example.com SIP/2.0\n{usual('MESSAGE')}"
            "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\nContent-Length: 68\n\n"
            "--7a9cbec02ceef655\nContent-Type: text/plain\n\nHi\n--7a9cbec02ceef655--\n"
        ),
        "200",
    ),
    "3.1.1.12 an unusual reason phrase": (
        f"SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое\n{usual()}L: 0\n\n",
        "nothing",
    ),
    "3.1.1.13 an empty reason phrase": (f"SIP/2.0 100 \n{usual()}L: 0\n\n", "nothing"),
}

INVALID = {
    "3.1.2.1 extraneous separators": (
        (f"{INVITE}{usual(Via='SIP/2.0/UDP 192.0.2.15;;,;,,', Contact='Joe <sip:joe@example.org>;;;;')}{SDP_HEADERS}"),
        "400",
    ),
    "3.1.2.2 Content-Length larger than the message": (
        f"{INVITE}{usual()}Content-Type: application/sdp\nContent-Length: 9999\n\n{SDP}",
        "400",
    ),
    "3.1.2.3 a negative Content-Length": (
        f"{INVITE}{usual()}Content-Type: application/sdp\nContent-Length: -999\n\n{SDP}",
        "400",
    ),
    "3.1.2.4 overlarge numbers in a request": (
        (f"{REGISTER}{usual(CSeq='36893488147419103232 REGISTER', Max_Forwards='300')}Expires: 1{'0' * 100}\nl: 0\n\n"),
        "400",
    ),
    "3.1.2.5 overlarge numbers in a response": (
        (
            f"SIP/2.0 503 Service Unavailable\n{usual(CSeq='9292394834772304023312 OPTIONS')}"
            'Retry-After: 949302838503028349304023988\nWarning: 1812 overture "In Progress"\nContent-Length: 0\n\n'
        ),
        "nothing",
    ),
    "3.1.2.6 an unterminated quoted string in a display name": (
        (f"{INVITE}{usual(To=chr(34) + 'Mr. J. User <sip:j.user@example.com>')}{SDP_HEADERS}"),
        "400",
    ),
    "3.1.2.7 <> around the Request-URI": (f"INVITE <sip:user@example.com> SIP/2.0\n{usual()}{SDP_HEADERS}", "400"),
    "3.1.2.8 white space in the Request-URI": (
        f"INVITE sip:user@example.com; lr SIP/2.0\n{usual()}{SDP_HEADERS}",
        "400",
    ),
    "3.1.2.9 several spaces in the start line": (
        f"INVITE  sip:user@example.com  SIP/2.0\n{usual()}{SDP_HEADERS}",
        "400",
    ),
    "3.1.2.10 spaces after the start line": (
        f"OPTIONS sip:user@example.com SIP/2.0  \n{usual('OPTIONS')}l: 0\n\n",
        "400",
    ),
    "3.1.2.11 escaped headers in the Request-URI": (
        f"INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0\n{usual()}{SDP_HEADERS}",
        "400",
    ),
    "3.1.2.12 an invalid time zone in Date may be tolerated": (
        f"{INVITE}{usual()}Date: Fri, 01 Jan 2010 16:00:00 EST\n{SDP_HEADERS}",
        "rings",
    ),
    "3.1.2.13 a Contact with headers but without <>": (
        (f"{REGISTER}{usual('REGISTER', Contact='sip:user@example.com?Route=%3Csip:sip.example.com%3E')}l: 0\n\n"),
        "400",
    ),
    "3.1.2.14 spaces within an addr-spec": (
        (
            f"{OPTIONS}"
            f"{usual('OPTIONS', To=chr(34) + 'Watson, Thomas' + chr(34) + ' < sip:t.watson@example.org >')}l: 0\n\n"
        ),
        "400",
    ),
    "3.1.2.15 non-token characters in a display name": (
        (f"{OPTIONS}{usual('OPTIONS', From='Bell, Alexander <sip:a.g.bell@example.com>;tag=43')}l: 0\n\n"),
        "400",
    ),
    "3.1.2.16 an unknown protocol version": (
        f"OPTIONS sip:user@example.com SIP/7.0\n{usual('OPTIONS')}l: 0\n\n",
        "505",
    ),
    "3.1.2.17 a CSeq method that is not the request's": (
        f"{OPTIONS}{usual('INVITE')}l: 0\n\n",
        "400",
    ),
    "3.1.2.18 an unknown method with another CSeq method": (
        f"NEWMETHOD sip:user@example.com SIP/2.0\n{usual('INVITE')}l: 0\n\n",
        "501",
    ),
    "3.1.2.19 an overlarge response code": (
        f"SIP/2.0 4294967301 better not break the receiver\n{usual()}Content-Length: 0\n\n",
        "nothing",
    ),
    "3.2.1 a branch that is nothing but the cookie": (
        f"{OPTIONS}{usual('OPTIONS', Via='SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK')}l: 0\n\n",
        "200",
    ),
}

APPLICATION = {
    "3.3.1 To, From and Call-ID missing": (
        f"{INVITE}{usual(without='To From Call-ID Max-Forwards Contact')}{SDP_HEADERS}",
        "400",
    ),
    "3.3.2 an unknown scheme in the Request-URI": (
        f"OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0\n{usual('OPTIONS')}l: 0\n\n",
        "416",
    ),
    "3.3.3 a known but atypical scheme in the Request-URI": (
        f"OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0\n{usual('OPTIONS')}l: 0\n\n",
        "416",
    ),
    "3.3.4 unknown schemes in header fields": (
        (
            f"{REGISTER}"
            f"{usual('REGISTER', To='isbn:2983792873', From='<http://h>;tag=3', Contact='<name:John_Smith>')}"
            "l: 0\n\n"
        ),
        "405",
    ),
    "3.3.5 unknown extensions required": (
        (
            f"{OPTIONS}{usual('OPTIONS')}Require: nothingSupportsThis, nothingSupportsThisEither\n"
            "Proxy-Require: noProxiesSupportThis\nl: 0\n\n"
        ),
        "420",
    ),
    "3.3.6 an unknown content type": (
        (f"{INVITE}{usual()}Content-Type: application/unknownformat\nContent-Length: 7\n\n<audio>"),
        "415",
    ),
    "3.3.7 an unknown authorization scheme": (
        f"{REGISTER}{usual('REGISTER')}Authorization: NoOneKnowsThisScheme opaque-data=here\n\n",
        "405",
    ),
    "3.3.8 several values of single-value fields": (
        (
            f"{INVITE}{usual()}CSeq: 59 INVITE\nCall-ID: other@h\nTo: <sip:other@h>\n"
            f"From: <sip:other@h>;tag=1\nMax-Forwards: 5\n{SDP_HEADERS}"
        ),
        "400",
    ),
    "3.3.9 several Content-Length": (
        (
            f"{OPTIONS}{usual('OPTIONS')}Content-Length: 13\nContent-Length: 5\n\n"
            "There's no way to know how many octets are supposed to be here."
        ),
        "400",
    ),
    "3.3.10 a 200 with a broadcast Via": (
        f"SIP/2.0 200 OK\n{usual(Via='SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23')}Content-Length: 0\n\n",
        "nothing",
    ),
    "3.3.11 Max-Forwards of zero, at its destination": (
        f"{OPTIONS}{usual('OPTIONS', Max_Forwards='0')}l: 0\n\n",
        "200",
    ),
    "3.3.12 REGISTER with a contact parameter": (
        (f"{REGISTER}{usual('REGISTER', Contact='sip:+19725552222@gw1.example.net;unknownparam')}l: 0\n\n"),
        "405",
    ),
    "3.3.13 REGISTER with a URI parameter": (
        (f"{REGISTER}{usual('REGISTER', Contact='<sip:+19725552222@gw1.example.net;unknownparam>')}l: 0\n\n"),
        "405",
    ),
    "3.3.14 REGISTER with an escaped header in the contact's URI": (
        (f"{REGISTER}{usual('REGISTER', Contact='<sip:user@example.com?Route=%3Csip:sip.example.com%3E>')}l: 0\n\n"),
        "405",
    ),
    "3.3.15 an Accept that leaves nothing": (
        f"{INVITE}{usual()}Accept: text/nobodyKnowsThis\n{SDP_HEADERS}",
        "406",
    ),
    "3.4.1 an INVITE of RFC 2543": (
        (
            f"{INVITE}Via: SIP/2.0/UDP iftgw.example.com\n"
            "From: <sip:+13035551111@ift.client.example.net;user=phone>\n"
            "To: sip:+16505552222@ss1.example.net;user=phone\n"
            "Record-Route: <sip:user@example.com;maddr=192.0.2.66>\nCall-ID: inv2543.1717@ift.client.example.com\n"
            f"CSeq: 56 INVITE\n{SDP_HEADERS}"
        ),
        "rings",
    ),
}

IPV6 = {
    "4.1 a valid IPv6 reference": (
        f"{OPTIONS_6}{usual('OPTIONS', Via='SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3')}l: 0\n\n",
        "200",
    ),
    "4.2 an IPv6 address without brackets": (f"REGISTER sip:2001:db8::10 SIP/2.0\n{usual('REGISTER')}l: 0\n\n", "400"),
    "4.3 a port within the brackets is a part of the address": (
        f"OPTIONS sip:user@[2001:db8::10:5070] SIP/2.0\n{usual('OPTIONS')}l: 0\n\n",
        "200",
    ),
    "4.4 a port after the brackets": (
        f"OPTIONS sip:user@[2001:db8::10]:5070 SIP/2.0\n{usual('OPTIONS')}l: 0\n\n",
        "200",
    ),
    "4.5 brackets in received": (
        (
            f"{OPTIONS_6}"
            f"{usual('OPTIONS', Via='SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKa')}l: 0\n\n"
        ),
        "200",
    ),
    "4.6 no brackets in received": (
        (
            f"{OPTIONS_6}"
            f"{usual('OPTIONS', Via='SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3')}l: 0\n\n"
        ),
        "200",
    ),
    "4.10 an IPv4-mapped address": (
        f"INVITE sip:user@[::ffff:192.0.2.10] SIP/2.0\n{usual(Contact='<sip:user@[::ffff:192.0.2.66]>')}{SDP_HEADERS}",
        "rings",
    ),
}


def verdict(wire: Wire, text: str) -> tuple[str, SIPMessage | None]:
    """What a line that everybody may call, ``user``, makes of a message."""
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("user")
    bob.add_direct_line("sips:user@example.com")
    raw = RawPeer(wire, "192.0.2.66")
    raw.send(text, bob)
    wire.run(0.05)
    answers = [sent for sent in wire.sent if sent.source == bob.address]
    if answers:
        return answers[0].word, answers[0].message
    return ("rings" if bob.told(CallReceived) else "nothing"), None


CASES = {**VALID, **INVALID, **APPLICATION, **IPV6}


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_of_the_rfc(wire: Wire, name: str) -> None:
    text, expected = CASES[name]
    assert verdict(wire, text)[0] == expected


@pytest.mark.parametrize("name", [*VALID, *APPLICATION])
def test_what_is_valid_passes_validation(name: str) -> None:
    message = SIPMessage(CASES[name][0].replace("\n", "\r\n").encode())
    assert judged(message) == ("refused" if name.startswith(("3.3.1 ", "3.3.8 ", "3.3.9 ")) else "valid")


def judged(message: SIPMessage) -> str:
    try:
        message.validate()
    except RemoteProtocolError:
        return "refused"
    return "valid"


def test_the_tortuous_invite_reads_right() -> None:
    message = SIPMessage(TORTUOUS_INVITE.replace("\n", "\r\n").encode())
    message.validate()
    assert message.to == NameAddr(uri="sip:vivekg@chair-dnrc.example.com", params=(("tag", "1918181833n"),))
    assert message.from_ == NameAddr(
        uri="sip:jdrosen@example.com", display_name='J Rosenberg \\"', params=(("tag", "98asjd8"),)
    )
    assert (message.cseq.number, message.number("max-forwards"), len(message.content)) == (9, 68, SDP_LENGTH)
    assert (message.via.host, message.via.branch) == ("192.0.2.2", "390skdjuw")
    assert len(message.items("via")) == 3
    assert message.contact == NameAddr(
        uri="sip:jdrosen@example.com",
        display_name='Quoted string ""',
        params=(("newparam", "newvalue"), ("secondparam", None), ("q", "0.33")),
    )


def test_the_wide_range_of_characters_reads_right() -> None:
    message = SIPMessage(WIDE_RANGE.replace("\n", "\r\n").encode())
    message.validate()
    assert message.method == INTERESTING_METHOD
    assert message.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert message.from_.param("fromparam''~+*_!.-%") == "работающий"
    assert message.get("extensionheader-!.%*+_`'~") == "大停電"


def test_an_answer_to_what_can_not_be_read_copies_what_is_there(wire: Wire) -> None:
    text = 'INVITE sip:user@example.com SIP/2.0\nVia: SIP/2.0/UDP ;;\nTo: "open <sip:a@h>\nCall-ID: c\n\n'
    word, answer = verdict(wire, text)
    assert answer is not None
    assert (word, answer.get("via"), answer.get("to"), answer.get("call-id")) == (
        "400",
        "SIP/2.0/UDP ;;",
        '"open <sip:a@h>',
        "c",
    )
    assert (answer.get("from"), answer.get("cseq"), wire.sent[-1].destination) == (None, None, ("192.0.2.66", 5060))


def test_without_via_there_is_nowhere_to_answer(wire: Wire) -> None:
    assert verdict(wire, f"INVITE sip:user@h SIP/2.0\n{usual(without='Via')}\n")[0] == "nothing"


def test_a_malformed_ack_gets_no_answer(wire: Wire) -> None:
    assert verdict(wire, f"ACK sip:user@h SIP/2.0\n{usual('INVITE')}\n")[0] == "nothing"


def test_the_unsupported_extensions_are_listed(wire: Wire) -> None:
    _, answer = verdict(wire, CASES["3.3.5 unknown extensions required"][0])
    assert answer is not None
    assert answer.get("unsupported") == "nothingSupportsThis, nothingSupportsThisEither"


def test_requests_without_a_real_branch_are_told_apart(wire: Wire) -> None:
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("user")
    raw = RawPeer(wire, "192.0.2.66")
    for call_id in ("one", "two", "two"):
        via = "SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK"
        raw.send(f"OPTIONS sip:user@h SIP/2.0\n{usual('OPTIONS', Via=via, Call_ID=call_id)}l: 0\n\n", bob)
    wire.run(0.1)
    assert [message.call_id for message in raw.received] == ["one", "two", "two"]
    assert bob.endpoint.transactions == 2


def test_a_call_of_rfc_2543_can_be_answered_and_hung_up(wire: Wire) -> None:
    bob = Party(wire, "192.0.2.2")
    bob.add_direct_line("user")
    bob.hosts["ift.client.example.net"] = (("192.0.2.66", 5060),)
    raw = RawPeer(wire, "192.0.2.66")
    text = CASES["3.4.1 an INVITE of RFC 2543"][0]
    raw.send(text, bob)
    wire.run(0.05)
    (received,) = [event for event in bob.events if isinstance(event, CallReceived)]
    bob.do(bob.endpoint.answer, received.call, ANSWER)
    wire.run(0.05)
    tag = raw.last("200").to.tag
    ack = text.split("Content-Type")[0].replace("INVITE sip", "ACK sip").replace("56 INVITE", "56 ACK")
    raw.send(ack.replace("To: sip:+16505552222@ss1.example.net;user=phone", f"To: <sip:x@h>;tag={tag}") + "\n", bob)
    wire.run(0.05)
    bob.do(bob.endpoint.hangup, received.call)
    bye = wire.sent[-1]
    assert (bye.word, bye.message.uri) == ("BYE", "sip:user@example.com;maddr=192.0.2.66")
    assert bye.destination == ("192.0.2.66", 5060)
    assert bye.message.items("route") == ["<sip:+13035551111@ift.client.example.net;user=phone>"]
