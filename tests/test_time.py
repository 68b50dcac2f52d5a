"""The time of an exam: who may move a deadline and how far, and which clocks it does not depend on."""

import re
import sys
import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
import yaml
from django.apps import apps
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from questions.models import Attempt, DeadlineChange, SaveEvent, Slot, User
from questions.models.attempts import LATE, SAVED, Save
from questions.records import GuideRecord, check_record
from tests.factories import NOW, UserFactory, finish, guide_document, make_attempt, make_instructor
from tests.test_access import SENT, TABLE

pytestmark = pytest.mark.time_machine(NOW, tick=False)

DEADLINE = NOW + timedelta(minutes=60)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def later(count: float) -> datetime:
    """So many minutes after the start."""
    return NOW + minutes(count)


@pytest.fixture
def attempt(bank, taker) -> Attempt:
    return make_attempt(taker)


@pytest.fixture
def operator(db) -> User:
    return UserFactory(is_staff=True, is_superuser=True)


@pytest.fixture
def as_operator(operator) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def extra(client: Client, attempt: Attempt, count: Any, reason: str = "Fire alarm"):
    return client.post(f"/admin/questions/attempt/{attempt.pk}/extra-time/", {"minutes": count, "reason": reason})


def change_person(client: Client, user: User, **fields: Any):
    """Save the operator's form about a person."""
    joined = {"date_joined_0": f"{user.date_joined:%Y-%m-%d}", "date_joined_1": f"{user.date_joined:%H:%M:%S}"}
    data = {"username": user.username, "is_active": "on", "time_factor": user.time_factor, **joined, **fields}
    return client.post(f"/admin/questions/user/{user.pk}/change/", data)


def save(client: Client, attempt: Attempt, letters: str = "A", version: int = 0) -> dict[str, Any]:
    data = {"letters": letters, "version": version}
    return client.post(f"/exams/{attempt.pk}/1/answer/", data, headers={"Accept": "application/json"}).json()


def deadline() -> datetime:
    return Attempt.objects.values_list("deadline", flat=True).get()


def log() -> list[dict[str, Any]]:
    return list(DeadlineChange.objects.values("by", "at", "minutes", "time_factor", "reason", "before", "after"))


def clock(page: str) -> tuple[int, int]:
    """What the exam's clock starts from: now and the deadline, in milliseconds."""
    found = re.search(r'data-now="(\d+)" data-start="\d+" data-deadline="(\d+)"', page)
    assert found
    return int(found[1]), int(found[2])


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def everything() -> list[list[dict[str, Any]]]:
    return [list(model.objects.order_by("pk").values()) for model in (Attempt, Slot, SaveEvent, DeadlineChange)]


# --- Extra time ---------------------------------------------------------------------------------


# reliability case 14
def test_extra_time_moves_the_deadline_at_once_and_is_logged(as_instructor, instructor, attempt, time_machine):
    time_machine.move_to(later(20), tick=False)

    response = extra(as_instructor, attempt, 15)

    assert (response.status_code, response.url) == (302, f"/admin/questions/attempt/{attempt.pk}/change/")
    assert deadline() == later(75)
    assert log() == [
        {
            "by": instructor.pk,
            "at": later(20),
            "minutes": 15,
            "time_factor": None,
            "reason": "Fire alarm",
            "before": later(60),
            "after": later(75),
        }
    ]
    page = as_instructor.get(response.url).text
    assert "+15 minutes. It now ends at Nov. 21, 2026, 1:15 p.m." in page
    assert "Fire alarm" in page


# reliability case 14
def test_the_takers_clock_follows_at_the_next_reply(as_taker, as_instructor, attempt):
    before = clock(as_taker.get(f"/exams/{attempt.pk}/1/").text)

    extra(as_instructor, attempt, 15)

    assert before == (ms(NOW), ms(later(60)))
    assert save(as_taker, attempt)["deadline"] == ms(later(75))
    for page in ("1/", "finish/"):
        assert clock(as_taker.get(f"/exams/{attempt.pk}/{page}").text) == (ms(NOW), ms(later(75)))


