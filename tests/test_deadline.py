from datetime import timedelta
from typing import Any

import pytest

from questions.models import Attempt, Slot
from tests.factories import NOW, UserFactory, finish, make_attempt, make_bank

pytestmark = pytest.mark.time_machine(NOW, tick=False)

DEADLINE = NOW + timedelta(minutes=60)
GRACE = timedelta(seconds=5)
LONG_AFTER = NOW + timedelta(days=3)
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def attempt(bank, taker) -> Attempt:
    return make_attempt(taker)


def answered(attempt: Attempt, right: int) -> Attempt:
    """So many right answers, the rest wrong, and nothing submitted."""
    for slot in attempt.slots.all():
        slot.letters = slot.key if slot.position <= right else next(a for a in "ABCD" if a != slot.key)
        slot.save(update_fields=["letters"])
    return attempt


def outcome() -> dict[str, Any]:
    return Attempt.objects.values("finished_at", "right").get()


def save(client, attempt: Attempt, letters: str = "A"):
    data = {"letters": letters, "version": 0}
    return client.post(f"/exams/{attempt.pk}/1/answer/", data, headers={"Accept": "application/json"})


# --- The deadline itself ------------------------------------------------------------------------


# reliability case 14, set before the start
@pytest.mark.parametrize(("factor", "minutes"), [(100, 60), (125, 75), (150, 90), (400, 240)])
def test_the_deadline_is_fixed_at_the_start_by_minutes_and_the_takers_time_factor(client, bank, factor, minutes):
    user = UserFactory(time_factor=factor)
    client.force_login(user)

    client.post("/exams/start/")
    user.time_factor = 100
    user.save()

    assert user.attempts.get().deadline == NOW + timedelta(minutes=minutes)


def test_a_time_factor_that_leaves_parts_of_a_minute_is_kept_to_the_second(db):
    guide = make_bank()
    guide.document["exam"]["minutes"] = 45
    guide.save()

    attempt = make_attempt(UserFactory(time_factor=125))

    assert attempt.deadline - NOW == timedelta(minutes=56, seconds=15)


@pytest.mark.parametrize(
    ("now", "up", "takes", "overdue", "left"),
    [
        (NOW, False, True, False, timedelta(minutes=60)),
        (DEADLINE - INSTANT, False, True, False, INSTANT),
        (DEADLINE, True, True, False, timedelta(0)),
        (DEADLINE + GRACE, True, True, False, timedelta(0)),
        (DEADLINE + GRACE + INSTANT, True, False, True, timedelta(0)),
    ],
)
def test_what_holds_around_the_deadline(attempt, now, up, takes, overdue, left):
    found = (attempt.time_is_up(now), attempt.takes_saves(now), attempt.is_overdue(now), attempt.time_left(now))

    assert found == (up, takes, overdue, left)
    assert Attempt.objects.overdue(now).exists() is overdue


def test_the_grace_is_a_setting(attempt, settings):
    settings.GRACE_SECONDS = 30

    assert attempt.takes_saves(DEADLINE + timedelta(seconds=30))
    assert not attempt.takes_saves(DEADLINE + timedelta(seconds=31))


# --- Saves --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "status", "right"),
    [
        (DEADLINE - INSTANT, 200, 1),
        (DEADLINE, 200, 1),
        (DEADLINE + GRACE, 200, 1),
        (DEADLINE + GRACE + INSTANT, 410, 0),
        (LONG_AFTER, 410, 0),
    ],
)
def test_a_save_counts_up_to_the_grace_and_not_after_it(as_taker, attempt, time_machine, at, status, right):
    key = attempt.slots.get(position=1).key
    time_machine.move_to(at, tick=False)

    response = save(as_taker, attempt, key)
    time_machine.move_to(LONG_AFTER, tick=False)
    as_taker.get(f"/exams/{attempt.pk}/report/")

    assert response.status_code == status
    assert outcome() == {"finished_at": DEADLINE, "right": right}


def test_an_answer_after_the_deadline_ends_the_exam_without_it_and_is_told(as_taker, attempt, time_machine):
    answered(attempt, right=3)
    before = list(Slot.objects.values_list("letters", "flagged", "version", "seconds").order_by("pk"))
    time_machine.move_to(DEADLINE + GRACE + INSTANT, tick=False)

    reply = save(as_taker, attempt).json()
    slots = list(Slot.objects.values_list("letters", "flagged", "version", "seconds").order_by("pk"))
    ended = outcome()
    report = as_taker.get(f"/exams/{attempt.pk}/report/").content.decode()

    assert (reply["result"], reply["letters"], reply["version"]) == ("late", before[0][0], 0)
    assert slots == before
    assert ended == {"finished_at": DEADLINE, "right": 3}
    assert "1 answer came after the end. It is kept, but not scored." in report


# reliability case 11, the server's side
def test_an_answer_changed_two_seconds_before_the_deadline_counts(as_taker, attempt, time_machine):
    answered(attempt, right=0)
    slot = attempt.slots.get(position=1)
    time_machine.move_to(DEADLINE - timedelta(seconds=2), tick=False)

    response = save(as_taker, attempt, slot.key)
    time_machine.move_to(LONG_AFTER, tick=False)
    as_taker.get("/")

    assert response.json()["result"] == "saved"
    assert outcome() == {"finished_at": DEADLINE, "right": 1}


