"""What is kept about a person: handed out as a whole to nobody but them, and taken away for good."""

import json
import re
from datetime import date, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.test import Client

from questions import privacy
from questions.models import Attempt, Question, SaveEvent, SecondFactor, Slot, Throttle, User
from questions.models.attempts import PARTS, Save
from tests.factories import NOW, UserFactory, finish, make_attempt, make_instructor

pytestmark = [pytest.mark.django_db, pytest.mark.time_machine(NOW, tick=False)]

PASSWORD = "lantern-7-harbour"  # as UserFactory sets it
YESTERDAY = NOW - timedelta(days=1)


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def everything_stored() -> dict[str, list[dict[str, Any]]]:
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in apps.get_models()}


def what_statistics_rest_on() -> dict[str, list[dict[str, Any]]]:
    """Of each finished exam all but the saves and notes in it."""
    attempts = Attempt.objects.finished().order_by("pk")
    slots = [slot | {"note": ""} for slot in Slot.objects.filter(attempt__in=attempts).values()]
    return {"attempts": list(attempts.values()), "slots": slots}


def save(attempt: Attempt, letters: str, now=NOW) -> None:
    slot = attempt.slots.select_related("attempt").get(position=1)
    slot.save_answer(Save(op=uuid4(), base=slot.version, letters=letters), now)


@pytest.fixture
def ada(bank) -> User:
    """Somebody with a finished exam, a running one, and everything a person can enter."""
    ada = UserFactory(
        username="ada-lovelace",
        email="ada@example.org",
        first_name="Augusta",
        last_name="Byron",
        time_factor=125,
        target=80,
        exam_date=date(2027, 1, 15),
        time_zone="Asia/Tokyo",
        date_joined=YESTERDAY - timedelta(days=5),
    )
    done = make_attempt(ada, YESTERDAY)
    save(done, "B", YESTERDAY)
    done.slots.filter(position=2).update(note="Ask Babbage about this")
    finish(done, right=3)
    save(make_attempt(ada), "C")
    return ada


@pytest.fixture
def as_ada(ada) -> Client:
    client = Client()
    client.force_login(ada)
    return client


# --- My data ------------------------------------------------------------------------------------


def test_my_data_is_one_file_with_profile_exams_and_answers(as_ada, ada):
    # reliability case 46
    response = as_ada.get("/settings/my-data/")
    data = response.json()

    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    assert response.headers["Content-Disposition"] == 'attachment; filename="examsim-my-data.json"'
    assert response.headers["Cache-Control"] == "no-store, private"
    assert {name: value for name, value in data.items() if name != "exams"} == {
        "name": "ada-lovelace",
        "email": "ada@example.org",
        "first_name": "Augusta",
        "last_name": "Byron",
        "is_guest": False,
        "time_factor": 125,
        "target": 80,
        "exam_date": "2027-01-15",
        "time_zone": "Asia/Tokyo",
        "single_keys": True,
        "joined": "2026-11-15T12:00:00Z",
        "last_sign_in": "2026-11-21T12:00:00Z",
        "second_factor": False,
        "changes_to_the_bank": [],
    }
    running, done = data["exams"]
    assert {name: value for name, value in done.items() if name != "questions"} == {
        "guide": "tiny/one",
        "started": "2026-11-20T12:00:00Z",
        "deadline": "2026-11-20T13:15:00Z",
        "finished": "2026-11-20T12:30:00Z",
        "target": 80,
        "asked": 6,
        "right": 3,
    }
    slots = list(Slot.objects.filter(attempt__user=ada).exclude(attempt__finished_at=None).order_by("position"))
    assert done["questions"] == [
        {
            "position": slot.position,
            "letters": slot.letters,
            "flagged": False,
            "confidence": 0,
            "struck": "",
            "marks": "",
            "note": "Ask Babbage about this" if slot.position == 2 else "",
            "seconds": 0,
            "question": slot.question.code,
            "revision": 1,
            "section": slot.section,
            "objective": slot.objective,
            "key": slot.key,
            "is_right": slot.position <= 3,
            "saves": [{"at": "2026-11-20T12:00:00Z", "letters": "B", "flagged": False, "late": False}]
            if slot.position == 1
            else [],
        }
        for slot in slots
    ]
    assert (running["finished"], running["right"], running["questions"][0]["letters"]) == (None, None, "C")


