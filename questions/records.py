"""What a question, a reference and an exam guide are, field by field, and what makes one invalid.

The bank's files and the admin's form are both checked here, so both refuse the same things in the same words.
"""

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from questions import draw
from questions.strict_yaml import Path_

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def trim(text: str) -> str:
    """Without space around the text and at the ends of its lines."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _clean(text: str) -> str:
    """Trim the text; refuse characters that no database or page can hold."""
    if _CONTROL.search(text):
        raise ValueError("contains a control character; delete it")
    return trim(text)


def _one_line(text: str) -> str:
    if "\n" in text:
        raise ValueError("must be one paragraph; join the lines")
    return text


Text = Annotated[str, AfterValidator(_clean), StringConstraints(min_length=1, max_length=20_000)]
Line = Annotated[
    str, AfterValidator(_clean), AfterValidator(_one_line), StringConstraints(min_length=1, max_length=2_000)
]
Short = Annotated[
    str, AfterValidator(_clean), AfterValidator(_one_line), StringConstraints(min_length=1, max_length=200)
]
SLUG = r"^[a-z0-9][a-z0-9.-]*$"
Slug = Annotated[str, StringConstraints(pattern=SLUG, max_length=80)]

STATUSES = ("draft", "reviewed", "published", "retired")
TYPES = {"single": (4, 1), "multiple": (5, 2)}  # options, keys
LEVELS = ("recall", "apply", "analyze", "evaluate")
MOMENTS = ("design", "operating", "incident", "migration", "cost-latency")
TRAITS = (
    "python",
    "sql",
    "genai",
    "simplest-wins",
    "business-metric",
    "component-choice",
    "diagnosis",
    "near-miss",
)


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _by_name(places: dict[str, int]) -> dict[str, int]:
    """In one order, because a database need not keep the order of a mapping's names."""
    return dict(sorted(places.items()))


class OptionRecord(Record):
    text: Line
    key: Literal[True] | None = None
    why: Line
    flip: Line | None = None


class HistoryRecord(Record):
    date: datetime.date
    note: Line


class QuestionRecord(Record):
    """One question as its file holds it; the fields in the order they are written."""

    id: Slug
    section: int
    objective: Slug
    topics: Annotated[list[Slug], Field(min_length=1, max_length=3)]
    guides: Annotated[dict[Slug, int], AfterValidator(_by_name)] = Field(default_factory=dict)
    sector: Short
    decisive: Line
    type: Literal["single", "multiple"]
    choose: Literal[1, 2]
    level: Literal[LEVELS]  # type: ignore[valid-type]
    difficulty: Annotated[int, Field(ge=1, le=3)]
    moment: Literal[MOMENTS]  # type: ignore[valid-type]
    traits: list[Literal[TRAITS]] = Field(default_factory=list)  # type: ignore[valid-type]
    stem: Text
    options: Annotated[list[OptionRecord], Field(min_length=1, max_length=8)]
    explanation: Line
    references: Annotated[list[Slug], Field(min_length=1, max_length=6)]
    author: Short
    reviewers: list[Short] = Field(default_factory=list)
    license: Short
    status: Literal[STATUSES]  # type: ignore[valid-type]
    history: list[HistoryRecord] = Field(default_factory=list)


class ReferenceRecord(Record):
    """An official page that was looked up, and what it says in our own words."""

    id: Slug
    url: Annotated[str, StringConstraints(pattern=r"^https://[^\s?]+$", max_length=500)]
    title: Short
    checked: datetime.date
    seen: Literal["page", "excerpt"]
    facts: Line


class SolveRecord(Record):
    """What a reader answered who did not write the question and saw neither key nor rationale.

    `face` names the text that was read (`bank_file.face_digest`); `rating` is how hard the reader found it: too easy where one
    clause of the stem decides.
    """

    question: Slug
    face: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    reader: Short
    answer: list[Line]
    confidence: Annotated[int, Field(ge=1, le=3)]
    defended: list[Line] = Field(default_factory=list)
    rating: Literal["too-easy", "fair", "hard"] | None = None
    date: datetime.date


class ProductRecord(Record):
    """A product's name today, and the names it had before."""

    name: Short
    former: list[Short] = Field(default_factory=list)


class NotDecisiveRecord(Record):
    """Something that is about to change, so that no key may rest on it."""

    phrase: Short
    why: Line


class PolicyRecord(Record):
    """What lint holds questions against: official hosts, product names, and what may not decide a key."""

    hosts: Annotated[list[Short], Field(min_length=1)]
    products: list[ProductRecord] = Field(default_factory=list)
    not_decisive: list[NotDecisiveRecord] = Field(default_factory=list)


