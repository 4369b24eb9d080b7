"""Reason (RFC 3326) as phones and exchanges write it, and what Q.850 causes mean in SIP (RFC 3398)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.reason import (
    CAUSES,
    MAX_REASONS,
    MAX_TEXT,
    Q850,
    SIP,
    Reason,
    cause_of,
    q850_of,
    reasons_of,
    status_of,
)
from sip_bridge.sip.status import SIPStatus


def bye(*headers: str) -> SIPMessage:
    return SIPMessage("\r\n".join(["BYE sip:door@192.0.2.2 SIP/2.0", *headers, "", ""]).encode())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("Q.850;cause=16", Reason(protocol="Q.850", cause=16)),  # Asterisk
        (
            'Q.850;cause=16;text="NORMAL_CLEARING"',  # FreeSWITCH
            Reason(protocol="Q.850", cause=16, text="NORMAL_CLEARING"),
        ),
        (
            'SIP;cause=200;text="Call completed elsewhere"',  # Asterisk, Kamailio, 3CX, FRITZ!Box
            Reason(protocol="SIP", cause=200, text="Call completed elsewhere"),
        ),
        (
            'Q.850 ;cause=16 ;text="Terminated"',  # RFC 3326 §2
            Reason(protocol="Q.850", cause=16, text="Terminated"),
        ),
        ('sip ; Cause = 487 ; Text = "a, b; c"', Reason(protocol="SIP", cause=487, text="a, b; c")),
        ("Q.850;text=User busy;cause=17", Reason(protocol="Q.850", cause=17, text="User busy")),
        ("Q.850;cause=16;", Reason(protocol="Q.850", cause=16)),
        ('preemption ;cause=1 ;text="UA Preemption"', Reason(protocol="PREEMPTION", cause=1, text="UA Preemption")),
        ("X.Int;add-info=0510.0001", Reason(protocol="X.INT")),
        ("Q.850;cause=many", Reason(protocol="Q.850")),
        ("Q.850;cause=1234", Reason(protocol="Q.850")),
        ("Q.850;cause=٣", Reason(protocol="Q.850")),
        (f"SIP;text={'x' * 1000}", Reason(protocol="SIP", text="x" * MAX_TEXT)),
    ],
)
def test_a_reason_reads_as_it_is_meant(value: str, reason: Reason) -> None:
    assert Reason.parse(value) == reason


@pytest.mark.parametrize("value", ["", ";cause=16", "Q 850;cause=16", 'Q.850;text="open', "Q.850;ca use=1"])
def test_what_is_no_reason_is_refused(value: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Reason.parse(value)


@given(
    st.builds(
        Reason,
        protocol=st.sampled_from([SIP, Q850, "PREEMPTION"]),
        cause=st.none() | st.integers(0, 999),
        text=st.none() | st.text(max_size=MAX_TEXT),
    )
)
def test_parsing_is_the_inverse_of_formatting(reason: Reason) -> None:
    assert Reason.parse(reason.format()) == reason


def test_every_readable_reason_of_a_message_is_found() -> None:
    message = bye(
        'Reason: Q.850;cause=16;text="x", SIP;cause=200', 'Reason: SIP;text="open', "Reason: ;, SIP;cause=600"
    )
    assert reasons_of(message) == (
        Reason(protocol="Q.850", cause=16, text="x"),
        Reason(protocol="SIP", cause=200),
        Reason(protocol="SIP", cause=600),
    )
    assert (cause_of(message, Q850), cause_of(message, SIP), cause_of(message, "PREEMPTION")) == (16, 600, None)
    assert cause_of(bye(), Q850) is None


def test_reasons_are_bounded() -> None:
    assert len(reasons_of(bye("Reason: " + ",".join(["SIP;cause=200"] * 500)))) == MAX_REASONS


def test_our_own_reasons_read_well() -> None:
    assert Reason.of_cause(16).format() == 'Q.850;cause=16;text="Normal call clearing"'
    assert Reason.of_cause(99).format() == "Q.850;cause=99"
    assert Reason.of_status(SIPStatus.REQUEST_TIMEOUT).format() == 'SIP;cause=408;text="Request Timeout"'
    elsewhere = Reason.of_status(SIPStatus.OK, "Call completed elsewhere")
    assert elsewhere.format() == 'SIP;cause=200;text="Call completed elsewhere"'


# RFC 3398 §8.2.6.1
@pytest.mark.parametrize(
    ("causes", "status"),
    [
        ((1, 2, 3, 26), 404),
        ((17,), 486),
        ((18,), 408),
        ((19, 20, 31), 480),
        ((21, 55, 57, 87), 403),
        ((22, 23), 410),
        ((27,), 502),
        ((28,), 484),
        ((29, 79), 501),
        ((34, 38, 41, 42, 47, 58, 88), 503),
        ((65, 70), 488),
        ((102,), 504),
        ((111, 127, 0, 5, 128), 500),
    ],
)
def test_a_cause_means_a_refusal(causes: tuple[int, ...], status: int) -> None:
    assert [status_of(cause) for cause in causes] == [SIPStatus(status)] * len(causes)


# RFC 3398 §7.2.4.1
@pytest.mark.parametrize(
    ("statuses", "cause"),
    [
        ((400, 481, 500, 503), 41),
        ((401, 402, 403, 407, 603), 21),
        ((404, 485, 604), 1),
        ((405,), 63),
        ((406, 415, 501), 79),
        ((408, 504), 102),
        ((410,), 22),
        ((413, 414, 416, 420, 421, 423, 487, 505, 513, 499), 127),
        ((480,), 18),
        ((482, 483), 25),
        ((484,), 28),
        ((486, 600), 17),
        ((488, 606), 65),
        ((502,), 38),
        ((100, 200), 16),
    ],
)
def test_a_refusal_means_a_cause(statuses: tuple[int, ...], cause: int) -> None:
    assert [q850_of(SIPStatus(status)) for status in statuses] == [cause] * len(statuses)
    assert cause in CAUSES
