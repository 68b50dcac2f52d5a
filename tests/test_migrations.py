"""An exam that began under the first migration goes on under the newest; on SQLite and on PostgreSQL."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model
from django.test import Client

from questions import scoring
from questions.models import Attempt, SaveEvent, Slot, User
from questions.models.attempts import LATE, SAVED, STALE, Save
from tests import postgresql
from tests.factories import NOW, guide_document

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.time_machine(NOW, tick=False)]

ON_POSTGRESQL = connection.vendor == "postgresql"
FIRST = ("questions", "0001_initial")
RELEASED = ("questions", "0006_operations")
TABLES = ("User", "Guide", "Question", "Option", "Revision", "Attempt", "Slot", "SaveEvent")
OP = UUID(int=1)  # of the last save of the running exam


@pytest.fixture
def old_site(tmp_path):
    """In place of the tests' database a new one, migrated no further than FIRST; so nothing needs to be undone."""
    tests_own = connections["default"]
    new = tests_own.copy()
    new.settings_dict["OPTIONS"].pop("pool", None)  # pools know databases by alias, and this one shares its alias
    new.settings_dict["NAME"] = "old_site" if ON_POSTGRESQL else tmp_path / "old.sqlite3"
    if ON_POSTGRESQL:
        with tests_own.cursor() as cursor:
            cursor.execute("DROP DATABASE IF EXISTS old_site")
            cursor.execute("CREATE DATABASE old_site")
    connections["default"] = new
    ContentType.objects.clear_cache()
    try:
        call_command("migrate", *FIRST, verbosity=0)
        yield
    finally:
        new.close()
        connections["default"] = tests_own
        ContentType.objects.clear_cache()


def first_models() -> dict[str, type[Model]]:
    old = MigrationExecutor(connections["default"]).loader.project_state(FIRST).apps
    return {name: old.get_model("questions", name) for name in TABLES}


