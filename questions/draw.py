"""Blueprint + bank + history + seed -> the questions of one exam. Pure: the same inputs give the same exam."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

LETTERS = "ABCDEFGH"  # under which options are shown


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of a blueprint: so many questions from this objective, or from anywhere in the section if it is ""."""

    section: int
    objective: str
    questions: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A published question that may be drawn, by its ids; `topic` is its primary topic."""

    question: int
    revision: int
    section: int
    objective: str
    topic: str
    options: int = 4
    key: str = "0"  # the numbers of the right options, as stored


@dataclass(frozen=True, slots=True)
class Shortage:
    """The bank cannot fill a cell: `missing` more questions are needed."""

    section: int
    objective: str
    missing: int


class BankTooSmall(Exception):
    """Raised before anything is drawn; `shortages` lists every cell that cannot be filled."""

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        super().__init__(
            "; ".join(
                f"section {s.section}{f', objective {s.objective}' if s.objective else ''}: {s.missing} too few"
                for s in shortages
            )
        )
        self.shortages = list(shortages)


def allocate(weights: Mapping[str, int], total: int) -> dict[str, int]:
    """Share `total` questions among sections in proportion to their weights.

    weights: section code -> weight >= 0, in any unit (the exam guides print per cent).
    total: questions in the exam, a count.

    Returns section code -> count, in the order of `weights`, adding up to `total`.
    A tie goes to the section listed first, so one guide always gives one shape.

    Raises ValueError when a weight is negative or none is positive.

    Source: largest remainder (Hamilton) method of apportionment.
    """
    whole = sum(weights.values())
    if whole <= 0 or min(weights.values()) < 0:
        raise ValueError(f"weights must be >= 0, one of them > 0: {dict(weights)}")
    counts = {code: total * weight // whole for code, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda code: -(total * weights[code] % whole))
    for code in by_remainder[: total - sum(counts.values())]:
        counts[code] += 1
    return counts


def fill(cells: Sequence[Cell], candidates: Iterable[Candidate]) -> dict[tuple[int, str], list[Candidate]]:
    """The candidates of each cell, by its section and objective, in the order given.

    Raises BankTooSmall when a cell has fewer than it asks for.
    """
    pools: defaultdict[tuple[int, str], list[Candidate]] = defaultdict(list)
    by_objective = {(cell.section, cell.objective) for cell in cells}
    for candidate in candidates:
        place = (candidate.section, candidate.objective)
        pools[place if place in by_objective else (candidate.section, "")].append(candidate)
    shortages = [
        Shortage(cell.section, cell.objective, missing)
        for cell in cells
        if (missing := cell.questions - len(pools[cell.section, cell.objective])) > 0
    ]
    if shortages:
        raise BankTooSmall(shortages)
    return pools


def draw(
    cells: Sequence[Cell], candidates: Iterable[Candidate], last_served: Mapping[int, int], seed: int
) -> list[Candidate]:
    """Choose the questions of one exam and their order.

    cells: the blueprint.
    candidates: the published questions of the guide, in any order.
    last_served: question id -> when the taker was last served it, any growing number; absent means never.
    seed: stored with the attempt.

    Within a cell, questions never served come first, then those served longest ago; chance decides among equals.
    Two questions with the same primary topic meet only when the cell has no other question, equally long unseen, to offer.

    Raises BankTooSmall when a cell cannot be filled.
    """
    chance = random.Random(seed)
    pools = fill(cells, candidates)
    drawn: list[Candidate] = []
    topics: set[str] = set()
    for cell in cells:
        pool = sorted(pools[cell.section, cell.objective], key=lambda candidate: candidate.question)
        chance.shuffle(pool)
        pool.sort(key=lambda candidate: last_served.get(candidate.question, -1))
        chosen: list[Candidate] = []
        for _, fresh in groupby(pool, key=lambda candidate: last_served.get(candidate.question, -1)):
            chosen += _spread_topics(list(fresh), cell.questions - len(chosen), topics | {c.topic for c in chosen})
        topics.update(candidate.topic for candidate in chosen)
        drawn += chosen
    chance.shuffle(drawn)
    return drawn


def _spread_topics(pool: list[Candidate], count: int, taken: set[str]) -> list[Candidate]:
    """The first `count` of the pool with a topic of their own; where topics run out, the first of the rest as well."""
    topics = set(taken)
    chosen: list[Candidate] = []
    rest: list[Candidate] = []
    for candidate in pool:
        if len(chosen) == count:
            break
        (rest if candidate.topic in topics else chosen).append(candidate)
        topics.add(candidate.topic)
    return chosen + rest[: count - len(chosen)]


def option_order(options: int, seed: int, position: int) -> str:
    """The order in which a slot shows its options, as stored indices: "2031" shows stored option 2 as A.

    Every order is equally likely, whatever the place of the key.
    """
    order = list(range(options))
    random.Random(f"{seed}/{position}").shuffle(order)
    return "".join(map(str, order))


def shown_key(order: str, key: str) -> str:
    """The letters under which the key is shown: order "2031", key "0" -> "B"."""
    return "".join(letter for letter, index in zip(LETTERS, order, strict=False) if index in key)
