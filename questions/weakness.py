"""Tallies -> estimates: which sections are weak, how sure that is, and what to study first. Pure.

Each section's mastery is a Beta posterior around the taker's own level, because six short tests of 7 to 12 questions
say little each: raw percentages would send people to study what was bad luck.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from math import exp, lgamma, log, log1p

PRIOR_STRENGTH = 15.0
"""K = N (1 - a) / a for a test of N = 60 questions with reliability a = 0.80 (Kelley; Spearman-Brown)."""

SURE = 0.8
"""A label is given from this probability on; between 1 - SURE and SURE the evidence is not enough."""

MOST_FURTHER = 300
"""Beyond so many further questions a label is out of reach in practice."""

WEAK, STRONG, UNSURE = "weak", "strong", "not enough evidence"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Right and asked, counted by first sightings; older ones weigh less, so both may be fractions."""

    right: float
    asked: float

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(self.right + other.right, self.asked + other.asked)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the evidence says about one section. Probabilities and masteries in 0..1."""

    mastery: float
    low: float  # of the central 95% interval
    high: float
    below_target: float  # P(mastery < target)
    label: str
    further: int | None  # questions that would settle the label at the present rate; None when over MOST_FURTHER
    points_lost: float  # expected in the next exam


def weight(age: timedelta, half_life: timedelta) -> float:
    """How much evidence of this age counts: 1 when new, 1/2 after the half-life."""
    return 0.5 ** max(age / half_life, 0.0)


def estimates[P](evidence: Mapping[P, Evidence], questions: Mapping[P, int], target: float) -> dict[P, Estimate]:
    """Estimate every section.

    evidence: section -> what was answered, discounted by age.
    questions: section -> questions of the section in an exam.
    target: in 0..1.

    Posterior: Beta(k + K m, n - k + K (1 - m)), mean (k + K m) / (n + K), with m the taker's own pooled rate.
    Source: beta-binomial empirical Bayes; K from Kelley's formula as given at PRIOR_STRENGTH.
    """
    mean = min(max(pooled_rate(evidence), 0.02), 0.98)  # a prior needs some weight on both sides
    found = {}
    for place, count in questions.items():
        seen = evidence.get(place, Evidence(0, 0))
        a = seen.right + PRIOR_STRENGTH * mean
        b = seen.asked - seen.right + PRIOR_STRENGTH * (1 - mean)
        below = beta_cdf(target, a, b)
        mastery = a / (a + b)
        found[place] = Estimate(
            mastery=mastery,
            low=beta_quantile(0.025, a, b),
            high=beta_quantile(0.975, a, b),
            below_target=below,
            label=label(below),
            further=_further(a, b, target),
            points_lost=count * (1 - mastery),
        )
    return found


def pooled_rate[P](evidence: Mapping[P, Evidence]) -> float:
    """Right of asked over all sections; 1/2 when nothing was asked."""
    total = sum(evidence.values(), Evidence(0, 0))
    return total.right / total.asked if total.asked else 0.5


def label(below_target: float) -> str:
    """weak, strong or not enough evidence, from P(mastery < target)."""
    if below_target >= SURE:
        return WEAK
    return STRONG if 1 - below_target >= SURE else UNSURE


def _further(a: float, b: float, target: float) -> int | None:
    """The fewest further questions, answered at the present rate, after which the label would be settled."""

    def settled(questions: int) -> bool:
        grow = 1 + questions / (a + b)
        return label(beta_cdf(target, a * grow, b * grow)) != UNSURE

    if settled(0):
        return 0
    if not settled(MOST_FURTHER):
        return None
    low, high = 0, MOST_FURTHER  # settled grows with the evidence, so halving finds the first
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high


@lru_cache(maxsize=4096)
def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X < x) for X ~ Beta(a, b): the regularised incomplete beta function.

    Source: NIST Digital Library of Mathematical Functions 8.17.22 (continued fraction), evaluated by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if mirrored := x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        x, a, b = 1 - x, b, a
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 0.0
    fraction = 1.0
    for step in range(400):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / (1.0 + term * d or tiny)
        c = 1.0 + term / c or tiny
        fraction *= c * d
        if abs(1.0 - c * d) < 1e-12:
            break
    below = front * (fraction - 1.0)
    return 1.0 - below if mirrored else below


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x with P(X < x) = probability, by bisection to 1e-6."""
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < probability else (low, middle)
    return (low + high) / 2
