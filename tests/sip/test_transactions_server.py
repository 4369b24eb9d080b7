"""RFC 3261 figure 8."""

from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.server import State
from tests.sip.machines import Bench


def test_over_a_reliable_transport_the_final_response_ends_it_at_once() -> None:
    bench = Bench()
    machine = bench.server(reliable=True)
    machine.respond(SIPStatus.OK, b"200", 0)
    assert (machine.state, machine.deadline, bench.sent) == (State.TERMINATED, float("inf"), [(0, "200")])


def test_the_final_response_is_repeated_for_each_retransmission_until_timer_j() -> None:
    bench = Bench()
    machine = bench.server()
    machine.receive(bench.now)
    machine.respond(SIPStatus.OK, b"200", 0)
    machine.receive(bench.now)
    assert (machine.state, machine.deadline) == (State.COMPLETED, 32.0)
    bench.run(machine)
    machine.receive(bench.now)
    assert machine.state is State.TERMINATED
    assert [data for _, data in bench.sent] == ["200", "200"]
    assert bench.timed_out_at == []


def test_a_provisional_response_is_repeated_too() -> None:
    bench = Bench()
    machine = bench.server()
    machine.respond(SIPStatus.TRYING, b"100", 0)
    machine.receive(bench.now)
    machine.respond(SIPStatus.OK, b"200", 0)
    assert [data for _, data in bench.sent] == ["100", "100", "200"]
    assert machine.state is State.COMPLETED


def test_the_first_final_response_stands() -> None:
    bench = Bench()
    machine = bench.server()
    machine.respond(SIPStatus.OK, b"200", 0)
    machine.respond(SIPStatus.BUSY_HERE, b"486", 0)
    assert [data for _, data in bench.sent] == ["200"]


def test_an_unanswered_request_waits_without_a_timer() -> None:
    machine = Bench().server()
    assert (machine.deadline, machine.tick(1000.0), machine.state) == (float("inf"), False, State.TRYING)


def test_what_made_room_is_over() -> None:
    machine = Bench().server()
    machine.terminate()
    assert (machine.state, machine.deadline) == (State.TERMINATED, float("inf"))
