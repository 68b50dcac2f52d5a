from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Max
from django.utils.functional import cached_property
from django.utils.translation import gettext

from questions import bank_file, draw, records


class GuideQuerySet(models.QuerySet["Guide"]):
    def offered(self) -> list["Guide"]:
        """The editions that takers choose from, the site's own choice first; none before a bank is loaded."""
        code, _, edition = settings.GUIDE.partition("/")
        guides = list(self.filter(code=code).defer("quality").order_by("edition"))
        if edition not in {guide.edition for guide in guides}:
            return []
        return sorted(guides, key=lambda guide: guide.edition != edition)


class Guide(models.Model):
    """An exam guide in one edition, as its file says. Data, not code: another certification is another row."""

    code = models.SlugField(max_length=80)
    edition = models.CharField(max_length=80)
    is_home = models.BooleanField(help_text="The edition whose sections and objectives the questions' files name.")
    label = models.CharField(max_length=200, blank=True, help_text="What takers call this edition.")
    document = models.JSONField(help_text="The guide's file: sections, objectives, topics, blueprint.")
    quality = models.JSONField(
        default=dict, blank=True, help_text="What lint measured of the bank's files; home guide only."
    )
    files_digest = models.CharField(
        max_length=64, editable=False, blank=True, default="", help_text="Of the files last loaded without a conflict."
    )
    bank_version = models.PositiveIntegerField(default=0, help_text="Grows when what may be drawn changes.")

    objects = GuideQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code", "edition"], name="one_guide_per_edition"),
            models.UniqueConstraint(fields=["code"], condition=models.Q(is_home=True), name="one_home_guide"),
        ]

    def __str__(self) -> str:
        return f"{self.record.title} ({self.edition})"

    @cached_property
    def record(self) -> records.GuideRecord:
        return records.GuideRecord.model_validate(self.document)

    def blueprint(self) -> list[dict[str, Any]]:
        """The sections with the questions that an exam asks of each."""
        counts = self.record.section_counts()
        return [{"code": s.code, "title": s.title, "count": counts[s.code]} for s in self.record.sections]

    def candidates(self) -> tuple[draw.Candidate, ...]:
        """The published questions, placed by this edition. Kept per process for as long as `bank_version` stands."""
        return _candidates(self.code, self.edition, self.is_home, self.bank_version)

    def shortage(self) -> str:
        """Which sections lack how many published questions for an exam; empty when one can be drawn."""
        try:
            draw.fill(self.record.cells(), self.candidates())
        except draw.BankTooSmall as shortage:
            return in_words(shortage)
        return ""


def in_words(bank: draw.BankTooSmall) -> str:
    """The same as str(bank), in the reader's language."""
    parts = []
    for shortage in bank.shortages:
        words = (
            gettext("section %(section)s, objective %(objective)s: %(missing)s too few")
            if shortage.objective
            else gettext("section %(section)s: %(missing)s too few")
        )
        parts.append(words % asdict(shortage))
    return "; ".join(parts)


@lru_cache(maxsize=8)
def _candidates(code: str, edition: str, is_home: bool, bank_version: int) -> tuple[draw.Candidate, ...]:
    rows = (
        Question.objects.published()
        .filter(guide__code=code)
        .values_list(
            "pk", "revision_id", "section", "objective", "topics", "guides", "revision__options", "revision__key"
        )
    )
    found = []
    for pk, revision, section, objective, topics, guides, options, key in rows.iterator(5000):
        if not is_home:
            section, objective = guides.get(edition), ""
        if section is not None:
            found.append(draw.Candidate(pk, revision, section, objective, topics[0], options, key))
    return tuple(found)


class Reference(models.Model):
    """An official page of the ledger, and what it says in our own words."""

    code = models.CharField(max_length=80, validators=[RegexValidator(records.SLUG)])
    bank = models.SlugField(max_length=80, default="pmle", help_text="The code of the guide.")
    url = models.URLField(max_length=500)
    title = models.CharField(max_length=200)
    checked = models.DateField(help_text="The day on which the page was last read.")
    seen = models.CharField(max_length=10, choices=[("page", "the page"), ("excerpt", "an excerpt")], default="page")
    facts = models.TextField(help_text="What the page says that questions rest on, in your own words.")

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["bank", "code"], name="one_reference_per_code")]

    def __str__(self) -> str:
        return f"{self.title} ({self.code})"

    def to_record(self) -> dict[str, Any]:
        return {
            "id": self.code,
            "url": self.url,
            "title": self.title,
            "checked": self.checked,
            "seen": self.seen,
            "facts": self.facts,
        }


class QuestionQuerySet(models.QuerySet["Question"]):
    def published(self) -> "QuestionQuerySet":
        return self.filter(status="published", revision__isnull=False)

    def set_status(self, status: str) -> int:
        """Publish or retire many at once; returns how many changed."""
        changed = list(self.exclude(status=status).prefetch_related("options").select_related("guide"))
        for question in changed:
            question.status = status
            question.record_digest = question.digest()
        self.model.objects.bulk_update(changed, ["status", "record_digest"], batch_size=200)
        touch_banks({question.guide.code for question in changed})
        return len(changed)


def touch_banks(codes: Iterable[str]) -> None:
    """Tell every process that what may be drawn has changed."""
    Guide.objects.filter(code__in=codes).update(bank_version=F("bank_version") + 1)


def _choices(values: Iterable[Any]) -> list[tuple[Any, str]]:
    return [(value, str(value).replace("-", " ").capitalize()) for value in values]


