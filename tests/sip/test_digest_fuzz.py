"""Whatever stands in the headers of authentication and registration, reading them ends in a value or a refusal."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.digest import authorizations_of, challenges_of, next_nonces
from sip_bridge.sip.events import RegistrationChanged, RegistrationState
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.nonces import Nonces
from tests.scenario import PBX, Party, RawPeer, Wire

PIECES = st.sampled_from(
    [
        *("Digest ", "digest", "Basic ", "realm=", "nonce=", 'qop="auth,auth-int"', "qop=auth", "algorithm=MD5-sess"),
        *("stale=", "username=", "uri=", "response=", "nc=00000001", "cnonce=", "nextnonce=", '"', "\\", ",", "=", " "),
        *("\0", "é", "x", "<sip:", ">", ";lr", ";expires=", "0", "620@", "192.0.2.3", ":5060", "[", "]", "%", "?"),
    ]
)
LINES = st.lists(PIECES, max_size=14).map("".join)


@given(line=LINES)
def test_challenges_answers_and_next_nonces_are_read_or_refused(line: str) -> None:
    names = ("WWW-Authenticate", "Proxy-Authenticate", "Authorization", "Authentication-Info")
    message = SIPMessage(
        "\r\n".join(["SIP/2.0 401 Unauthorized", *(f"{name}: {line}" for name in names), "", ""]).encode()
    )
    for read in (challenges_of, authorizations_of, next_nonces):
        with suppress(RemoteProtocolError):
            assert read(message) is not None


@given(nonce=st.text(max_size=40), now=st.floats(0, 1e9))
def test_no_text_is_taken_for_a_nonce_of_ours(nonce: str, now: float) -> None:
    assert not Nonces(b"key").is_fresh(nonce, "192.0.2.66", now)


@pytest.mark.parametrize(
    "name", ["WWW-Authenticate", "Contact", "Service-Route", "Expires", "Min-Expires", "Retry-After"]
)
@given(line=LINES, status=st.sampled_from([200, 302, 401, 407, 423, 503]))
def test_no_answer_to_register_ends_the_registration_for_good(name: str, line: str, status: int) -> None:
    wire = Wire()
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    pbx = RawPeer(wire, PBX.host)
    answers = iter([(status, [f"{name}: {line}"])])

    def answer(request: SIPMessage) -> None:
        given_status, headers = next(answers, (200, ["Expires: 300"]))
        pbx.respond(request, given_status, headers=headers, contact="")

    pbx.on_request = answer
    carol.do(carol.endpoint.register, "620")
    wire.run(200)
    last = carol.events[-1]
    assert isinstance(last, RegistrationChanged)
    assert last.account_refused or last.retry_in or last.state is RegistrationState.REGISTERED
