"""The bank's files: strict YAML in, checked records out, and back again byte for byte.

Three kinds of file make a bank: `guide*.yaml` (an exam guide in one edition), `references.yaml` (the ledger of official
pages) and `<objective>/<id>.yaml` (one question each). Every problem is found in one pass and says where it is and
what to do. The admin's form checks its input with the same `check_question`, so both refuse the same things.
"""

import datetime
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
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

QUESTION_BYTES = 64 * 1024
LEDGER_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 8

# The C version where PyYAML was built with libyaml: ten times faster, same results.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a record: the path to the field, and in words what to do about it."""

    path: Path_
    message: str


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A problem with its place: printed as `file:line: question: what to do`."""

    file: str
    line: int
    question: str
    message: str

    def __str__(self) -> str:
        who = f"{self.question}: " if self.question else ""
        return f"{self.file}:{self.line}: {who}{self.message}"


# --- Strict YAML --------------------------------------------------------------------------------


class YamlProblem(Exception):
    """A file that is not plain YAML data. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Document:
    """Plain data read from one YAML file, with the line of each path in it."""

    data: Any
    lines: dict[Path_, int] = field(default_factory=dict)

    def line_of(self, path: Path_) -> int:
        """The line of the path, or of the nearest thing around it that exists in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}


def read_yaml(text: str, limit: int = QUESTION_BYTES) -> Document:
    """Read one document of mappings, lists and scalars.

    Aliases, anchors, merge keys, tags, duplicate keys, more than one document, nesting deeper than MAX_DEPTH and
    texts over `limit` bytes raise YamlProblem before anything is built, so a hostile file costs next to nothing.
    """
    if len(text.encode("utf-8", "surrogatepass")) > limit:
        raise YamlProblem(1, f"The file is over {limit:,} bytes. Shorten it or split it.")
    try:
        _refuse_beyond_plain_data(text)
        node = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlProblem(line, f"This is not valid YAML ({error.problem}). Check indentation and quotes.") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise YamlProblem(1, f"This cannot be read as YAML ({error}). Remove control characters.") from error
    if node is None:
        raise YamlProblem(1, "The file is empty. Fill it or delete it.")
    document = Document(None)
    document.data = _build(node, (), document.lines)
    return document


def _refuse_beyond_plain_data(text: str) -> None:
    depth = documents = 0
    for event in yaml.parse(text, Loader=Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlProblem(line, "Anchors and aliases are not allowed. Write the value out.")
        if getattr(event, "tag", None):
            raise YamlProblem(line, f"The tag {event.tag} is not allowed. Write plain text, numbers, lists.")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise YamlProblem(line, "There is a second document. Use one file for each question.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise YamlProblem(line, f"The nesting is deeper than {MAX_DEPTH} levels. Flatten it.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _build(node: yaml.Node, path: Path_, lines: dict[Path_, int]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_build(child, (*path, index), lines) for index, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise YamlProblem(line, "Merge keys (<<) are not allowed. Write the fields out.")
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlProblem(line, "A field name must be plain text.")
            key = _scalar(key_node)
            if key in mapping:
                raise YamlProblem(line, f"The field {key!r} stands here twice. Delete one of them.")
            mapping[key] = _build(value_node, (*path, key), lines)
            lines[(*path, key)] = line
        return mapping
    return _scalar(node)


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag not in _SCALARS:
        raise YamlProblem(node.start_mark.line + 1, f"The value {node.value!r} is not plain data. Put it in quotes.")
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, OverflowError) as error:
        raise YamlProblem(node.start_mark.line + 1, f"{node.value!r} is not a valid value ({error}).") from error


# --- Records ------------------------------------------------------------------------------------

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def _clean(text: str) -> str:
    """Trim the ends and trailing spaces of each line; refuse characters that no database or page can hold."""
    if _CONTROL.search(text):
        raise ValueError("contains a control character; delete it")
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _one_line(text: str) -> str:
    if "\n" in text:
        raise ValueError("must be one paragraph; join the lines")
    return text


Text = Annotated[str, AfterValidator(_clean), StringConstraints(min_length=1, max_length=20_000)]
Line = Annotated[str, AfterValidator(_clean), AfterValidator(_one_line), StringConstraints(min_length=1, max_length=2_000)]
Short = Annotated[str, AfterValidator(_clean), AfterValidator(_one_line), StringConstraints(min_length=1, max_length=200)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=80)]

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
    guides: dict[Slug, int] = Field(default_factory=dict)
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


class TopicRecord(Record):
    id: Slug
    name: Line
    modern: Literal[True] | None = None  # added to the topics of the guide, so that the bank fits today's exam
    legacy: Short | None = None  # the older product that the topic replaces


class ObjectiveRecord(Record):
    code: Slug
    title: Short
    questions: Annotated[int, Field(ge=0)] | None = None
    topics: list[TopicRecord] = Field(default_factory=list)


class SectionRecord(Record):
    code: Annotated[int, Field(ge=1)]
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
        for section in self.sections:
            per_objective = [o.questions for o in section.objectives if o.questions is not None]
            if per_objective and (
                len(per_objective) != len(section.objectives) or sum(per_objective) != section.questions
            ):
                raise ValueError(
                    f"section {section.code}: make the objectives' `questions` add up to {section.questions}"
                )
        codes = [s.code for s in self.sections]
        objectives = [o.code for s in self.sections for o in s.objectives]
        topics = [t.id for s in self.sections for o in s.objectives for t in o.topics]
        for name, values in (("section", codes), ("objective", objectives), ("topic", topics)):
            if twice := {v for v in values if values.count(v) > 1}:
                raise ValueError(f"{name} {', '.join(map(str, sorted(twice)))} is there twice; rename or delete one")
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
    template = _ADVICE.get(error["type"])
    if template is None:
        return f"{name}: {error['msg']}."
    wanted = "an https address without parameters" if names and names[-1] == "url" else "lower-case letters, digits, dots and dashes"
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
        yield Problem(("objective",), f"Objective {record.objective} is not in the guide. Use one of {', '.join(sections)}.")
    elif sections[record.objective] != record.section:
        yield Problem(("section",), f"Objective {record.objective} belongs to section {sections[record.objective]}, not {record.section}.")
    if not re.fullmatch(rf"{re.escape(guide.code)}-{re.escape(record.objective)}-\d{{4}}", record.id):
        yield Problem(("id",), f"The id must be {guide.code}-{record.objective}- and four digits.")
    for index, topic in enumerate(record.topics):
        if topic not in topics:
            yield Problem(("topics", index), f"Topic {topic} is not in the guide. Use a topic id of guide.yaml.")
        elif index == 0 and topics[topic] != record.section:
            yield Problem(("topics", 0), f"The primary topic {topic} belongs to section {topics[topic]}. Put a topic of section {record.section} in front.")
        if topic in record.topics[:index]:
            yield Problem(("topics", index), f"Topic {topic} is named twice. Remove one.")
    for index, reference in enumerate(record.references):
        if reference not in references:
            yield Problem(("references", index), f"Reference {reference} is not in the ledger. Add it to references.yaml first.")
        if reference in record.references[:index]:
            yield Problem(("references", index), f"Reference {reference} is named twice. Remove one.")
    yield from _check_options(record)


def _check_options(record: QuestionRecord) -> Iterator[Problem]:
    options, keys = TYPES[record.type]
    if record.choose != keys:
        yield Problem(("choose",), f"A {record.type}-choice question has `choose: {keys}`.")
    if len(record.options) != options:
        yield Problem(("options",), f"A {record.type}-choice question has {options} options; here are {len(record.options)}.")
    marked = sum(option.key is True for option in record.options)
    if marked != keys:
        yield Problem(("options",), f"Mark exactly {keys} option{'s' * (keys > 1)} as key; here {'is' if marked == 1 else 'are'} {marked}.")
    seen: dict[str, int] = {}
    for index, option in enumerate(record.options):
        if option.key and option.flip is not None:
            yield Problem(("options", index, "flip"), "A key has no `flip`. Remove it.")
        folded = " ".join(re.findall(r"\w+", option.text.casefold())) or option.text
        if folded in seen:
            yield Problem(("options", index, "text"), "This option says the same as another one. Change or replace it.")
        seen[folded] = index


# --- A whole bank -------------------------------------------------------------------------------


@dataclass(slots=True)
class BankFiles:
    """One bank read from its folder. `guides` starts with the home guide, the one the questions' sections follow."""

    guides: list[GuideRecord] = field(default_factory=list)
    references: list[ReferenceRecord] = field(default_factory=list)
    questions: list[QuestionRecord] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)


