"""`manage.py copy_database`: from SQLite to PostgreSQL and back with every row, or not at all."""

import json
import os
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import CommandError, call_command
from django.db import connection

from questions.management.commands import copy_database
from questions.management.commands.copy_database import COPY, connected
from questions.models import Attempt, Counter, Question, Revision, SaveEvent, SecondFactor, Slot, Throttle, User
from questions.models.attempts import LATE, SAVED, Save
from tests import postgresql
from tests.databases import Databases, manage, manage_well
from tests.factories import NOW, UserFactory, finish, make_attempt, make_instructor

pytestmark = pytest.mark.django_db(transaction=True)

ON_POSTGRESQL = connection.vendor == "postgresql"
MOMENT = NOW.replace(microsecond=123457)
ODD = "🦊 שלום \u202eevil\u202c e\u0301 \\ ' \" %s \u2028 \r\n\t \u0001 \U0001d518"
LONG = ODD * 25_000  # more than a megabyte

# Run in a process of its own on the database that was copied to: the running exam goes on, and somebody starts another.
GO_ON = """
import django, json
django.setup()
from datetime import datetime, timedelta
from uuid import uuid4
from questions.models import Attempt, User
from questions.models.attempts import Save
running = Attempt.objects.get(finished_at=None)
now = running.started_at + timedelta(minutes=7)
slot = running.slots.select_related("attempt").get(position=2)
saved = slot.save_answer(Save(uuid4(), slot.version, letters="B"), now)
ended = running.settle(now)
last = Attempt.objects.latest("pk").pk
newer = Attempt.objects.start(User.objects.create_user("newcomer"), running.guide, 1, now)
print(json.dumps([saved, ended, newer.pk > last, newer.slots.count()]))
"""


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("databases")
    if ON_POSTGRESQL:
        yield Databases(folder, os.environ["DATABASE_URL"])
        return
    if reason := postgresql.missing():
        pytest.skip(reason)
    with postgresql.cluster() as url:
        yield Databases(folder, url)


@pytest.fixture
def other(databases) -> str:
    """The address of a new database of the kind that this one is not."""
    return databases.sqlite() if ON_POSTGRESQL else databases.postgresql()


@pytest.fixture
def site(bank):
    """A bit of everything: a running exam and a finished one, saves on time and late, odd and long texts, people."""
    taker, instructor = UserFactory(first_name=ODD[:20], exam_date=NOW.date()), make_instructor()
    finish(make_attempt(taker, MOMENT - timedelta(days=1)), right=4)
    running = make_attempt(taker, MOMENT, seed=2**62)
    running.add_time(10, instructor, "Fire alarm " + ODD, MOMENT)
    slot = running.slots.select_related("attempt").get(position=1)
    assert slot.save_answer(Save(uuid4(), 0, letters="A", flagged=True, seconds=9), MOMENT) == SAVED
    assert slot.save_answer(Save(uuid4(), 1, letters="C"), MOMENT + timedelta(hours=2)) == LATE
    Attempt.objects.filter(pk=running.pk).update(finished_at=None, right=None)
    Slot.objects.filter(attempt=running).update(is_right=None)
    Question.objects.filter(pk=slot.question_id).update(stem=ODD, explanation=LONG, history=[{"note": ODD, "at": 1.5}])
    Revision.objects.filter(pk=slot.revision_id).update(content={"stem": LONG, "options": [{"key": True, ODD: None}]})
    SecondFactor.objects.create(user=instructor, secret="S" * 32, last_step=2**40, recovery=["b", "a"])
    Throttle.objects.create(key="k" * 64, tries=3, last_try=MOMENT)
    Counter.objects.create(name="late_saves", value=2**60)
    Counter.objects.create(name="Late_saves")  # databases disagree about the order of such names
    session = SessionStore()
    session["text"] = ODD
    session.save()
    LogEntry.objects.create(user=instructor, object_repr=ODD, action_flag=2, change_message="[]")


def here() -> str:
    """The address of this database, for other processes."""
    name = str(connection.settings_dict["NAME"])
    return f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}" if ON_POSTGRESQL else f"sqlite:///{name}"


def everything(url: str) -> list[dict[str, Any]]:
    """All rows as Django itself writes them down, in one order."""
    with connected(url):
        said = StringIO()
        call_command("dumpdata", database=COPY, stdout=said)
    rows = json.loads(said.getvalue())
    return sorted(rows, key=lambda row: (row["model"], str(row["pk"])))


def copy(to: str) -> list[str]:
    said = StringIO()
    call_command("copy_database", to, stdout=said)
    return said.getvalue().splitlines()


def refusal(to: str) -> str:
    with pytest.raises(CommandError) as error:
        copy(to)
    return str(error.value)


# reliability case 50
def test_a_move_to_the_other_kind_of_database_and_back_keeps_every_row(site, databases, other):
    before = everything(here())
    back = databases.postgresql() if ON_POSTGRESQL else databases.sqlite()

    there = copy(other)
    again = manage_well(other, "copy_database", back).splitlines()

    assert everything(other) == before
    assert everything(back) == before
    assert again[:-1] == there[:-1]
    assert len({row["model"] for row in before}) == 18  # every table but the three of who is what, told with others
    assert "questions_slot: 12, " in " ".join(there)
    *tables, sentence, last = there
    counts = [int(re.search(r": (\d+), ", line)[1]) for line in tables]
    assert sentence == f"{sum(counts)} rows copied and compared. Let DATABASE_URL name the new database now."
    assert re.fullmatch(r"Whatever is saved after \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC is only in the old one\.", last)


