"""Chance that is the same in every process and every Python.

Only `Random.random()` keeps its sequence over Python versions by promise, so everything is drawn from it.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from producer.sandbox.hetu import scramble

T = TypeVar("T")


class Dice:
    def __init__(self, *seed: int) -> None:
        self._random = Random(scramble(*seed)).random  # noqa: S311 - made-up data, not secrets

    def below(self, limit: int) -> int:
        """0 … limit - 1."""
        return int(self._random() * limit)

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self._random() * len(items))]

    def chance(self, probability: float) -> bool:
        return self._random() < probability
