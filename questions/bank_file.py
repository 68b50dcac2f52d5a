"""The bank's files: checked records in, and back again byte for byte.

These files make a bank: `guide*.yaml` (an exam guide in one edition), `references.yaml` (the ledger of official pages),
`policy.yaml` (names and hosts that lint knows), `quality.yaml` (what lint measured), `<objective>/<id>.yaml` (one question
each) and `solves/` (what blind readers answered). Every problem is found in one pass and says where it is and
what to do.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from questions.quality import QualityRecord
from questions.records import (
    GuideRecord,
    PolicyRecord,
    Problem,
    QuestionRecord,
    Record,
    ReferenceRecord,
    SolveRecord,
    check_question,
    check_record,
)
from questions.strict_yaml import Document, YamlProblem, read_yaml

QUESTION_BYTES = 64 * 1024
LEDGER_BYTES = 4 * 1024 * 1024


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


@dataclass(slots=True)
class BankFiles:
    """One bank read from its folder. `guides` starts with the home guide, the one the questions' sections follow."""

    guides: list[GuideRecord] = field(default_factory=list)
    references: list[ReferenceRecord] = field(default_factory=list)
    policy: PolicyRecord | None = None
    quality: QualityRecord | None = None
    questions: list[QuestionRecord] = field(default_factory=list)
    solves: dict[str, list[SolveRecord]] = field(default_factory=dict)  # question id -> blind answers
    # Size of the bank -> answers from the options alone.
    options_only: dict[str, list[SolveRecord]] = field(default_factory=dict)
    problems: list[FileProblem] = field(default_factory=list)


def read_bank(folder: Path) -> BankFiles:
    """Read the guides, the ledger, the policy and the questions of a folder; collect all problems."""
    bank = BankFiles()
    if not (folder / "guide.yaml").is_file():
        bank.problems.append(FileProblem(str(folder), 1, "", "There is no guide.yaml here. Name a bank's folder."))
        return bank
    home = _read_guide(bank, folder, folder / "guide.yaml")
    for path in sorted(folder.glob("guide-*.yaml")):
        _read_guide(bank, folder, path)
    ledger: set[str] | None = set()
    if (folder / "references.yaml").is_file():
        ledger = _read_references(bank, folder, folder / "references.yaml")
    if (folder / "policy.yaml").is_file():
        bank.policy = _read_record(bank, folder, folder / "policy.yaml", PolicyRecord)
    if (folder / "quality.yaml").is_file():
        bank.quality = _read_record(bank, folder, folder / "quality.yaml", QualityRecord)
    places: dict[str, Path] = {}
    for path in sorted(folder.glob("*/*.yaml")):
        if path.parent.name != "solves":
            _read_question(bank, folder, path, home, ledger, places)
    return bank


