"""Status codes."""

import pytest

from sip_bridge.sip.events import CallAnswered, CallEnded, CallProgressed, EndCause
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Party, RawPeer, Wire

# IANA's "Response Codes" registry (RFC 3261 and the RFCs that added to it).
REGISTRY = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    424: "Bad Location Information",
    425: "Bad Alert Message",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    470: "Consent Needed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    555: "Push Notification Service Not Supported",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}

# As applications written for other SIP libraries spell them; some are misspelled there, and stay so.
NAMES = {
    100: "TRYING",
    180: "RINGING",
    181: "FORWARDED",
    182: "QUEUED",
    183: "SESSION_PROGRESS",
    199: "TERMINATED",
    200: "OK",
    202: "ACCEPTED",
    204: "NO_NOTIFICATION",
    300: "MULTIPLE_CHOICES",
    301: "MOVED_PERMANENTLY",
    302: "MOVED_TEMPORARILY",
    305: "USE_PROXY",
    380: "ALTERNATE_SERVICE",
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    402: "PAYMENT_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    407: "PROXY_AUTHENTICATION_REQUIRED",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    410: "GONE",
    411: "LENGTH_REQUIRED",
    412: "CONDITIONAL_REQUEST_FAILED",
    413: "REQUEST_ENTITY_TOO_LARGE",
    414: "REQUEST_URI_TOO_LONG",
    415: "UNSUPPORTED_MEDIA_TYPE",
    416: "UNSUPPORTED_URI_SCHEME",
    417: "UNKOWN_RESOURCE_PRIORITY",
    420: "BAD_EXTENSION",
    421: "EXTENSION_REQUIRED",
    422: "SESSION_INTERVAL_TOO_SMALL",
    423: "SESSION_INTERVAL_TOO_BRIEF",
    424: "BAD_LOCATION_INFORMATION",
    428: "USE_IDENTITY_HEADER",
    429: "PROVIDE_REFERRER_IDENTITY",
    430: "FLOW_FAILED",
    433: "ANONYMITY_DISALLOWED",
    436: "BAD_IDENTITY_INFO",
    437: "UNSUPPORTED_CERTIFICATE",
    438: "INVALID_IDENTITY_HEADER",
    439: "FIRST_HOP_LACKS_OUTBOUND_SUPPORT",
    440: "MAX_BREADTH_EXCEEDED",
    469: "BAD_INFO_PACKAGE",
    470: "CONSENT_NEEDED",
    480: "TEMPORARILY_UNAVAILABLE",
    481: "CALL_OR_TRANSACTION_DOESNT_EXIST",
    482: "LOOP_DETECTED",
    483: "TOO_MANY_HOPS",
    484: "ADDRESS_INCOMPLETE",
    485: "AMBIGUOUS",
    486: "BUSY_HERE",
    487: "REQUEST_TERMINATED",
    488: "NOT_ACCEPTABLE_HERE",
    489: "BAD_EVENT",
    491: "REQUEST_PENDING",
    493: "UNDECIPHERABLE",
    494: "SECURITY_AGREEMENT_REQUIRED",
    500: "INTERNAL_SERVER_ERROR",
    501: "NOT_IMPLEMENTED",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
    505: "SIP_VERSION_NOT_SUPPORTED",
    513: "MESSAGE_TOO_LONG",
    555: "PUSH_NOTIFICATION_SERVICE_NOT_SUPPORTED",
    580: "PRECONDITION_FAILURE",
    600: "BUSY_EVERYWHERE",
    603: "DECLINE",
    604: "DOES_NOT_EXIST_ANYWHERE",
    606: "GLOBAL_NOT_ACCEPTABLE",
    607: "UNWANTED",
    608: "REJECTED",
}


@pytest.mark.parametrize(("code", "phrase"), REGISTRY.items())
def test_every_registered_code_has_the_phrase_of_the_registry_and_a_description(code: int, phrase: str) -> None:
    status = SIPStatus(code)
    assert (status.value, status.phrase, bool(status.description)) == (code, phrase, True)
    assert status.name != f"UNKNOWN_{code}"


def test_the_registry_is_whole() -> None:
    assert len(REGISTRY) == 75


@pytest.mark.parametrize(("code", "name"), NAMES.items())
def test_every_code_goes_by_its_usual_name(code: int, name: str) -> None:
    assert SIPStatus[name] is SIPStatus(code)


def test_only_obsolete_codes_stand_beside_the_registry() -> None:
    assert {int(member) for member in SIPStatus} - REGISTRY.keys() == {409, 411}


def test_a_status_reads_as_on_the_wire() -> None:
    assert (str(SIPStatus.BUSY_HERE), int(SIPStatus.BUSY_HERE)) == ("486 Busy Here", 486)


@pytest.mark.parametrize(
    ("code", "phrase", "kinds"),
    [
        (150, "Trying", (True, False, False)),
        (299, "OK", (False, True, True)),
        (399, "Multiple Choices", (False, True, False)),
        (499, "Bad Request", (False, True, False)),
        (599, "Server Internal Error", (False, True, False)),
        (699, "Busy Everywhere", (False, True, False)),
    ],
)
def test_an_unknown_code_keeps_its_number_and_acts_as_the_x00(
    code: int, phrase: str, kinds: tuple[bool, bool, bool]
) -> None:
    status = SIPStatus(code)
    assert (int(status), status.name, status.phrase) == (code, f"UNKNOWN_{code}", phrase)
    assert (status.is_provisional, status.is_final, status.is_success) == kinds
    assert status is SIPStatus(code)
    assert status.description == f"Not registered; treated as {code // 100}00"


@pytest.mark.parametrize("code", [0, 99, 700, -1, "200", None])
def test_a_number_that_is_no_status_code_is_refused(code: object) -> None:
    with pytest.raises(ValueError, match="is not a valid SIPStatus"):
        SIPStatus(code)  # type: ignore[arg-type]


# --- in a call (RFC 3261 §8.1.3.2) ---


@pytest.fixture
def call(wire: Wire, alice: Party, raw: RawPeer) -> str:
    """alice calls raw, who has her INVITE."""
    call = alice.endpoint.invite("alice", "sip:x@192.0.2.66", OFFER, wire.now)
    alice.drain()
    wire.run(0.1)
    return call


def test_an_unknown_1xx_is_progress(wire: Wire, alice: Party, raw: RawPeer, call: str) -> None:
    raw.respond(raw.last("INVITE"), 188)
    wire.run(0.1)
    assert alice.told(CallProgressed) == [CallProgressed(call=call, status=SIPStatus(188), answer=b"")]


def test_an_unknown_2xx_answers_the_call(wire: Wire, alice: Party, raw: RawPeer, call: str) -> None:
    raw.respond(raw.last("INVITE"), 299, content=ANSWER)
    wire.run(0.1)
    assert alice.told(CallAnswered) == [CallAnswered(call=call, answer=ANSWER)]
    assert raw.words == ["INVITE", "ACK"]


@pytest.mark.parametrize("code", [499, 599, 699])
def test_an_unknown_refusal_ends_the_call(wire: Wire, alice: Party, raw: RawPeer, call: str, code: int) -> None:
    raw.respond(raw.last("INVITE"), code)
    wire.run(0.1)
    ended = CallEnded(call=call, cause=EndCause.REJECTED, status=SIPStatus(code), phrase=SIPStatus(code).phrase)
    assert alice.told(CallEnded) == [ended]
    assert raw.words == ["INVITE", "ACK"]
