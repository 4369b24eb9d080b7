"""RFC 3261 figure 5 with RFC 6026's Accepted state."""

import pytest

from sip_bridge.sip.timers import Timers
from sip_bridge.sip.transactions.invite_client import State
from tests.sip.machines import Bench, response


def test_unanswered_invite_is_retransmitted_by_timer_a_and_times_out_after_64_t1() -> None:
    bench = Bench()
    machine = bench.invite_client()
    bench.run(machine)
    assert bench.sent == [(at, "INVITE") for at in (0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5)]
    assert bench.timed_out_at == [32.0]
    assert machine.state is State.TERMINATED


def test_over_a_reliable_transport_the_invite_is_sent_once_and_times_out_the_same() -> None:
    bench = Bench()
    machine = bench.invite_client(reliable=True)
    bench.run(machine)
    assert bench.sent == [(0, "INVITE")]
    assert bench.timed_out_at == [32.0]


def test_another_t1_scales_every_timer() -> None:
    bench = Bench()
    machine = bench.invite_client(timers=Timers(t1=0.25))
    bench.run(machine)
    assert bench.instants("INVITE") == [0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75]
    assert bench.timed_out_at == [16.0]


def test_a_provisional_response_stops_retransmission_and_the_time_out() -> None:
    bench = Bench()
    machine = bench.invite_client()
    bench.run(machine, until=0.7)
    assert machine.receive(response(100), bench.now)
    assert machine.receive(response(180), bench.now)
    bench.run(machine)
    assert bench.instants("INVITE") == [0, 0.5]
    assert bench.timed_out_at == []
    assert machine.state is State.PROCEEDING


def test_a_refusal_is_acknowledged_and_absorbed_for_timer_d() -> None:
    bench = Bench()
    machine = bench.invite_client()
    bench.run(machine, until=0.1)
    machine.receive(response(180), bench.now)
    bench.run(machine, until=10.0)
    assert machine.receive(response(486), bench.now)
    assert (machine.state, machine.deadline) == (State.COMPLETED, 42.0)
    bench.run(machine)
    assert bench.sent == [(0, "INVITE"), (10.0, "ACK to 486")]
    assert machine.state is State.TERMINATED
    assert bench.timed_out_at == []


def test_each_retransmission_of_a_refusal_gets_the_ack_again_and_stays_below() -> None:
    bench = Bench()
    machine = bench.invite_client()
    machine.receive(response(486), 0)
    bench.now = 0.5
    assert not machine.receive(response(486), 0.5)
    assert not machine.receive(response(180), 0.6)
    assert not machine.receive(response(200), 0.7)
    assert bench.sent == [(0, "INVITE"), (0, "ACK to 486"), (0.5, "ACK to 486")]


def test_every_2xx_goes_up_until_timer_m() -> None:
    bench = Bench()
    machine = bench.invite_client()
    bench.run(machine, until=1.0)
    assert [machine.receive(response(200), 1.0), machine.receive(response(200), 1.5)] == [True, True]
    assert not machine.receive(response(180), 2.0)
    assert not machine.receive(response(486), 2.0)
    assert (machine.state, machine.deadline) == (State.ACCEPTED, 33.0)
    bench.run(machine)
    assert machine.state is State.TERMINATED
    assert not machine.receive(response(200), bench.now)
    assert bench.instants("INVITE") == [0, 0.5]
    assert bench.timed_out_at == []


def test_after_a_cancel_without_final_response_it_times_out() -> None:
    bench = Bench()
    machine = bench.invite_client()
    machine.receive(response(180), 0)
    machine.give_up_at(40.0)
    bench.run(machine)
    assert bench.timed_out_at == [40.0]


def test_a_provisional_response_after_the_cancel_brings_no_more_time() -> None:
    bench = Bench()
    machine = bench.invite_client()
    machine.receive(response(180), 0)
    machine.give_up_at(40.0)
    assert machine.receive(response(183), 1.0)
    bench.run(machine)
    assert bench.timed_out_at == [40.0]


def test_over_a_reliable_transport_a_refusal_is_acknowledged_and_over_at_once() -> None:
    bench = Bench()
    machine = bench.invite_client(reliable=True)
    assert machine.receive(response(486), 1.0)
    assert (machine.state, machine.deadline) == (State.TERMINATED, float("inf"))
    assert [data for _, data in bench.sent] == ["INVITE", "ACK to 486"]


def test_a_late_tick_gives_up_without_calling_once_more() -> None:
    bench = Bench()
    machine = bench.invite_client()
    assert machine.tick(3600.0)
    assert (machine.state, bench.sent) == (State.TERMINATED, [(0, "INVITE")])


def test_giving_up_changes_nothing_once_a_final_response_is_there() -> None:
    bench = Bench()
    machine = bench.invite_client()
    machine.receive(response(200), 0)
    machine.give_up_at(40.0)
    assert machine.deadline == 32.0


@pytest.mark.parametrize("statuses", [[], [100, 180]])
def test_a_failed_transport_ends_it_and_its_user_is_told(statuses: list[int]) -> None:
    machine = Bench().invite_client()
    for status in statuses:
        machine.receive(response(status), 0)
    assert machine.fail(0.1)
    assert (machine.state, machine.deadline) == (State.TERMINATED, float("inf"))


@pytest.mark.parametrize(("status", "state"), [(200, State.ACCEPTED), (486, State.TERMINATED)])
def test_after_the_final_response_a_failed_transport_is_no_news(status: int, state: State) -> None:
    machine = Bench().invite_client()
    machine.receive(response(status), 0)
    assert not machine.fail(0.1)
    assert machine.state is state


def test_a_tick_before_its_time_does_nothing() -> None:
    bench = Bench()
    machine = bench.invite_client()
    sent = list(bench.sent)
    assert not machine.tick(0.1)
    assert bench.sent == sent
