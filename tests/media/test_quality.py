"""The E-model against values of ITU-T G.107 and G.113, and its behaviour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.media.quality import mos, rating


def rated(*, delay_ms: float = 0.0, expected: int = 1000, missing: int = 0, runs: int | None = None) -> float:
    return rating(delay_ms=delay_ms, expected=expected, missing=missing, runs=missing if runs is None else runs)


@pytest.mark.parametrize(
    ("rating", "score"), [(0, 1.0), (-5, 1.0), (50, 2.58), (60, 3.1), (70, 3.6), (80, 4.02), (90, 4.34), (93.2, 4.41)]
)
def test_a_rating_has_the_score_of_annex_b(rating: float, score: float) -> None:
    assert mos(rating) == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize(
    ("delay", "impairment"), [(0, 0.0), (100, 0.0), (150, 0.16), (200, 3.04), (250, 8.92), (300, 14.76), (400, 24.07)]
)
def test_delay_costs_more_and_more(delay: float, impairment: float) -> None:
    assert 93.2 - rated(delay_ms=delay) == pytest.approx(impairment, abs=0.01)


def test_random_loss_costs_what_the_robustness_of_g711_says() -> None:
    assert 93.2 - rated(missing=50) == pytest.approx(95 * 5 / (5 + 25.1))
    assert mos(rated(missing=50)) == pytest.approx(3.95, abs=0.05)


def test_losses_in_bursts_cost_more_than_by_chance() -> None:
    assert rated(missing=50, runs=10) < rated(missing=50, runs=25) < rated(missing=50, runs=50)


def test_a_call_without_packets_to_expect_lost_none() -> None:
    assert rated(expected=0) == 93.2


def test_a_call_of_which_nothing_came_has_the_worst_score() -> None:
    assert mos(rated(missing=1000, runs=1, delay_ms=2000)) == 1.0


@given(st.floats(0, 1e6), st.integers(0, 10**6), st.integers(-100, 10**6), st.integers(0, 10**5))
def test_any_figures_have_a_score_between_1_and_4_5(delay: float, expected: int, missing: int, runs: int) -> None:
    assert 1.0 <= mos(rating(delay_ms=delay, expected=expected, missing=missing, runs=runs)) <= 4.5
