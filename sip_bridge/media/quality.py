"""How good a call sounded: the E-model (ITU-T G.107), simplified to what a receiver can measure.

All codecs are rated on the scale of narrowband, where nothing is better than G.711 without loss: R 93.2, MOS 4.4.
G.722's own impairment (Ie,wb 13 of G.113, where G.711 has 36) and Opus's therefore count as 0. Robustness against loss
is that of G.711 with concealment for all: what is heard instead of a lost packet is the same kind of repetition.
"""

from math import log2
from typing import Final

_BEST: Final = 93.2  # Ro - Is with all defaults of G.107
_EQUIPMENT_IMPAIRMENT: Final = 0.0  # Ie
_LOSS_ROBUSTNESS: Final = 25.1  # Bpl of G.711 with packet-loss concealment (G.113, Appendix I)
_FREE_DELAY_MS: Final = 100.0  # that nobody notices


def rating(*, delay_ms: float, expected: int, missing: int, runs: int) -> float:
    """The transmission rating R, 0 to 93.2.

    ``delay_ms`` is from mouth to ear; of ``expected`` packets ``missing`` were not heard, in so many ``runs``.
    """
    loss = min(max(missing / expected, 0.0), 1.0) if expected > 0 else 0.0
    return max(_BEST - _delay_impairment(delay_ms) - _loss_impairment(loss, _burst_ratio(loss, missing, runs)), 0.0)


def mos(rating: float) -> float:
    """The mean opinion score of a rating, 1.0 to 4.5 (G.107 Annex B)."""
    if rating <= 0:
        return 1.0
    return max(1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating), 1.0)  # it dips below for R < 6.5


def _delay_impairment(delay_ms: float) -> float:
    """Idd (G.107 §7.4): no echo is assumed."""
    if delay_ms <= _FREE_DELAY_MS:
        return 0.0
    x = log2(delay_ms / _FREE_DELAY_MS)
    impairment: float = 25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    return impairment


def _loss_impairment(loss: float, burst_ratio: float) -> float:
    """Ie,eff (G.107 §7.5)."""
    percent = 100 * loss
    robust = percent / burst_ratio + _LOSS_ROBUSTNESS
    return _EQUIPMENT_IMPAIRMENT + (95 - _EQUIPMENT_IMPAIRMENT) * percent / robust


def _burst_ratio(loss: float, missing: int, runs: int) -> float:
    """How long runs of losses are, compared with those of losses by chance; 1.0 when not longer."""
    return max(missing / runs * (1 - loss), 1.0) if runs > 0 else 1.0
