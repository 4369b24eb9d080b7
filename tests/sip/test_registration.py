"""Registration (RFC 3261 §10) at a scripted registrar."""

import re
from collections.abc import Callable, Iterable

import pytest

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.events import RegistrationChanged, RegistrationState
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI
from tests.scenario import PBX, Party, RawPeer, Wire, assert_nothing_left

Answer = tuple[int, list[str]]
OURS = "Contact: <sip:620@192.0.2.3:5060>;expires={}"


def challenge(nonce: str, *, more: str = "") -> Answer:
    return 401, [f'WWW-Authenticate: Digest realm="pbx", nonce="{nonce}", qop="auth"{more}']


class Registrar(RawPeer):
    """Answers each REGISTER with the next of ``answers``; the last one stays."""

    def __init__(self, wire: Wire, answers: Iterable[Answer | None]) -> None:
        super().__init__(wire, PBX.host)
        self.answers = list(answers)
        self.on_request = self._answer
        self.at: list[float] = []

    def _answer(self, request: SIPMessage) -> None:
        self.at.append(round(self.wire.now, 3))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            status, headers = answer
            self.respond(request, status, headers=headers, contact="")

    @property
    def intervals(self) -> list[float]:
        return [round(b - a, 2) for a, b in zip(self.at, self.at[1:], strict=False)]

    @property
    def expires(self) -> list[str | None]:
        return [message.get("expires") for message in self.received]


@pytest.fixture
def carol(wire: Wire) -> Party:
    party = Party(wire, "192.0.2.3")
    party.add_registered_line("620")
    return party


def states(party: Party) -> list[RegistrationState]:
    return [event.state for event in party.events if isinstance(event, RegistrationChanged)]


GRANTED: Answer = (200, [OURS.format(300)])


