"""RFC 3261 figure 6."""

import pytest

from sip_bridge.sip.transactions.client import State
from tests.sip.machines import Bench, response


def test_unanswered_request_is_retransmitted_by_timer_e_and_times_out_by_timer_f() -> None:
    bench = Bench()
    machine = bench.client()
    bench.run(machine)
    assert bench.instants("OPTIONS") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.timed_out_at == [32.0]
    assert machine.state is State.TERMINATED


def test_over_a_reliable_transport_the_request_is_sent_once() -> None:
    bench = Bench()
    bench.run(bench.client(reliable=True))
    assert bench.sent == [(0, "OPTIONS")]
    assert bench.timed_out_at == [32.0]


def test_in_proceeding_it_is_retransmitted_every_t2_and_still_times_out() -> None:
    bench = Bench()
    machine = bench.client()
    bench.run(machine, until=0.2)
    assert machine.receive(response(100, "OPTIONS"), bench.now)
    bench.run(machine)
    assert bench.instants("OPTIONS") == [0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert bench.timed_out_at == [32.0]


def test_after_the_final_response_timer_k_absorbs_its_retransmissions() -> None:
    bench = Bench()
    machine = bench.client()
    bench.run(machine, until=1.0)
    assert machine.receive(response(200, "OPTIONS"), 1.0)
    assert not machine.receive(response(200, "OPTIONS"), 1.0)
    assert (machine.state, machine.deadline) == (State.COMPLETED, 6.0)
    bench.run(machine)
    assert machine.state is State.TERMINATED
    assert bench.timed_out_at == []


@pytest.mark.parametrize("status", [200, 404])
def test_over_a_reliable_transport_the_final_response_ends_it_at_once(status: int) -> None:
    machine = Bench().client(reliable=True)
    assert machine.receive(response(status, "OPTIONS"), 1.0)
    assert (machine.state, machine.deadline) == (State.TERMINATED, float("inf"))


@pytest.mark.parametrize("statuses", [[], [100]])
def test_a_failed_transport_ends_it_and_its_user_is_told(statuses: list[int]) -> None:
    machine = Bench().client()
    for status in statuses:
        machine.receive(response(status, "OPTIONS"), 0)
    assert machine.fail(0.1)
    assert (machine.state, machine.deadline) == (State.TERMINATED, float("inf"))


def test_after_the_final_response_a_failed_transport_changes_nothing() -> None:
    machine = Bench().client()
    machine.receive(response(200, "OPTIONS"), 0)
    assert not machine.fail(0.1)
    assert machine.state is State.COMPLETED


def test_a_late_tick_gives_up_without_sending_once_more() -> None:
    bench = Bench()
    machine = bench.client()
    assert machine.tick(3600.0)
    assert (machine.state, bench.sent) == (State.TERMINATED, [(0, "OPTIONS")])


def test_a_tick_before_its_time_does_nothing() -> None:
    bench = Bench()
    machine = bench.client()
    sent = list(bench.sent)
    assert not machine.tick(0.1)
    assert bench.sent == sent
