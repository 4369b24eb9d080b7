"""Names and addresses of the call flows, and what their people do."""

from sip_bridge.sip.digest import Credentials
from sip_bridge.sip.events import CallReceived
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from tests.scenario import ANSWER, OFFER, Wire
from tests.sip.flows.elements import User

BOB = "sip:bob@biloxi.example.com"
BOBS_PHONE = "sip:bob@192.0.2.201:5060"
PROXY1, PROXY2 = "ss1.atlanta.example.com", "ss2.biloxi.example.com"
SECRET = Credentials(username="alice", password="secret")
PASSWORDS = {"alice": "secret"}


def call_and_answer(wire: Wire, alice: User, bob: User, *, line: str = "alice", target: str = BOB) -> str:
    """Alice calls; Bob's phone rings, and he answers."""
    alice.endpoint.invite(line, target, OFFER, wire.now)
    alice.drain()
    wire.run(0.15)
    return pick_up(wire, bob)


def pick_up(wire: Wire, bob: User, content: bytes = ANSWER) -> str:
    (received,) = bob.told(CallReceived)
    assert isinstance(received, CallReceived)
    bob.do(bob.endpoint.ring, received.call, SIPStatus.RINGING)
    wire.run(0.1)
    bob.do(bob.endpoint.answer, received.call, content)
    wire.run(0.1)
    return received.call


def hang_up(wire: Wire, user: User, call: str) -> None:
    user.do(user.endpoint.hangup, call)
    wire.run(0.1)


def sent(wire: Wire, user: User, word: str) -> list[SIPMessage]:
    return [each.message for each in wire.sent if each.source == user.address and each.word == word]


def reached(wire: Wire, user: User, word: str) -> list[SIPMessage]:
    return [each.message for each in wire.sent if each.destination == user.address and each.word == word]