@pytest.mark.parametrize(("at", "status"), [(DEADLINE + GRACE, 204), (DEADLINE + GRACE + INSTANT, 404)])
def test_time_spent_is_added_as_long_as_saves_count(as_taker, attempt, time_machine, at, status):
    time_machine.move_to(at, tick=False)

    response = as_taker.post(f"/exams/{attempt.pk}/1/time/", {"seconds": 7})

    assert response.status_code == status
    assert attempt.slots.get(position=1).seconds == (7 if status == 204 else 0)


# --- The end ------------------------------------------------------------------------------------


# reliability case 10
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/progress/", 200),
        ("/exams/{}/1/", 302),
        ("/exams/{}/finish/", 302),
        ("/exams/{}/report/", 200),
        ("/exams/{}/review/", 200),
        ("/exams/{}/review/1/", 200),
    ],
)
def test_whoever_reads_an_overdue_exam_first_finishes_it_at_its_deadline(as_taker, attempt, time_machine, path, status):
    answered(attempt, right=4)
    time_machine.move_to(LONG_AFTER, tick=False)

    response = as_taker.get(path.format(attempt.pk))

    assert response.status_code == status
    assert outcome() == {"finished_at": DEADLINE, "right": 4}
    assert [slot.is_right for slot in attempt.slots.all()] == [True] * 4 + [False] * 2


# reliability case 10; exports of attempts wait until there are any
@pytest.mark.parametrize("page", ["", "{}/change/", "{}/history/", "{}/extra-time/"])
def test_an_instructor_reads_no_overdue_exam_as_running(as_instructor, attempt, time_machine, page):
    answered(attempt, right=4)
    time_machine.move_to(LONG_AFTER, tick=False)

    response = as_instructor.get("/admin/questions/attempt/" + page.format(attempt.pk))

    assert response.status_code == 200
    assert outcome() == {"finished_at": DEADLINE, "right": 4}


@pytest.mark.parametrize("at", [DEADLINE + GRACE + INSTANT, LONG_AFTER])
def test_submitting_too_late_finishes_at_the_deadline_too(as_taker, attempt, time_machine, at):
    answered(attempt, right=4)
    time_machine.move_to(at, tick=False)

    as_taker.post(f"/exams/{attempt.pk}/submit/")

    assert outcome() == {"finished_at": DEADLINE, "right": 4}


def test_an_exam_read_late_has_the_same_result_as_one_read_at_once(bank):
    at_once, late = (answered(make_attempt(UserFactory()), right=3) for _ in range(2))

    at_once.settle(DEADLINE)
    late.settle(LONG_AFTER)

    same = Attempt.objects.values("finished_at", "right", "asked", "target", "deadline")
    assert same.get(pk=at_once.pk) == same.get(pk=late.pk)


def test_only_the_first_settling_does_anything(attempt):
    answered(attempt, right=2)
    other = Attempt.objects.get()

    first = attempt.settle(NOW + timedelta(minutes=10))
    answered(attempt, right=6)
    second = other.settle(NOW + timedelta(minutes=20))

    assert (first, second) == (True, False)
    assert (other.right, other.finished_at) == (2, NOW + timedelta(minutes=10))
    assert outcome() == {"finished_at": NOW + timedelta(minutes=10), "right": 2}


def test_settling_what_is_overdue_leaves_all_else_alone(bank, taker):
    running = make_attempt(UserFactory(), LONG_AFTER - timedelta(minutes=1))
    submitted = finish(make_attempt(UserFactory()), right=5)
    overdue = make_attempt(taker)

    Attempt.objects.settle_overdue(LONG_AFTER)

    assert dict(Attempt.objects.values_list("pk", "finished_at")) == {
        running.pk: None,
        submitted.pk: NOW + timedelta(minutes=30),
        overdue.pk: DEADLINE,
    }


# --- Within the grace ---------------------------------------------------------------------------


@pytest.mark.parametrize("at", [DEADLINE, DEADLINE + GRACE])
@pytest.mark.parametrize("page", ["1/", "finish/", "report/", "review/", "review/1/"])
def test_within_the_grace_a_page_waits_for_the_last_saves_and_opens_the_report(
    as_taker, attempt, time_machine, at, page
):
    time_machine.move_to(at, tick=False)

    response = as_taker.get(f"/exams/{attempt.pk}/{page}")

    assert response.status_code == 200
    assert "<h1>Time is up</h1>" in response.content.decode()
    assert response.headers["Refresh"] == f"6; url=/exams/{attempt.pk}/report/"
    assert outcome() == {"finished_at": None, "right": None}


def test_when_the_page_has_waited_the_report_is_there(as_taker, attempt, time_machine):
    time_machine.move_to(DEADLINE + timedelta(seconds=6), tick=False)

    response = as_taker.get(f"/exams/{attempt.pk}/report/")

    assert "Refresh" not in response.headers
    assert '<p class="score">0 of 6</p>' in response.content.decode()


# --- The next exam ------------------------------------------------------------------------------


def test_a_new_exam_starts_after_one_that_ran_out_unseen(as_taker, taker, attempt, time_machine):
    answered(attempt, right=1)
    time_machine.move_to(LONG_AFTER, tick=False)

    response = as_taker.post("/exams/start/")

    new, old = taker.attempts.all()
    assert response.url == f"/exams/{new.pk}/1/"
    assert (old.pk, old.finished_at, old.right) == (attempt.pk, DEADLINE, 1)
    assert (new.started_at, new.deadline, new.finished_at) == (LONG_AFTER, LONG_AFTER + timedelta(minutes=60), None)
