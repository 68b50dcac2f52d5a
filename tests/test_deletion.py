"""What is deleted at the moment at which somebody writes to it: all of it goes, and nobody gets an error."""

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django import forms
from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from questions import privacy
from questions.account_forms import ChangePasswordForm, NewPasswordForm
from questions.forms import SettingsForm, SignUpForm
from questions.models import Attempt, SaveEvent, Slot, User
from questions.models.attempts import SAVED, Save
from tests import postgresql
from tests.factories import UserFactory, finish, make_attempt
from tests.test_concurrency import at_once, browser
from tests.test_time import change_person, extra

pytestmark = pytest.mark.django_db(transaction=True)

ON_POSTGRESQL = connection.vendor == "postgresql"


def first_then[T, U](first: Callable[[], T], second: Callable[[], U]) -> list[T | U]:
    """Run the first in a transaction that stays open while the second begins."""
    done = threading.Event()

    def hold() -> T:
        with transaction.atomic():
            result = first()
            done.set()
            time.sleep(0.5)  # the second has looked by now, and waits
            return result

    def follow() -> U:
        done.wait(timeout=30)
        return second()

    return at_once([hold, follow])


def alone(user: User) -> None:
    user.delete()


def with_others(user: User) -> None:
    User.objects.filter(username__startswith="taker").delete()


def what_is_left() -> list[int]:
    return [model.objects.count() for model in (User, Attempt, Slot, SaveEvent)]


# reliability case 22
@pytest.mark.parametrize("delete", [alone, with_others])
def test_a_save_just_before_its_taker_is_deleted_goes_too(bank, delete):
    taker, _ = UserFactory.create_batch(2)
    now = timezone.now()
    slot = make_attempt(taker, now=now).slots.select_related("attempt").get(position=1)

    saved, _ = first_then(
        lambda: slot.save_answer(Save(uuid4(), 0, letters="B"), now), lambda: delete(User.objects.get(pk=taker.pk))
    )

    assert saved == SAVED
    assert what_is_left() == [0 if delete is with_others else 1, 0, 0, 0]


# reliability case 22
@pytest.mark.parametrize("delete", [alone, with_others])
def test_an_exam_started_just_before_its_taker_is_deleted_goes_too(bank, taker, delete):
    first_then(
        lambda: Attempt.objects.start(taker, bank, 1, timezone.now()), lambda: delete(User.objects.get(pk=taker.pk))
    )

    assert what_is_left() == [0, 0, 0, 0]


# reliability case 22
@pytest.mark.parametrize("delete", [alone, with_others])
def test_a_start_just_after_its_taker_was_deleted_leads_to_the_sign_in(bank, taker, delete):
    device = browser(taker)

    _, response = first_then(
        lambda: delete(User.objects.get(pk=taker.pk)), lambda: device.post("/exams/start/", headers={"Accept": "*/*"})
    )

    assert (response.status_code, response.headers.get("Location")) == (302, "/sign-in/")
    assert what_is_left() == [0, 0, 0, 0]