class Question(models.Model):
    """An entry of the bank. Its options and texts are the working copy; `revision` is what takers are served."""

    code = models.CharField("id", max_length=80, unique=True)
    guide = models.ForeignKey(Guide, models.PROTECT, related_name="questions", limit_choices_to={"is_home": True})
    section = models.PositiveSmallIntegerField()
    objective = models.CharField(max_length=20)
    topics = models.JSONField(default=list, help_text="Topic ids of the guide, the primary one first.")
    guides = models.JSONField(default=dict, blank=True, help_text="Section in other editions of the guide.")
    sector = models.CharField(max_length=200, help_text="The invented organisation's sector.")
    decisive = models.TextField(help_text="The one point that decides, in a sentence.")
    type = models.CharField(max_length=10, choices=[("single", "Single choice"), ("multiple", "Choose two")])
    level = models.CharField(max_length=10, choices=_choices(records.LEVELS))
    difficulty = models.PositiveSmallIntegerField(choices=[(1, "1 easy"), (2, "2 medium"), (3, "3 hard")])
    moment = models.CharField(max_length=20, choices=_choices(records.MOMENTS))
    traits = models.JSONField(default=list, blank=True)
    stem = models.TextField(help_text="Markdown. Facts first, the question last.")
    explanation = models.TextField(help_text="The rule to take away, in 25-80 words.")
    references = models.JSONField(default=list)
    author = models.CharField(max_length=200)
    reviewers = models.JSONField(default=list, blank=True)
    license = models.CharField(max_length=200, default="CC-BY-4.0")
    status = models.CharField(max_length=10, choices=_choices(records.STATUSES), default="draft", db_index=True)
    history = models.JSONField(default=list, blank=True)

    revision = models.ForeignKey("Revision", models.RESTRICT, null=True, editable=False, related_name="+")
    # The record as it stands here, and as its file last said. Where they differ, somebody edited the question here;
    # a file that differs from `file_digest` was edited there. Empty: the question has never had a file.
    record_digest = models.CharField(max_length=64, editable=False, default="")
    file_digest = models.CharField(max_length=64, editable=False, default="", blank=True)

    objects = QuestionQuerySet.as_manager()

    class Meta:
        ordering = ["code"]
        indexes = [models.Index(fields=["guide", "section", "objective", "status"], name="question_place")]

    def __str__(self) -> str:
        return self.code

    @property
    def choose(self) -> int:
        return records.TYPES[self.type][1]

    def to_record(self) -> dict[str, Any]:
        """Plain data in the shape of `records.QuestionRecord`."""
        return {
            "id": self.code,
            "section": self.section,
            "objective": self.objective,
            "topics": self.topics,
            "guides": self.guides,
            "sector": self.sector,
            "decisive": self.decisive,
            "type": self.type,
            "choose": self.choose,
            "level": self.level,
            "difficulty": self.difficulty,
            "moment": self.moment,
            "traits": self.traits,
            "stem": self.stem,
            "options": [option.to_record() for option in self.options.all()] if self.pk else [],
            "explanation": self.explanation,
            "references": self.references,
            "author": self.author,
            "reviewers": self.reviewers,
            "license": self.license,
            "status": self.status,
            "history": [{**entry, "date": datetime.fromisoformat(entry["date"]).date()} for entry in self.history],
        }

    def digest(self) -> str:
        return bank_file.digest(records.QuestionRecord.model_validate(self.to_record()))

    def content(self, options: Iterable["Option"]) -> dict[str, Any]:
        """What a revision freezes: everything that a taker is shown before or after submission."""
        return {
            "type": self.type,
            "stem": self.stem,
            "options": [{"text": option.text, "key": option.is_key, "why": option.why} for option in options],
            "explanation": self.explanation,
            "references": self.references,
        }

    def was_served(self) -> bool:
        return self.slots.exists()

    def freeze(self, options: Iterable["Option"], now: datetime) -> None:
        """Make the next revision if the content differs from the present one; the question is not saved."""
        content = self.content(options)
        if self.revision is None or self.revision.content != content:
            last = self.revisions.aggregate(last=Max("number"))["last"] or 0
            self.revision = Revision.of(self, last + 1, content, now)
            self.revision.save()

    def record_change(self, now: datetime) -> None:
        """After an edit here: freeze the next revision if the content changed, and let every process draw anew."""
        self.freeze(self.options.all(), now)
        self.record_digest = self.digest()
        self.save(update_fields=["revision", "record_digest"])
        touch_banks([self.guide.code])


class Option(models.Model):
    """One of the answers offered: the key, or a distractor."""

    question = models.ForeignKey(Question, models.CASCADE, related_name="options")
    position = models.PositiveSmallIntegerField(default=0)
    text = models.TextField()
    is_key = models.BooleanField("key", default=False)
    why = models.TextField("rationale", help_text="Why it is right or wrong, in 15-70 words.")
    flip = models.TextField(
        blank=True, help_text="For a distractor: the sentence to replace so that it becomes the key."
    )

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.text[:60]

    def to_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {"text": self.text}
        if self.is_key:
            record["key"] = True
        record["why"] = self.why
        if self.flip:
            record["flip"] = self.flip
        return record


class Revision(models.Model):
    """The frozen content of a question. It never changes; an edit makes the next one."""

    question = models.ForeignKey(Question, models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    content = models.JSONField()
    options = models.PositiveSmallIntegerField(help_text="How many, so that a draw need not read the content.")
    key = models.CharField(max_length=5, help_text="The numbers of the right options, as stored: 2, or 03.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["question", "number"], name="one_revision_per_number")]

    def __str__(self) -> str:
        return f"{self.question} revision {self.number}"

    @classmethod
    def of(cls, question: Question, number: int, content: dict[str, Any], now: datetime) -> "Revision":
        options = content["options"]
        return cls(
            question=question,
            number=number,
            content=content,
            options=len(options),
            key="".join(str(index) for index, option in enumerate(options) if option["key"]),
            created_at=now,
        )
