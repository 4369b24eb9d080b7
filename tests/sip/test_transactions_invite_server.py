"""RFC 3261 figure 7 with RFC 6026's Accepted state."""

from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.invite_server import State
from tests.sip.machines import Bench


def test_100_goes_out_by_itself_after_200_ms() -> None:
    bench = Bench()
    bench.run(bench.invite_server())
    assert bench.sent == [(0.2, "100")]


def test_no_100_when_the_user_answers_within_200_ms() -> None:
    bench = Bench()
    machine = bench.invite_server()
    bench.now = 0.1
    machine.respond(SIPStatus.RINGING, b"180", 0.1)
    bench.run(machine)
    assert bench.sent == [(0.1, "180")]


def test_a_retransmitted_invite_gets_the_last_provisional_response() -> None:
    bench = Bench()
    machine = bench.invite_server()
    machine.respond(SIPStatus.RINGING, b"180", 0)
    bench.now = 0.5
    machine.receive_invite(bench.now)
    assert bench.sent == [(0, "180"), (0.5, "180")]


def test_an_invite_retransmitted_before_any_response_gets_100_once() -> None:
    bench = Bench()
    machine = bench.invite_server()
    bench.now = 0.1
    machine.receive_invite(bench.now)
    bench.run(machine)
    assert bench.sent == [(0.1, "100")]


def test_an_unacknowledged_refusal_is_retransmitted_by_timer_g_until_timer_h() -> None:
    bench = Bench()
    machine = bench.invite_server()
    machine.respond(SIPStatus.BUSY_HERE, b"486", 0)
    bench.run(machine)
    assert bench.instants("486") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.timed_out_at == [32.0]
    assert machine.state is State.TERMINATED


def test_over_a_reliable_transport_a_refusal_is_sent_once_and_waits_for_its_ack_the_same() -> None:
    bench = Bench()
    machine = bench.invite_server(reliable=True)
    machine.respond(SIPStatus.BUSY_HERE, b"486", 0)
    bench.run(machine)
    assert bench.sent == [(0, "486")]
    assert bench.timed_out_at == [32.0]


def test_over_a_reliable_transport_the_ack_to_a_refusal_ends_it_at_once() -> None:
    bench = Bench()
    machine = bench.invite_server(reliable=True)
    machine.respond(SIPStatus.BUSY_HERE, b"486", 0)
    assert not machine.receive_ack(1.0)
    assert (machine.state, machine.deadline) == (State.TERMINATED, float("inf"))


def test_the_ack_to_a_refusal_stops_it_and_timer_i_absorbs_more_acks() -> None:
    bench = Bench()
    machine = bench.invite_server()
    machine.respond(SIPStatus.BUSY_HERE, b"486", 0)
    bench.run(machine, until=0.9)
    bench.now = 1.0
    assert not machine.receive_ack(1.0)
    assert not machine.receive_ack(1.0)
    assert (machine.state, machine.deadline) == (State.CONFIRMED, 6.0)
    machine.receive_invite(bench.now)
    bench.run(machine)
    assert bench.timed_out_at == []
    assert machine.state is State.TERMINATED
    assert len(bench.sent) == 2


def test_a_retransmitted_invite_gets_the_refusal_again() -> None:
    bench = Bench()
    machine = bench.invite_server()
    machine.respond(SIPStatus.BUSY_HERE, b"486", 0)
    bench.now = 0.3
    machine.receive_invite(bench.now)
    assert bench.sent == [(0, "486"), (0.3, "486")]


def test_after_a_2xx_invites_are_absorbed_and_acks_go_up_until_timer_l() -> None:
    bench = Bench()
    machine = bench.invite_server()
    machine.respond(SIPStatus.OK, b"200", 0)
    machine.receive_invite(bench.now)
    assert machine.receive_ack(0.1)
    assert machine.receive_ack(0.2)
    assert (machine.state, machine.deadline) == (State.ACCEPTED, 32.0)
    assert bench.sent == [(0, "200")]
    bench.run(machine)
    assert machine.state is State.TERMINATED
    assert bench.timed_out_at == []
    assert not machine.receive_ack(bench.now)


def test_the_user_may_send_its_2xx_again_but_no_other_final_response() -> None:
    bench = Bench()
    machine = bench.invite_server()
    machine.respond(SIPStatus.OK, b"200", 0)
    machine.respond(SIPStatus.OK, b"200", 0.5)
    machine.respond(SIPStatus.BUSY_HERE, b"486", 0.6)
    assert [data for _, data in bench.sent] == ["200", "200"]


def test_nothing_follows_a_refusal() -> None:
    bench = Bench()
    machine = bench.invite_server()
    machine.respond(SIPStatus.BUSY_HERE, b"486", 0)
    machine.respond(SIPStatus.OK, b"200", 0.1)
    assert bench.sent == [(0, "486")]


def test_a_terminated_machine_is_silent() -> None:
    bench = Bench()
    machine = bench.invite_server()
    machine.terminate()
    machine.receive_invite(bench.now)
    bench.run(machine)
    assert (machine.state, bench.sent) == (State.TERMINATED, [])


def test_a_tick_before_its_time_does_nothing() -> None:
    bench = Bench()
    machine = bench.invite_server()
    sent = list(bench.sent)
    assert not machine.tick(0.1)
    assert bench.sent == sent
