"""A wire's bad day: it loses a fifth, doubles a fifth, and lets messages overtake each other."""

import random
from collections import Counter

from tests.scenario import Sent, Wire

LOSS = 0.2
TWICE = 0.2
MOST_LOSSES = 5  # of the same message: for ever, and no protocol could agree


class Noise:
    """Decides what becomes of each message, by a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._losses: Counter[bytes] = Counter()

    def wire(self) -> Wire:
        return Wire(drops=self._loses, copies=self._copies)

    def _loses(self, sent: Sent) -> bool:
        lost = self._chance.random() < LOSS and self._losses[sent.data] < MOST_LOSSES
        self._losses[sent.data] += lost
        return lost

    def _copies(self, _: Sent) -> tuple[float, ...]:
        """Each copy is late by up to a second."""
        times = 2 if self._chance.random() < TWICE else 1
        return tuple(self._chance.choice([0.0, 0.0, 0.05, self._chance.random()]) for _ in range(times))
