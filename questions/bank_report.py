"""The measured quality of a bank, as a record for the site and as a page of Markdown for readers of the repository."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

from questions import gates, records
from questions.bank_file import BankFiles, face_digest
from questions.quality import GateRecord, QualityRecord, ShareRecord
from questions.records import QuestionRecord, SolveRecord


def quality(bank: BankFiles, measured: Sequence[gates.Gate], today: date) -> QualityRecord:
    """Count and compare everything that `page` and the site tell. `bank` has its solves read."""
    guide = bank.guides[0]
    published = [question for question in bank.questions if question.status == "published"]
    by_id = {question.id: question for question in published}
    cited = {code for question in published for code in question.references}
    ledger = [reference for reference in bank.references if reference.id in cited]

    def spread(names: Iterable[str], values: Iterable[str]) -> list[ShareRecord]:
        counts = Counter(values)
        return [ShareRecord(name=name, count=counts[name], total=len(published)) for name in names]

    return QualityRecord(
        measured=today,
        questions=len(published),
        full=gates.FULL_EXAMS * guide.exam.questions,
        exams=len(published) // guide.exam.questions,
        sections=[
            ShareRecord(
                name=f"{section.code}. {section.title}",
                count=sum(question.section == section.code for question in published),
                total=guide.section_counts()[section.code] * gates.FULL_EXAMS,
            )
            for section in guide.sections
        ],
        objectives=[
            ShareRecord(
                name=f"{objective.code} {objective.title}",
                count=sum(question.objective == objective.code for question in published),
                total=(objective.questions or 0) * gates.FULL_EXAMS,
            )
            for section in guide.sections
            for objective in section.objectives
        ],
        kinds={
            "type": spread(records.TYPES, (question.type for question in published)),
            "level": spread(records.LEVELS, (question.level for question in published)),
            "difficulty": spread("123", (str(question.difficulty) for question in published)),
            "moment": spread(records.MOMENTS, (question.moment for question in published)),
            "traits": spread(records.TRAITS, (trait for question in published for trait in question.traits)),
        },
        references=[
            ShareRecord(name=f"seen as {seen}", count=sum(r.seen == seen for r in ledger), total=len(ledger))
            for seen in ("page", "excerpt")
        ],
        first_answers=_first_answers(guide, by_id, bank.solves),
        ratings=_ratings(by_id, bank.solves),
        options_only=[
            ShareRecord(
                name=f"at {stage} questions",
                count=sum(
                    sorted(solve.answer) == gates.keys(by_id[solve.question])
                    for solve in asked
                    if solve.question in by_id
                ),
                total=sum(solve.question in by_id for solve in asked),
            )
            for stage, asked in sorted(bank.options_only.items(), key=lambda item: int(item[0]))
        ],
        gates=[GateRecord(code=g.code, title=g.title, passed=g.passed, figure=g.figure) for g in measured],
    )


def _first_answers(
    guide: records.GuideRecord, by_id: dict[str, QuestionRecord], solves: dict[str, list[SolveRecord]]
) -> list[ShareRecord]:
    shares = []
    for section in guide.sections:
        asked = [
            (by_id[code], solve)
            for code, answers in solves.items()
            if code in by_id and by_id[code].section == section.code
            for solve in answers[:2]
        ]
        right = sum(sorted(solve.answer) == gates.keys(question) for question, solve in asked)
        shares.append(ShareRecord(name=f"{section.code}. {section.title}", count=right, total=len(asked)))
    return shares


def _ratings(by_id: dict[str, QuestionRecord], solves: dict[str, list[SolveRecord]]) -> list[ShareRecord]:
    """Rated questions: too easy where every reader of the present text says so, hard where one does, else fair."""
    found: Counter[str] = Counter()
    for code, question in by_id.items():
        ratings = {s.rating for s in solves.get(code, []) if s.rating and s.face == face_digest(question)}
        if ratings:
            found["too easy" if ratings == {"too-easy"} else "hard" if "hard" in ratings else "fair"] += 1
    return [ShareRecord(name=name, count=found[name], total=found.total()) for name in ("too easy", "fair", "hard")]


# --- The page ---------------------------------------------------------------------------------------

_TITLES = {
    "type": "Type",
    "level": "Level",
    "difficulty": "Difficulty",
    "moment": "Moment",
    "traits": "Traits (a question may have several)",
}
_BAR = 20


def page(quality: QualityRecord) -> str:
    """Markdown with a small bar beside each share."""
    passed = sum(gate.passed for gate in quality.gates)
    lines = [
        "# The bank, measured",
        "",
        f"Written by `python3 manage.py lint_bank --report docs/bank-report.md` on {quality.measured}. "
        f"{quality.questions} of {quality.full} questions are published: {quality.exams} exam{'s' * (quality.exams != 1)} without "
        f"a question in common. {passed} of {len(quality.gates)} gates pass.",
        "",
        f"Blind readers matched the key in {quality.first_share or 0:.0%} of their first answers.",
        "",
        "## Gates",
        "",
        "| Gate | What is measured | Figure | |",
        "| --- | --- | --- | --- |",
        *(f"| {g.code} | {g.title} | {g.figure} | {'pass' if g.passed else '**fail**'} |" for g in quality.gates),
        "",
        "Bounds are widened by 1.5 standard errors while the bank is not full.",
        *_chart("Sections, of a full bank", quality.sections),
        *_chart("Objectives, of a full bank", quality.objectives),
        *(line for kind, shares in quality.kinds.items() for line in _chart(_TITLES[kind], shares)),
        *_chart("References", quality.references),
        *_chart("First blind answers that matched the key", quality.first_answers),
        *_chart("What blind readers said of the questions that they rated", quality.ratings),
        *_chart("Right without the stem, from the options alone", quality.options_only),
    ]
    return "\n".join(lines) + "\n"


def _percent(share: ShareRecord) -> str:
    return f"{share.count / share.total:.0%}" if share.total else "none"


def _chart(title: str, shares: Sequence[ShareRecord]) -> list[str]:
    rows = [
        f"| {share.name} | {share.count} of {share.total} | "
        f"`{'█' * round(_BAR * share.count / share.total if share.total else 0):░<{_BAR}}` {_percent(share)} |"
        for share in shares
    ]
    return ["", f"## {title}", "", "| | | |", "| --- | ---: | --- |", *rows] if rows else []
