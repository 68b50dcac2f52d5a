"""The sweeper: what it settles, what it reports, and that two of them do nothing twice; other races about time.

On the configured database and on PostgreSQL.
"""

import os
import re
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Count, Q

from questions.models import Attempt, LastRun, Slot, User
from tests import postgresql
from tests.factories import NOW, make_attempt, make_bank
from tests.test_concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)

ON_POSTGRESQL = connection.vendor == "postgresql"
ROOT = Path(__file__).parent.parent
LONG_AGO = NOW.replace(year=2020)
DEADLINE = LONG_AGO + timedelta(minutes=60)


def overdue(count: int) -> list[Attempt]:
    """So many exams of as many takers, each with one right answer of two, all run out years ago."""
    guide = make_bank(sections=1)
    questions = list(guide.questions.order_by("pk"))
    takers = User.objects.bulk_create(User(username=f"taker {n}") for n in range(count))
    attempts = Attempt.objects.bulk_create(
        Attempt(
            user=taker,
            guide=guide,
            seed=1,
            started_at=LONG_AGO,
            last_event_at=LONG_AGO,
            minutes=60,
            deadline=DEADLINE,
            target=70,
            asked=2,
        )
        for taker in takers
    )
    Slot.objects.bulk_create(
        Slot(
            attempt=attempt,
            position=position,
            question=question,
            revision=question.revision,
            section=1,
            order="0123",
            key="C",
            letters=letters,
            first_sighting=True,
        )
        for attempt in attempts
        for position, (question, letters) in enumerate(zip(questions, "CA", strict=True), start=1)
    )
    return attempts


def corrupt(attempt: Attempt) -> None:
    """Store a time that no program can read, as a damaged file or a hasty repair by hand would."""
    unreadable = "-infinity" if ON_POSTGRESQL else "0000-00-00 00:00:00"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE questions_attempt SET deadline = %s WHERE id = %s", [unreadable, attempt.pk])


def settle() -> str:
    said = StringIO()
    call_command("settle_overdue", stdout=said)
    return said.getvalue()


def results() -> dict[Any, int]:
    """How many attempts have which result; of corrupt ones too."""
    rows = Attempt.objects.order_by().values_list("finished_at", "right").annotate(Count("pk"))
    return {(finished_at, right): count for finished_at, right, count in rows}


# reliability case 17
def test_one_corrupt_exam_of_five_hundred_is_reported_and_the_others_are_settled(caplog):
    attempts = overdue(500)
    corrupt(attempts[250])

    with pytest.raises(CommandError, match=rf"^1 could not be settled: {attempts[250].pk}\. ") as first:
        settle()
    after_first = (results(), list(Slot.objects.order_by("pk").values()))
    with pytest.raises(CommandError) as second:
        settle()

    assert after_first[0] == {(DEADLINE, 1): 499, (None, None): 1}
    marked = Attempt.objects.filter(finished_at=DEADLINE).annotate(
        rights=Count("slots", filter=Q(slots__is_right=True))
    )
    assert set(marked.values_list("rights", flat=True)) == {1}
    assert (results(), list(Slot.objects.order_by("pk").values())) == after_first
    assert str(second.value) == str(first.value)
    assert [record.getMessage() for record in caplog.records] == [f"Exam {attempts[250].pk} cannot be settled"] * 2


def test_one_that_is_repaired_is_settled_by_the_next_sweep():
    attempt, _ = overdue(2)
    corrupt(attempt)
    with pytest.raises(CommandError):
        settle()

    Attempt.objects.filter(pk=attempt.pk).update(deadline=DEADLINE)

    assert settle() == "Exams settled: 1\n"
    assert results() == {(DEADLINE, 1): 2}


# reliability case 49
def test_how_many_exams_the_last_sweep_skipped_is_known():
    one, two, _ = overdue(3)
    corrupt(one)
    corrupt(two)
    with pytest.raises(CommandError):
        settle()
    first = LastRun.objects.get()

    Attempt.objects.filter(pk__in=[one.pk, two.pk]).update(deadline=DEADLINE)
    settle()

    second = LastRun.objects.get()
    assert [(run.command, run.skipped) for run in (first, second)] == [("settle_overdue", 2), ("settle_overdue", 0)]
    assert first.at < second.at


def test_a_sweep_leaves_running_and_submitted_exams_alone(bank):
    running = make_attempt(now=NOW.replace(year=2100))
    submitted = make_attempt()
    submitted.settle(NOW + timedelta(minutes=7))
    before = list(Attempt.objects.values())

    assert settle() == "Exams settled: 0\n"
    assert list(Attempt.objects.values()) == before
    assert {attempt["id"] for attempt in before} == {running.pk, submitted.pk}


def test_one_corrupt_exam_keeps_no_taker_and_no_instructor_from_the_others(client, as_instructor, caplog):
    broken, other = overdue(2)
    corrupt(broken)
    client.force_login(other.user)

    taker_sees = client.get("/progress/")
    instructor_sees = as_instructor.get(f"/admin/questions/attempt/{other.pk}/change/")

    assert (taker_sees.status_code, instructor_sees.status_code) == (200, 200)
    assert results() == {(DEADLINE, 1): 1, (None, None): 1}