class TopicRecord(Record):
    id: Slug
    name: Line
    modern: Literal[True] | None = None  # added to the topics of the guide, so that the bank fits today's exam
    legacy: Short | None = None  # the older product that the topic replaces


class ObjectiveRecord(Record):
    code: Annotated[str, StringConstraints(pattern=SLUG, max_length=20)]
    title: Short
    questions: Annotated[int, Field(ge=0)] | None = None
    topics: list[TopicRecord] = Field(default_factory=list)


class SectionRecord(Record):
    code: Annotated[int, Field(ge=1, le=999)]
    title: Short
    questions: Annotated[int, Field(ge=0)] | None = None
    weight: Annotated[int, Field(ge=0)] | None = None
    objectives: list[ObjectiveRecord] = Field(default_factory=list)


class ExamRecord(Record):
    questions: Annotated[int, Field(ge=1, le=500)]
    minutes: Annotated[int, Field(ge=1, le=1440)]
    target: Annotated[int, Field(ge=1, le=100)]  # per cent right that counts as reached; no official pass mark exists


class GuideRecord(Record):
    """An exam guide in one edition, and the blueprint of its exam.

    Sections have either `questions` each, adding up to the exam's, or `weight` each, shared out by largest remainder.
    Objectives either all have `questions`, adding up to their section's, or none has.
    """

    code: Slug
    edition: Slug
    title: Short
    label: Short | None = None  # what takers call this edition, where there are several
    exam: ExamRecord
    sections: Annotated[list[SectionRecord], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _counts_add_up(self) -> Self:
        counted = [s for s in self.sections if s.questions is not None]
        weighted = [s for s in self.sections if s.weight is not None]
        if len(counted) + len(weighted) != len(self.sections) or (counted and weighted):
            raise ValueError("give every section `questions`, or every section `weight`")
        if counted and sum(s.questions or 0 for s in counted) != self.exam.questions:
            raise ValueError(f"make the sections' `questions` add up to {self.exam.questions}")
        counts = self.section_counts()
        for section in self.sections:
            per_objective = [o.questions for o in section.objectives if o.questions is not None]
            count = counts[section.code]
            if per_objective and (len(per_objective) != len(section.objectives) or sum(per_objective) != count):
                raise ValueError(f"section {section.code}: make the objectives' `questions` add up to {count}")
        codes = [s.code for s in self.sections]
        objectives = [o.code for s in self.sections for o in s.objectives]
        topics = [t.id for s in self.sections for o in s.objectives for t in o.topics]
        for name, values in (("section", map(str, codes)), ("objective", objectives), ("topic", topics)):
            if twice := [value for value, count in Counter(values).items() if count > 1]:
                raise ValueError(f"{name} {', '.join(twice)} is there twice; rename or delete one")
        return self

    def section_counts(self) -> dict[int, int]:
        """Section code -> questions in an exam."""
        if self.sections[0].weight is None:
            return {s.code: s.questions or 0 for s in self.sections}
        weights = {str(s.code): s.weight or 0 for s in self.sections}
        return {int(code): count for code, count in draw.allocate(weights, self.exam.questions).items()}

    def cells(self) -> list[draw.Cell]:
        """The blueprint: how many questions from each objective, or from each section without objective counts."""
        cells = []
        for section in self.sections:
            per_objective = [
                draw.Cell(section.code, o.code, o.questions) for o in section.objectives if o.questions is not None
            ]
            cells += per_objective or [draw.Cell(section.code, "", self.section_counts()[section.code])]
        return cells

    def objective_sections(self) -> dict[str, int]:
        return {o.code: s.code for s in self.sections for o in s.objectives}

    def topic_sections(self) -> dict[str, int]:
        return {t.id: s.code for s in self.sections for o in s.objectives for t in o.topics}


# --- Checking -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a record: the path to the field, and in words what to do about it."""

    path: Path_
    message: str


_ADVICE = {
    "missing": "{name} is missing. Add it.",
    "extra_forbidden": "{name} is not a field here. Remove it or correct its spelling.",
    "string_too_short": "{name} is empty. Fill it in.",
    "string_too_long": "{name} is too long. Keep it under {max_length} characters.",
    "string_type": "{name} must be text. Put it in quotes.",
    "int_type": "{name} must be a whole number.",
    "bool_type": "{name} must be true or false.",
    "literal_error": "{name} must be {expected}.",
    "too_short": "{name} needs at least {min_length} entry.",
    "too_long": "{name} has more than {max_length} entries. Remove some.",
    "greater_than_equal": "{name} must be {ge} or more.",
    "less_than_equal": "{name} must be {le} or less.",
    "list_type": "{name} must be a list.",
    "dict_type": "{name} must be a mapping of names to values.",
    "model_type": "{name} must be a mapping of fields.",
    "date_type": "{name} must be a date such as 2026-01-31.",
    "string_pattern_mismatch": "{name} has the wrong form: use {wanted}.",
}


def _advice(error: Mapping[str, Any]) -> str:
    path = [part for part in error["loc"] if part != "[key]"]
    names = [str(part) for part in path if isinstance(part, str)]
    name = f"`{names[-1]}`" if names else "The file"
    context = dict(error.get("ctx") or {})
    if error["type"] == "value_error":
        return f"{name}: {context['error']}."
    kind = error["type"]
    if isinstance(error["input"], str) and kind in {"too_short", "too_long"}:
        kind = f"string_{kind}"  # a text's length is checked after it was trimmed, and named like a list's
    template = _ADVICE.get(kind)
    if template is None:
        return f"{name}: {error['msg']}."
    wanted = (
        "an https address without parameters"
        if names and names[-1] == "url"
        else "lower-case letters, digits, dots and dashes"
    )
    return template.format(name=name, wanted=wanted, **context)


def check_record[R: Record](kind: type[R], data: Any) -> tuple[R | None, list[Problem]]:
    """Validate plain data against a record class; the record is None when there are problems."""
    try:
        return kind.model_validate(data), []
    except ValidationError as error:
        return None, [Problem(tuple(e["loc"]), _advice(e)) for e in error.errors(include_url=False)]


def check_question(
    data: Any, guide: GuideRecord, references: Iterable[str]
) -> tuple[QuestionRecord | None, list[Problem]]:
    """Validate one question against the record's shape, its guide and the ids of the reference ledger."""
    record, problems = check_record(QuestionRecord, data)
    if record is None:
        return None, problems
    problems = list(_cross_check(record, guide, set(references)))
    return (None if problems else record), problems


def _cross_check(record: QuestionRecord, guide: GuideRecord, references: set[str]) -> Iterator[Problem]:
    sections, topics = guide.objective_sections(), guide.topic_sections()
    if record.objective not in sections:
        yield Problem(
            ("objective",), f"Objective {record.objective} is not in the guide. Use one of {', '.join(sections)}."
        )
    elif sections[record.objective] != record.section:
        yield Problem(
            ("section",),
            f"Objective {record.objective} belongs to section {sections[record.objective]}, not {record.section}.",
        )
    if not re.fullmatch(rf"{re.escape(guide.code)}-{re.escape(record.objective)}-\d{{4}}", record.id):
        yield Problem(("id",), f"The id must be {guide.code}-{record.objective}- and four digits.")
    for index, topic in enumerate(record.topics):
        if topic not in topics:
            yield Problem(("topics", index), f"Topic {topic} is not in the guide. Use a topic id of guide.yaml.")
        elif index == 0 and topics[topic] != record.section:
            yield Problem(
                ("topics", 0),
                f"The primary topic {topic} belongs to section {topics[topic]}. Put a topic of section {record.section} in front.",
            )
        if topic in record.topics[:index]:
            yield Problem(("topics", index), f"Topic {topic} is named twice. Remove one.")
    for index, reference in enumerate(record.references):
        if reference not in references:
            yield Problem(
                ("references", index), f"Reference {reference} is not in the ledger. Add it to references.yaml first."
            )
        if reference in record.references[:index]:
            yield Problem(("references", index), f"Reference {reference} is named twice. Remove one.")
    yield from _check_options(record)


def _check_options(record: QuestionRecord) -> Iterator[Problem]:
    options, keys = TYPES[record.type]
    if record.choose != keys:
        yield Problem(("choose",), f"A {record.type}-choice question has `choose: {keys}`.")
    if len(record.options) != options:
        yield Problem(
            ("options",), f"A {record.type}-choice question has {options} options; here are {len(record.options)}."
        )
    marked = sum(option.key is True for option in record.options)
    if marked != keys:
        yield Problem(
            ("options",),
            f"Mark exactly {keys} option{'s' * (keys > 1)} as key; here {'is' if marked == 1 else 'are'} {marked}.",
        )
    seen: dict[str, int] = {}
    for index, option in enumerate(record.options):
        if option.key and option.flip is not None:
            yield Problem(("options", index, "flip"), "A key has no `flip`. Remove it.")
        folded = " ".join(re.findall(r"[^\s.,;:!?'\"`]+", option.text.casefold())) or option.text
        if folded in seen:
            yield Problem(("options", index, "text"), "This option says the same as another one. Change or replace it.")
        seen[folded] = index
