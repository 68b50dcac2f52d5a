"""What holds when the server dies, the disk is full or the database stays locked: nothing acknowledged is lost."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, expect

from questions.models import Attempt, SaveEvent, Slot
from questions.views import errors
from tests import postgresql, servers
from tests.factories import make_attempt, make_bank

pytestmark = pytest.mark.django_db(transaction=True)

ON_POSTGRESQL = connection.vendor == "postgresql"
ROUNDS = 30  # of killing the server
TIME = 15  # seconds that they may take in all


@dataclass
class Taker:
    """Somebody who chooses one option after the other, and whose browser keeps what was not acknowledged."""

    slot: Slot
    browser: servers.Browser
    acknowledged: list[tuple[str, int, str]] = field(default_factory=list)  # operation, version, letters
    waiting: tuple[str, int, str] | None = None  # in the outbox
    repeated: int = 0
    busy: int = 0

    def save(self, port: int) -> None:
        """Send what waits, or the next choice. Raises OSError or HTTPException when the server is gone."""
        if self.waiting:
            self.repeated += 1
        else:
            version = len(self.acknowledged)
            self.waiting = (str(uuid4()), version + 1, "ABCD"[version % 4])
        op, version, letters = self.waiting
        path = f"/exams/{self.slot.attempt_id}/{self.slot.position}/answer/"
        status, reply = self.browser.post(port, path, {"op": op, "version": version - 1, "letters": letters})
        if (status, reply) == (503, {"reason": "busy"}):
            self.busy += 1
            return
        assert (status, reply.get("version")) == (200, version), reply
        self.acknowledged.append(self.waiting)
        self.waiting = None

    def save_until_it_is_gone(self, port: int) -> None:
        while True:
            try:
                self.save(port)
            except (OSError, HTTPException):
                return

    def stored(self) -> list[tuple[str, int, str]]:
        events = SaveEvent.objects.filter(slot=self.slot).values_list("op", "version", "letters")
        return [(str(op), version, letters) for op, version, letters in events]


@pytest.fixture
def site(bank, tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("servers are forked here, which this system cannot")
    with servers.site(tmp_path) as site:
        yield site


@pytest.fixture
def takers(bank) -> list[Taker]:
    attempts = [make_attempt(now=timezone.now(), seed=number) for number in range(3)]
    return [Taker(attempt.slots.get(position=1), servers.Browser(attempt.user)) for attempt in attempts]


@contextmanager
def saving(takers: list[Taker], port: int) -> Iterator[None]:
    """All of them save without a pause, until the server is gone."""
    threads = [threading.Thread(target=taker.save_until_it_is_gone, args=[port]) for taker in takers]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


def count(takers: list[Taker]) -> int:
    return sum(len(taker.acknowledged) for taker in takers)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


# --- The server dies ----------------------------------------------------------------------------


def test_killing_the_server_in_the_middle_of_saves_loses_nothing_acknowledged(site, takers):
    chance = random.Random(23)
    end = time.monotonic() + TIME
    killed = 0
    while killed < ROUNDS and time.monotonic() < end:
        server = site.start()
        before = count(takers)
        with saving(takers, server.port):
            wait_for(lambda before=before: count(takers) > before)
            time.sleep(chance.uniform(0, 0.05))
            server.kill()
        killed += 1

        for taker in takers:
            stored = taker.stored()
            # What was acknowledged, and at most the one save whose reply was lost with the server.
            assert stored in (taker.acknowledged, [*taker.acknowledged, taker.waiting])

    server = site.start()
    for taker in takers:
        taker.save(server.port)
        assert taker.stored() == taker.acknowledged  # sent again, it made no second event
        taker.slot.refresh_from_db()
        assert (str(taker.stored()[-1][0]), taker.slot.version, taker.slot.letters) == taker.acknowledged[-1]
    assert killed >= 3
    assert sum(taker.repeated for taker in takers) > 0
    if not ON_POSTGRESQL:
        with connection.cursor() as cursor:
            assert cursor.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# reliability case 23
def test_sigterm_under_load_finishes_the_saves_under_way_and_takes_no_new_ones(site, takers):
    server = site.start()

    with saving(takers, server.port):
        wait_for(lambda: count(takers) >= 30)
        last_words = server.stop()

    assert last_words == "stopped 0\n"
    # Who has no reply was not let in: what is stored is what was acknowledged, neither less nor more.
    assert [taker.stored() for taker in takers] == [taker.acknowledged for taker in takers]
    with pytest.raises(ConnectionRefusedError):
        takers[0].save(server.port)


@pytest.mark.skipif(not ON_POSTGRESQL, reason="SQLite is no server that could go away")
def test_when_the_database_drops_its_connections_amid_saves_they_are_sent_again_and_none_is_lost(site, takers):
    server = site.start()

    with saving(takers, server.port):
        for _ in range(10):
            before = count(takers)
            wait_for(lambda before=before: count(takers) > before + 5)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                    [servers.NAME],
                )
                assert cursor.fetchall() != []
        before = count(takers)
        wait_for(lambda: count(takers) > before + 30)
        server.stop()

    assert [taker.stored() for taker in takers] == [taker.acknowledged for taker in takers]
    assert sum(taker.busy for taker in takers) > 0


# --- The database stays locked ------------------------------------------------------------------


@contextmanager
def locked(attempt: Attempt, seconds: float, statement: str = "") -> Iterator[None]:
    """Somebody else keeps the attempt's row locked (on SQLite: all writing), for so long or until the block ends.

    statement: what to lock beyond it.
    """
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Attempt.objects.select_for_update().get(pk=attempt.pk)
            if statement:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
            held.set()
            release.wait(seconds)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    try:
        yield
    finally:
        release.set()
        thread.join()


def sign_in(attempt: Attempt, accept: str = "application/json") -> Client:
    client = Client(headers={"Accept": accept}, raise_request_exception=False)
    client.force_login(attempt.user)
    return client


def choose(client: Client, attempt: Attempt, letters: str, version: int = 0, op: str = "") -> HttpResponse:
    data = {"letters": letters, "version": version, "op": op or str(uuid4())}
    return client.post(f"/exams/{attempt.pk}/1/answer/", data)


# reliability case 21
def test_a_save_waits_three_seconds_for_a_lock_and_succeeds(bank):
    attempt = make_attempt(now=timezone.now())
    client = sign_in(attempt)

    with locked(attempt, 3):
        began = time.monotonic()
        response = choose(client, attempt, "B")
        took = time.monotonic() - began

    assert (response.status_code, response.json()["result"]) == (200, "saved")
    assert took > 2
    assert attempt.slots.get(position=1).letters == "B"


# reliability case 21
def test_after_five_seconds_of_waiting_for_a_lock_a_save_is_told_to_come_again(bank):
    attempt = make_attempt(now=timezone.now())
    client, op = sign_in(attempt), str(uuid4())

    with locked(attempt, 8):
        began = time.monotonic()
        response = choose(client, attempt, "B", op=op)
        took = time.monotonic() - began
    again = choose(client, attempt, "B", op=op)

    assert (response.status_code, response.json()) == (503, {"reason": "busy"})
    assert (response.headers["Retry-After"], response.headers["Cache-Control"]) == ("5", "no-store")
    assert took < 6
    assert (again.status_code, again.json()["result"]) == (200, "saved")
    assert list(SaveEvent.objects.values_list("letters", "version")) == [("B", 1)]


# reliability case 21
@pytest.mark.browser
def test_the_browser_keeps_a_choice_that_the_locked_database_did_not_take_and_sends_it_again(page: Page, live_server):
    make_bank()
    page.goto(live_server.url)
    page.get_by_role("button", name="Try it without an account").click()
    page.get_by_role("button", name="Start exam").click()
    expect(page.locator("input[value=B]")).to_be_visible()
    attempt = Attempt.objects.get()

    with locked(attempt, 20):
        page.locator("label:has(input[value=B])").click()
        expect(page.locator("#save-state")).to_contain_text("Not saved", timeout=10_000)
        expect(page.locator("input[value=B]")).to_be_checked()
        assert not SaveEvent.objects.exists()

    expect(page.locator("#save-state")).to_have_text("Saved", timeout=10_000)
    assert list(SaveEvent.objects.values_list("letters", "version")) == [("B", 1)]


# --- The disk is full ---------------------------------------------------------------------------


@contextmanager
def full_disk() -> Iterator[None]:
    """The database may not grow any more, and says what it says on a full disk."""
    with connection.cursor() as cursor:
        if ON_POSTGRESQL:
            cursor.execute(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
            )
            cursor.execute("CREATE TRIGGER full_disk BEFORE INSERT ON questions_saveevent EXECUTE FUNCTION full_disk()")
        else:
            cursor.execute("VACUUM")  # pages that earlier tests left free would take thousands of saves
            cursor.execute("PRAGMA max_page_count = 1")  # SQLite makes it the number of pages there are
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "DROP FUNCTION full_disk CASCADE" if ON_POSTGRESQL else f"PRAGMA max_page_count = {2**31 - 2}"
            )


def test_on_a_full_disk_saves_are_told_to_come_again_and_what_was_acknowledged_stays(bank):
    attempt = make_attempt(now=timezone.now())
    client, acknowledged = sign_in(attempt), []

    with full_disk():
        while True:
            version, op = len(acknowledged), str(uuid4())
            letters = "ABCD"[version % 4]
            response = choose(client, attempt, letters, version, op)
            if response.status_code != 200:
                break
            acknowledged.append((letters, version + 1))
        assert (response.status_code, response.json()) == (503, {"reason": "busy"})
        assert list(SaveEvent.objects.values_list("letters", "version")) == acknowledged
        slot = attempt.slots.get(position=1)
        assert slot.version == len(acknowledged)
        assert client.get(f"/exams/{attempt.pk}/1/", headers={"Accept": "text/html"}).status_code == 200

    assert choose(client, attempt, letters, version, op).status_code == 200
    assert list(SaveEvent.objects.values_list("letters", "version")) == [*acknowledged, (letters, version + 1)]


def test_a_person_gets_a_page_that_says_what_is_not_saved_and_all_the_headers(bank):
    attempt = make_attempt(now=timezone.now())
    client = sign_in(attempt, "text/html")

    version, status = 0, 302
    with full_disk():
        while status == 302:
            response = choose(client, attempt, "ABCD"[version % 4], version)
            version, status = version + 1, response.status_code

    assert (status, response.headers["Retry-After"]) == (503, "5")
    assert "What you just sent is not saved; everything that was saved before is safe." in response.content.decode()
    assert response.headers["Permissions-Policy"] == "camera=(), microphone=(), geolocation=(), browsing-topics=()"
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]


@pytest.mark.skipif(not ON_POSTGRESQL, reason="on SQLite nobody holds up who only reads")
def test_where_even_the_session_cannot_be_read_the_answer_is_the_same(bank):
    attempt = make_attempt(now=timezone.now())
    client = sign_in(attempt)

    with locked(attempt, 20, "LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE"):
        began = time.monotonic()
        response = choose(client, attempt, "B")
        took = time.monotonic() - began

    assert (response.status_code, response.json()) == (503, {"reason": "busy"})
    assert (response.headers["Retry-After"], response.headers["Cache-Control"]) == ("5", "no-store")
    assert response.headers["Permissions-Policy"] == "camera=(), microphone=(), geolocation=(), browsing-topics=()"
    assert took < 6


# --- Which errors may pass ----------------------------------------------------------------------


def raised(statement: str) -> BaseException:
    with pytest.raises(Exception) as caught, connection.cursor() as cursor:
        cursor.execute(statement)
    return caught.value


@pytest.mark.parametrize("statement", ["SELECT * FROM nowhere", "SELEC 1", "SELECT nothing FROM questions_slot"])
def test_a_mistake_in_a_statement_does_not_pass(statement):
    assert not errors.is_passing(raised(statement))


@pytest.mark.parametrize("error", [None, ValueError("x"), KeyError("busy")])
def test_an_error_that_has_nothing_to_do_with_the_database_does_not_pass(error):
    assert not errors.is_passing(error)


def test_a_database_that_cannot_be_reached_may_come_back():
    with pytest.raises(OperationalError) as caught:
        raise OperationalError from OSError("connection refused")

    assert errors.is_passing(caught.value)


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
def test_the_same_holds_on_postgresql():
    postgresql.passes(__file__, "15 passed, 1 skipped")
