"""One factory per model, and a whole small bank."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import factory
from django.apps import apps
from django.contrib.auth.models import Group
from factory.django import DjangoModelFactory

from questions import records
from questions.account_forms import MAIL
from questions.models import Attempt, Guide, Option, Question, Reference, User

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def guide_document(sections: int = 3, per_section: int = 2, code: str = "tiny", minutes: int = 60) -> dict[str, Any]:
    """A made-up guide: so many sections, each with two objectives and its questions on the first of them."""
    return {
        "code": code,
        "edition": "one",
        "title": "Tiny Engineer",
        "exam": {"questions": sections * per_section, "minutes": minutes, "target": 70},
        "sections": [
            {
                "code": number,
                "title": f"Section {number}",
                "questions": per_section,
                "objectives": [
                    {
                        "code": f"{number}.1",
                        "title": f"Objective {number}.1",
                        "questions": per_section,
                        "topics": [{"id": f"topic-{number}-{n}", "name": f"Topic {number} {n}"} for n in range(12)],
                    },
                    {"code": f"{number}.2", "title": f"Objective {number}.2", "questions": 0, "topics": []},
                ],
            }
            for number in range(1, sections + 1)
        ],
    }


def question_data(code: str = "tiny-1.1-0001", **changes: Any) -> dict[str, Any]:
    """A valid record for the made-up guide."""
    objective = code.split("-")[1]
    section = int(objective[0])
    return {
        "id": code,
        "section": section,
        "objective": objective,
        "topics": [f"topic-{section}-0"],
        "guides": {},
        "sector": "lighthouses",
        "decisive": f"Only one fits {code}.",
        "type": "single",
        "choose": 1,
        "level": "apply",
        "difficulty": 2,
        "moment": "design",
        "traits": [],
        "stem": f"A lighthouse ({code}) needs a model.\n\nWhat should you do?",
        "options": [
            {"text": f"Option {n} of {code}", **({"key": True} if n == 2 else {}), "why": f"Because of {n}."}
            for n in range(4)
        ],
        "explanation": f"The rule of {code}.",
        "references": ["page-one"],
        "author": "ExamSim authors",
        "reviewers": [],
        "license": "CC-BY-4.0",
        "status": "published",
        "history": [],
        **changes,
    }


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"taker{n}")
    password = factory.django.Password("lantern-7-harbour")


def make_instructor(**fields: Any) -> User:
    """Somebody of the group that the migration makes; made again here where a test before emptied every table."""
    import_module("questions.migrations.0002_instructors").make_group(apps, None)
    import_module("questions.migrations.0004_time").grant(apps, None)
    user = UserFactory(is_staff=True, **fields)
    user.groups.add(Group.objects.get(name="Instructors"))
    return user


class GuideFactory(DjangoModelFactory):
    class Meta:
        model = Guide
        django_get_or_create = ("code", "edition")

    code = "tiny"
    edition = "one"
    is_home = True
    document = factory.LazyFunction(guide_document)


class ReferenceFactory(DjangoModelFactory):
    class Meta:
        model = Reference
        django_get_or_create = ("bank", "code")

    bank = "tiny"
    code = "page-one"
    url = "https://docs.cloud.google.com/one"
    title = "Page one"
    checked = NOW.date()
    seen = "page"
    facts = "It says so."


class QuestionFactory(DjangoModelFactory):
    """A published question with a revision: three distractors and a key, stored third."""

    class Meta:
        model = Question
        skip_postgeneration_save = True

    class Params:
        place = "1.1"  # the objective

    guide = factory.SubFactory(GuideFactory)
    code = factory.Sequence(lambda n: f"tiny-1.1-{n:04}")
    section = factory.LazyAttribute(lambda q: int(q.place[0]))
    objective = factory.SelfAttribute("place")
    topics = factory.LazyAttribute(lambda q: [f"topic-{q.section}-0"])
    sector = "lighthouses"
    decisive = factory.LazyAttribute(lambda q: f"Only one fits {q.code}.")
    type = "single"
    level = "apply"
    difficulty = 2
    moment = "design"
    stem = factory.LazyAttribute(lambda q: f"A lighthouse ({q.code}) needs a model.\n\nWhat should you do?")
    explanation = "The rule."
    references = factory.LazyFunction(lambda: ["page-one"])
    author = "ExamSim authors"
    status = "published"

    @factory.post_generation
    def options(self, create: bool, extracted: Any, **kwargs: Any) -> None:
        ReferenceFactory()
        count, keys = records.TYPES[self.type]
        for number in range(count):
            Option.objects.create(
                question=self,
                position=number,
                text=f"Option {number} of {self.code}",
                is_key=number in {1: {2}, 2: {0, 3}}[keys],
                why=f"Because of {number}.",
            )
        self.record_change(NOW)


def make_bank(sections: int = 3, per_section: int = 2, spare: int = 0) -> Guide:
    """A guide of the given shape with exactly its questions, plus `spare` more in each section."""
    guide = GuideFactory(document=guide_document(sections, per_section))
    for section in range(1, sections + 1):
        for number in range(per_section + spare):
            QuestionFactory(
                guide=guide,
                place=f"{section}.1",
                code=f"tiny-{section}.1-{number + 1:04}",
                topics=[f"topic-{section}-{number % 12}"],
            )
    guide.refresh_from_db()
    return guide


def make_attempt(user: User | None = None, now: datetime = NOW, seed: int = 1, **changes: Any) -> Attempt:
    """A running exam, drawn as the site draws it; fields may be changed afterwards."""
    user = user or UserFactory()
    guide = Guide.objects.filter(code="tiny").first() or make_bank()
    attempt = Attempt.objects.start(user, guide, seed, now)
    for name, value in changes.items():
        setattr(attempt, name, value)
    attempt.save()
    return attempt


def finish(attempt: Attempt, right: int, after: timedelta = timedelta(minutes=30)) -> Attempt:
    """Answer so that `right` of the questions are right, the first ones by position, and submit."""
    for slot in attempt.slots.all():
        wrong = next(letter for letter in slot.shown_letters if letter not in slot.key)
        slot.letters = slot.key if slot.position <= right else wrong
        slot.save(update_fields=["letters"])
    attempt.settle(attempt.started_at + after)
    return attempt


def mail_is_sent() -> None:
    """Wait until all mail that was asked for has gone out: it is sent one by one beside the requests."""
    MAIL.submit(lambda: None).result(timeout=10)