# reliability case 14
@pytest.mark.parametrize(
    ("at", "back", "after"),
    [(30, 15, 60), (59, 15, 60), (70, 15, 70), (70, 10, 70), (70, 4, 71), (74.5, 1, 74.5)],
)
def test_taking_extra_time_back_never_puts_the_deadline_before_now(
    as_instructor, attempt, time_machine, at, back, after
):
    extra(as_instructor, attempt, 15)
    time_machine.move_to(later(at), tick=False)

    response = extra(as_instructor, attempt, -back)

    assert response.status_code == 302
    assert deadline() == later(after)
    assert (log()[1]["minutes"], log()[1]["before"], log()[1]["after"]) == (-back, later(75), later(after))


def test_a_deadline_that_has_just_passed_is_not_moved_on_by_taking_time_back(attempt, instructor):
    attempt.add_time(15, instructor, "Fire alarm", NOW)

    attempt.add_time(-10, instructor, "False alarm", later(75) + timedelta(seconds=3))

    assert deadline() == later(75)


def test_what_could_not_be_taken_back_counts_as_granted_and_new_time_is_given_in_full(attempt, instructor):
    attempt.add_time(30, instructor, "Fire alarm", NOW)
    attempt.add_time(-30, instructor, "False alarm", later(80))

    attempt.add_time(10, instructor, "It burns", later(80))

    assert attempt.extra_time() == minutes(30)
    assert deadline() == later(90)


@pytest.mark.parametrize(
    ("granted", "count", "reason", "problem"),
    [
        (0, "", "Fire alarm", "This field is required."),
        (0, "ten", "Fire alarm", "Enter a whole number."),
        (0, "1.5", "Fire alarm", "Enter a whole number."),
        (0, "0", "Fire alarm", "Give at least one minute, or take one back."),
        (0, "10", "", "This field is required."),
        (0, "10", " ", "This field is required."),
        (0, "10", "x" * 201, "Ensure this value has at most 200 characters (it has 201)."),
        (0, "241", "Fire alarm", "Ensure this value is less than or equal to 240."),
        (0, "5256000", "Fire alarm", "Ensure this value is less than or equal to 240."),
        (0, "9" * 30, "Fire alarm", "Ensure this value is less than or equal to 240."),
        (0, "-241", "Fire alarm", "Ensure this value is greater than or equal to -240."),
        (0, "-1", "Fire alarm", "Only extra time can be taken back, here at most 0 minutes."),
        (30, "-31", "Fire alarm", "Only extra time can be taken back, here at most 30 minutes."),
        (230, "11", "Fire alarm", "One exam gets at most 240 minutes of extra time, here at most 10 more."),
    ],
)
def test_extra_time_out_of_bounds_is_refused_and_changes_nothing(
    as_instructor, instructor, attempt, granted, count, reason, problem
):
    if granted:
        attempt.add_time(granted, instructor, "Fire alarm", NOW)
    before = everything()

    response = extra(as_instructor, attempt, count, reason)

    problems = [str(message) for field in response.context["form"].errors.values() for message in field]
    assert (response.status_code, problems) == (422, [problem])
    assert everything() == before


@pytest.mark.parametrize("count", [1, 240])
def test_extra_time_goes_from_one_minute_to_240(as_instructor, attempt, count):
    assert extra(as_instructor, attempt, count).status_code == 302
    assert deadline() == later(60 + count)


