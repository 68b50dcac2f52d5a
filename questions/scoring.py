"""Responses against the key: right or not, tallies, and how sure a raw proportion is. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from math import sqrt

Z95 = 1.96


def is_right(key: frozenset[str], chosen: frozenset[str]) -> bool:
    """All or nothing: every right option and no other. Unanswered is wrong."""
    return chosen == key


@dataclass(frozen=True, slots=True)
class Tally:
    right: int
    asked: int

    @property
    def percent(self) -> int:
        return round(100 * self.right / self.asked) if self.asked else 0


def tally[P: Hashable](marks: Iterable[tuple[P, bool]]) -> dict[P, Tally]:
    """Count right answers per place (a section, an objective), in the order places first appear."""
    grouped: defaultdict[P, list[bool]] = defaultdict(list)
    for place, right in marks:
        grouped[place].append(right)
    return {place: Tally(sum(rights), len(rights)) for place, rights in grouped.items()}


def wilson(right: float, asked: float, z: float = Z95) -> tuple[float, float]:
    """Score interval of a proportion, both ends in 0..1; (0, 1) when nothing was asked.

    Raises ValueError unless 0 <= right <= asked.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if not 0 <= right <= asked:
        raise ValueError(f"0 <= right <= asked does not hold: {right} of {asked}")
    if asked == 0:
        return 0.0, 1.0
    p, zz = right / asked, z * z
    middle = p + zz / (2 * asked)
    half = z * sqrt(p * (1 - p) / asked + zz / (4 * asked * asked))
    scale = 1 + zz / asked
    low, high = (middle - half) / scale, (middle + half) / scale
    return (0.0 if right == 0 else low), (1.0 if right == asked else high)
