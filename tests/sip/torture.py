"""The situations of RFC 4475 (and of RFC 5118 for IPv6), each with the verdict that its section states.

The messages are written anew from what each section describes. ``rings`` stands for an INVITE that is accepted,
``nothing`` for a message that gets no answer.
"""

SDP = "v=0\no=mhandley 29739 7272939 IN IP4 192.0.2.3\ns=-\nc=IN IP4 192.0.2.4\nt=0 0\nm=audio 49217 RTP/AVP 0\n"
SDP_LENGTH = len(SDP.replace("\n", "\r\n"))
SDP_HEADERS = f"Content-Type: application/sdp\nContent-Length: {SDP_LENGTH}\n\n{SDP}"


INVITE = "INVITE sip:user@example.com SIP/2.0\n"
OPTIONS = "OPTIONS sip:user@example.com SIP/2.0\n"
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

NAMES_OF_VIA = ["Via", "v", "V", "ViA", "vIA", "V ", "v  ", "Via ", "VIA"]
LONG = (
    f"{INVITE}"
    f'To: "I have a user name of {"extreme" * 20} proportion"<sip:user@example.com:6000;unknownparam1='
    f"{'very' * 30}longvalue;longparam{'name' * 20}=short>\nF: sip:{'amazinglylong' * 20}caller@example.net;tag="
    f"12982{'4' * 30};unknownheaderparam{'name' * 20}=value;{'long' * 20}\n"
    f"Call-ID: longreq.one{'really' * 20}longcallid\nCSeq: 3882340 INVITE\nUnknown-{'Long' * 20}-Name: "
    f"unknown-{'long' * 20}-value; unknown-{'long' * 20}-parameter=value\n"
    + "".join(
        f"{name}: SIP/2.0/TCP sip{number}.example.com\n"
        for number, name in zip(range(33, 0, -1), NAMES_OF_VIA * 4, strict=False)
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
            f"{usual('RE%47IST%45R', To=chr(34) + '%Z%45' + chr(34) + ' <sip:resource@example.com>')}"
            "C%6Fntact: <sip:alias2@host2.example.com>\nContact: <sip:alias3@host3.example.com>\nl: 0\n\n"
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
        (
            f"OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0\n{usual('OPTIONS')}"
            "Accept: application/sdp, application/pkcs7-mime,\n        multipart/mixed, multipart/signed,\n"
            "        message/sip, message/sipfrag\nl: 0\n\n"
        ),
        "200",
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
            "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\nContent-Length: 165\n\n"
            "--7a9cbec02ceef655\nContent-Type: text/plain\n\nHi\n--7a9cbec02ceef655\n"
            "Content-Type: application/octet-stream\nContent-Transfer-Encoding: binary\n\n\x00\x01\x02\x7f\n"
            "--7a9cbec02ceef655--\n"
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
        (
            f"{REGISTER}"
            f"{usual('REGISTER', CSeq='36893488147419103232 REGISTER', Max_Forwards='300', without='Contact')}"
            f"Expires: 1{'0' * 100}\nContact: <sip:user@h>\n  ;expires=280297596632815\nl: 0\n\n"
        ),
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
    "3.1.2.15 non-token characters in a display name, and no empty line": (
        f"{OPTIONS}{usual('OPTIONS', From='Bell, Alexander <sip:a.g.bell@example.com>;tag=43')}l: 0\n",
        "400",
    ),
    "3.1.2.16 an unknown protocol version": (
        f"OPTIONS sip:user@example.com SIP/7.0\n{usual('OPTIONS', Via='SIP/7.0/UDP h;branch=z9hG4bK1')}l: 0\n\n",
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
        f"{REGISTER}{usual('REGISTER')}Authorization: NoOneKnowsThisScheme opaque-data=here\nContent-Length:0\n\n",
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
            f"CSeq: 56 INVITE\nContent-Type: application/sdp\n\n{SDP}"
        ),
        "rings",
    ),
}