@pytest.mark.parametrize("ended", ["submitted", "overdue"])
@pytest.mark.parametrize("count", [10, -10])
def test_a_finished_exam_gets_no_time(as_instructor, instructor, attempt, time_machine, ended, count):
    attempt.add_time(30, instructor, "Fire alarm", NOW)
    if ended == "submitted":
        finish(attempt, right=3)
    time_machine.move_to(later(40) if ended == "submitted" else later(90) + timedelta(seconds=5.1), tick=False)

    response = extra(as_instructor, attempt, count)

    assert response.status_code == 422
    assert "This exam is over. Its time cannot be changed any more." in response.text
    assert (deadline(), len(log())) == (later(90), 1)
    assert Attempt.objects.get().finished_at == (later(30) if ended == "submitted" else later(90))
    page = as_instructor.get(f"/admin/questions/attempt/{attempt.pk}/change/").text
    assert "/extra-time/" not in page


@pytest.mark.parametrize(
    ("role", "opens", "grants"),
    [
        ("taker", 302, 302),
        ("somebody else", 302, 302),
        ("staff", 403, 403),
        ("instructor", 200, 302),
        ("operator", 200, 302),
    ],
)
def test_only_instructors_and_operators_grant_time(attempt, taker, role, opens, grants):
    user = {
        "taker": lambda: taker,
        "somebody else": UserFactory,
        "staff": lambda: UserFactory(is_staff=True),
        "instructor": make_instructor,
        "operator": lambda: UserFactory(is_staff=True, is_superuser=True),
    }[role]()
    client = Client()
    client.force_login(user)

    opened = client.get(f"/admin/questions/attempt/{attempt.pk}/extra-time/")
    granted = extra(client, attempt, 15)

    assert (opened.status_code, granted.status_code) == (opens, grants)
    assert deadline() == later(75 if role in ("instructor", "operator") else 60)


def test_looking_at_extra_time_changes_nothing_and_other_methods_are_refused(as_instructor, attempt):
    address = f"/admin/questions/attempt/{attempt.pk}/extra-time/"
    before = everything()

    page = as_instructor.get(address, {"minutes": 15, "reason": "Fire alarm"})
    statuses = [getattr(as_instructor, method)(address).status_code for method in ("head", "put", "delete", "patch")]

    assert "Ends at Nov. 21, 2026, 1 p.m., in 1 h 0 min." in page.text
    assert statuses == [200, 405, 405, 405]
    assert everything() == before


def test_an_exam_that_does_not_exist_gets_no_time(as_instructor, db):
    assert as_instructor.get("/admin/questions/attempt/999999/extra-time/").status_code == 404
    assert as_instructor.get(f"/admin/questions/attempt/{2**64}/extra-time/").status_code == 404


def test_the_log_stays_when_the_instructor_is_gone_and_nobody_edits_it(as_operator, instructor, attempt):
    attempt.add_time(15, instructor, "Fire alarm", NOW)

    instructor.delete()

    assert [(row["by"], row["minutes"], row["reason"]) for row in log()] == [(None, 15, "Fire alarm")]
    page = as_operator.get(f"/admin/questions/attempt/{attempt.pk}/change/").text
    assert "deadline_changes-0-minutes" not in page


def test_a_save_that_was_read_before_the_extra_time_counts(attempt, instructor):
    slot = Slot.objects.select_related("attempt").get(attempt=attempt, position=1)
    attempt.add_time(15, instructor, "Fire alarm", later(59))

    result = slot.save_answer(Save(op=UUID(int=1), base=0, letters="B"), later(61))

    assert (result, Slot.objects.get(pk=slot.pk).letters) == (SAVED, "B")


def test_a_reader_who_looked_before_the_extra_time_does_not_end_the_exam(attempt, instructor):
    stale = Attempt.objects.get()
    attempt.add_time(15, instructor, "Fire alarm", later(60))

    ended = stale.expire(later(61))

    assert (ended, stale.is_finished, stale.deadline) == (False, False, later(75))
    assert Attempt.objects.get().finished_at is None


