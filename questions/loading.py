"""A bank's files into the database, without ever undoing an instructor's edit."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.db import transaction

from questions import bank_file, records
from questions.models.bank import Guide, Option, Question, Reference, Revision, touch_banks
from questions.quality import QualityRecord


@dataclass(slots=True)
class LoadReport:
    """Ids of the questions, by what happened to them."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    unchanged: int = 0

    def __str__(self) -> str:
        parts = [("added", self.added), ("updated", self.updated), ("retired", self.retired)]
        said = [f"{len(ids)} {name}" for name, ids in parts if ids] + [f"{self.unchanged} unchanged"]
        return ", ".join(said)


def files_digest(folder: Path) -> str:
    """Of a bank's files and of the code that loads them: where it is the one stored, loading again changes nothing."""
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return hashlib.sha256(f"{bank_file.folder_digest(folder)} {code}".encode()).hexdigest()


def is_loaded(folder: Path) -> bool:
    """Whether the files are as they were when they were last loaded without a conflict."""
    return Guide.objects.filter(files_digest=files_digest(folder)).exists()


@transaction.atomic
def load(bank: bank_file.BankFiles, now: datetime, *, source: str = "", prefer_files: bool = False) -> LoadReport:
    """Bring the database up to the files. `bank` must have no problems; `source` is the digest of its files.

    A question is compared three ways: as its file said it last time, as the file says it now, as the database has it.
    Only what changed on the file's side alone is taken over; where both sides changed, the database's text stays and
    the question is reported as a conflict, unless `prefer_files`. A file that is gone counts as one that says "retired".
    """
    home = bank.guides[0]
    guide = _save_guides(bank.guides, bank.quality)
    _save_references(home.code, bank.references)
    known = {
        code: (record_digest, file_digest, status)
        for code, record_digest, file_digest, status in Question.objects.filter(guide__code=home.code).values_list(
            "code", "record_digest", "file_digest", "status"
        )
    }
    report = LoadReport()
    update: list[tuple[records.QuestionRecord, str]] = []
    create: list[tuple[records.QuestionRecord, str]] = []
    for record in bank.questions:
        digest = bank_file.digest(record)
        if record.id not in known:
            create.append((record, digest))
            report.added.append(record.id)
            continue
        in_database, in_file, _ = known[record.id]
        if digest == in_file:
            report.unchanged += 1
        elif digest == in_database:
            Question.objects.filter(code=record.id).update(file_digest=digest)
            report.unchanged += 1
        elif in_database == in_file or prefer_files:
            update.append((record, digest))
            report.updated.append(record.id)
        else:
            report.conflicts.append(record.id)
    _create(guide, create, now)
    _update(update, now)

    there = {record.id for record in bank.questions}
    gone = [
        code for code, (_, in_file, status) in known.items() if code not in there and in_file and status != "retired"
    ]
    for question in Question.objects.filter(code__in=gone).prefetch_related("options"):
        if question.record_digest != question.file_digest and not prefer_files:
            report.conflicts.append(question.code)
            continue
        question.status = "retired"
        question.record_digest = question.file_digest = question.digest()
        question.save(update_fields=["status", "record_digest", "file_digest"])
        report.retired.append(question.code)
    if report.added or report.updated or report.retired:
        touch_banks([home.code])
    Guide.objects.filter(code=home.code).update(files_digest="" if report.conflicts else source)
    return report


def _save_guides(guides: list[records.GuideRecord], quality: QualityRecord | None) -> Guide:
    """Returns the home guide. Where another edition was it before, that one steps down and its questions move along."""
    home = guides[0]
    former = Guide.objects.filter(code=home.code, is_home=True).exclude(edition=home.edition)
    moved = former.update(is_home=False)
    for record in reversed(guides):  # the home guide last: it is the one returned
        guide, _ = Guide.objects.update_or_create(
            code=record.code,
            edition=record.edition,
            defaults={
                "label": record.label or "",
                "document": bank_file.plain(record),
                "quality": quality.model_dump(mode="json") if quality and record is home else {},
                "is_home": record is home,
            },
        )
    if moved:
        Question.objects.filter(guide__code=home.code).update(guide=guide)
    return guide


def _save_references(bank: str, entries: Iterable[records.ReferenceRecord]) -> None:
    """Add and update; never delete, because past revisions name them."""
    known = {reference.code: reference for reference in Reference.objects.filter(bank=bank)}
    fresh, changed = [], []
    for record in entries:
        values = bank_file.plain(record)
        reference = known.get(record.id)
        if reference is None:
            fresh.append(Reference(bank=bank, code=values.pop("id"), **values))
        elif reference.to_record() != values:
            for name in ("url", "title", "checked", "seen", "facts"):
                setattr(reference, name, values[name])
            changed.append(reference)
    Reference.objects.bulk_create(fresh, batch_size=500)
    Reference.objects.bulk_update(changed, ["url", "title", "checked", "seen", "facts"], batch_size=200)


def _fill(question: Question, record: records.QuestionRecord, digest: str) -> list[Option]:
    """Copy a record's fields into the question; returns its options, unsaved."""
    values = record.model_dump(mode="json", exclude={"id", "options", "choose"})
    for name, value in values.items():
        setattr(question, name, value)
    question.record_digest = question.file_digest = digest
    return [
        Option(
            question=question,
            position=position,
            text=option.text,
            is_key=option.key is True,
            why=option.why,
            flip=option.flip or "",
        )
        for position, option in enumerate(record.options)
    ]


def _create(guide: Guide, entries: list[tuple[records.QuestionRecord, str]], now: datetime) -> None:
    questions, options, revisions = [], [], []
    for record, digest in entries:
        question = Question(code=record.id, guide=guide)
        mine = _fill(question, record, digest)
        questions.append(question)
        options += mine
        revisions.append(Revision.of(question, 1, question.content(mine), now))
    Question.objects.bulk_create(questions, batch_size=200)
    Option.objects.bulk_create(options, batch_size=500)
    Revision.objects.bulk_create(revisions, batch_size=200)
    for question, revision in zip(questions, revisions, strict=True):
        question.revision = revision
    Question.objects.bulk_update(questions, ["revision"], batch_size=500)


def _update(entries: list[tuple[records.QuestionRecord, str]], now: datetime) -> None:
    known = Question.objects.select_related("revision").in_bulk([record.id for record, _ in entries], field_name="code")
    for record, digest in entries:
        question = known[record.id]
        options = _fill(question, record, digest)
        question.options.all().delete()
        Option.objects.bulk_create(options)
        question.freeze(options, now)
        question.save()
