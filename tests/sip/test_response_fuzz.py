"""Whatever stands in a response to INVITE, the call goes on or ends, and nothing of it is left."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_bridge.sip.events import CallEnded
from sip_bridge.sip.message import SIPMessage
from tests.scenario import ANSWER, OFFER, PBX, Party, RawPeer, Wire, assert_nothing_left
from tests.sip.test_digest_fuzz import LINES

NAMES = (
    *("Contact", "Allow", "Require", "Supported", "RSeq", "Session-Expires", "Min-SE", "Reason", "Record-Route"),
    *("Retry-After", "Content-Type", "WWW-Authenticate", "Proxy-Authenticate", "Warning", "Content-Disposition"),
)
STATUSES = st.sampled_from([180, 183, 200, 302, 401, 407, 422, 486, 603])


class Callee(RawPeer):
    """Answers the first INVITE with a line, and everything else with 200."""

    def __init__(self, wire: Wire, status: int, line: str) -> None:
        super().__init__(wire, PBX.host)
        self.answers = iter([(status, [line])])
        self.on_request = self._answer

    def _answer(self, request: SIPMessage) -> None:
        if request.method != "ACK":
            status, headers = next(self.answers, (200, []))
            self.respond(request, status, headers=headers, content=ANSWER)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30)
@given(line=LINES, status=STATUSES)
def test_a_response_with_any_header_leaves_a_call_that_can_be_ended(name: str, line: str, status: int) -> None:
    wire = Wire()
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    Callee(wire, status, f"{name}: {line}")
    call = carol.endpoint.invite("620", "200", OFFER, wire.now)
    carol.drain()
    wire.run(2)
    for _ in range(carol.endpoint.calls):
        carol.do(carol.endpoint.hangup, call)
    assert_nothing_left(wire, carol)
    assert len(carol.told(CallEnded)) == 1