def test_a_save_after_time_was_taken_back_is_late_and_ends_the_exam(attempt, instructor):
    attempt.add_time(15, instructor, "Fire alarm", NOW)
    slot = Slot.objects.select_related("attempt").get(attempt=attempt, position=1)
    attempt.add_time(-15, instructor, "False alarm", later(61))

    result = slot.save_answer(Save(op=UUID(int=1), base=0, letters="B"), later(62))

    assert (result, Slot.objects.get(pk=slot.pk).letters) == (LATE, "")
    assert Attempt.objects.get().finished_at == later(61)


# --- The time factor ----------------------------------------------------------------------------


# reliability case 14
def test_a_changed_time_factor_holds_for_the_running_exam_and_is_logged(
    as_taker, as_operator, operator, taker, attempt, time_machine
):
    time_machine.move_to(later(20), tick=False)

    response = change_person(as_operator, taker, time_factor=125)

    assert response.status_code == 302
    assert deadline() == later(75)
    assert log() == [
        {
            "by": operator.pk,
            "at": later(20),
            "minutes": None,
            "time_factor": 125,
            "reason": "",
            "before": later(60),
            "after": later(75),
        }
    ]
    assert save(as_taker, attempt)["deadline"] == ms(later(75))
    assert "It now ends at Nov. 21, 2026, 1:15 p.m." in as_operator.get(response.url).text


# reliability case 14
@pytest.mark.parametrize(("at", "after"), [(30, 60), (60, 60), (70, 70), (89, 89)])
def test_taking_a_time_factor_away_never_puts_the_deadline_before_now(as_operator, bank, time_machine, at, after):
    user = UserFactory(time_factor=150)
    make_attempt(user)
    time_machine.move_to(later(at), tick=False)

    change_person(as_operator, user, time_factor=100)

    assert (log()[0]["before"], deadline()) == (later(90), later(after))


def test_the_limit_is_worked_out_anew_so_a_mistake_mended_leaves_no_trace_but_the_log(attempt, taker, operator):
    attempt.add_time(10, operator, "Fire alarm", NOW)

    for factor, now in [(400, 5), (150, 6), (100, 65), (150, 65)]:
        taker.attempts.apply_time_factor(factor, operator, later(now))

    assert [row["after"] for row in log()] == [later(70), later(250), later(100), later(70), later(100)]
    assert deadline() == later(100)


def test_a_running_exam_keeps_the_minutes_it_was_started_with(attempt, taker, operator):
    guide = attempt.guide
    guide.document["exam"]["minutes"] = 10
    guide.save()

    taker.attempts.apply_time_factor(150, operator, later(1))

    assert deadline() == later(90)


@pytest.mark.parametrize("fields", [{}, {"time_zone": "Asia/Tokyo"}, {"target": 80}, {"time_factor": 100}])
def test_a_form_that_leaves_the_time_factor_alone_leaves_the_deadline_alone(as_operator, taker, attempt, fields):
    before = everything()

    assert change_person(as_operator, taker, **fields).status_code == 302
    assert everything() == before


@pytest.mark.parametrize("ended", ["submitted", "overdue"])
def test_a_changed_time_factor_does_not_touch_a_finished_exam(as_operator, taker, attempt, time_machine, ended):
    if ended == "submitted":
        finish(attempt, right=3)
    time_machine.move_to(later(61), tick=False)

    response = change_person(as_operator, taker, time_factor=125)

    assert response.status_code == 302
    assert Attempt.objects.values_list("deadline", "finished_at").get() == (
        DEADLINE,
        later(30) if ended == "submitted" else DEADLINE,
    )
    assert log() == []
    assert User.objects.get(pk=taker.pk).time_factor == 125


# reliability case 16
@pytest.mark.parametrize("factor", ["", "0", "-100", "99", "401", "5256000", "1e2", "125.5", "29 February", "9" * 30])
def test_a_time_factor_out_of_bounds_is_refused(as_operator, taker, attempt, factor):
    before = everything()

    response = change_person(as_operator, taker, time_factor=factor)

    assert list(response.context["adminform"].form.errors) == ["time_factor"]
    assert User.objects.get(pk=taker.pk).time_factor == 100
    assert everything() == before


