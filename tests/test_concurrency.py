"""What holds when many do the same at once: with real threads and server processes, on SQLite and on PostgreSQL."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from questions.models import Attempt, SaveEvent, Slot, User
from questions.models.attempts import LATE, SAVED, Save, grace
from tests import postgresql, servers
from tests.factories import NOW, UserFactory, make_attempt

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


@pytest.fixture
def two_servers(bank, tmp_path):
    """The ports of two server processes of the site."""
    if not hasattr(os, "fork"):
        pytest.skip("servers are forked here, which this system cannot")
    with servers.site(tmp_path) as site:
        yield site.start().port, site.start().port


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


def test_in_fifty_races_of_saves_against_the_submission_what_the_reply_said_is_what_is_scored(bank, taker):
    saver, submitter = browser(taker), browser(taker)
    seen = set()
    for number in range(50):
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


@pytest.mark.parametrize("end", ["submission", "expiry"])
def test_in_250_races_of_saves_against_the_end_what_was_acknowledged_is_scored(bank, end):
    races = 250
    attempts = [make_attempt(seed=number) for number in range(races)]
    last = attempts[0].deadline + grace()  # the last instant at which a save still counts
    at = {"submission": (NOW, NOW), "expiry": (last, last + timedelta(microseconds=1))}[end]
    near = [threading.Event() for _ in attempts]

    def save_three() -> list[list[str]]:
        results = []
        for number, attempt in enumerate(attempts):
            slots = list(attempt.slots.select_related("attempt")[:3])
            results.append([])
            for slot in slots:
                if slot.position == number % 3 + 1:
                    near[number].set()
                results[-1].append(slot.save_answer(Save(uuid4(), base=0, letters=slot.key), at[0]))
        return results

    def finish() -> list[list[str]]:
        for attempt, started in zip(attempts, near, strict=True):
            read = Attempt.objects.get(pk=attempt.pk)
            started.wait(timeout=30)
            read.settle(at[1])
        return []

    results, _ = at_once([save_three, finish])

    assert {result for race in results for result in race} == {SAVED, LATE}
    for attempt, race in zip(attempts, results, strict=True):
        acknowledged = [position for position, result in enumerate(race, start=1) if result == SAVED]
        assert list(attempt.slots.filter(is_right=True).values_list("position", flat=True)) == acknowledged
        attempt.refresh_from_db()
        assert (attempt.right, attempt.finished_at) == (len(acknowledged), min(at[1], attempt.deadline))


# reliability case 18
def test_two_devices_that_start_after_an_exam_ran_out_get_the_same_new_one(bank, taker):
    devices = [browser(taker), browser(taker)]
    for number in range(20):
        now = timezone.now()
        old = make_attempt(taker, now=now - timedelta(hours=2), seed=number)

        responses = at_once([lambda device=device: device.post("/exams/start/") for device in devices])

        running = Attempt.objects.get(finished_at=None)
        assert replies(responses) == {(302, f"/exams/{running.pk}/1/", b"")}
        assert (running.pk != old.pk, Attempt.objects.count()) == (True, 2 * number + 2)
        old.refresh_from_db()
        assert old.finished_at == old.deadline
        running.settle(now)


def test_starts_and_submissions_on_four_devices_in_any_order_never_fail_and_never_make_two_running_exams(bank, taker):
    devices = [browser(taker) for _ in range(4)]

    def sit_ten(device: Client) -> list[tuple[int, int]]:
        statuses = []
        for _ in range(10):
            started = device.post("/exams/start/")
            exam = started.headers["Location"].split("/")[2]
            statuses.append((started.status_code, device.post(f"/exams/{exam}/submit/").status_code))
        return statuses

    assert at_once([lambda device=device: sit_ten(device) for device in devices]) == [[(302, 302)] * 10] * 4
    times = list(Attempt.objects.order_by("pk").values_list("started_at", "finished_at"))
    assert all(start <= end for start, end in times)
    assert Slot.objects.count() == 6 * len(times)


def test_of_starts_on_two_servers_one_makes_the_exam_and_all_lead_to_it(bank, taker, two_servers):
    device = servers.Browser(taker)

    answers = at_once([lambda port=two_servers[n % 2]: device.post(port, "/exams/start/", {}) for n in range(20)])

    assert answers == [(302, f"/exams/{Attempt.objects.get().pk}/1/")] * 20
    assert Slot.objects.count() == 6


# reliability case 19
def test_two_writers_on_two_servers_read_then_write_200_times_and_no_update_is_lost(bank, taker, two_servers):
    slot = make_attempt(taker, now=timezone.now()).slots.get(position=1)
    device = servers.Browser(taker)
    statuses = set()

    def write(port: int, step: int) -> list[tuple[int, str]]:
        """A hundred changes, each of what was read last, sent again on top of what somebody else wrote in between."""
        version, letters, written = 0, "A", []
        while len(written) < 100:
            wanted = "ABCD"[("ABCD".index(letters) + step) % 4]  # the two writers never want the same change
            data = {"letters": wanted, "version": version}
            status, reply = device.post(port, f"/exams/{slot.attempt_id}/1/answer/", data)
            statuses.add(status)
            if status == 200 and reply["version"] == version + 1:
                written.append((version + 1, wanted))
            version, letters = reply["version"], reply["letters"]
        return written

    written = at_once([lambda port=port, step=n: write(port, step) for n, port in enumerate(two_servers, start=1)])

    events = list(SaveEvent.objects.values_list("version", "letters"))
    assert sorted([*written[0], *written[1]]) == events
    assert [version for version, _ in events] == list(range(1, 201))
    slot.refresh_from_db()
    assert (slot.version, slot.letters) == events[-1]
    assert statuses == {200, 409}


def test_the_same_save_sent_five_times_at_once_is_one_event_and_five_equal_replies(bank, taker):
    attempt = make_attempt(taker, now=timezone.now())
    devices = [browser(taker) for _ in range(5)]
    data = {"letters": "B", "version": 0, "op": str(uuid4())}

    responses = at_once([lambda d=d: d.post(f"/exams/{attempt.pk}/1/answer/", data) for d in devices])

    told = {(r.status_code, r.json()["result"], r.json()["letters"], r.json()["version"]) for r in responses}
    assert told == {(200, "saved", "B", 1)}
    assert list(SaveEvent.objects.values_list("letters", "version")) == [("B", 1)]


# reliability case 22
def test_a_taker_deleted_during_saves_leaves_no_rows_and_no_error(bank):
    seen = set()
    for number in range(30):
        attempt = make_attempt(UserFactory(), now=timezone.now(), seed=number)
        device = browser(attempt.user)
        slots = list(attempt.slots.all())
        near = threading.Event()

        def save_all(device=device, slots=slots, near=near, number=number) -> list[int]:
            statuses = []
            for slot in slots:
                if slot.position == number % 6 + 1:
                    near.set()
                statuses.append(save(device, slot, slot.key).status_code)
            return statuses

        def delete(attempt=attempt, near=near) -> list[int]:
            near.wait(timeout=30)
            attempt.user.delete()
            return []

        statuses, _ = at_once([save_all, delete])

        seen |= set(statuses)
        assert (Attempt.objects.count(), Slot.objects.count(), SaveEvent.objects.count()) == (0, 0, 0)
    assert seen <= {200, 401, 404}  # saved, signed out because there is no such user, nothing there
    assert len(seen) > 1


# reliability case 22
@pytest.mark.parametrize("path", ["1/answer/", "submit/"])
def test_an_exam_deleted_between_the_look_and_the_act_is_not_found(bank, taker, path):
    attempt = make_attempt(taker, now=timezone.now())
    device = browser(taker)
    waits = threading.Event()

    def delete() -> int:
        with transaction.atomic():
            Attempt.objects.select_for_update().get(pk=attempt.pk)
            waits.set()
            time.sleep(0.5)  # the other has looked by now, and waits for the lock
            attempt.delete()
        return 0

    def act() -> int:
        waits.wait(timeout=30)
        data = {"letters": "B", "version": 0}
        return device.post(f"/exams/{attempt.pk}/{path}", data, follow=True).status_code

    assert at_once([delete, act]) == [0, 404]
    assert (Attempt.objects.count(), Slot.objects.count(), SaveEvent.objects.count()) == (0, 0, 0)


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


def test_of_three_saves_at_once_in_one_warm_up_none_undoes_another(taker):
    devices = first, *others = [browser(taker) for _ in range(3)]
    first.post("/exams/warm-up/")
    for other in others:
        other.cookies = first.cookies  # the same session

    for version in range(20):
        data = {"letters": "AB"[version % 2], "version": version}
        calls = [
            lambda device=device, place=place, data=data: device.post(f"/exams/warm-up/{place}/answer/", data)
            for place, device in enumerate(devices, start=1)
        ]
        responses = at_once(calls)

        assert [(response.status_code, response.json()["version"]) for response in responses] == [
            (200, version + 1)
        ] * 3
        kept = first.session["warm_up"]["slots"]
        assert [(slot["letters"], slot["version"]) for slot in kept] == [(data["letters"], version + 1)] * 3


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
    postgresql.passes(__file__, "17 passed, 2 skipped")