# reliability case 50
def test_after_the_move_a_running_exam_goes_on_and_new_rows_get_new_numbers(site, other):
    copy(other)

    assert json.loads(manage_well(other, "shell", "-v0", "-c", GO_ON)) == ["saved", True, True, 6]


def test_a_database_with_rows_is_refused_and_stays_as_it_is(site, databases, other):
    manage_well(other, "shell", "-v0", "-c", "from questions.models import *; User.objects.create_user('somebody')")
    before = everything(other)

    assert refusal(other) == (
        "The new database is not empty: questions_user has rows. Take a new one, and run only migrate."
    )
    assert everything(other) == before


def test_a_database_that_was_not_migrated_is_refused(site, databases):
    other = f"sqlite:///{databases.folder / 'nothing.sqlite3'}" if ON_POSTGRESQL else databases.create("nothing")

    assert refusal(other) == "The new database is not up to date. Run migrate with its DATABASE_URL first."


@pytest.mark.parametrize("to", ["", "examsim.sqlite3", "mysql://user@host/name", "http://example.org/"])
def test_what_is_no_address_of_a_database_is_refused(to):
    assert refusal(to) == "Name the new database like postgres://user@host/name or sqlite:////folder/file."


def test_a_database_that_cannot_be_reached_is_told(db):
    assert refusal("postgres://nobody@127.0.0.1:1/nothing").startswith("Nothing was copied: ")


def spoil(url: str) -> None:
    """Let the database change what is stored in one slot, as a fault in it would."""
    if url.startswith("sqlite"):
        change = "UPDATE questions_slot SET letters = 'D' WHERE id = NEW.id"
        trigger = f"CREATE TRIGGER spoil AFTER INSERT ON questions_slot WHEN NEW.position = 3 BEGIN {change}; END"
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as target:
            target.execute(trigger)
        return
    with psycopg.connect(url) as target:
        target.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF NEW.position = 3 THEN NEW.letters = 'D'; END IF; RETURN NEW; END $$"
        )
        target.execute("CREATE TRIGGER spoil BEFORE INSERT ON questions_slot FOR EACH ROW EXECUTE FUNCTION spoil()")


def test_a_single_letter_that_came_out_differently_undoes_the_whole_copy(site, other):
    spoil(other)
    before = everything(other)

    done = manage(here(), "copy_database", other)

    assert (done.returncode, done.stdout) == (1, "")
    assert "Nothing was copied: questions_slot came out differently. 12 rows, " in done.stderr
    assert everything(other) == before


@pytest.mark.skipif(ON_POSTGRESQL, reason="PostgreSQL does not store what SQLite cannot hold")
@pytest.mark.parametrize(
    ("column", "value"),
    [("letters", "A\0"), ("letters", "A" * 11), ("section", 2**40), ("attempt_id", 999_999)],
    ids=["NUL", "too long", "too big", "without its exam"],
)
def test_what_only_sqlite_holds_is_named_and_nothing_is_copied(site, other, column, value):
    before = everything(other)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys = OFF")
        last = Slot.objects.latest("pk").pk
        cursor.execute(f"UPDATE questions_slot SET {column} = %s WHERE id = %s", [value, last])
        cursor.execute("PRAGMA foreign_keys = ON")

    said = refusal(other)

    assert said.startswith("Nothing was copied")
    assert "questions_slot" in said
    assert everything(other) == before


def test_no_table_is_left_out(site, other):
    told = {line.partition(":")[0] for line in copy(other)[:-2]}

    assert told == {name for name in connection.introspection.table_names() if name != "django_migrations"}
    assert (Question.objects.count(), SaveEvent.objects.count(), User.objects.count()) == (6, 2, 2)


def test_a_save_meanwhile_is_told_and_the_copy_is_none_to_go_on_with(site, other, monkeypatch):
    attempt = Attempt.objects.get(finished_at=None)
    slot = attempt.slots.select_related("attempt").get(position=2)

    whole_copy = copy_database.copy

    def copy_of_a_running_site() -> list[tuple[str, int, str]]:
        found = whole_copy()
        assert slot.save_answer(Save(uuid4(), 0, letters="D"), MOMENT) == SAVED
        return found

    monkeypatch.setattr(copy_database, "copy", copy_of_a_running_site)

    said = refusal(other)

    assert re.fullmatch(
        r"The site still runs: what was saved after [\d :-]+ UTC is only in the old database\. "
        r"Stop the site, and copy again into another new one\.",
        said,
    )


@pytest.mark.skipif(ON_POSTGRESQL, reason="SQLite has no password")
def test_the_password_may_come_from_the_environment_alone(site, other, monkeypatch):
    address = urlsplit(other)
    monkeypatch.setenv("PGPASSWORD", address.password)

    copy(other.replace(f":{address.password}@", "@"))

    assert everything(other) == everything(here())


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
def test_the_same_holds_on_postgresql():
    postgresql.passes(__file__, "12 passed, 6 skipped")
