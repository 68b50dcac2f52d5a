"""More than the site can take, or than one place should send: told politely, nothing lost, nobody else slowed down."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.db import connection
from django.test import Client
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from questions import hashing, privacy
from questions.logs import Seldom
from questions.models import Counter, Throttle, User
from questions.models.sign_in import GUESTS, QUIET, REPORTS, RESETS, SIGN_UPS, WRONG_SIGN_INS, Rate
from questions.refusals import refusals
from tests.factories import NOW, UserFactory, mail_is_sent

pytestmark = [pytest.mark.django_db, pytest.mark.time_machine(NOW, tick=False)]

PASSWORD = "lantern-7-harbour"  # as UserFactory sets it
NEW = "orchard-9-winter"
BUSY = "Many people are signing in just now. Try again in a few seconds."
SIGN_UP = {"username": "eve", "email": "eve@example.org", "password1": NEW, "password2": NEW}


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def value_of(response: Any, name: str) -> str | None:
    found = re.search(rf'<input [^>]*name="{name}"[^>]*>', response.content.decode())[0]
    value = re.search(r'value="([^"]*)"', found)
    return value and value[1]


# --- Passwords are hashed a few at a time -------------------------------------------------------


@contextmanager
def crowd() -> Iterator[None]:
    """So many others, each at a place of their own, are signing in that there is no room for one more."""
    with ExitStack() as stack:
        found = [stack.enter_context(hashing.place(f"198.51.100.{number}")) for number in range(hashing.PLACES)]
        assert found == [True] * hashing.PLACES
        yield


def test_a_sign_in_too_many_is_asked_to_try_again_and_keeps_name_and_destination(client):
    UserFactory(username="ada")
    data = {"username": "ada", "password": PASSWORD, "next": "/progress/"}

    with crowd():
        asked = client.post("/sign-in/", data)
    done = client.post("/sign-in/", data)

    assert (asked.status_code, asked.headers["Retry-After"]) == (503, "5")
    assert "no-store" in asked.headers["Cache-Control"]
    assert BUSY in text_of(asked)
    assert [value_of(asked, name) for name in ("username", "password", "next")] == ["ada", None, "/progress/"]
    assert (done.status_code, done.url) == (302, "/progress/")


# reliability case 34
@pytest.mark.parametrize("password", [PASSWORD, "wrong-password"])
def test_who_is_sent_away_learns_nothing_about_accounts_and_has_used_no_try(client, password):
    UserFactory(username="ada")

    with crowd():
        replies = [
            client.post("/sign-in/", {"username": name, "password": password})
            for _ in range(10)
            for name in ("ada", "eve")
        ]

    texts = {re.sub(r'csrfmiddlewaretoken" value="\w+"|\b(ada|eve)\b', "", text_of(reply)) for reply in replies}
    assert [reply.status_code for reply in replies] == [503] * 20
    assert len(texts) == 1
    assert Throttle.objects.count() == 0
    assert client.post("/sign-in/", {"username": "ada", "password": PASSWORD}).status_code == 302


def test_a_sign_up_too_many_keeps_what_was_written_and_makes_nobody(client):
    with crowd():
        asked = client.post("/sign-up/", SIGN_UP)

    assert (asked.status_code, asked.headers["Retry-After"]) == (503, "5")
    assert BUSY in text_of(asked)
    assert [value_of(asked, name) for name in ("username", "email", "password1")] == ["eve", "eve@example.org", None]
    assert User.objects.count() == 0


def test_every_other_form_that_takes_a_password_waits_its_turn_too(client):
    user = UserFactory(username="ada")
    key, token = urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)
    link = client.get(f"/password/reset/{key}/{token}/").url
    client.force_login(user)
    forms = [
        (link, {"new_password1": NEW, "new_password2": NEW}),
        ("/password/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}),
        ("/settings/delete/", {"password": PASSWORD}),
        ("/settings/second-factor/", {"password": PASSWORD, "code": "000000", "token": "x"}),
        ("/settings/", {"password": PASSWORD, "email": "ada@example.org"}),
    ]

    with crowd():
        replies = [client.post(path, data) for path, data in forms]
        pages = [client.get(path).status_code for path, _ in forms[1:]]

    assert [(reply.status_code, reply.headers["Retry-After"]) for reply in replies] == [(503, "5")] * 5
    assert ["reload this page to send it again" in text_of(reply) for reply in replies] == [True] * 5
    assert pages == [200] * 4
    assert User.objects.get().check_password(PASSWORD)


def test_a_guest_who_leaves_hashes_nothing_and_waits_for_nobody(client):
    client.post("/guest/")

    with crowd():
        left = client.post("/settings/delete/", {"sure": "on"})

    assert (left.status_code, left.url, User.objects.count()) == (302, "/", 0)


def test_no_place_is_held_while_an_account_is_deleted(client, monkeypatch):
    client.force_login(UserFactory())
    held = []
    monkeypatch.setattr(privacy, "forget", lambda user, now: held.append(hashing.held.total()))

    client.post("/settings/delete/", {"password": PASSWORD})

    assert held == [0]


def test_a_place_is_free_again_after_an_error():
    for _ in range(hashing.PLACES + 1):
        with suppress(ZeroDivisionError), hashing.place("198.51.100.7") as found:
            assert found
            raise ZeroDivisionError

    assert hashing.held == {}


def test_no_network_holds_the_last_place():
    with ExitStack() as stack:
        found = [stack.enter_context(hashing.place(network)) for network in ("a", "a", "a", "b", "b", "c")]

    assert found == [True, True, False, True, False, False]
    assert hashing.held == {}


def test_while_one_network_storms_somebody_at_another_gets_in(client):
    UserFactory(username="ada")
    data = {"username": "ada", "password": PASSWORD}

    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(hashing.place(OTHER_PLACE))
        storming = client.post("/sign-in/", data, REMOTE_ADDR=OTHER_PLACE)
        elsewhere = client.post("/sign-in/", data)

    assert (storming.status_code, elsewhere.status_code) == (503, 302)


def test_one_password_is_hashed_at_a_time(settings):
    settings.PASSWORD_HASHERS = ["examsim.hashers.Argon2"]
    done = []
    threads = [threading.Thread(target=lambda: done.append(make_password(PASSWORD))) for _ in range(3)]

    with hashing.turn:
        for thread in threads:
            thread.start()
        threads[0].join(0.5)
        meanwhile = len(done)
    for thread in threads:
        thread.join(20)

    assert (meanwhile, len(done)) == (0, 3)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="elsewhere a transaction holds up nobody before it writes")
def test_no_save_waits_while_a_new_password_is_hashed(client, settings):
    settings.PASSWORD_HASHERS = ["examsim.hashers.Argon2"]
    replies = []

    def sign_up() -> None:
        replies.append(client.post("/sign-up/", SIGN_UP).status_code)
        connection.close()

    thread = threading.Thread(target=sign_up)
    with hashing.turn:
        thread.start()
        time.sleep(1)
        began = time.perf_counter()
        User.objects.create(username="ada")
        took = time.perf_counter() - began
    thread.join(20)

    assert took < 1
    assert replies == [302]


# --- What anybody may send has a rate -----------------------------------------------------------

OTHER_PLACE = "203.0.113.9"
TOO_MANY = "Too many people did this from your network. Wait 15 seconds, then try again."


def test_a_rate_lets_so_many_through_at_once_and_then_one_after_the_other():
    rate = Rate(allowed=4, per=timedelta(minutes=2))

    def waits(count: int, now: datetime) -> list[int]:
        return [int(Throttle.objects.note_request("a place", rate, now).total_seconds()) for _ in range(count)]

    assert waits(6, NOW) == [0, 0, 0, 0, 30, 30]
    assert waits(2, NOW + timedelta(seconds=29)) == [1, 1]
    assert waits(2, NOW + timedelta(seconds=30)) == [0, 30]
    assert waits(4, NOW + timedelta(seconds=90)) == [0, 0, 30, 30]
    assert waits(5, NOW + timedelta(hours=2)) == [0, 0, 0, 0, 30]


def test_other_places_and_other_things_have_a_rate_of_their_own():
    rate = Rate(allowed=1, per=timedelta(minutes=1))

    waits = [Throttle.objects.note_request(subject, rate, NOW) for subject in ("a", "b", "a")]

    assert waits == [timedelta(0), timedelta(0), timedelta(minutes=1)]


def test_what_is_refused_writes_nothing(django_assert_num_queries):
    rate = Rate(allowed=1, per=timedelta(minutes=1))
    Throttle.objects.note_request("a place", rate, NOW)

    with django_assert_num_queries(1) as asked:  # so a flood holds up nobody who writes
        Throttle.objects.note_request("a place", rate, NOW)

    assert asked.captured_queries[0]["sql"].startswith("SELECT")


@pytest.mark.parametrize("rate", [GUESTS, SIGN_UPS, RESETS, REPORTS, WRONG_SIGN_INS])
def test_no_row_is_forgotten_before_its_time(rate):
    assert rate.per <= QUIET


def test_a_class_of_sixty_behind_one_address_gets_in_twice_over():
    guests = [Client().post("/guest/").status_code for _ in range(120)]
    accounts = [
        Client().post("/sign-up/", {**SIGN_UP, "username": f"eve{n}", "password2": password}).status_code
        for password in ("mistyped", NEW)
        for n in range(60)
    ]

    assert guests == [302] * 120
    assert accounts == [422] * 60 + [302] * 60


def exhausted(kind: str, rate: Rate) -> None:
    """As if the place that the test client asks from had sent all it may."""
    for _ in range(rate.allowed):
        Throttle.objects.note_request(f"{kind} 127.0.0.1", rate, NOW)


def test_a_guest_too_many_is_told_when_to_come_again_and_nobody_is_made(client):
    exhausted("guests", GUESTS)

    refused = client.post("/guest/")

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "15")
    assert TOO_MANY in text_of(refused)
    assert User.objects.count() == 0
    assert client.post("/guest/", REMOTE_ADDR=OTHER_PLACE).status_code == 302


def test_who_is_signed_in_already_is_not_counted_as_a_guest(client):
    client.force_login(UserFactory())

    client.post("/guest/")

    assert Throttle.objects.count() == 0


def test_a_sign_up_from_a_crowded_place_keeps_what_was_written(client):
    exhausted("sign-ups", SIGN_UPS)

    refused = client.post("/sign-up/", SIGN_UP)

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "15")
    assert TOO_MANY in text_of(refused)
    assert [value_of(refused, name) for name in ("username", "email", "password1")] == ["eve", "eve@example.org", None]
    assert User.objects.count() == 0
    assert client.post("/sign-up/", SIGN_UP, REMOTE_ADDR=OTHER_PLACE).status_code == 302


def test_a_place_that_asked_for_many_links_is_told_so_alike_for_known_and_unknown_addresses(client, mailoutbox):
    # reliability case 34
    UserFactory(email="ada@example.org")
    exhausted("resets", RESETS)

    replies = [client.post("/password/reset/", {"email": f"{name}@example.org"}) for name in ("ada", "eve")]

    mail_is_sent()
    assert [(reply.status_code, reply.headers["Retry-After"]) for reply in replies] == [(429, "60")] * 2
    assert "Too many people did this from your network. Wait 1 minute, then try again." in text_of(replies[0])
    texts = {re.sub(r'csrfmiddlewaretoken" value="\w+"|\b(ada|eve)@', "", text_of(reply)) for reply in replies}
    assert len(texts) == 1
    assert mailoutbox == []


def test_reports_of_a_place_that_sent_many_are_neither_read_nor_logged(client, caplog):
    exhausted("reports", REPORTS)
    report = '{"csp-report": {"violated-directive": "img-src", "blocked-uri": "https://evil.example/"}}'

    refused, taken = (
        client.post("/csp-report", report, content_type="application/csp-report", REMOTE_ADDR=place)
        for place in ("127.0.0.1", OTHER_PLACE)
    )

    assert (refused.status_code, refused.headers["Retry-After"], refused.content) == (429, "30", b"")
    assert taken.status_code == 204
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("examsim.operations", "Policy violated: img-src by https://evil.example/")
    ]


def test_one_guess_for_each_of_many_names_is_held_up_by_network_and_only_there(client):
    UserFactory(username="ada")
    data = {"username": "ada", "password": PASSWORD, "next": "/progress/"}
    wrong = WRONG_SIGN_INS.allowed
    for _ in range(wrong - 1):
        Throttle.objects.note_request("wrong sign-ins 127.0.0.1", WRONG_SIGN_INS, NOW)

    last = client.post("/sign-in/", {"username": "one-name-more", "password": "wrong-password"})
    with crowd():  # refused before a place is looked for
        refused = client.post("/sign-in/", data)
    elsewhere = client.post("/sign-in/", data, REMOTE_ADDR=OTHER_PLACE)

    assert (last.status_code, refused.status_code, refused.headers["Retry-After"]) == (422, 429, "6")
    assert "Too many people did this from your network. Wait 6 seconds, then try again." in text_of(refused)
    assert value_of(refused, "next") == "/progress/"
    assert elsewhere.status_code == 302


@pytest.fixture
def counted(monkeypatch) -> Callable[[], int]:
    """How many refusals the common figure has."""
    for name, value in {"unwritten": 0, "due": Seldom(seconds=10)}.items():
        monkeypatch.setattr(refusals, name, value)
    return lambda: {name: value for name, _, value in Counter.objects.figures()}["refused"]


def test_what_is_refused_is_counted_and_not_logged(client, caplog, counted, settings):
    user = UserFactory(username="ada")
    exhausted("guests", GUESTS)
    exhausted("reports", REPORTS)
    for _ in range(5):
        Throttle.objects.note_try(f"password {user.pk}", NOW)
    settings.METRICS_TOKEN = token = "t" * 32

    replies = [client.post(path) for path in ("/guest/", "/csp-report")]
    with crowd():
        replies += [client.post(path) for path in ("/sign-in/", "/sign-up/")]
    client.force_login(user)
    replies.append(client.post("/settings/delete/", {"password": PASSWORD}))
    with crowd():
        replies.append(client.post("/password/"))
    written_at_once = counted()
    figures = client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).text

    assert [reply.status_code for reply in replies] == [429, 429, 503, 503, 429, 503]
    assert caplog.records == []
    assert (written_at_once, counted()) == (1, 6)
    assert "\nexamsim_refused_total 6\n" in figures


def test_a_flood_of_refusals_writes_its_count_every_ten_seconds(client, counted, monkeypatch):
    clock = iter([0, 1, 9, 10, 11])
    monkeypatch.setattr(refusals, "due", Seldom(10, clock.__next__))
    exhausted("guests", GUESTS)

    found = []
    for _ in range(5):
        client.post("/guest/")
        found.append(counted())

    assert found == [1, 1, 1, 4, 4]


def test_a_class_that_signs_in_rightly_is_never_counted(client):
    UserFactory(username="ada")
    for _ in range(WRONG_SIGN_INS.allowed - 1):
        Throttle.objects.note_request("wrong sign-ins 127.0.0.1", WRONG_SIGN_INS, NOW)

    statuses = [Client().post("/sign-in/", {"username": "ada", "password": PASSWORD}).status_code for _ in range(20)]

    assert statuses == [302] * 20


def test_a_crowded_place_still_signs_in(client):
    UserFactory(username="ada")
    exhausted("guests", GUESTS)
    exhausted("sign-ups", SIGN_UPS)

    assert client.post("/sign-in/", {"username": "ada", "password": PASSWORD}).status_code == 302