def test_a_factor_changed_between_sign_in_and_start_counts(bank, taker):
    stale = User.objects.get(pk=taker.pk)
    User.objects.filter(pk=taker.pk).update(time_factor=150)

    Attempt.objects.start(stale, bank, 1, NOW)

    assert deadline() == later(90)


# --- Limits -------------------------------------------------------------------------------------


# reliability case 16
@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("0", "`minutes` must be 1 or more."),
        ("-60", "`minutes` must be 1 or more."),
        ("1441", "`minutes` must be 1440 or less."),
        ("5256000", "`minutes` must be 1440 or less."),  # ten years
        ("0.0167", "`minutes` must be a whole number."),  # one second
        ("1.0", "`minutes` must be a whole number."),
        (".inf", "`minutes` must be a whole number."),
        (".nan", "`minutes` must be a whole number."),
        ("1 s", "`minutes` must be a whole number."),
        ("true", "`minutes` must be a whole number."),
        ("2028-02-29", "`minutes` must be a whole number."),
        ("'2016-12-31T23:59:60Z'", "`minutes` must be a whole number."),
        ("", "`minutes` must be a whole number."),
    ],
)
def test_a_guide_with_impossible_minutes_is_refused(written, problem):
    document = guide_document()
    document["exam"]["minutes"] = yaml.safe_load(written or "null")

    record, problems = check_record(GuideRecord, document)

    assert record is None
    assert [found.message for found in problems] == [problem]


# reliability case 16
@pytest.mark.parametrize("length", [1, 1440])
def test_the_shortest_and_the_longest_exam_last_as_long_as_the_guide_says(bank, length):
    bank.document = guide_document(minutes=length)
    bank.save()

    make_attempt()

    assert deadline() == later(length)


# reliability case 16
@pytest.mark.parametrize(
    ("started_at", "ends_at"),
    [
        (datetime(2028, 2, 28, 23, 30, tzinfo=UTC), datetime(2028, 2, 29, 0, 30, tzinfo=UTC)),
        (datetime(2028, 2, 29, 23, 30, tzinfo=UTC), datetime(2028, 3, 1, 0, 30, tzinfo=UTC)),
        (datetime(2027, 2, 28, 23, 30, tzinfo=UTC), datetime(2027, 3, 1, 0, 30, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), datetime(2027, 1, 1, 0, 30, tzinfo=UTC)),
        (datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2017, 1, 1, 0, 59, 59, tzinfo=UTC)),  # a leap second
        (datetime(2038, 1, 19, 3, 0, tzinfo=UTC), datetime(2038, 1, 19, 4, 0, tzinfo=UTC)),  # 2^31 seconds
    ],
)
def test_an_exam_over_an_odd_day_lasts_an_hour(client, taker, bank, time_machine, started_at, ends_at):
    time_machine.move_to(started_at, tick=False)
    client.force_login(taker)

    page = client.post("/exams/start/", follow=True)

    assert Attempt.objects.values_list("started_at", "deadline").get() == (started_at, ends_at)
    assert clock(page.text) == (ms(started_at), ms(ends_at))


# --- Time zones ---------------------------------------------------------------------------------

# An instant half an hour before the clocks change, forward and back.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 6, 30, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 0, tzinfo=UTC)),  # its clocks change by half an hour
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 30, tzinfo=UTC)),
]


