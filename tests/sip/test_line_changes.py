"""Lines that are added, changed and removed while calls go on, at a registrar that knows passwords."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.digest import Credentials, authorizations_of
from sip_bridge.sip.events import CallEnded, CallReceived, EndCause, RegistrationChanged, RegistrationState
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.line import DirectLine, RegisteredLine
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.uri import SIPURI
from tests.scenario import ANSWER, OFFER, PBX, Party, RawPeer, Wire, assert_nothing_left

OTHER = Hop(host="192.0.2.200")
REGISTERED = RegistrationState.REGISTERED


def line_of(
    user: str = "620",
    *,
    password: str | None = "secret",  # noqa: S107  # nobody's
    registrar: Hop = PBX,
    name: str = "Door",
) -> RegisteredLine:
    return RegisteredLine(
        id="line",
        user=user,
        display_name=name,
        domain=registrar.host,
        registrar=registrar,
        credentials=None if password is None else Credentials(username=user, password=password),
    )


LINE = line_of()
DIRECT = DirectLine(id="line", user="door", display_name="Door", allow_from=(ip_network("192.0.2.0/24"),))


class Registrar(RawPeer):
    """Lets whoever knows the password register; takes every SUBSCRIBE; answers nothing else by itself."""

    def __init__(self, wire: Wire, host: str = PBX.host) -> None:
        super().__init__(wire, host)
        self.password = "secret"
        self.on_request = self._register
        self.service_route: list[str] = []
        self.said: list[tuple[str, str, int]] = []  # of each REGISTER: its user, what it asks for, the answer

    def _register(self, request: SIPMessage) -> None:
        if request.method == "REGISTER":
            status = 200 if self.knows(request) else 401
            challenge = [] if status == 200 else ['WWW-Authenticate: Digest realm="pbx", nonce="n", qop="auth"']
            self.said.append((request.to.sip_uri.user or "", request.get("expires") or "", status))
            granted = [f"Contact: {request.get('contact')};expires={request.get('expires')}", *self.service_route]
            self.respond(request, status, headers=[*challenge, *granted], contact="")
        elif request.method == "SUBSCRIBE":
            self.respond(request, 200, headers=[f"Expires: {request.get('expires')}"])

    def knows(self, request: SIPMessage) -> bool:
        given = authorizations_of(request)
        return any(
            each.response
            == each.expected_response(Credentials(username=each.username, password=self.password), "REGISTER", b"")
            for each in given
        )


@pytest.fixture
def pbx(wire: Wire) -> Registrar:
    return Registrar(wire)


@pytest.fixture
def other(wire: Wire) -> Registrar:
    return Registrar(wire, OTHER.host)


@pytest.fixture
def carol(wire: Wire, pbx: Registrar) -> Party:
    """Registered as 620."""
    party = Party(wire, "192.0.2.3")
    party.endpoint.add_line(LINE)
    party.do(party.endpoint.register, "line")
    wire.run(0.1)
    party.events.clear()
    pbx.said.clear()
    return party


def change(wire: Wire, party: Party, line: RegisteredLine | DirectLine) -> None:
    party.do(party.endpoint.change_line, line)
    wire.run(1)


def states(party: Party) -> list[RegistrationState]:
    return [event.state for event in party.events if isinstance(event, RegistrationChanged)]


def talking(wire: Wire, carol: Party, pbx: Registrar) -> str:
    call = carol.endpoint.invite("line", "200", OFFER, wire.now)
    carol.drain()
    wire.run(0.1)
    pbx.respond(pbx.last("INVITE"), 200, content=ANSWER)
    wire.run(0.1)
    return call


def rings(wire: Wire, peer: RawPeer, party: Party, user: str, call_id: str) -> bool:
    """Whether an INVITE for a user makes a call."""
    peer.request(party, "INVITE", uri=f"sip:{user}@{party.address[0]}", call_id=call_id, content=OFFER)
    wire.run(0.1)
    return any(isinstance(event, CallReceived) and event.call == call_id for event in party.events)


def test_another_name_is_told_at_once_and_registers_nothing(wire: Wire, carol: Party, pbx: Registrar) -> None:
    change(wire, carol, line_of(name="Gate"))
    assert (states(carol), pbx.said) == ([], [])
    talking(wire, carol, pbx)
    assert pbx.last("INVITE").from_.display_name == "Gate"


def test_another_password_registers_anew_in_place(wire: Wire, carol: Party, pbx: Registrar) -> None:
    pbx.password = "new"
    change(wire, carol, line_of(password="new"))
    assert pbx.said == [("620", "300", 401), ("620", "300", 200)]
    assert states(carol) == [RegistrationState.REGISTERING, REGISTERED]


def test_a_call_that_is_up_answers_a_challenge_with_the_new_password(wire: Wire, carol: Party, pbx: Registrar) -> None:
    call = talking(wire, carol, pbx)
    pbx.password = "new"
    change(wire, carol, line_of(password="new"))
    carol.do(carol.endpoint.hangup, call)
    wire.run(0.1)
    pbx.respond(pbx.last("BYE"), 401, headers=['WWW-Authenticate: Digest realm="pbx", nonce="m", qop="auth"'])
    wire.run(0.1)
    bye = pbx.last("BYE")
    (given,) = authorizations_of(bye)
    assert given.response == given.expected_response(Credentials(username="620", password="new"), "BYE", b"")
    pbx.respond(bye, 200)
    wire.run(0.1)
    assert carol.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)]


def test_a_refused_account_tries_again_with_another_password(wire: Wire, carol: Party, pbx: Registrar) -> None:
    pbx.password = "new"
    change(wire, carol, line_of(password="wrong"))
    assert states(carol)[-1] is RegistrationState.FAILED
    change(wire, carol, line_of(password="new"))
    assert states(carol)[-1] is REGISTERED


def test_a_line_that_was_unregistered_by_order_stays_so(
    wire: Wire, carol: Party, pbx: Registrar, other: Registrar
) -> None:
    carol.do(carol.endpoint.unregister, "line")
    wire.run(0.1)
    pbx.said.clear()
    change(wire, carol, replace(LINE, expires=60))
    change(wire, carol, line_of(registrar=OTHER))
    assert (pbx.said, other.said) == ([], [])
    carol.do(carol.endpoint.register, "line")
    wire.run(0.1)
    assert other.said[-1] == ("620", "300", 200)


def test_another_user_leaves_the_former_binding_first(wire: Wire, carol: Party, pbx: Registrar) -> None:
    change(wire, carol, line_of("621"))
    assert pbx.said == [("620", "0", 200), ("621", "300", 401), ("621", "300", 200)]
    assert states(carol) == [RegistrationState.REGISTERING, REGISTERED]
    assert rings(wire, pbx, carol, "621", "a")


def test_another_registrar_leaves_the_former_one_and_its_calls_go_on(
    wire: Wire, carol: Party, pbx: Registrar, other: Registrar
) -> None:
    call = talking(wire, carol, pbx)
    change(wire, carol, line_of(registrar=OTHER))
    assert (pbx.said, other.said[-1]) == ([("620", "0", 200)], ("620", "300", 200))
    assert not rings(wire, pbx, carol, "620", "a")  # a stranger now: it gets no answer
    assert rings(wire, other, carol, "620", "b")
    pbx.request(
        carol,
        "BYE",
        uri="sip:620@192.0.2.3",
        call_id=pbx.last("INVITE").call_id,
        from_tag="raw",
        to_tag=pbx.last("INVITE").from_.tag,
    )
    wire.run(0.1)
    assert CallEnded(call=call, cause=EndCause.HANGUP_REMOTE) in carol.events
    assert pbx.words[-1] == "200"


def test_the_former_registrar_is_still_told_the_password_by_the_calls_that_it_has(
    wire: Wire, carol: Party, pbx: Registrar, other: Registrar
) -> None:
    call = talking(wire, carol, pbx)
    change(wire, carol, line_of(registrar=OTHER, password="other"))
    carol.do(carol.endpoint.hangup, call)
    wire.run(0.1)
    pbx.respond(pbx.last("BYE"), 401, headers=['WWW-Authenticate: Digest realm="pbx", nonce="m", qop="auth"'])
    wire.run(0.1)
    (given,) = authorizations_of(pbx.last("BYE"))
    assert given.response == given.expected_response(Credentials(username="620", password="secret"), "BYE", b"")


def test_another_outbound_proxy_is_the_way_from_then_on(
    wire: Wire, carol: Party, pbx: Registrar, other: Registrar
) -> None:
    change(wire, carol, replace(LINE, outbound_proxy=SIPURI(host=OTHER.host, params=(("lr", None),))))
    assert (pbx.said, other.said[-1]) == ([("620", "0", 200)], ("620", "300", 200))


def test_a_service_route_outlives_a_change_of_the_password(wire: Wire, carol: Party, pbx: Registrar) -> None:
    pbx.service_route = ["Service-Route: <sip:192.0.2.100;lr>"]
    change(wire, carol, replace(LINE, expires=60))
    change(wire, carol, replace(LINE, expires=60, display_name="Gate"))
    talking(wire, carol, pbx)
    assert pbx.last("INVITE").get("route") == "<sip:192.0.2.100;lr>"


def test_credentials_may_come_and_go(wire: Wire, carol: Party, pbx: Registrar) -> None:
    change(wire, carol, line_of(password=None))
    assert states(carol)[-1] is RegistrationState.FAILED
    change(wire, carol, LINE)
    assert states(carol)[-1] is REGISTERED
    change(wire, carol, line_of("621", password=None))
    change(wire, carol, DIRECT)
    assert carol.endpoint.registrar_flows() == frozenset()


def test_a_registered_line_may_become_a_direct_one_and_back(
    wire: Wire, carol: Party, pbx: Registrar, raw: RawPeer
) -> None:
    change(wire, carol, DIRECT)
    assert (pbx.said, states(carol)) == ([("620", "0", 200)], [])
    assert rings(wire, raw, carol, "door", "a")
    with pytest.raises(InvalidStateError):
        carol.endpoint.registration_state("line")
    change(wire, carol, LINE)
    assert carol.endpoint.registration_state("line") is REGISTERED
    raw.received.clear()
    raw.request(carol, "INVITE", uri="sip:door@192.0.2.3", call_id="b", content=OFFER)
    wire.run(0.1)
    assert raw.received == []


def test_a_direct_line_is_called_by_its_new_name(wire: Wire, raw: RawPeer) -> None:
    bob = Party(wire, "192.0.2.2")
    bob.endpoint.add_line(DIRECT)
    bob.do(bob.endpoint.change_line, replace(DIRECT, user="gate"))
    assert not rings(wire, raw, bob, "door", "a")
    assert rings(wire, raw, bob, "gate", "b")


def test_a_removed_line_is_called_no_more_and_deregistered_without_a_word(
    wire: Wire, carol: Party, pbx: Registrar
) -> None:
    carol.do(carol.endpoint.remove_line, "line")
    wire.run(1)
    assert (pbx.said, list(carol.events)) == ([("620", "0", 200)], [])
    assert not rings(wire, pbx, carol, "620", "a")
    assert_nothing_left(wire, carol)


def test_a_line_that_never_registered_is_removed_in_silence(wire: Wire, pbx: Registrar) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.endpoint.add_line(LINE)
    carol.do(carol.endpoint.remove_line, "line")
    wire.run(1)
    assert (pbx.received, list(carol.events)) == ([], [])


def test_a_registrar_that_is_away_hears_of_the_end_as_often_as_sip_wants(
    wire: Wire, carol: Party, pbx: Registrar
) -> None:
    wire.drops = lambda sent: True
    carol.do(carol.endpoint.remove_line, "line")
    assert_nothing_left(wire, carol)
    assert list(carol.events) == []


def test_calls_of_a_removed_line_can_still_be_hung_up(wire: Wire, carol: Party, pbx: Registrar) -> None:
    call = talking(wire, carol, pbx)
    carol.do(carol.endpoint.remove_line, "line")
    carol.do(carol.endpoint.hangup, call)
    wire.run(0.1)
    pbx.respond(pbx.last("BYE"), 200)
    assert carol.told(CallEnded) == [CallEnded(call=call, cause=EndCause.HANGUP_LOCAL)]
    assert_nothing_left(wire, carol)


def test_a_line_may_come_back_under_its_id(wire: Wire, carol: Party, pbx: Registrar) -> None:
    carol.do(carol.endpoint.remove_line, "line")
    carol.endpoint.add_line(LINE)
    carol.do(carol.endpoint.register, "line")
    wire.run(1)
    assert states(carol)[-1] is REGISTERED


def test_only_a_line_that_is_there_can_be_changed_or_removed(wire: Wire, carol: Party) -> None:
    with pytest.raises(InvalidStateError):
        carol.endpoint.change_line(replace(LINE, id="gone"), wire.now)
    with pytest.raises(InvalidStateError):
        carol.endpoint.remove_line("gone", wire.now)


def test_the_first_line_takes_a_call_that_names_nobody(wire: Wire, raw: RawPeer) -> None:
    bob = Party(wire, "192.0.2.2")
    for user in ("a", "b"):
        bob.add_direct_line(user)
    bob.endpoint.order_lines(["b", "a"])
    raw.request(bob, "INVITE", uri="sip:192.0.2.2", content=OFFER)
    wire.run(0.1)
    assert [event.line for event in bob.events if isinstance(event, CallReceived)] == ["b"]


def notify(wire: Wire, pbx: Registrar, party: Party) -> None:
    """The first NOTIFY: only then there is a subscription to end."""
    subscribe = pbx.last("SUBSCRIBE")
    pbx.request(
        party,
        "NOTIFY",
        uri="sip:620@192.0.2.3",
        call_id=subscribe.call_id,
        to_tag=subscribe.from_.tag,
        headers=["Event: message-summary", "Subscription-State: active"],
        content=b"Messages-Waiting: no\r\n",
        content_type="application/simple-message-summary",
    )
    wire.run(0.1)


def test_a_mailbox_is_followed_as_soon_as_that_is_wanted_and_no_longer(
    wire: Wire, carol: Party, pbx: Registrar
) -> None:
    asked = replace(LINE, message_waiting=True)
    change(wire, carol, asked)
    notify(wire, pbx, carol)
    change(wire, carol, replace(asked, display_name="Gate"))
    change(wire, carol, LINE)
    assert [each.get("expires") for each in pbx.received if each.method == "SUBSCRIBE"] == ["3600", "0"]
    assert pbx.said == []


def test_the_mailbox_of_another_registrar_is_followed_once_it_knows_the_line(
    wire: Wire, carol: Party, pbx: Registrar, other: Registrar
) -> None:
    change(wire, carol, replace(LINE, message_waiting=True))
    notify(wire, pbx, carol)
    change(wire, carol, replace(line_of(registrar=OTHER), message_waiting=True))
    assert (pbx.last("SUBSCRIBE").get("expires"), other.last("SUBSCRIBE").get("expires")) == ("0", "3600")


def test_a_removed_line_calls_nobody(wire: Wire, carol: Party, pbx: Registrar) -> None:
    carol.do(carol.endpoint.remove_line, "line")
    with pytest.raises(InvalidStateError):
        carol.endpoint.invite("line", "200", OFFER, wire.now)
