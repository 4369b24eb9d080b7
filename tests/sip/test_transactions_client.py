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


@pytest.mark.parametrize(("reliable", "gone_at"), [(False, 6.0), (True, 1.0)])
def test_after_the_final_response_timer_k_absorbs_its_retransmissions(reliable: bool, gone_at: float) -> None:
    bench = Bench()
    machine = bench.client(reliable=reliable)
    bench.run(machine, until=1.0)
    assert machine.receive(response(200, "OPTIONS"), 1.0)
    assert not machine.receive(response(200, "OPTIONS"), 1.0)
    assert (machine.state, machine.deadline) == (State.COMPLETED, gone_at)
    bench.run(machine)
    assert machine.state is State.TERMINATED
    assert bench.timed_out_at == []


def test_a_failed_transport_terminates() -> None:
    machine = Bench().client()
    machine.terminate()
    assert (machine.state, machine.deadline) == (State.TERMINATED, float("inf"))


def test_a_tick_before_its_time_does_nothing() -> None:
    bench = Bench()
    machine = bench.client()
    sent = list(bench.sent)
    assert not machine.tick(0.1)
    assert bench.sent == sent