# reliability case 15
@pytest.mark.parametrize(("zone", "started_at"), CHANGES)
def test_an_exam_across_a_change_of_clocks_lasts_as_long_as_it_is_set(client, bank, time_machine, zone, started_at):
    there = zoneinfo.ZoneInfo(zone)
    assert started_at.astimezone(there).utcoffset() != (started_at + minutes(59)).astimezone(there).utcoffset()
    user = UserFactory(time_zone=zone)
    client.force_login(user)
    time_machine.move_to(started_at, tick=False)

    client.post("/exams/start/")
    time_machine.move_to(started_at + minutes(59), tick=False)
    attempt = Attempt.objects.get()
    page = client.get(f"/exams/{attempt.pk}/1/").text
    saved = save(client, attempt)
    time_machine.move_to(started_at + timedelta(days=1), tick=False)
    client.get("/")

    attempt.refresh_from_db()
    assert (attempt.started_at, attempt.finished_at) == (started_at, started_at + timedelta(seconds=3600))
    assert attempt.time_used.total_seconds() == 3600
    assert clock(page) == (ms(started_at + minutes(59)), ms(started_at + minutes(60)))
    assert ">1:00</span>" in page
    assert (saved["result"], saved["deadline"]) == ("saved", ms(started_at + minutes(60)))


# reliability case 15
@pytest.mark.parametrize(("zone", "started_at"), CHANGES)
def test_changing_the_takers_and_the_sites_time_zone_moves_nothing(
    as_taker, taker, bank, time_machine, settings, zone, started_at
):
    time_machine.move_to(started_at, tick=False)
    attempt = make_attempt(taker, started_at)
    before = Attempt.objects.values().get()

    settings.TIME_ZONE = zone
    changed = as_taker.post("/settings/", {"time_zone": zone})
    page = as_taker.get(f"/exams/{attempt.pk}/1/").text

    assert (changed.status_code, User.objects.get(pk=taker.pk).time_zone) == (302, zone)
    assert Attempt.objects.values().get() == before
    assert clock(page) == (ms(started_at), ms(started_at + minutes(60)))
    time_machine.move_to(started_at + timedelta(days=1), tick=False)
    as_taker.get("/")
    assert Attempt.objects.get().finished_at == started_at + timedelta(seconds=3600)


# reliability case 15
@pytest.mark.parametrize(("zone", "started_at"), CHANGES)
def test_extra_time_across_a_change_of_clocks_is_exact(bank, time_machine, zone, started_at):
    teacher = make_instructor(time_zone=zone)
    attempt = make_attempt(now=started_at)
    client = Client()
    client.force_login(teacher)
    time_machine.move_to(started_at + minutes(10), tick=False)

    extra(client, attempt, 90)

    assert deadline() == started_at + minutes(150)


# --- The server's clock -------------------------------------------------------------------------


def test_when_the_servers_clock_steps_back_the_time_left_does_not_grow(as_taker, attempt, time_machine):
    time_machine.move_to(later(40), tick=False)
    save(as_taker, attempt)
    time_machine.move_to(later(10), tick=False)

    reply = save(as_taker, attempt, "B", version=1)
    pages = [clock(as_taker.get(f"/exams/{attempt.pk}/{page}").text) for page in ("1/", "finish/")]

    assert (reply["result"], reply["now"], reply["deadline"]) == ("saved", ms(later(40)), ms(later(60)))
    assert pages == [(ms(later(40)), ms(later(60)))] * 2
    assert list(SaveEvent.objects.values_list("letters", "at")) == [("A", later(40)), ("B", later(40))]


@pytest.mark.parametrize("back", [minutes(1), minutes(90), timedelta(days=400)])
def test_when_the_servers_clock_steps_back_no_exam_ends_before_its_last_event(as_taker, attempt, time_machine, back):
    time_machine.move_to(later(40), tick=False)
    save(as_taker, attempt)
    time_machine.move_to(later(40) - back, tick=False)

    as_taker.post(f"/exams/{attempt.pk}/submit/")

    assert Attempt.objects.get().finished_at == later(40)


def test_an_exam_started_just_before_the_clock_stepped_back_has_its_whole_time(as_taker, attempt, time_machine):
    time_machine.move_to(later(-30), tick=False)

    page = as_taker.get(f"/exams/{attempt.pk}/1/").text
    as_taker.post(f"/exams/{attempt.pk}/submit/")

    assert clock(page) == (ms(NOW), ms(later(60)))
    assert Attempt.objects.get().time_used == timedelta(0)


