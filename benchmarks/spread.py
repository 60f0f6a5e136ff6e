"""
Values of several rounds as one: their median, and how far they are apart.

A ratio of two servers is taken within each round, where both had the same machine, and only
then are the rounds put together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Self


@dataclass(frozen=True)
class Spread:
    """
    The median of some rounds, with the least and the greatest value.
    """

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """
        The spread of these values, or None where there are none.
        """
        ordered = sorted(values)
        if not ordered:
            return None
        return cls(median(ordered), ordered[0], ordered[-1], len(ordered))

    @property
    def is_noise(self) -> bool:
        """
        Of ratios: whether rounds differ in which of the two is the greater.
        """
        return self.rounds > 1 and self.low <= 1.0 <= self.high


def ratios(above: Mapping[int, float], below: Mapping[int, float]) -> list[float]:
    """
    One ratio for each round that has both values.

    Args:
        above: Values by the number of the round.
        below: What they are divided by; where it is 0 there is no ratio.
    """
    return [value / below[number] for number, value in above.items() if below.get(number)]


def differences(left: Mapping[int, float], right: Mapping[int, float]) -> list[float]:
    """
    One difference for each round that has both values.
    """
    return [value - right[number] for number, value in left.items() if number in right]
