"""What the report and the progress page show, as plain data: tallies, estimates, the chart of progress."""

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from questions import scoring, weakness
from questions.models import Attempt, Slot, User
from questions.records import GuideRecord
from questions.scoring import Tally
from questions.weakness import Estimate, Evidence


@dataclass(frozen=True, slots=True)
class ObjectiveRow:
    code: str
    title: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class SectionRow:
    code: int
    title: str
    here: Tally  # this exam
    interval: tuple[float, float]  # of this exam's share alone, Wilson 95%
    evidence: Evidence  # first sightings of all exams up to this one, discounted by age
    sightings: int  # the same, counted plainly
    estimate: Estimate
    objectives: list[ObjectiveRow]


def section_rows(attempt: Attempt, guide: GuideRecord) -> list[SectionRow]:
    """One row per section of the guide: this exam beside what all exams up to it say. Three queries at most."""
    assert attempt.finished_at is not None
    slots = list(attempt.slots.values_list("section", "objective", "is_right"))
    here = scoring.tally((section, bool(right)) for section, _, right in slots)
    by_objective = scoring.tally((objective, bool(right)) for _, objective, right in slots)
    evidence, sightings = pooled_evidence(attempt.user, attempt.guide_id, attempt.finished_at)
    estimates = weakness.estimates(evidence, guide.section_counts(), attempt.target / 100)
    return [
        SectionRow(
            code=section.code,
            title=section.title,
            here=(tally := here.get(section.code, Tally(0, 0))),
            interval=scoring.wilson(tally.right, tally.asked),
            evidence=evidence.get(section.code, Evidence(0, 0)),
            sightings=sightings.get(section.code, 0),
            estimate=estimates[section.code],
            objectives=[
                ObjectiveRow(o.code, o.title, by_objective[o.code])
                for o in section.objectives
                if o.code in by_objective
            ],
        )
        for section in guide.sections
    ]


def pooled_evidence(user: User, guide_id: int, until: datetime) -> tuple[dict[int, Evidence], dict[int, int]]:
    """Section -> discounted evidence, and section -> plain count, from first sightings in exams finished by `until`."""
    rows = (
        Slot.objects.filter(
            attempt__user=user, attempt__guide=guide_id, attempt__finished_at__lte=until, first_sighting=True
        )
        .order_by()
        .values_list("attempt__finished_at", "section")
        .annotate(right=Count("pk", filter=Q(is_right=True)), asked=Count("pk"))
    )
    half_life = timedelta(days=settings.HALF_LIFE_DAYS)
    evidence: defaultdict[int, Evidence] = defaultdict(lambda: Evidence(0, 0))
    sightings: defaultdict[int, int] = defaultdict(int)
    for finished_at, section, right, asked in rows:
        counts = weakness.weight(until - finished_at, half_life)
        evidence[section] += Evidence(right * counts, asked * counts)
        sightings[section] += asked
    return dict(evidence), dict(sightings)


def sections(attempt: Attempt) -> dict[str, Any]:
    """What the chart, the table and the study list of a finished exam show."""
    rows = section_rows(attempt, attempt.guide.record)
    asked = [row.here.asked for row in rows]
    return {
        "rows": rows,
        "objectives": [objective for row in rows for objective in row.objectives],
        "target": attempt.target,
        "study": study_order(rows),
        "fewest": min(asked),
        "most": max(asked),
    }


def study_order(rows: Iterable[SectionRow]) -> list[SectionRow]:
    """Where the next exam is expected to lose most points first."""
    return sorted(rows, key=lambda row: -row.estimate.points_lost)


def example(guide: GuideRecord) -> list[SectionRow]:
    """What a report could say after three exams with these made-up answers, by the formulas of the real one."""
    asked = {code: 3 * count for code, count in guide.section_counts().items()}
    shares = itertools.cycle((0.9, 0.5, 0.75))
    right = {code: round(count * share) for (code, count), share in zip(asked.items(), shares, strict=False)}
    evidence = {code: Evidence(right[code], asked[code]) for code in asked}
    estimates = weakness.estimates(evidence, guide.section_counts(), guide.exam.target / 100)
    return [
        SectionRow(
            code=section.code,
            title=section.title,
            here=Tally(right[section.code], asked[section.code]),
            interval=scoring.wilson(right[section.code], asked[section.code]),
            evidence=evidence[section.code],
            sightings=asked[section.code],
            estimate=estimates[section.code],
            objectives=[],
        )
        for section in guide.sections[:3]
    ]


# --- The chart of progress: places in per cent of its width and height -----------------------------

LEFT, RIGHT, TOP, BOTTOM = 12, 98, 6, 96


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One exam; y grows downwards."""

    x: float
    y: float
    low: float
    high: float


def _down(share: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * share, 1)


def trend_chart(attempts: list[Attempt], target: int) -> dict[str, Any]:
    """Scores over exams, oldest first, with the interval that one exam's score leaves open. target: in per cent."""
    step = (RIGHT - LEFT) / max(len(attempts), 1)
    points = []
    for index, attempt in enumerate(attempts):
        assert attempt.right is not None
        low, high = attempt.interval
        x = round(LEFT + (index + 0.5) * step, 1)
        points.append(TrendPoint(x, _down(attempt.right / attempt.asked), _down(low), _down(high)))
    return {
        "points": points,
        "left": LEFT,
        "right": RIGHT,
        "target_y": _down(target / 100),
        "ticks": [{"y": _down(share / 100), "label": f"{share}%"} for share in (0, 25, 50, 75, 100)],
    }