def test_an_exam_that_ran_out_stays_over_when_the_clock_steps_back(as_taker, attempt, time_machine):
    time_machine.move_to(later(61), tick=False)
    late = save(as_taker, attempt, "B")
    time_machine.move_to(later(30), tick=False)

    again = save(as_taker, attempt, "C")
    page = as_taker.get(f"/exams/{attempt.pk}/1/")

    assert (late["result"], again["result"]) == ("late", "late")
    assert (page.status_code, page.url) == (302, f"/exams/{attempt.pk}/report/")
    assert Attempt.objects.get().finished_at == DEADLINE


def test_taking_time_back_counts_from_the_last_event_when_the_clock_stepped_back(attempt, instructor):
    attempt.add_time(30, instructor, "Fire alarm", later(50))
    attempt.add_time(1, instructor, "Fire alarm", later(80))

    attempt.add_time(-31, instructor, "False alarm", later(10))

    assert (deadline(), log()[2]["at"]) == (later(80), later(80))


@pytest.fixture
def readings(monkeypatch) -> list[str]:
    """Which modules of ours read the clock, one entry for each reading; the clock itself stays as it is."""
    found: list[str] = []
    real_now = timezone.now

    def counting_now() -> datetime:
        caller = sys._getframe(1).f_globals["__name__"]
        if caller.split(".")[0] in ("questions", "examsim"):
            found.append(caller)
        return real_now()

    monkeypatch.setattr(timezone, "now", counting_now)
    return found


@pytest.mark.parametrize("ended", ["running", "finished", "overdue"])
def test_a_request_reads_the_clock_once_at_most(as_taker, taker, bank, readings, time_machine, ended):
    attempt = make_attempt(taker)
    if ended == "finished":
        finish(attempt, right=3)
    time_machine.move_to(later(61 if ended == "overdue" else 30), tick=False)
    address = {"running": attempt.pk, "finished": attempt.pk}

    most = {}
    for name, path, *_ in TABLE:
        if name == "logout":
            continue  # nothing could be asked afterwards
        for method in ("get", "post"):
            readings.clear()
            getattr(as_taker, method)(path.format(**address), SENT.get(name))
            most[f"{method} {path}"] = len(readings)

    assert {request: count for request, count in most.items() if count > 1} == {}
    assert most["get /exams/{running}/1/"] == 1


@pytest.mark.parametrize("page", ["", "{}/change/", "{}/extra-time/"])
def test_a_page_of_the_admin_reads_the_clock_once(as_instructor, attempt, readings, page):
    readings.clear()

    as_instructor.get("/admin/questions/attempt/" + page.format(attempt.pk))

    assert readings == ["questions.admin"]


# --- Exams from before this was recorded --------------------------------------------------------


def test_the_migration_takes_minutes_from_the_guide_and_the_last_event_from_start_and_saves(attempt, bank):
    slot = attempt.slots.get(position=1)
    slot.attempt = attempt
    slot.save_answer(Save(op=UUID(int=1), base=0, letters="A"), later(5))
    other = finish(make_attempt(UserFactory()), right=1)
    Attempt.objects.update(minutes=120, last_event_at=later(999))

    import_module("questions.migrations.0004_time").fill_attempts(apps, None)

    assert list(Attempt.objects.order_by("pk").values_list("pk", "minutes", "last_event_at")) == [
        (attempt.pk, 60, later(5)),
        (other.pk, 60, NOW),
    ]


def test_a_refused_grant_leaves_the_attempt_in_hand_as_it_is_stored(attempt, instructor):
    finish(Attempt.objects.get(), right=2)

    with pytest.raises(ValidationError, match="This exam is over"):
        attempt.add_time(10, instructor, "Fire alarm", later(1))

    assert (attempt.is_finished, attempt.deadline) == (True, DEADLINE)