def read_bank(folder: Path) -> BankFiles:
    """Read `guide.yaml`, other `guide-*.yaml`, `references.yaml` and `<objective>/<id>.yaml`; collect all problems."""
    bank = BankFiles()
    if not (folder / "guide.yaml").is_file():
        bank.problems.append(FileProblem(str(folder), 1, "", "There is no guide.yaml here. Name a bank's folder."))
        return bank
    for path in [folder / "guide.yaml", *sorted(folder.glob("guide-*.yaml"))]:
        bank.guides += _read_records(bank, folder, path, GuideRecord, whole=True)
    if (folder / "references.yaml").is_file():
        bank.references = _read_records(bank, folder, folder / "references.yaml", ReferenceRecord, whole=False)
    if bank.problems:
        return bank

    home, ledger, files = bank.guides[0], {r.id for r in bank.references}, {}
    for path in sorted(folder.glob("*/*.yaml")):
        if path.parent.name == "solves":
            continue
        document = _read_document(bank, folder, path, QUESTION_BYTES)
        if document is None:
            continue
        name = str(document.data.get("id", "")) if isinstance(document.data, dict) else ""
        record, problems = check_question(document.data, home, ledger)
        if record and path.relative_to(folder) != Path(record.objective, f"{record.id}.yaml"):
            problems.append(Problem(("id",), f"This question belongs in {record.objective}/{record.id}.yaml."))
        if record and files.setdefault(record.id, path) != path:
            problems.append(Problem(("id",), f"The id is used in {files[record.id].name} as well. Take a new one."))
        place = str(path.relative_to(folder))
        bank.problems += [FileProblem(place, document.line_of(p.path), name, p.message) for p in problems]
        if record:
            bank.questions.append(record)
    return bank