def test_my_data_tells_nothing_of_an_exam_that_is_still_running(as_ada):
    running = as_ada.get("/settings/my-data/").json()["exams"][0]

    assert {frozenset(slot) for slot in running["questions"]} == {frozenset({"position", *PARTS, "seconds", "saves"})}


def test_my_data_settles_an_exam_that_ran_out_first(as_ada, time_machine):
    time_machine.move_to(NOW + timedelta(hours=2), tick=False)

    overdue = as_ada.get("/settings/my-data/").json()["exams"][0]

    assert overdue["finished"] == overdue["deadline"] == "2026-11-21T13:15:00Z"


def test_my_data_holds_nothing_of_anybody_else(as_ada, ada):
    # reliability case 46
    before = as_ada.get("/settings/my-data/").json()
    other = UserFactory(username="grace-hopper", email="grace@example.org")
    finish(make_attempt(other, YESTERDAY), right=6)
    save(make_attempt(other), "D")

    assert as_ada.get("/settings/my-data/", {"user": other.pk, "id": other.pk}).json() == before
    assert "grace" not in json.dumps(before)


@pytest.mark.parametrize("field", [field.name for field in User._meta.concrete_fields])
def test_every_field_about_a_person_is_handed_out_or_for_a_reason_not(field):
    # reliability case 46: a new field must be put on one side
    renamed = {"username", "date_joined", "last_login"}
    about_the_site = {"id", "password", "is_staff", "is_superuser", "is_active", "sessions_ended", "forgotten_at"}

    assert field in {*privacy.PROFILE, *renamed, *about_the_site}


def test_the_secrets_of_an_account_are_not_in_its_data(as_ada, ada):
    SecondFactor.objects.create(user=ada, secret="JBSWY3DPEHPK3PXP", last_step=0, recovery=["0a1b2c"])

    text = as_ada.get("/settings/my-data/").content.decode()

    assert json.loads(text)["second_factor"] is True
    assert [secret in text for secret in ("JBSWY3DPEHPK3PXP", "0a1b2c", ada.password)] == [False] * 3


def test_my_data_costs_the_same_after_one_exam_and_after_thirty(django_assert_num_queries, bank):
    for exams in (1, 30):
        user = UserFactory()
        for number in range(exams):
            finish(make_attempt(user, NOW - timedelta(days=40 - number)), right=2)

        # what ran out, the saves, the slots with questions and revisions, a second factor?, changes, the exams with guides
        with django_assert_num_queries(6):
            assert len(privacy.own_data(user, NOW)["exams"]) == exams


def test_settings_lead_to_data_deletion_and_security(as_ada):
    page = text_of(as_ada.get("/settings/"))

    for path in ("my-data/", "delete/", "second-factor/", "sign-out-everywhere/"):
        assert f'"/settings/{path}"' in page


# --- Deleting an account ------------------------------------------------------------------------


def test_a_deleted_account_leaves_the_statistics_and_nothing_personal(as_ada, ada):
    # reliability case 46
    SecondFactor.objects.create(user=ada, secret="JBSWY3DPEHPK3PXP", last_step=0)
    statistics, password = what_statistics_rest_on(), ada.password

    response = as_ada.post("/settings/delete/", {"password": PASSWORD}, follow=True)

    assert "Your account and your data are deleted." in text_of(response)
    assert what_statistics_rest_on() == statistics
    assert (SaveEvent.objects.count(), SecondFactor.objects.count(), Attempt.objects.count()) == (0, 0, 1)
    row = User.objects.values().get(pk=ada.pk)
    assert re.fullmatch(r"forgotten-[0-9a-f]{16}", row.pop("username"))
    assert row.pop("password").startswith("!")
    assert row == {
        "id": ada.pk,
        "email": "",
        "first_name": "",
        "last_name": "",
        "is_guest": False,
        "is_active": False,
        "is_staff": False,
        "is_superuser": False,
        "time_factor": 100,
        "target": None,
        "exam_date": None,
        "time_zone": "",
        "single_keys": True,
        "last_login": None,
        "date_joined": NOW,
        "sessions_ended": 0,
        "forgotten_at": NOW,
    }
    left = str(everything_stored())
    for personal in (
        "ada-lovelace",
        "ada@example.org",
        "Augusta",
        "Byron",
        "Asia/Tokyo",
        "Babbage",
        "JBSWY3DPEHPK3PXP",
        password,
    ):
        assert personal not in left


