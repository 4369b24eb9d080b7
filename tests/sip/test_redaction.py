"""What others see of a message: all but the secrets."""

import pytest

from sip_bridge.sip.events import CallAnswered, InfoReceived, OfferReceived
from sip_bridge.sip.redaction import redacted


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'Authorization: Digest username="620", realm="pbx", nonce="abc", response="0123", cnonce="xyz", qop=auth',
            'Authorization: Digest username="620", realm="pbx", nonce="abc", response="***", cnonce="***", qop=auth',
        ),
        ("Proxy-Authorization: Digest response=0123,nc=1", 'Proxy-Authorization: Digest response="***",nc=1'),
        ("authorization: Basic dXNlcjpwdw==", "authorization: Basic ***"),
        ('Authentication-Info: rspauth="77", nc=1', 'Authentication-Info: rspauth="***", nc=1'),
        ("To: <sip:620:hunter2@pbx:5061>;tag=1", "To: <sip:620:***@pbx:5061>;tag=1"),
        ("Contact: <sips:a@host:5061;transport=tls>", "Contact: <sips:a@host:5061;transport=tls>"),
        ("Call-ID: response", "Call-ID: response"),
    ],
)
def test_a_header_shows_no_secret(line: str, expected: str) -> None:
    message = f"INFO sip:a@b SIP/2.0\r\n{line}\r\nMax-Forwards: 70\r\n\r\n"
    assert redacted(message.encode()) == message.replace(line, expected)


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (
            "application/sdp",
            "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4\r\n",
            "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***|2^20|1:4\r\n",
        ),
        ("application/sdp", "v=0\r\nk=base64:AAAA\r\na=x", "v=0\r\nk=base64:***\r\na=x"),
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "Signal=***\r\nDuration=160\r\n"),
        ("application/dtmf-relay", "signal : 12#\nDuration: 160", "signal : ***\nDuration: 160"),
        ("application/dtmf-relay", "\rSignal='7'\r\n", "\rSignal='***'\r\n"),
        ("application/dtmf", "5", "***"),
        ("application/dtmf", ' "#"\r\n\r\n', ' "***"\r\n\r\n'),
        ("text/plain", "The key is under the mat.", "(25 characters)"),
    ],
)
def test_a_body_shows_no_secret(kind: str, body: str, expected: str) -> None:
    head = f"INFO sip:a@b SIP/2.0\r\nContent-Type: {kind}\r\n\r\n"
    assert redacted((head + body).encode()) == head + expected


def test_what_is_no_text_is_shown_all_the_same() -> None:
    assert redacted(b"\xff\x00\r\n\r\n") == "\ufffd\x00\r\n\r\n"


def test_a_fact_shows_no_body() -> None:
    facts = (
        CallAnswered(call="7", answer=b"a=crypto:1 x inline:y"),
        OfferReceived(call="7", offer=b"a=crypto:1 x inline:y"),
        InfoReceived(call="7", content_type="application/dtmf", content=b"5"),
    )
    assert [repr(fact) for fact in facts] == [
        "CallAnswered(call='7')",
        "OfferReceived(call='7')",
        "InfoReceived(call='7', content_type='application/dtmf')",
    ]