def _read_document(bank: BankFiles, folder: Path, path: Path, limit: int) -> Document | None:
    place = str(path.relative_to(folder))
    try:
        if path.stat().st_size > limit:
            raise YamlProblem(1, f"The file is over {limit:,} bytes. Shorten it or split it.")
        return read_yaml(path.read_text("utf-8"), limit)
    except UnicodeDecodeError:
        bank.problems.append(FileProblem(place, 1, "", "The file is not UTF-8 text. Save it as UTF-8."))
    except YamlProblem as problem:
        bank.problems.append(FileProblem(place, problem.line, path.stem, str(problem)))
    return None


def _read_records[R: (GuideRecord, ReferenceRecord)](
    bank: BankFiles, folder: Path, path: Path, kind: type[R], *, whole: bool
) -> list[R]:
    document = _read_document(bank, folder, path, LEDGER_BYTES)
    if document is None:
        return []
    if not whole and not isinstance(document.data, list):
        bank.problems.append(FileProblem(path.name, 1, "", "The file must be a list of entries."))
        return []
    records, seen = [], set()
    for prefix, data in [((), document.data)] if whole else [((i,), d) for i, d in enumerate(document.data)]:
        record, problems = check_record(kind, data)
        if isinstance(record, ReferenceRecord):
            if record.id in seen:
                problems.append(Problem(("id",), f"The id {record.id} is there twice. Rename or delete one."))
            seen.add(record.id)
        bank.problems += [
            FileProblem(path.name, document.line_of((*prefix, *p.path)), "", p.message) for p in problems
        ]
        if record:
            records.append(record)
    return records


# --- Writing ------------------------------------------------------------------------------------


class _CanonicalDumper(yaml.SafeDumper):  # not the C version, which breaks lines elsewhere
    """Block style, the stem as a literal block, fields in the record's order."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Literal(str):
    """Text that is written as a literal block."""


_CanonicalDumper.add_representer(
    _Literal, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def plain(record: Record) -> dict[str, Any]:
    """The record as plain data, without fields that are absent."""
    return record.model_dump(exclude_none=True)


def dump(records: Record | Sequence[Record]) -> str:
    """The canonical text of a record or a list of records: reading it gives them back, writing those gives it back."""
    if isinstance(records, Record):
        data: Any = plain(records)
        if "stem" in data:
            data["stem"] = _Literal(data["stem"] + "\n")
    else:
        data = [plain(record) for record in records]
    return yaml.dump(
        data, Dumper=_CanonicalDumper, sort_keys=False, allow_unicode=True, width=118, default_flow_style=False
    )


def digest(record: Record) -> str:
    """SHA-256 of the record in hexadecimal: equal for equal records."""
    text = json.dumps(record.model_dump(mode="json", exclude_none=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def face_digest(record: QuestionRecord) -> str:
    """SHA-256 over what a blind solver is asked and what counts as right: type, stem, options and key.

    A blind-solve record names it; a later change of any of these makes the solve out of date, one of a rationale does not.
    """
    options = sorted((option.text, option.key is True) for option in record.options)
    return hashlib.sha256(repr((record.type, record.stem, options)).encode()).hexdigest()


def storage_order(question_id: str, text: str) -> str:
    """Sort key of an option in its file: SHA-256 of id and text, so that the place of the key tells nothing."""
    return hashlib.sha256(f"{question_id}\n{text}".encode()).hexdigest()