def test_an_account_without_a_finished_exam_goes_entirely(client, bank):
    user = UserFactory()
    client.force_login(user)
    save(make_attempt(user), "A")

    client.post("/settings/delete/", {"password": PASSWORD})

    assert [model.objects.count() for model in (User, Attempt, Slot, SaveEvent)] == [0, 0, 0, 0]


def test_the_page_says_what_goes_and_what_stays(as_ada):
    page = text_of(as_ada.get("/settings/delete/"))

    assert "Your name, mail address and settings are deleted at once" in page
    assert "The answers of your finished exams stay without your name" in page
    assert "Your exam that is running now is deleted too." in page


@pytest.mark.parametrize("password", ["wrong-password", "", "x" * 2000])
def test_without_the_password_nothing_is_deleted(as_ada, password):
    before = everything_stored()

    response = as_ada.post("/settings/delete/", {"password": password})

    after = everything_stored()
    assert response.status_code == 422
    assert after.pop("questions.Throttle") != before.pop("questions.Throttle")
    assert after == before


def test_the_password_cannot_be_guessed_here_either(as_ada):
    found = [as_ada.post("/settings/delete/", {"password": "wrong-password"}).status_code for _ in range(6)]
    right = as_ada.post("/settings/delete/", {"password": PASSWORD})

    assert found == [422] * 5 + [429]
    assert (right.status_code, right.headers["Retry-After"]) == (429, "30")
    assert User.objects.filter(username="ada-lovelace").exists()


def test_all_sessions_of_a_deleted_account_are_dead_and_nobody_signs_in_to_it(as_ada, ada):
    elsewhere = Client()
    elsewhere.force_login(ada)

    as_ada.post("/settings/delete/", {"password": PASSWORD})

    assert elsewhere.get("/settings/").status_code == as_ada.get("/settings/").status_code == 302
    again = [Client().post("/sign-in/", {"username": name, "password": PASSWORD}) for name in ("ada-lovelace", "x")]
    assert [response.status_code for response in again] == [422, 422]


def test_a_save_on_its_way_when_the_account_goes_finds_no_exam(as_ada, ada):
    running = ada.attempts.unfinished().get()
    slot = running.slots.select_related("attempt").get(position=2)

    as_ada.post("/settings/delete/", {"password": PASSWORD})

    with pytest.raises(Slot.DoesNotExist):
        slot.save_answer(Save(op=uuid4(), base=slot.version, letters="A"), NOW)
    assert SaveEvent.objects.count() == 0


def test_the_name_is_free_again(as_ada, client):
    as_ada.post("/settings/delete/", {"password": PASSWORD})

    client.post("/sign-up/", {"username": "ada-lovelace", "password1": PASSWORD, "password2": PASSWORD})

    assert User.objects.get(username="ada-lovelace").attempts.count() == 0


def test_an_instructor_leaves_the_history_of_the_bank_and_no_rights(bank):
    ines = make_instructor(username="ines", is_superuser=True)
    kind = ContentType.objects.get_for_model(Question)
    LogEntry.objects.create(user=ines, content_type=kind, object_id="1", object_repr="q", action_flag=CHANGE)
    client = Client()
    client.force_login(ines)
    assert [change["object_repr"] for change in client.get("/settings/my-data/").json()["changes_to_the_bank"]] == ["q"]

    client.post("/settings/delete/", {"password": PASSWORD})

    row = User.objects.get()
    assert (str(LogEntry.objects.get().user), row.is_staff, row.is_superuser, row.groups.count()) == (
        "Forgotten",
        False,
        False,
        0,
    )


