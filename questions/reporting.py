"""What the report and the progress page show, as plain data: tallies, estimates, chart geometry."""

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
        "chart": section_chart(rows, attempt.target),
        "study": study_order(rows),
        "fewest": min(asked),
        "most": max(asked),
    }


def study_order(rows: Iterable[SectionRow]) -> list[SectionRow]:
    """Where the next exam is expected to lose most points first."""
    return sorted(rows, key=lambda row: -row.estimate.points_lost)


# --- Charts: geometry in the units of their SVG view boxes, rounded to what a screen can show -------

LEFT, RIGHT, ROW = 44.0, 444.0, 30.0


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    y: float
    middle: float
    text_y: float
    width: float
    low: float
    high: float
    here: float | None


def _across(share: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * share, 1)


def section_chart(rows: list[SectionRow], target: int) -> dict[str, Any]:
    """Horizontal bars, one per section. target: in per cent."""
    bars = []
    for index, row in enumerate(rows):
        middle = round((index + 0.5) * ROW, 1)
        bars.append(
            Bar(
                label=str(row.code),
                y=middle - 7,
                middle=middle,
                text_y=middle + 4,
                width=round((RIGHT - LEFT) * row.estimate.mastery, 1),
                low=_across(row.estimate.low),
                high=_across(row.estimate.high),
                here=_across(row.here.right / row.here.asked) if row.here.asked else None,
            )
        )
    floor = len(rows) * ROW
    return {
        "bars": bars,
        "left": LEFT,
        "floor": floor,
        "foot": floor + 15,
        "height": floor + 22,
        "target": target,
        "target_x": _across(target / 100),
        "ticks": [{"x": _across(share / 100), "label": f"{share}%"} for share in (0, 25, 50, 75, 100)],
    }


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One exam of the progress chart; y grows downwards."""

    x: float
    y: float
    low: float
    high: float


def _down(share: float) -> float:
    return round(8 + 180 * (1 - share), 1)


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
        "ticks": [
            {"y": _down(share / 100), "text_y": _down(share / 100) + 4, "label": f"{share}%"}
            for share in (0, 25, 50, 75, 100)
        ],
    }