def test_a_challenged_registration_succeeds_and_is_told(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [challenge("n1"), GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(1)
    assert list(carol.events) == [
        RegistrationChanged(line="620", state=RegistrationState.REGISTERING),
        RegistrationChanged(
            line="620", state=RegistrationState.REGISTERED, status=SIPStatus.OK, phrase="OK", expires_in=300.0
        ),
    ]
    assert carol.endpoint.registration_state("620") is RegistrationState.REGISTERED
    assert registrar.words == ["REGISTER", "REGISTER"]


def test_register_names_no_user_in_its_request_uri(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(1)
    first = registrar.received[0]
    assert first.uri == "sip:192.0.2.100"
    assert (first.to.uri, first.from_.uri) == ("sip:620@192.0.2.100", "sip:620@192.0.2.100")
    assert (first.get("contact"), first.get("expires")) == ("<sip:620@192.0.2.3:5060>", "300")
    assert first.to.tag is None


def test_it_is_refreshed_five_seconds_before_the_granted_end_under_one_call_id(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [challenge("n1"), GRANTED, (200, [OURS.format(60)]), GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(295 + 55 + 295 + 1)
    assert registrar.intervals == [0.02, 295.02, 55.02, 295.02]
    assert len({message.call_id for message in registrar.received}) == 1
    assert len({message.from_.tag for message in registrar.received}) == 1
    assert len({message.via.branch for message in registrar.received}) == 5
    assert [message.cseq.number for message in registrar.received] == [1, 2, 3, 4, 5]
    counts = [re.findall("nc=(........)", message.get("authorization") or "") for message in registrar.received]
    assert counts == [[], ["00000001"], ["00000002"], ["00000003"], ["00000004"]]


@pytest.mark.parametrize(
    ("headers", "granted"),
    [
        ([OURS.format(120)], 120),
        (["Contact: <sip:620@192.0.2.3>;expires=120"], 120),
        (["Contact: <sip:620@192.0.2.9:5060>;expires=9, <sip:620@192.0.2.3:5060;x=y>;q=1;expires=120"], 120),
        (["Contact: <sip:620@192.0.2.9:5060>;expires=9", OURS.format(120), "Expires: 7"], 120),
        (["Contact: <mailto:620@example.com>;expires=9", "Contact: <sip:>;expires=8", OURS.format(120)], 120),
        (['Contact: "open <sip:620@192.0.2.3>;expires=9', OURS.format(120)], 120),
        (["Contact: <sip:621@192.0.2.3:5060>;expires=9", "Expires: 150"], 150),
        (["Expires: 150"], 150),
        (["Expires: soon"], 300),
        ([], 300),
        ([OURS.format("x"), "Expires: 150"], 150),
        ([OURS.format("99999999999999999999")], 86400),
        (["Contact: <sip:620@192.0.2.3:5060;line=x>;expires=9"], 9),
    ],
)
def test_the_expiry_is_that_of_our_own_contact(wire: Wire, carol: Party, headers: list[str], granted: float) -> None:
    Registrar(wire, [(200, headers)])
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    assert carol.events[-1] == RegistrationChanged(
        line="620", state=RegistrationState.REGISTERED, status=SIPStatus.OK, phrase="OK", expires_in=float(granted)
    )


@pytest.mark.parametrize(("granted", "refresh"), [(3600, 3595), (11, 6), (10, 5), (4, 2), (1, 1)])
def test_a_short_grant_is_refreshed_in_time_without_haste(
    wire: Wire, carol: Party, granted: int, refresh: float
) -> None:
    registrar = Registrar(wire, [(200, [OURS.format(granted)])])
    carol.do(carol.endpoint.register, "620")
    wire.run(refresh + 0.5)
    assert registrar.intervals == [round(refresh + 0.02, 2)]


def test_a_binding_that_is_granted_for_no_time_is_none(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [(200, [OURS.format(0)]), (200, [OURS.format(0)]), GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(10)
    assert states(carol) == [
        RegistrationState.REGISTERING,
        RegistrationState.FAILED,
        RegistrationState.FAILED,
        RegistrationState.REGISTERED,
    ]
    assert all(ideal / 2 <= wait <= ideal + 0.1 for ideal, wait in zip([2, 4], registrar.intervals, strict=True))


def test_a_registrar_that_does_not_list_our_binding_is_believed_and_counted(wire: Wire, carol: Party) -> None:
    Registrar(wire, [(200, ["Expires: 150"])])
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    assert carol.endpoint.registration_state("620") is RegistrationState.REGISTERED
    assert carol.endpoint.counters["own_binding_not_listed"] == 1


def test_it_says_that_path_is_understood(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [(200, ["Path: <sip:192.0.2.88;lr>", OURS.format(300)])])
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    assert registrar.received[0].get("supported") == "path"
    assert carol.endpoint.registration_state("620") is RegistrationState.REGISTERED


def test_a_new_nonce_at_a_refresh_is_answered(wire: Wire, carol: Party) -> None:
    answers = [challenge("n1"), GRANTED, challenge("n2"), GRANTED, challenge("n2", more=", stale=true"), GRANTED]
    registrar = Registrar(wire, answers)
    carol.do(carol.endpoint.register, "620")
    wire.run(600)
    nonces = [re.findall('nonce="(n.)"', message.get("authorization") or "") for message in registrar.received]
    assert nonces == [[], ["n1"], ["n1"], ["n2"], ["n2"], ["n2"]]
    assert states(carol) == [RegistrationState.REGISTERING] + [RegistrationState.REGISTERED] * 3


@pytest.mark.parametrize(
    "answers",
    [
        [challenge("n1"), challenge("n1")],
        [challenge("n1"), challenge("n2")],
        [challenge("n1"), (403, [])],
        [(403, [])],
    ],
)
def test_a_wrong_password_is_told_apart_and_not_tried_again(
    wire: Wire, carol: Party, answers: list[Answer | None]
) -> None:
    registrar = Registrar(wire, answers)
    attempts = len(answers)
    carol.do(carol.endpoint.register, "620")
    wire.run(100_000)
    assert len(registrar.received) == attempts
    status = SIPStatus(answers[-1][0] if answers[-1] else 0)
    assert carol.events[-1] == RegistrationChanged(
        line="620",
        state=RegistrationState.FAILED,
        status=status,
        phrase=status.phrase,
        account_refused=True,
    )
    assert_nothing_left(wire, carol)


def test_a_password_that_became_wrong_is_told_at_the_refresh(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [challenge("n1"), GRANTED, challenge("n2"), challenge("n3")])
    carol.do(carol.endpoint.register, "620")
    wire.run(100_000)
    assert len(registrar.received) == 4
    assert [event.account_refused for event in carol.events if isinstance(event, RegistrationChanged)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "answer",
    [
        (401, []),
        (401, ["WWW-Authenticate: Digest nonsense"]),
        (401, ["WWW-Authenticate: Basic realm=pbx"]),
        challenge("n1", more=", stale=true"),
    ],
)
def test_a_challenge_that_is_none_or_always_stale_does_not_end_the_registration(
    wire: Wire, carol: Party, answer: Answer
) -> None:
    Registrar(wire, [*[answer] * 5, GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(60)
    assert states(carol)[:2] == [RegistrationState.REGISTERING, RegistrationState.FAILED]
    assert states(carol)[-1] is RegistrationState.REGISTERED


def test_an_account_without_password_that_is_challenged_is_refused(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", password=None)
    registrar = Registrar(wire, [challenge("n1")])
    carol.do(carol.endpoint.register, "620")
    wire.run(1000)
    assert len(registrar.received) == 1
    assert [event.account_refused for event in carol.events if isinstance(event, RegistrationChanged)] == [False, True]


def test_a_challenge_from_elsewhere_is_no_refusal_of_the_account(wire: Wire, carol: Party, raw: RawPeer) -> None:
    registrar = Registrar(wire, [None, GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    raw.respond(registrar.received[0], 401, headers=challenge("evil")[1])
    wire.run(10)
    assert states(carol) == [
        RegistrationState.REGISTERING,
        RegistrationState.FAILED,
        RegistrationState.REGISTERED,
    ]
    assert carol.endpoint.counters == {"challenges_from_elsewhere": 1}
    assert [message.get("authorization") for message in registrar.received] == [None, None]


def test_too_brief_an_interval_is_raised_to_what_the_registrar_wants(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [(423, ["Min-Expires: 1800"]), (200, []), (200, [])])
    carol.do(carol.endpoint.register, "620")
    wire.run(1800)
    assert registrar.expires == ["300", "1800", "1800"]
    assert registrar.intervals == [0.02, 1795.02]


def test_a_423_that_does_not_say_what_it_wants_is_retried_later(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [(423, []), GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(5)
    assert states(carol)[-2:] == [RegistrationState.FAILED, RegistrationState.REGISTERED]
    assert registrar.expires == ["300", "300"]


@pytest.mark.parametrize("answer", [(503, []), (500, []), (404, []), (302, []), (480, ["Retry-After: nonsense"])])
def test_failures_back_off_with_jitter_for_ever_and_recover(wire: Wire, carol: Party, answer: Answer) -> None:
    registrar = Registrar(wire, [*[answer] * 12, GRANTED, answer, GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(2000)
    ideal = [2, 4, 8, 16, 32, 64, 120, 120, 120, 120, 120, 120]
    waits = registrar.intervals[:12]
    assert all(i / 2 <= wait <= i + 0.03 for i, wait in zip(ideal, waits, strict=True))
    assert waits != [i + 0.02 for i in ideal]
    assert registrar.intervals[12:14] != []
    assert registrar.intervals[13] <= 2.03
    assert carol.endpoint.registration_state("620") is RegistrationState.REGISTERED


def test_each_failure_is_told_with_the_time_of_the_next_attempt(wire: Wire, carol: Party) -> None:
    Registrar(wire, [(503, ["Retry-After: 33 (later)"])])
    carol.do(carol.endpoint.register, "620")
    wire.run(1)
    assert carol.events[-1] == RegistrationChanged(
        line="620",
        state=RegistrationState.FAILED,
        status=SIPStatus.SERVICE_UNAVAILABLE,
        phrase="Service Unavailable",
        retry_in=33.0,
    )


def test_retry_after_is_respected_and_bounded(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [(503, ["Retry-After: 333;duration=3"]), (503, ["Retry-After: 99999999999999"])])
    carol.do(carol.endpoint.register, "620")
    wire.run(87000)
    assert registrar.intervals == [333.02, 86400.02]


def test_a_silent_registrar_is_tried_for_ever_and_found_when_it_returns(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [*[None] * 60, GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(1000)
    assert states(carol)[:3] == [RegistrationState.REGISTERING, RegistrationState.FAILED, RegistrationState.FAILED]
    assert states(carol)[-1] is RegistrationState.REGISTERED
    assert len({message.call_id for message in registrar.received}) == 1


def test_an_unresolvable_registrar_is_tried_again(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", registrar=Hop(host="pbx.invalid"))
    carol.do(carol.endpoint.register, "620")
    wire.run(10)
    assert states(carol)[:2] == [RegistrationState.REGISTERING, RegistrationState.FAILED]
    registrar = Registrar(wire, [GRANTED])
    carol.hosts["pbx.invalid"] = (registrar.address,)
    wire.run(200)
    assert states(carol)[-1] is RegistrationState.REGISTERED


def test_a_second_address_of_the_registrar_is_tried(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", registrar=Hop(host="pbx.example"))
    registrar = Registrar(wire, [GRANTED])
    carol.hosts["pbx.example"] = (("192.0.2.99", 5060), registrar.address)
    carol.do(carol.endpoint.register, "620")
    wire.run(33)
    assert states(carol) == [RegistrationState.REGISTERING, RegistrationState.REGISTERED]


def test_through_an_outbound_proxy_it_carries_a_route(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    proxy = SIPURI(host="192.0.2.80", params=(("lr", None),))
    carol.add_registered_line("620", outbound_proxy=proxy)
    carol.do(carol.endpoint.register, "620")
    sent = wire.sent[-1]
    assert (sent.destination, sent.message.uri) == (("192.0.2.80", 5060), "sip:192.0.2.100")
    assert sent.message.get("route") == "<sip:192.0.2.80;lr>"


def test_stopping_removes_the_binding(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [challenge("n1"), GRANTED, challenge("n2"), (200, [])])
    carol.do(carol.endpoint.register, "620")
    wire.run(1)
    carol.do(carol.endpoint.unregister, "620")
    wire.run(1)
    assert registrar.expires == ["300", "300", "0", "0"]
    assert states(carol)[-1] is RegistrationState.UNREGISTERED
    assert_nothing_left(wire, carol)


@pytest.mark.parametrize("answer", [None, (503, []), (403, []), (401, [])])
def test_stopping_ends_whatever_the_registrar_says(wire: Wire, carol: Party, answer: Answer | None) -> None:
    registrar = Registrar(wire, [GRANTED, answer])
    carol.do(carol.endpoint.register, "620")
    wire.run(1)
    carol.do(carol.endpoint.unregister, "620")
    wire.run(40)
    assert carol.endpoint.registration_state("620") is RegistrationState.UNREGISTERED
    assert registrar.expires[1] == "0"
    assert_nothing_left(wire, carol)


def test_stopping_while_the_first_answer_is_awaited_removes_what_may_come_of_it(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [(100, []), (200, [])])
    carol.do(carol.endpoint.register, "620")
    carol.do(carol.endpoint.unregister, "620")
    wire.run(1)
    registrar.respond(registrar.received[0], 200)
    wire.run(1)
    assert registrar.expires == ["300", "0"]
    assert states(carol) == [RegistrationState.REGISTERING, RegistrationState.UNREGISTERED]
    assert carol.endpoint.counters == {"stray_responses": 2}


def test_stopping_in_a_back_off_sends_nothing(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [(503, [])])
    carol.do(carol.endpoint.register, "620")
    wire.run(0.5)
    carol.do(carol.endpoint.unregister, "620")
    wire.run(1000)
    assert len(registrar.received) == 1
    assert states(carol)[-1] is RegistrationState.UNREGISTERED


def test_stopping_during_a_retry_removes_what_may_come_of_it(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [(503, []), None, None, (200, [])])
    carol.do(carol.endpoint.register, "620")
    wire.run(2.3)
    carol.do(carol.endpoint.unregister, "620")
    wire.run(1)
    assert registrar.expires == ["300", "300", "300", "0"]
    assert states(carol)[-1] is RegistrationState.UNREGISTERED


def test_it_can_be_started_again(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [GRANTED])
    for order in orders(carol) * 2:
        carol.do(order, "620")
        wire.run(1)
    assert registrar.expires == ["300", "0", "300", "0"]
    assert [message.cseq.number for message in registrar.received] == [1, 2, 3, 4]
    assert (
        states(carol)
        == [
            RegistrationState.REGISTERING,
            RegistrationState.REGISTERED,
            RegistrationState.UNREGISTERED,
        ]
        * 2
    )


def orders(party: Party) -> list[Callable[..., None]]:
    return [party.endpoint.register, party.endpoint.unregister]


def test_after_a_refusal_it_can_be_started_again(wire: Wire, carol: Party) -> None:
    Registrar(wire, [(403, []), GRANTED])
    carol.do(carol.endpoint.register, "620")
    wire.run(1)
    carol.do(carol.endpoint.register, "620")
    wire.run(1)
    assert states(carol)[-2:] == [RegistrationState.REGISTERING, RegistrationState.REGISTERED]


def test_a_direct_line_has_no_registrar(alice: Party) -> None:
    with pytest.raises(InvalidStateError, match="line alice has no registrar"):
        alice.endpoint.register("alice", 0)


def test_stopping_before_the_registrar_is_resolved_sends_nothing_of_the_first_request(wire: Wire, carol: Party) -> None:
    registrar = Registrar(wire, [(200, [])])
    carol.resolves = False
    carol.do(carol.endpoint.register, "620")
    carol.do(carol.endpoint.unregister, "620")
    carol.resolve_now()
    wire.run(1)
    assert registrar.expires == ["0"]
    assert states(carol) == [RegistrationState.REGISTERING, RegistrationState.UNREGISTERED]