def folder_digest(folder: Path) -> str:
    """SHA-256 over names and bytes of what `read_bank` reads: where it is equal, reading again finds the same."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]):
        if path.parent.name != "solves" and path.is_file():  # `read_bank` tells of what is none
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def read_solves(bank: BankFiles, folder: Path) -> None:
    """Add what readers answered: `solves/<id>.yaml`, and `solves/options-only-<size>.yaml`. Serving exams needs none of it."""
    for path in sorted((folder / "solves").glob("*.yaml")):
        solves = _read_list(bank, folder, path, SolveRecord) or []
        if path.stem.startswith("options-only-"):
            bank.options_only[path.stem.removeprefix("options-only-")] = solves
            continue
        bank.solves[path.stem] = solves
        if any(solve.question != path.stem for solve in solves):
            bank.problems.append(FileProblem(str(path.relative_to(folder)), 1, path.stem, "Name this question alone."))


def _read_list[R: Record](
    bank: BankFiles, folder: Path, path: Path, kind: type[R], more: Callable[[Any], list[Problem]] = lambda data: []
) -> list[R] | None:
    """A file that holds a list of records: the sound ones; None where no entry can be read. `more` checks each entry too."""
    document = _read_document(bank, folder, path, LEDGER_BYTES)
    place = str(path.relative_to(folder))
    if document is None:
        return None
    if not isinstance(document.data, list):
        bank.problems.append(FileProblem(place, 1, "", "The file must be a list of entries."))
        return None
    found = []
    for index, data in enumerate(document.data):
        record, problems = check_record(kind, data)
        for problem in problems + more(data):
            bank.problems.append(FileProblem(place, document.line_of((index, *problem.path)), "", problem.message))
        if record:
            found.append(record)
    return found


def _read_question(
    bank: BankFiles,
    folder: Path,
    path: Path,
    home: GuideRecord | None,
    ledger: set[str] | None,
    places: dict[str, Path],
) -> None:
    document = _read_document(bank, folder, path, QUESTION_BYTES)
    if document is None:
        return
    name = str(document.data.get("id", "")) if isinstance(document.data, dict) else ""
    record, problems = check_record(QuestionRecord, document.data)
    if record and home:  # where guide or ledger cannot be read, the rest is still told
        record, problems = check_question(document.data, home, record.references if ledger is None else ledger)
    if record:
        if path.relative_to(folder) != Path(record.objective, f"{record.id}.yaml"):
            problems.append(Problem(("id",), f"This question belongs in {record.objective}/{record.id}.yaml."))
        if places.setdefault(record.id, path) != path:
            problems.append(Problem(("id",), f"The id is used in {places[record.id].name} as well. Take a new one."))
        for guide in bank.guides:
            section = record.guides.get(guide.edition)
            if section is not None and section not in guide.section_counts():
                problems.append(Problem(("guides",), f"Edition {guide.edition} has no section {section}."))
        bank.questions.append(record)
    place = str(path.relative_to(folder))
    bank.problems += [FileProblem(place, document.line_of(p.path), name, p.message) for p in problems]


def _read_document(bank: BankFiles, folder: Path, path: Path, limit: int) -> Document | None:
    place = str(path.relative_to(folder))
    try:
        if not path.is_file():  # a pipe or a device would never end
            raise YamlProblem(1, "This is not a file. Remove it.")
        if path.stat().st_size > limit:
            raise YamlProblem(1, f"The file is over {limit:,} bytes. Shorten it or split it.")
        return read_yaml(path.read_text("utf-8"), limit)
    except OSError as error:
        bank.problems.append(FileProblem(place, 1, "", f"The file cannot be read ({error.strerror})."))
    except UnicodeDecodeError:
        bank.problems.append(FileProblem(place, 1, "", "The file is not UTF-8 text. Save it as UTF-8."))
    except YamlProblem as problem:
        bank.problems.append(FileProblem(place, problem.line, path.stem, str(problem)))
    return None


def _read_record[R: Record](bank: BankFiles, folder: Path, path: Path, kind: type[R]) -> R | None:
    """A file that holds one record."""
    document = _read_document(bank, folder, path, LEDGER_BYTES)
    if document is None:
        return None
    record, problems = check_record(kind, document.data)
    bank.problems += [FileProblem(path.name, document.line_of(p.path), "", p.message) for p in problems]
    return record


def _read_guide(bank: BankFiles, folder: Path, path: Path) -> GuideRecord | None:
    record = _read_record(bank, folder, path, GuideRecord)
    if record:
        bank.guides.append(record)
    return record


def _read_references(bank: BankFiles, folder: Path, path: Path) -> set[str] | None:
    """Returns the ids that questions may name, also those of faulty entries; None where no entry can be read."""
    ids: set[str] = set()

    def named_twice(data: Any) -> list[Problem]:
        name = str(data.get("id", "")) if isinstance(data, dict) else ""
        twice = bool(name) and name in ids
        ids.add(name)
        return [Problem(("id",), f"The id {name} is there twice. Rename or delete one.")] if twice else []

    references = _read_list(bank, folder, path, ReferenceRecord, named_twice)
    if references is None:
        return None
    bank.references += references
    return ids


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
    options = sorted([option.text, option.key is True] for option in record.options)
    face = [record.type, " ".join(record.stem.split()), options]  # breaking lines anew asks nothing else
    return hashlib.sha256(json.dumps(face).encode()).hexdigest()


def storage_order(question_id: str, text: str) -> str:
    """Sort key of an option in its file: SHA-256 of id and text, so that the place of the key tells nothing."""
    return hashlib.sha256(f"{question_id}\n{text}".encode()).hexdigest()
