"""The jitter buffer on a virtual wire: what goes in late, twice or never comes out in order, on time and concealed."""

import random
from array import array

from hypothesis import example, given
from hypothesis import strategies as st

from sip_bridge.media.jitter import MAX_DELAY, MAX_PACKETS, START_DELAY, JitterBuffer
from sip_bridge.media.pcm import pcm_of, peak, samples_of

FRAME = 160
SILENCE = bytes(2 * FRAME)


def constant(value: int, samples: int = FRAME) -> bytes:
    return pcm_of(array("h", [value] * samples))


def values(frame: bytes | None) -> list[int]:
    """The distinct samples of a frame, in order of appearance."""
    assert frame is not None
    assert len(frame) == 2 * FRAME
    return list(dict.fromkeys(samples_of(frame)))


def started(value: int = 1000) -> JitterBuffer:
    """A buffer that has just played its first packet, timestamp 0."""
    jitter = JitterBuffer()
    jitter.put(0, constant(value))
    heard = [values(jitter.get()) for _ in range(4)]
    assert heard[-1] == [value]
    return jitter


def heard_of(delays: list[int | None], *, extra: int = 30) -> tuple[list[list[int]], JitterBuffer]:
    """What is heard, frame by frame: packet n, of value n + 1, is sent at tick n and comes so many ticks later."""
    jitter = JitterBuffer()
    arrivals: dict[int, list[int]] = {}
    for n, delay in enumerate(delays):
        arrivals.setdefault(-1 if delay is None else n + delay, []).append(n)
    heard = []
    for tick in range(len(delays) + extra):
        for n in arrivals.get(tick, []):
            jitter.put(FRAME * n, constant(n + 1))
        frame = jitter.get()
        heard.append([] if frame is None else values(frame))
    return heard, jitter


def test_nothing_is_heard_before_anything_came() -> None:
    assert JitterBuffer().get() is None


def test_what_the_first_packet_overtook_is_heard_before_it() -> None:
    jitter = JitterBuffer()
    jitter.put(FRAME, constant(2))
    jitter.put(0, constant(1))
    assert [values(jitter.get()) for _ in range(4)] == [[0], [0], [1], [2]]


def test_the_first_packet_waits_and_the_rest_follow_without_a_gap() -> None:
    heard, jitter = heard_of([0] * 20, extra=3)
    assert heard == [[0], [0], [0], *([n] for n in range(1, 21))]
    assert (jitter.late, jitter.concealed) == (0, START_DELAY * FRAME)


def test_packets_out_of_order_are_heard_in_order() -> None:
    heard, jitter = heard_of([0, 2, 0, 1, 0], extra=3)
    assert heard == [[0], [0], [0], [1], [2], [3], [4], [5]]
    assert jitter.late == 0


def test_a_lost_packet_is_a_repeat_that_fades_and_then_silence() -> None:
    jitter = started(1000)
    assert [values(jitter.get()) for _ in range(5)] == [[800], [500], [200], [0], [0]]
    assert jitter.concealed == START_DELAY * FRAME + 5 * FRAME


def test_a_packet_that_comes_just_too_late_delays_what_follows() -> None:
    jitter = started()
    assert values(jitter.get()) == [800]
    jitter.put(FRAME, constant(7))
    jitter.put(2 * FRAME, constant(8))
    assert [values(jitter.get()) for _ in range(2)] == [[7], [8]]
    assert jitter.late == 0


def test_a_packet_that_its_follower_overtook_is_dropped_and_the_delay_grows() -> None:
    jitter = started()
    jitter.put(2 * FRAME, constant(9))
    assert [values(jitter.get()) for _ in range(2)] == [[800], [9]]
    jitter.put(FRAME, constant(8))
    jitter.put(3 * FRAME, constant(10))
    assert [values(jitter.get()) for _ in range(2)] == [[7], [10]]
    assert jitter.late == 1


def test_packets_of_any_length_make_whole_frames() -> None:
    jitter = JitterBuffer()
    for n in range(6):
        jitter.put(n * 240, constant(n + 1, 240))
    frames = [jitter.get() for _ in range(12)]
    sound = [sample for frame in frames[3:] for sample in samples_of(frame or b"")]
    assert sound == [n + 1 for n in range(6) for _ in range(240)]