SDP_6 = "v=0\no=assistant 9717 0 IN IP6 2001:db8::20\ns=-\nc=IN IP6 2001:db8::20\nt=0 0\nm=audio 6000 RTP/AVP 2\n"
SDP_BOTH = (
    "v=0\no=bob 280744730 28977631 IN IP4 host.example.com\ns=\nt=0 0\nm=audio 22334 RTP/AVP 0\nc=IN IP4 192.0.2.1\n"
    "m=video 6024 RTP/AVP 107\nc=IN IP6 2001:db8::1\na=rtpmap:107 H263-1998/90000\n"
)
INVITE_6 = "INVITE sip:user@[2001:db8::10] SIP/2.0\n"
VIA_6 = "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111"
CALLER_6 = {"Via": VIA_6, "To": "sip:user@[2001:db8::10]", "Contact": '"Caller" <sip:caller@[2001:db8::1]>'}


def with_body(body: str) -> str:
    return f"Content-Type: application/sdp\nContent-Length: {len(body) + body.count(chr(10))}\n\n{body}"


IPV6 = {
    "4.1 a valid IPv6 reference": (
        f"REGISTER sip:[2001:db8::10] SIP/2.0\n{usual('REGISTER', **CALLER_6)}l: 0\n\n",
        "405",
    ),
    "4.2 an IPv6 address without brackets": (
        f"REGISTER sip:2001:db8::10 SIP/2.0\n{usual('REGISTER', **CALLER_6)}l: 0\n\n",
        "400",
    ),
    "4.3 a port within the brackets is a part of the address": (
        f"REGISTER sip:[2001:db8::10:5070] SIP/2.0\n{usual('REGISTER', **CALLER_6)}l: 0\n\n",
        "405",
    ),
    "4.4 a port after the brackets": (
        f"REGISTER sip:[2001:db8::10]:5070 SIP/2.0\n{usual('REGISTER', **CALLER_6)}l: 0\n\n",
        "405",
    ),
    "4.5 brackets in received": (
        (
            "BYE sip:[2001:db8::10] SIP/2.0\n"
            f"{usual('BYE', Via=f'{VIA_6};received=[2001:db8::9:255]', To='sip:user@example.com;tag=b')}l: 0\n\n"
        ),
        "481",
    ),
    "4.5 no brackets in received": (
        (
            "OPTIONS sip:user@[2001:db8::10] SIP/2.0\n"
            f"{usual('OPTIONS', Via='SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKa')}l: 0\n\n"
        ),
        "200",
    ),
    "4.6 IPv6 in a session description": (f"{INVITE_6}{usual(**CALLER_6)}{with_body(SDP_6)}", "rings"),
    "4.7 addresses of both kinds in headers": (
        (
            "BYE sip:user@host.example.net SIP/2.0\n"
            f"{usual('BYE', Via='SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3', To='sip:u@h;tag=9817--94')}"
            "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhj\n"
            "Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200\nContent-Length: 0\n\n"
        ),
        "481",
    ),
    "4.8 addresses of both kinds in a session description": (
        f"{INVITE_6}{usual(**CALLER_6)}{with_body(SDP_BOTH)}",
        "rings",
    ),
    "4.9 an IPv4-mapped address": (
        (
            f"{INVITE}{usual(Via='SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19')}"
            "Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111\n"
            f"{with_body(SDP_6.replace('2001:db8::20', '::ffff:192.0.2.2'))}"
        ),
        "rings",
    ),
    "4.10 a colon too many, as the grammar of RFC 3261 has it, and no empty line": (
        (
            "OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0\n"
            f"{usual('OPTIONS', To='sip:user@[2001:db8:::192.0.2.1]')}Content-Length: 0\n"
        ),
        "200",
    ),
    "4.10 the right number of colons, and no empty line": (
        (
            "OPTIONS sip:user@[2001:db8::192.0.2.1] SIP/2.0\n"
            f"{usual('OPTIONS', To='sip:user@[2001:db8::192.0.2.1]')}Content-Length: 0\n"
        ),
        "200",
    ),
}

CASES = {**VALID, **INVALID, **APPLICATION, **IPV6}