def rows(models: dict[str, type[Model]], fields: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    return {name: list(model._base_manager.order_by("pk").values(*fields[name])) for name, model in models.items()}


def sit(models: dict[str, type[Model]]) -> None:
    """A taker with a finished exam, 2 of 3 right, and one that has run for half an hour with two saves."""
    taker = models["User"].objects.create(username="old hand", time_factor=125, target=80)
    guide = models["Guide"].objects.create(
        code="tiny", edition="one", is_home=True, document=guide_document(per_section=1), bank_version=3
    )
    for section in (1, 2, 3):
        question = models["Question"].objects.create(
            code=f"tiny-{section}.1-0001",
            guide=guide,
            section=section,
            objective=f"{section}.1",
            topics=[f"topic-{section}-0"],
            sector="lighthouses",
            decisive="Only one fits.",
            type="single",
            level="apply",
            difficulty=2,
            moment="design",
            stem="Which one?",
            explanation="The rule.",
            references=[],
            author="ExamSim authors",
            status="published",
        )
        options = [{"text": f"Option {n}", "key": n == 2, "why": "It is so."} for n in range(4)]
        for position, option in enumerate(options):
            models["Option"].objects.create(
                question=question, position=position, text=option["text"], is_key=option["key"], why=option["why"]
            )
        content = {"type": "single", "stem": "Which one?", "options": options, "explanation": "", "references": []}
        question.revision = models["Revision"].objects.create(
            question=question, number=1, content=content, options=4, key="2", created_at=NOW - timedelta(days=9)
        )
        question.save()
    for start, finished in ((NOW - timedelta(days=1), True), (NOW - timedelta(minutes=30), False)):
        attempt = models["Attempt"].objects.create(
            user=taker,
            guide=guide,
            seed=1,
            started_at=start,
            deadline=start + timedelta(minutes=75),
            target=80,
            asked=3,
            **({"finished_at": start + timedelta(minutes=20), "right": 2} if finished else {}),
        )
        for position, question in enumerate(models["Question"].objects.order_by("pk"), start=1):
            letters = "CCA"[position - 1] if finished else "BD"[position - 1 : position]
            slot = models["Slot"].objects.create(
                attempt=attempt,
                position=position,
                question=question,
                revision=question.revision,
                section=position,
                objective=f"{position}.1",
                order="0123",
                key="C",
                letters=letters,
                flagged=position == 2,
                seconds=40 + position,
                version=len(letters),
                first_sighting=finished,
                is_right=letters == "C" if finished else None,
            )
            if letters:
                op = uuid4() if finished or position == 1 else OP
                at = start + timedelta(minutes=position)
                models["SaveEvent"].objects.create(
                    slot=slot, op=op, at=at, letters=letters, flagged=slot.flagged, version=1
                )


@pytest.fixture
def migrated(old_site):
    """The rows of the old site in the fields it had: before, and after migrating to the newest."""
    old = first_models()
    fields = {name: [field.attname for field in model._meta.concrete_fields] for name, model in old.items()}
    sit(old)
    before = rows(old, fields)
    call_command("migrate", verbosity=0)
    new = {name: apps.get_model("questions", name) for name in TABLES}
    return before, rows(new, fields)


# reliability case 50
def test_migrating_keeps_every_value_of_exams_answers_and_results(migrated):
    before, after = migrated

    assert after == before
    assert {name: len(found) for name, found in before.items()} == {
        "User": 1,
        "Guide": 1,
        "Question": 3,
        "Option": 12,
        "Revision": 3,
        "Attempt": 2,
        "Slot": 6,
        "SaveEvent": 5,
    }


# reliability case 50
def test_a_running_exam_goes_on_with_its_deadline_its_versions_and_its_operations(migrated):
    attempt = Attempt.objects.running(NOW)
    slots = list(attempt.slots.select_related("attempt"))

    assert attempt.time_left(NOW) == timedelta(minutes=45)
    assert (attempt.minutes, attempt.last_event_at) == (60, NOW - timedelta(minutes=28))
    assert slots[1].save_answer(Save(OP, 0, letters="D", flagged=True), NOW) == SAVED  # it comes again
    assert slots[0].save_answer(Save(uuid4(), 0, letters="C"), NOW) == STALE
    assert slots[0].save_answer(Save(uuid4(), 1, letters="C"), NOW) == SAVED
    assert slots[2].save_answer(Save(uuid4(), 0, letters="C"), NOW + timedelta(minutes=45)) == SAVED
    assert slots[1].save_answer(Save(uuid4(), 1, letters="C"), NOW + timedelta(minutes=46)) == LATE
    attempt.refresh_from_db()
    assert (attempt.right, attempt.finished_at) == (2, NOW + timedelta(minutes=45))
    assert list(Slot.objects.filter(attempt=attempt).values_list("letters", "version")) == [
        ("C", 2),
        ("D", 1),
        ("C", 1),
    ]
    assert SaveEvent.objects.filter(slot__attempt=attempt).count() == 5


def test_pages_of_before_open_after_migrating(migrated):
    client = Client()
    client.force_login(User.objects.get())
    finished, running = Attempt.objects.order_by("pk")

    of_running = [f"/exams/{running.pk}/{page}/" for page in ("2", "finish")]
    of_finished = [f"/exams/{finished.pk}/{page}/" for page in ("report", "review", "review/1")]
    statuses = {page: client.get(page).status_code for page in ["/", "/progress/", *of_running, *of_finished]}

    assert set(statuses.values()) == {200}
    assert (finished.percent, finished.target_reached) == (scoring.Tally(2, 3).percent, False)


def test_the_version_before_goes_on_inserting_while_the_site_is_updated(migrated):
    old = MigrationExecutor(connections["default"]).loader.project_state(RELEASED).apps
    guest = old.get_model("questions", "User").objects.create(username="guest", is_guest=True)
    attempt, slot = Attempt.objects.values().last(), Slot.objects.values().last()
    mine = old.get_model("questions", "Attempt")(**attempt | {"id": None, "user_id": guest.pk})
    mine.save()
    fields = {field.attname for field in old.get_model("questions", "Slot")._meta.concrete_fields}
    inherited = {name: slot[name] for name in fields - {"id"}} | {"attempt_id": mine.pk}
    place = old.get_model("questions", "Slot").objects.create(**inherited)
    old.get_model("questions", "SaveEvent").objects.create(
        slot=place, op=OP, at=NOW, letters="A", flagged=False, version=1
    )

    assert Slot.objects.values("confidence", "struck", "marks", "note").get(pk=place.pk) == {
        "confidence": 0,
        "struck": "",
        "marks": "",
        "note": "",
    }
    assert User.objects.get(pk=guest.pk).single_keys
    assert Slot.objects.get(pk=place.pk).save_answer(Save(OP, 0, letters="A"), NOW) == SAVED  # it comes again


def test_no_newer_migration_locks_two_tables_at_once(migrated):
    """Else savers who hold one of them and wait for the other would be in a deadlock with it."""
    locked = {
        name: {getattr(each, "model_name", None) for each in migration.operations}
        for (app, name), migration in MigrationExecutor(connections["default"]).loader.disk_migrations.items()
        if app == "questions" and name > RELEASED[1]
    }

    assert {name: tables for name, tables in locked.items() if len(tables) > 1} == {}


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
def test_the_same_holds_on_postgresql():
    postgresql.passes(__file__, "5 passed, 1 skipped")