def test_a_gap_inside_a_frame_is_filled() -> None:
    jitter = started(1000)
    jitter.put(FRAME + 80, constant(600, 80))
    assert values(jitter.get()) == [800, 600]


def test_overlapping_packets_are_heard_once() -> None:
    jitter = JitterBuffer()
    jitter.put(0, constant(1, 240))
    jitter.put(160, constant(2, 160))
    jitter.put(160, constant(3, 80))
    frames = [values(jitter.get()) for _ in range(6)]
    assert frames[3:] == [[1], [1, 2], [0, 1]]  # the third fades


def test_a_single_packet_far_too_late_is_dropped() -> None:
    jitter = started()
    for n in range(1, 20):
        jitter.put(n * FRAME, constant(n))
        jitter.get()
    jitter.put(-MAX_DELAY * FRAME, constant(99))
    assert (values(jitter.get()), jitter.late) == ([15], 1)


def test_a_clock_that_jumped_back_is_followed() -> None:
    jitter = started()
    for n in range(6):
        jitter.put(n * FRAME - 1_000_000, constant(n + 1))
    assert [values(jitter.get()) for _ in range(6)] == [[800], [500], [200], [4], [5], [6]]
    assert jitter.late == 3


def test_a_clock_that_jumped_ahead_is_followed() -> None:
    jitter = started()
    jitter.put(1_000_000, constant(5))
    assert [values(jitter.get()) for _ in range(4)] == [[800], [500], [200], [5]]


def test_timestamps_wrap_unheard() -> None:
    jitter = JitterBuffer()
    first = 0x100000000 - 2 * FRAME
    heard = []
    for n in range(6):
        jitter.put((first + n * FRAME) & 0xFFFFFFFF, constant(n + 1))
        heard.append(values(jitter.get()))
    assert heard == [[0], [0], [0], [1], [2], [3]]


def test_of_a_burst_after_a_stall_the_oldest_is_left_out() -> None:
    jitter = started()
    for n in range(1, 16):
        jitter.put(n * FRAME, constant(n))
    assert [values(jitter.get()) for _ in range(3)] == [[3], [4], [5]]


def test_what_waits_is_bounded() -> None:
    jitter = JitterBuffer()
    for n in range(10 * MAX_PACKETS):
        jitter.put(n, constant(1, 1000))
    assert len(jitter._waiting) == MAX_PACKETS


def test_a_delay_that_is_no_longer_needed_shrinks_in_quiet_frames_only() -> None:
    jitter = started()
    waiting = []
    for n in range(1, 1000):
        jitter.put((n + 2) * FRAME, constant(9000 if n < 600 else 3))
        jitter.get()
        waiting.append(len(jitter._waiting))
    assert (waiting[590], waiting[-1]) == (2, 1)


@example(delays=[10, *[None] * 12, 0])  # two packets that lie further apart than the buffer is long
@given(st.lists(st.none() | st.integers(0, 11), min_size=1, max_size=60))
def test_the_output_is_always_in_order_and_nothing_is_heard_twice(delays: list[int | None]) -> None:
    # A constant of n is heard as n; concealment makes less of it, so only what exceeds all before counts as new.
    heard, jitter = heard_of(delays)
    fresh = [value for frame in heard for value in frame if value > 0]
    record = [value for i, value in enumerate(fresh) if value > max(fresh[:i], default=0)]
    came = [n + 1 for n, delay in enumerate(delays) if delay is not None]
    assert set(record) <= set(came)
    assert len(record) + jitter.late + jitter.skipped >= len(came)


def test_five_percent_loss_and_sixty_milliseconds_of_jitter_leave_nearly_all_sound() -> None:
    chance = random.Random(60)
    delays = [None if chance.random() < 0.05 else chance.choice((0, 1, 2, 3)) for _ in range(3000)]
    came = sum(delay is not None for delay in delays)
    _, jitter = heard_of(delays)
    assert jitter.late < 0.01 * came
    assert jitter.concealed < (3000 - came + 60) * FRAME


def test_concealment_ends_in_silence() -> None:
    jitter = started(20000)
    frames = [jitter.get() for _ in range(10)]
    assert [peak(frame or b"") for frame in frames[3:]] == [0] * 7
    assert frames[-1] == SILENCE