PASSWORD = "lantern-7-harbour"  # as UserFactory sets it
NEW = "orchard-9-winter"
SETTINGS = ("/settings/", {"email": "", "target": "80", "time_zone": "Asia/Tokyo"})
CHANGE = ("/password/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW})


def gone(user: User) -> None:
    User.objects.get(pk=user.pk).delete()


def forgotten(user: User) -> None:
    privacy.forget(User.objects.get(pk=user.pk), timezone.now())


def meanwhile(monkeypatch: pytest.MonkeyPatch, form: type, do: Callable[[], object]) -> None:
    """Let it happen after the request has read who asks, before it writes."""
    is_valid = form.is_valid

    def late(self: forms.BaseForm) -> bool:
        do()
        return is_valid(self)

    monkeypatch.setattr(form, "is_valid", late)


def rows() -> list[dict[str, Any]]:
    return list(User.objects.order_by("pk").values())


@pytest.mark.parametrize("end", [gone, forgotten])
@pytest.mark.parametrize("sent", [SETTINGS, CHANGE])
def test_who_is_deleted_while_changing_something_stays_deleted(bank, client, monkeypatch, end, sent):
    taker = UserFactory(username="ada")
    finish(make_attempt(taker), right=3)
    client.force_login(taker)
    left = []
    form = SettingsForm if sent is SETTINGS else ChangePasswordForm
    meanwhile(monkeypatch, form, lambda: (end(taker), left.extend(rows())))

    response = client.post(*sent)

    assert (response.status_code, response.url) == (302, "/sign-in/")
    assert rows() == left
    assert len(left) == (1 if end is forgotten else 0)


@pytest.mark.parametrize("end", [gone, forgotten])
def test_a_link_in_a_mail_brings_nobody_back(bank, client, monkeypatch, end):
    taker = UserFactory(username="ada")
    finish(make_attempt(taker), right=3)
    key, token = urlsafe_base64_encode(force_bytes(taker.pk)), default_token_generator.make_token(taker)
    link = client.get(f"/password/reset/{key}/{token}/").url
    left = []
    meanwhile(monkeypatch, NewPasswordForm, lambda: (end(taker), left.extend(rows())))

    response = client.post(link, {"new_password1": NEW, "new_password2": NEW})

    assert (response.status_code, response.url) == (302, "/sign-in/")
    assert rows() == left


def test_a_guest_who_is_deleted_while_signing_up_stays_deleted(bank, client, monkeypatch):
    client.post("/guest/")
    guest = User.objects.get()
    meanwhile(monkeypatch, SignUpForm, lambda: gone(guest))

    response = client.post("/sign-up/", {"username": "ada", "password1": NEW, "password2": NEW})

    assert (response.status_code, response.url, rows()) == (302, "/sign-in/", [])


def test_settings_stored_just_after_a_new_password_leave_it_as_it_is(client, monkeypatch):
    taker = UserFactory(username="ada", email="")
    client.force_login(taker)
    changed = make_password(NEW)
    elsewhere = {"password": changed, "email": "ada@example.org", "sessions_ended": 1}
    meanwhile(monkeypatch, SettingsForm, lambda: User.objects.filter(pk=taker.pk).update(**elsewhere))

    client.post(*SETTINGS)

    taker.refresh_from_db()
    assert (taker.target, taker.time_zone, taker.single_keys) == (80, "Asia/Tokyo", False)
    assert (taker.password, taker.email, taker.sessions_ended) == (changed, "ada@example.org", 1)


def test_a_new_password_leaves_settings_stored_meanwhile_as_they_are(client, monkeypatch):
    taker = UserFactory(username="ada")
    client.force_login(taker)
    meanwhile(monkeypatch, ChangePasswordForm, lambda: User.objects.filter(pk=taker.pk).update(target=80))

    client.post(*CHANGE)

    taker.refresh_from_db()
    assert (taker.check_password(NEW), taker.target) == (True, 80)


def wait_after(method: Callable[..., bool]) -> Callable[..., bool]:
    """As if whoever locks the exam were slow: the deletion has begun when they go on."""

    def slow(*args: Any) -> bool:
        result = method(*args)
        time.sleep(0.5)
        return result

    return slow


@pytest.mark.parametrize("operator_first", [False, True], ids=["taker first", "operator first"])
@pytest.mark.parametrize("how", ["extra time", "time factor"])
def test_an_operator_who_moves_a_deadline_and_the_taker_are_deleted_together(bank, monkeypatch, how, operator_first):
    names = ["taker.operator", "taker"] if operator_first else ["taker", "taker.operator"]
    people = {
        name: UserFactory(username=name, is_staff="operator" in name, is_superuser="operator" in name) for name in names
    }
    taker, operator = people["taker"], people["taker.operator"]
    attempt = make_attempt(taker, now=timezone.now())
    device = browser(operator)
    monkeypatch.setattr(Attempt, "_lock_running", wait_after(Attempt._lock_running))

    def move() -> int:
        if how == "extra time":
            return extra(device, attempt, 5).status_code
        return change_person(device, taker, time_factor=150).status_code

    def delete() -> None:
        time.sleep(0.2)
        with_others(taker)

    assert at_once([move, delete])[0] == 302
    assert what_is_left() == [0, 0, 0, 0]


def test_the_list_of_people_deletes_many_at_once_with_what_they_have(bank):
    operator = UserFactory(is_staff=True, is_superuser=True, username="operator")
    takers = UserFactory.create_batch(2)
    client = Client()
    client.force_login(operator)

    chosen = {"action": "delete_selected", "_selected_action": [taker.pk for taker in takers], "post": "yes"}
    response = client.post("/admin/questions/user/", chosen, follow=True)

    assert "Successfully deleted 2 users." in response.text
    assert list(User.objects.values_list("username", flat=True)) == ["operator"]


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
def test_the_same_holds_on_postgresql():
    postgresql.passes(__file__, "20 passed, 1 skipped")