def test_a_guest_deletes_everything_by_ticking_a_box(client, bank):
    client.post("/guest/")
    guest = User.objects.get()
    finish(make_attempt(guest, YESTERDAY), right=1)

    assert client.post("/settings/delete/", {"sure": ""}).status_code == 422
    assert User.objects.get().forgotten_at is None
    assert client.post("/settings/delete/", {"sure": "on"}).status_code == 302
    assert (User.objects.get().forgotten_at, Attempt.objects.count()) == (NOW, 1)


def test_nobody_else_is_touched(as_ada):
    other = UserFactory(username="grace")
    finish(make_attempt(other, YESTERDAY), right=6)
    save(make_attempt(other), "A")

    def of_other() -> list[Any]:
        events = SaveEvent.objects.filter(slot__attempt__user=other)
        slots = Slot.objects.filter(attempt__user=other)
        return [list(rows.values()) for rows in (User.objects.filter(pk=other.pk), other.attempts.all(), slots, events)]

    before = of_other()
    as_ada.post("/settings/delete/", {"password": PASSWORD})

    assert of_other() == before


# --- Retention ----------------------------------------------------------------------------------


def guest_of(days: int, exam: int | None = None, **fields: Any) -> User:
    """A guest who came so many days ago, and sat an exam so many days ago."""
    guest = User.objects.create_guest()
    User.objects.filter(pk=guest.pk).update(date_joined=NOW - timedelta(days=days), **fields)
    if exam is not None:
        finish(make_attempt(guest, NOW - timedelta(days=exam)), right=2)
    return guest


def forget(*arguments: str) -> str:
    out = StringIO()
    call_command("forget", *arguments, stdout=out)
    return out.getvalue()


def test_old_guests_are_forgotten_and_a_second_run_changes_nothing(bank):
    # reliability case 46
    idle, sat, back, fresh = guest_of(31), guest_of(40, exam=35), guest_of(40, exam=2), guest_of(29)
    account = UserFactory(date_joined=NOW - timedelta(days=400))
    running = guest_of(40)
    make_attempt(running)
    statistics = what_statistics_rest_on()

    assert forget("--guests-older-than", "30") == "2 guests forgotten.\n"

    once = everything_stored()
    assert what_statistics_rest_on() == statistics
    assert set(User.objects.values_list("pk", "forgotten_at")) == {
        (sat.pk, NOW),
        *((user.pk, None) for user in (back, fresh, account, running)),
    }
    assert not User.objects.filter(pk=idle.pk).exists()
    assert forget("--guests-older-than", "30") == "0 guests forgotten.\n"
    assert everything_stored() == once


def test_a_dry_run_counts_and_changes_nothing(bank):
    guest_of(40, exam=35)
    before = everything_stored()

    assert forget("--guests-older-than", "30", "--dry-run") == "1 guests would be forgotten.\n"
    assert everything_stored() == before


def test_a_guest_who_signed_up_is_nobodys_old_guest(client, bank):
    client.post("/guest/")
    User.objects.update(date_joined=NOW - timedelta(days=400))
    client.post("/sign-up/", {"username": "ada", "password1": PASSWORD, "password2": PASSWORD})

    assert forget("--guests-older-than", "1") == "0 guests forgotten.\n"


def test_sessions_and_tries_that_ran_out_go_too(client, bank, time_machine):
    client.post("/guest/")
    Throttle.objects.note_try("sign-in", NOW)
    time_machine.move_to(NOW + timedelta(days=15), tick=False)

    forget("--guests-older-than", "30")

    assert (everything_stored()["sessions.Session"], Throttle.objects.count()) == ([], 0)


@pytest.mark.parametrize("days", ["0", "-1", "36501", "soon"])
def test_a_number_of_days_that_makes_no_sense_is_refused(bank, days):
    guest_of(40)

    with pytest.raises(CommandError):
        forget("--guests-older-than", days)
    assert User.objects.count() == 1