def test_the_list_of_exams_opens_and_names_the_one_that_is_broken(as_instructor, caplog):
    attempts = overdue(3)
    corrupt(attempts[1])

    page = as_instructor.get("/admin/questions/attempt/").text

    assert re.findall(r"taker \d", page) == ["taker 2", "taker 0"]
    assert f"Exam {attempts[1].pk} is broken and cannot be shown. An operator needs to repair its row." in page


# reliability case 17
def test_two_sweepers_at_once_settle_each_exam_once():
    overdue(100)

    def sweep() -> tuple[int, list[int]]:
        return Attempt.objects.settle_overdue(NOW)

    (first, broken), (second, broken_too) = at_once([sweep, sweep])

    assert (first + second, broken, broken_too) == (100, [], [])
    assert results() == {(DEADLINE, 1): 100}


# reliability case 17
def test_two_sweeping_processes_at_once_settle_each_exam_once_and_tell_of_the_corrupt_one():
    attempts = overdue(100)
    corrupt(attempts[50])
    url = os.environ.get("DATABASE_URL", "").rpartition("/")[0] if ON_POSTGRESQL else "sqlite:///"
    name = str(connection.settings_dict["NAME"])
    environ = {**os.environ, "DATABASE_URL": f"{url}/{name.lstrip('/')}", "DJANGO_SETTINGS_MODULE": "examsim.settings"}
    command = [sys.executable, "-m", "django", "settle_overdue"]

    sweepers = [
        subprocess.Popen(command, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [sweeper.communicate(timeout=60) for sweeper in sweepers]

    assert [sweeper.returncode for sweeper in sweepers] == [1, 1]
    assert sum(int(out.removeprefix("Exams settled: ")) for out, _ in said) == 99
    assert [f"1 could not be settled: {attempts[50].pk}." in error for _, error in said] == [True, True]
    assert results() == {(DEADLINE, 1): 99, (None, None): 1}


def test_extra_time_at_the_moment_of_the_sweep_comes_either_before_or_not_at_all(bank, taker, instructor):
    for number in range(20):
        attempt = make_attempt(taker, LONG_AGO, seed=number)

        def grant(attempt=attempt) -> bool:
            with suppress(ValidationError):  # it is over already
                attempt.add_time(30, instructor, "Fire alarm", DEADLINE + timedelta(seconds=5))
            return attempt.deadline > DEADLINE

        def sweep() -> tuple[int, list[int]]:
            return Attempt.objects.settle_overdue(DEADLINE + timedelta(seconds=6))

        granted, swept = at_once([grant, sweep])

        attempt.refresh_from_db()
        moved = attempt.deadline == DEADLINE + timedelta(minutes=30)
        assert (granted, swept, attempt.is_finished) in [(True, (0, []), False), (False, (1, []), True)]
        assert (moved, attempt.deadline_changes.count()) == (granted, int(granted))
        attempt.settle(LONG_AGO + timedelta(hours=2))


def test_a_time_factor_changed_at_the_moment_of_the_start_always_holds(bank, taker, instructor):
    for number in range(20):
        factor = 150 + number
        now = LONG_AGO + timedelta(days=number)

        def start(number=number, now=now) -> Attempt:
            return Attempt.objects.start(User.objects.get(pk=taker.pk), bank, number, now)

        @transaction.atomic
        def change(factor=factor, now=now) -> None:
            User.objects.filter(pk=taker.pk).update(time_factor=factor)
            taker.attempts.apply_time_factor(factor, instructor, now)

        attempt, _ = at_once([start, change])

        attempt.refresh_from_db()
        assert attempt.deadline - attempt.started_at == timedelta(minutes=60) * factor / 100
        attempt.settle(now)


def test_of_twenty_grants_at_once_those_that_fit_are_given_and_each_counts_in_full(bank, taker, instructor):
    attempt = make_attempt(taker)

    def grant() -> bool:
        with suppress(ValidationError):
            return bool(Attempt.objects.get(pk=attempt.pk).add_time(50, instructor, "Fire alarm", NOW))
        return False

    granted = at_once([grant] * 20)

    attempt.refresh_from_db()
    assert sorted(granted) == [False] * 16 + [True] * 4  # 240 minutes at most
    assert attempt.deadline == NOW + timedelta(minutes=260)
    assert [change.after - NOW for change in attempt.deadline_changes.all()] == [
        timedelta(minutes=minutes) for minutes in (110, 160, 210, 260)
    ]


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
def test_the_same_holds_on_postgresql():
    if reason := postgresql.missing():
        pytest.skip(reason)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]

    with postgresql.cluster() as url:
        run = subprocess.run(
            command, cwd=ROOT, env={**environ, "DATABASE_URL": url}, capture_output=True, text=True, timeout=300
        )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "11 passed, 1 skipped" in run.stdout
