"""RFC 3665 §2: how a phone registers, moves, leaves, and is refused. Bob's phone is ours.

§2.3, asking for the contacts without changing them (a REGISTER without Contact), is nothing that the engine offers.
"""

import pytest

from sip_bridge.sip.events import RegistrationChanged, RegistrationState
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from tests.scenario import Wire
from tests.sip.flows.elements import Registrar, User, figure

DOMAIN = "biloxi.example.com"


@pytest.fixture
def registrar(wire: Wire) -> Registrar:
    return Registrar(wire, DOMAIN, {"bob": "secret"})


@pytest.fixture
def bob(wire: Wire) -> User:
    return phone(wire, "secret")


def phone(wire: Wire, password: str) -> User:
    user = User(wire, "192.0.2.201")
    user.add_registered_line("bob", registrar=Hop(host=DOMAIN), password=password, expires=3600)
    return user


def register(bob: User) -> None:
    bob.do(bob.endpoint.register, "bob")
    bob.wire.run(0.1)


def sent_by_bob(wire: Wire, bob: User) -> list[SIPMessage]:
    return [sent.message for sent in wire.sent if sent.source == bob.address]


def test_2_1_successful_new_registration(wire: Wire, bob: User, registrar: Registrar) -> None:
    register(bob)
    assert figure(wire, bob=bob, registrar=registrar) == [
        "bob -> registrar REGISTER",
        "registrar -> bob 401",
        "bob -> registrar REGISTER",
        "registrar -> bob 200",
    ]
    first, second = sent_by_bob(wire, bob)
    assert (first.heading, second.heading) == (f"REGISTER sip:{DOMAIN} SIP/2.0",) * 2
    assert first.from_.uri == first.to.uri == second.to.uri == f"sip:bob@{DOMAIN}"
    assert (first.get("authorization"), first.get("max-forwards"), first.get("expires")) == (None, "70", "3600")
    assert (first.call_id, first.from_.tag) == (second.call_id, second.from_.tag)
    assert (first.cseq.number, second.cseq.number) == (1, 2)
    assert first.via.branch != second.via.branch
    credentials = second.get("authorization") or ""
    assert credentials.startswith(f'Digest username="bob", realm="{DOMAIN}"')
    assert f'uri="sip:{DOMAIN}"' in credentials
    assert registrar.contacts == {"sip:bob@192.0.2.201:5060": 3600}
    assert bob.endpoint.registration_state("bob") is RegistrationState.REGISTERED


def test_2_2_update_of_the_contact_list(wire: Wire, bob: User, registrar: Registrar) -> None:
    """The phone has moved: with credentials for the known nonce, one REGISTER adds the new contact, removes the old."""
    register(bob)
    wire.sent.clear()
    bob.address = bob.local = ("192.0.2.202", 5060)
    wire.attach(bob.address, bob.receive)
    (flow,) = bob.endpoint.registrar_flows()
    bob.do(bob.endpoint.address_changed, flow)
    wire.run(0.1)
    assert figure(wire, bob=bob, registrar=registrar) == ["bob -> registrar REGISTER", "registrar -> bob 200"]
    (update,) = sent_by_bob(wire, bob)
    assert update.items("contact") == ["<sip:bob@192.0.2.202:5060>", "<sip:bob@192.0.2.201:5060>;expires=0"]
    assert (update.cseq.number, "nc=00000002" in (update.get("authorization") or "")) == (3, True)
    assert registrar.contacts == {"sip:bob@192.0.2.202:5060": 3600}


def test_2_4_cancellation_of_registration(wire: Wire, bob: User, registrar: Registrar) -> None:
    register(bob)
    wire.sent.clear()
    bob.do(bob.endpoint.unregister, "bob")
    wire.run(0.1)
    assert figure(wire, bob=bob, registrar=registrar) == ["bob -> registrar REGISTER", "registrar -> bob 200"]
    (removal,) = sent_by_bob(wire, bob)
    assert (removal.get("expires"), removal.items("contact")) == ("0", ["<sip:bob@192.0.2.201:5060>"])
    assert registrar.contacts == {}
    assert bob.endpoint.registration_state("bob") is RegistrationState.UNREGISTERED


def test_2_5_unsuccessful_registration(wire: Wire, registrar: Registrar) -> None:
    bob = phone(wire, "forgotten")
    register(bob)
    wire.run(600)
    assert figure(wire, bob=bob, registrar=registrar) == [
        "bob -> registrar REGISTER",
        "registrar -> bob 401",
        "bob -> registrar REGISTER",
        "registrar -> bob 401",
    ]
    assert bob.told(RegistrationChanged)[-1] == RegistrationChanged(
        line="bob",
        state=RegistrationState.FAILED,
        status=SIPStatus.UNAUTHORIZED,
        phrase="Unauthorized",
        account_refused=True,
    )
    assert registrar.contacts == {}
