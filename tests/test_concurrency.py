"""What holds when many do the same at once: with real threads, on the configured database and on PostgreSQL."""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from questions.models import Attempt, SaveEvent, Slot, User
from tests import postgresql
from tests.factories import UserFactory, make_attempt

pytestmark = pytest.mark.django_db(transaction=True)

ON_POSTGRESQL = connection.vendor == "postgresql"


def at_once[T](calls: Iterable[Callable[[], T]]) -> list[T]:
    """Run each call in a thread of its own, all starting together; returns their results in order."""
    calls = list(calls)
    together = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        together.wait(timeout=30)
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def browser(user: User) -> Client:
    """One of several devices on which the same taker is signed in; any error of the server is raised."""
    client = Client(headers={"Accept": "application/json"})
    client.force_login(user)
    return client


def save(client: Client, slot: Slot, letters: str) -> HttpResponse:
    data = {"letters": list(letters), "version": slot.version}
    return client.post(f"/exams/{slot.attempt_id}/{slot.position}/answer/", data)


def replies(responses: Iterable[HttpResponse]) -> set[tuple[Any, ...]]:
    return {(response.status_code, response.headers.get("Location"), response.content) for response in responses}


def test_twenty_starts_of_one_taker_give_one_exam_and_twenty_equal_replies(bank, taker):
    devices = [browser(taker) for _ in range(20)]

    responses = at_once([lambda device=device: device.post("/exams/start/") for device in devices])

    attempt = Attempt.objects.get()
    assert replies(responses) == {(302, f"/exams/{attempt.pk}/1/", b"")}
    assert list(attempt.slots.values_list("position", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert Slot.objects.count() == 6


def test_twenty_submissions_give_one_result_and_twenty_equal_replies(bank, taker):
    attempt = make_attempt(taker, now=timezone.now())
    devices = [browser(taker) for _ in range(20)]
    save(devices[0], attempt.slots.get(position=1), attempt.slots.get(position=1).key)

    responses = at_once([lambda device=device: device.post(f"/exams/{attempt.pk}/submit/") for device in devices])

    assert replies(responses) == {(302, f"/exams/{attempt.pk}/report/", b"")}
    attempt.refresh_from_db()
    assert (attempt.right, attempt.is_finished) == (1, True)


def test_of_twenty_that_settle_an_exam_one_does_it_and_its_time_stands(bank, taker):
    attempt = make_attempt(taker)
    ends = [attempt.started_at + timedelta(minutes=minute) for minute in range(1, 21)]

    settled = at_once([lambda end=end: Attempt.objects.get(pk=attempt.pk).settle(end) for end in ends])

    assert sorted(settled) == [False] * 19 + [True]
    attempt.refresh_from_db()
    assert attempt.finished_at == ends[settled.index(True)]


def test_in_a_hundred_races_of_saves_against_the_submission_what_was_acknowledged_is_scored(bank, taker):
    saver, submitter = browser(taker), browser(taker)
    seen = set()
    for number in range(100):
        attempt = make_attempt(taker, now=timezone.now(), seed=number)
        slots = list(attempt.slots.all())
        now_submit = threading.Event()

        def save_all(slots=slots, now_submit=now_submit, number=number) -> list[HttpResponse]:
            responses = []
            for slot in slots:
                if slot.position == number % 6 + 1:
                    now_submit.set()
                responses.append(save(saver, slot, slot.key))
            return responses

        def submit(attempt=attempt, now_submit=now_submit) -> list[HttpResponse]:
            now_submit.wait(timeout=30)
            return [submitter.post(f"/exams/{attempt.pk}/submit/")]

        saves, _ = at_once([save_all, submit])

        results = [(response.status_code, response.json()["result"]) for response in saves]
        seen |= set(results)
        acknowledged = [slot.position for slot, result in zip(slots, results, strict=True) if result[0] == 200]
        assert list(attempt.slots.filter(is_right=True).values_list("position", flat=True)) == acknowledged
        attempt.refresh_from_db()
        assert attempt.right == len(acknowledged)
    assert seen == {(200, "saved"), (410, "late")}


def test_of_two_writers_of_one_slot_one_wins_and_the_other_learns_what_is_stored(bank, taker):
    attempt = make_attempt(taker, now=timezone.now())
    devices = [browser(taker), browser(taker)]
    for version in range(50):
        slot = attempt.slots.get(position=1)
        letters = [letter for letter in "ABCD" if letter != slot.letters][:2]
        writers = zip(devices, letters, strict=True)

        responses = at_once([lambda device=d, slot=slot, letter=x: save(device, slot, letter) for d, x in writers])

        assert sorted(response.status_code for response in responses) == [200, 409]
        winner = letters[[response.status_code for response in responses].index(200)]
        slot.refresh_from_db()
        assert (slot.letters, slot.version) == (winner, version + 1)
        told = [(response.json()["letters"], response.json()["version"]) for response in responses]
        assert told == [(winner, version + 1)] * 2
    assert list(SaveEvent.objects.values_list("version", flat=True)) == list(range(1, 51))


def test_ten_takers_sit_whole_exams_at_once_and_nobody_is_told_that_the_database_is_locked(bank):
    takers = UserFactory.create_batch(10)
    devices = {taker.pk: browser(taker) for taker in takers}

    def sit(taker: User) -> list[int]:
        device = devices[taker.pk]
        statuses = [device.post("/exams/start/").status_code]
        attempt = Attempt.objects.get(user=taker)
        statuses += [save(device, slot, slot.key).status_code for slot in attempt.slots.all()]
        return [*statuses, device.post(f"/exams/{attempt.pk}/submit/").status_code]

    statuses = at_once([lambda taker=taker: sit(taker) for taker in takers])

    assert statuses == [[302, 200, 200, 200, 200, 200, 200, 302]] * 10
    assert list(Attempt.objects.values_list("right", flat=True)) == [6] * 10


@pytest.mark.skipif(ON_POSTGRESQL, reason="PostgreSQL locks rows and needs no such settings")
def test_sqlite_writes_ahead_syncs_fully_and_takes_the_write_lock_at_the_start_of_a_transaction():
    with connection.cursor() as cursor:
        names = ("journal_mode", "synchronous", "busy_timeout")
        assert [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in names] == ["wal", 2, 5000]

    other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0)
    with transaction.atomic(), pytest.raises(sqlite3.OperationalError, match="database is locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
def test_the_same_holds_on_postgresql():
    postgresql.passes(__file__, "6 passed, 2 skipped")
