"""What somebody may send who means harm: no address, query, form or file gives 500, or changes what it should not."""

import contextlib
import http.client
import os
import re
import socket
import sqlite3
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client

from questions.models import Attempt, Guide, Option, Question, Reference, Revision, Slot, User
from tests import postgresql
from tests.bank_folder import CODES, load, question_path, rows, write_bank, write_question
from tests.factories import NOW, QuestionFactory, finish, make_attempt
from tests.test_access import everything_stored
from tests.test_admin import page_data
from tests.test_up import ROOT, Program, free_port

pytestmark = [pytest.mark.django_db, pytest.mark.time_machine(NOW, tick=False)]

OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"
MARKED = f"{OVERRIDE}MARK \N{ARABIC LETTER ALEF}e\N{COMBINING ACUTE ACCENT}\N{GRINNING FACE}"
FIRST = "/admin/questions/question/"


@pytest.fixture
def slot(bank, taker):
    return make_attempt(taker).slots.get(position=1)


# --- Addresses, queries, cookies ----------------------------------------------------------------


# reliability case 42
@pytest.mark.parametrize("number", [2**63, 2**64, 10**30, "9" * 4000], ids=["2^63", "2^64", "10^30", "9..."])
@pytest.mark.parametrize(
    "path",
    [
        "/exams/{n}/1/",
        "/exams/{n}/finish/",
        "/exams/{n}/submit/",
        "/exams/warm-up/{n}/",
        "/exams/{n}/report/",
        "/exams/{n}/review/",
        "/exams/{n}/review/1/",
        "/exams/{running}/{n}/",
        "/exams/{finished}/review/{n}/",
        "/admin/questions/question/{n}/change/",
        "/admin/questions/question/{n}/delete/",
        "/admin/questions/question/{n}/history/",
        "/admin/questions/question/{n}/preview/",
        "/admin/questions/reference/{n}/change/",
        "/admin/questions/attempt/{n}/change/",
        "/admin/r/{n}/{n}/",
    ],
)
def test_a_number_that_no_database_holds_is_not_found(as_instructor, instructor, bank, path, number):
    finished = finish(make_attempt(instructor), right=2)
    places = {"n": number, "finished": finished.pk, "running": make_attempt(instructor).pk}

    assert as_instructor.get(path.format(**places)).status_code == 404


@pytest.mark.parametrize("number", [2**63, 2**64, "9" * 4000], ids=["2^63", "2^64", "9..."])
@pytest.mark.parametrize("path", ["/exams/{n}/1/{do}/", "/exams/{running}/{n}/{do}/", "/exams/{n}/submit/"])
@pytest.mark.parametrize("do", ["answer", "time"])
def test_nothing_is_saved_under_such_a_number(as_taker, slot, path, number, do):
    data = {"letters": "A", "version": "0", "seconds": "1"}

    response = as_taker.post(path.format(n=number, running=slot.attempt_id, do=do), data)

    assert response.status_code == 404


@pytest.mark.parametrize("raw", ["%00", "a%00b", "%ff", "%ed%a0%80", "\N{ARABIC LETTER ALEF}", OVERRIDE])
@pytest.mark.parametrize(
    "path", ["/exams/{}/1/", "/{}", "/password/reset/{}/x-y/", "/admin/questions/question/{}/change/"]
)
def test_a_path_that_is_no_text_is_not_found_or_not_read(as_instructor, bank, path, raw):
    response = as_instructor.get(path.format(raw))

    expected = {200} if path.startswith("/password") and "%00" not in raw else {400, 404}  # 200: no such link
    assert response.status_code in expected


@pytest.mark.parametrize("query", ["next=%00", "q=a%00", "%00=1", "show=%ff", "section=%ed%a0%80", "status__exact=%00"])
@pytest.mark.parametrize("path", ["/", "/sign-in/", "/progress/", FIRST, "/admin/autocomplete/", "/no/such/"])
def test_a_query_that_is_no_text_is_refused(as_instructor, bank, path, query):
    response = as_instructor.get(f"{path}?{query}")

    assert (response.status_code, "<h1>This could not be read</h1>" in response.text) == (400, True)


@pytest.mark.parametrize("cookie", ['sessionid="abcdefgh\\000"', "sessionid=abcdefgh\xff"])
def test_a_session_cookie_that_is_no_text_is_refused(bank, cookie):
    assert Client().get("/", headers={"Cookie": cookie}).status_code == 400


def test_cookies_of_others_are_none_of_our_business(bank):
    assert Client().get("/", headers={"Cookie": 'theirs="\\000"; more=\xff; csrftoken=\xff'}).status_code == 200


# --- Bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("charset", ["idna", "unicode_escape", "utf-7", "utf-16", "latin-1", "none-such"])
@pytest.mark.parametrize("path", ["/sign-in/", "/sign-up/", "/settings/", "/password/reset/"])
def test_no_encoding_but_utf8_is_taken_so_no_lone_surrogate_comes_in(as_taker, taker, path, charset):
    """Case 9: `unicode_escape` and `utf-7` make lone surrogates of plain ASCII."""
    body = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n\\ud800+2AA-\r\n--x--\r\n'.format("email")
    before = everything_stored()

    sent = as_taker.generic("POST", path, body, content_type=f"multipart/form-data; boundary=x; charset={charset}")
    read = as_taker.get(f"{path}?q=x", headers={"Content-Type": f"text/plain; charset={charset}"})

    assert (sent.status_code, read.status_code) == (400, 400)
    assert everything_stored() == before


# reliability cases 9 and 42
BODIES = {
    "NUL": b"email=a%00b",
    "NUL in a name": b"em%00ail=a",
    "broken UTF-8": b"email=%ff%fe",
    "a lone surrogate": b"email=%ed%a0%80",
    "5,000 fields": b"&".join(b"f%d=1" % number for number in range(5000)),
    "2 MB": b"email=" + b"a" * 2_000_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(
    "path", ["/sign-in/", "/sign-up/", "/settings/", "/exams/{}/1/answer/", "/admin/questions/reference/add/"]
)
def test_a_body_that_cannot_be_meant_is_refused_and_changes_nothing(as_instructor, instructor, bank, path, body):
    attempt = make_attempt(instructor)
    before = everything_stored()

    response = as_instructor.post(path.format(attempt.pk), body, content_type="application/x-www-form-urlencoded")

    assert (response.status_code, "<h1>This could not be read</h1>" in response.text) == (400, True)
    assert everything_stored() == before


@pytest.mark.parametrize(
    "text", [OVERRIDE, "e" + "\N{COMBINING ACUTE ACCENT}" * 500, "a" * 400_000, "\N{GRINNING FACE}"]
)
def test_names_and_settings_take_no_tricks_and_say_so(as_taker, taker, text):
    """Case 9: what a person is called, or where mail goes, is never made of overrides, piles of marks or a megabyte."""
    account = {"username": text, "password1": "orchard-9-winter", "password2": "orchard-9-winter"}

    new = Client().post("/sign-up/", account)
    settings = as_taker.post("/settings/", {"email": f"{text}@example.org", "time_zone": text})

    assert (new.status_code, settings.status_code) == (422, 422)
    assert list(User.objects.values_list("username", "email")) == [(taker.username, "")]


@pytest.mark.parametrize("name", ["version", "op", "flagged", "seconds", "since", "clear", "go"])
def test_a_save_that_says_something_twice_is_refused(as_taker, slot, name):
    data = {"letters": "A", "version": "0", name: ["0", "0"]}

    response = as_taker.post(f"/exams/{slot.attempt_id}/1/answer/", data, headers={"Accept": "application/json"})

    assert response.status_code == 422
    slot.refresh_from_db()
    assert (slot.letters, slot.version) == ("", 0)


# --- The admin ----------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", ["", "x", "-1", str(2**64), "9" * 5000, "1 OR 1=1"])
@pytest.mark.parametrize("action", ["publish", "retire", "delete_selected"])
def test_an_action_on_what_is_no_row_is_refused(as_instructor, bank, action, chosen):
    before = everything_stored()

    response = as_instructor.post(FIRST, {"action": action, "_selected_action": [chosen], "index": "0"})

    assert response.status_code == 400
    assert everything_stored() == before


def test_a_search_of_a_thousand_words_is_refused(as_instructor, bank):
    """SQLite takes a thousand conditions."""
    assert as_instructor.get(f"{FIRST}?q={'a+' * 1000}").status_code == 400
    assert as_instructor.get(f"{FIRST}?q={'a+' * 100}").status_code == 200


@pytest.mark.parametrize("field", ["stem", "explanation", "options-0-text", "sector", "code"])
def test_a_question_of_nearly_a_megabyte_is_refused_at_its_field(as_instructor, bank, field):
    question = Question.objects.first()
    page = f"{FIRST}{question.pk}/change/" if field != "code" else f"{FIRST}add/"
    before = everything_stored()

    response = as_instructor.post(page, {**page_data(as_instructor.get(page)), field: "a" * 900_000})

    assert response.status_code == 422
    assert everything_stored() == before


# reliability case 30
def test_extra_fields_of_a_question_and_options_of_another_question_change_nothing(as_instructor, bank, taker):
    question, other = Question.objects.order_by("pk")[:2]
    stolen = other.options.first()
    page = f"{FIRST}{question.pk}/change/"
    extra = {"id": other.pk, "section": "3", "revision": "99", "record_digest": "x", "file_digest": "x", "guide": "9"}
    before = everything_stored()

    as_instructor.post(page, {**page_data(as_instructor.get(page)), **extra})
    forged = as_instructor.post(page, {**page_data(as_instructor.get(page)), "options-0-id": stolen.pk})

    assert forged.status_code == 302  # a row of another question is passed over
    changed = [name for name, stored in everything_stored().items() if stored != before[name]]
    assert changed == ["admin.LogEntry", "questions.Guide"]  # the log, and the bank's version


# reliability case 30
def test_extra_fields_of_start_save_and_settings_change_nothing_and_are_logged_by_name(as_taker, taker, bank, caplog):
    extra = {
        "user": "1",
        "score": "6",
        "right": "6",
        "deadline": "2099-01-01",
        "seed": "1",
        "is_staff": "on",
        "id": "9",
    }
    extra |= {"is_superuser": "on", "time_factor": "400", "key": "A", "is_right": "on", "groups": "1", "password": "x"}
    before = User.objects.values().get(pk=taker.pk)

    as_taker.post("/exams/start/", extra)
    attempt = Attempt.objects.get()
    as_taker.post(f"/exams/{attempt.pk}/1/answer/", {**extra, "letters": "A", "version": "0"})
    as_taker.post("/settings/", {**extra, "target": "", "single_keys": "on"})
    as_taker.post(f"/exams/{attempt.pk}/1/time/", {"seconds": "1", "version": "7"})
    Client().post("/sign-up/", {"username": "eve", "is_staff": "secret-value"})

    assert (attempt.user, attempt.right, attempt.deadline - NOW) == (
        taker,
        None,
        bank.record.exam.minutes * (NOW - NOW.replace(minute=59, hour=11)),
    )
    assert Slot.objects.filter(is_right=None).count() == 6
    assert User.objects.values().get(pk=taker.pk) == before
    names = "'deadline', 'groups', 'id', 'is_right', 'is_staff', 'is_superuser', 'key', "
    assert [record.getMessage() for record in caplog.records if record.name == "examsim.forms"] == [
        f"Ignored by StartForm: {names}'password', 'right', 'score' and 3 more",
        f"Ignored by AnswerForm: {names}'password', 'right', 'score' and 3 more",
        f"Ignored by SettingsForm: {names}'right', 'score', 'seed' and 2 more",
        "Ignored by TimeForm: 'version'",
        "Ignored by SignUpForm: 'is_staff'",
    ]


# reliability case 30
def test_the_names_of_extra_fields_cannot_forge_or_fill_the_log(as_taker, caplog):
    body = urlencode({"a\n2026-01-01 ERROR \u202eforged": "x", "b" * 100_000: "x"})

    as_taker.post("/settings/", body, "application/x-www-form-urlencoded")

    told = [record.getMessage() for record in caplog.records if record.name == "examsim.forms"]
    assert told == [rf"Ignored by SettingsForm: 'a\n2026-01-01 ERROR \u202eforged', '{'b' * 40}'"]


def test_what_our_own_pages_send_is_not_logged_as_strange(as_taker, bank, caplog):
    sent = {"csrfmiddlewaretoken": "x", "edition": "one"}
    first = as_taker.post("/exams/start/", sent).url
    page = as_taker.get(first).content.decode()
    fields = dict.fromkeys(re.findall(r'<(?:input|button) [^>]*name="(\w+)"', page), "")

    as_taker.post(f"{first}answer/", {**fields, "version": "0", "op": str(uuid4()), "seconds": "1"})

    assert {"letters", "version", "csrfmiddlewaretoken"} <= set(fields)
    assert [record.getMessage() for record in caplog.records if record.name == "examsim.forms"] == []


# reliability case 32
@pytest.mark.parametrize("loss", ["the group", "the staff flag"])
def test_actions_autocomplete_history_and_preview_stop_with_the_role(as_instructor, instructor, bank, loss):
    question = Question.objects.first()
    asked = "app_label=questions&model_name=slot&field_name=question&term=tiny"
    pages = [f"{FIRST}{question.pk}/{page}/" for page in ("history", "preview", "change")]
    pages.append(f"/admin/autocomplete/?{asked}")
    assert [as_instructor.get(page).status_code for page in pages] == [200] * 4

    if loss == "the group":
        instructor.groups.clear()
    else:
        User.objects.filter(pk=instructor.pk).update(is_staff=False)

    statuses = [as_instructor.get(page).status_code for page in pages]
    statuses += [
        as_instructor.post(FIRST, {"action": action, "_selected_action": [question.pk], "post": "yes"}).status_code
        for action in ("publish", "retire", "delete_selected")
    ]
    assert statuses == [403 if loss == "the group" else 302] * 7
    assert Question.objects.filter(status="published").count() == 6


# reliability case 32
@pytest.mark.parametrize(("why", "answer"), [("served", 200), ("from a file", 403)])  # 200: says what protects it
def test_bulk_deletion_spares_everything_when_one_question_may_not_go(as_instructor, bank, why, answer):
    fresh, kept = QuestionFactory(guide=bank, code="tiny-1.1-0098"), QuestionFactory(guide=bank, code="tiny-1.1-0099")
    if why == "served":
        kept = make_attempt().slots.first().question
    else:
        Question.objects.filter(pk=kept.pk).update(file_digest="x")
    chosen = {"action": "delete_selected", "post": "yes", "_selected_action": [fresh.pk, kept.pk]}

    response = as_instructor.post(FIRST, chosen)

    assert (response.status_code, Question.objects.count()) == (answer, 8)


@pytest.mark.parametrize("model", ["slot&field_name=attempt", "attempt&field_name=user", "slot&field_name=revision"])
def test_autocomplete_names_no_people_and_no_exams(as_instructor, bank, model):
    make_attempt()

    response = as_instructor.get(f"/admin/autocomplete/?app_label=questions&model_name={model}&term=t")

    assert response.status_code in (403, 404)


@pytest.mark.parametrize("page", ["change", "delete", "history", "password"])
def test_an_account_that_exists_answers_an_instructor_like_one_that_does_not(as_instructor, taker, page):
    there, missing = (as_instructor.get(f"/admin/questions/user/{pk}/{page}/") for pk in (taker.pk, 999_999))

    token = re.compile(rb'value="\w{64}"')
    assert (there.status_code, missing.status_code) == (403, 403)
    assert token.sub(b"", there.content) == token.sub(b"", missing.content)


# --- Before submission, and from other sites ----------------------------------------------------


# reliability case 31
@pytest.mark.parametrize("page", ["report/", "review/", "review/1/", "review/?show=all"])
@pytest.mark.parametrize("header", ["HX-Request", "HX-Boosted", "HX-History-Restore-Request", "X-Requested-With"])
def test_no_header_opens_report_or_review_before_submission(as_taker, slot, page, header):
    response = as_taker.get(f"/exams/{slot.attempt_id}/{page}", headers={header: "true", "Accept": "*/*"})

    assert response.status_code == 403
    assert "Because of" not in response.text
    assert "right" not in response.text


# reliability case 33
@pytest.mark.parametrize("page", ["/exams/start/", "/exams/warm-up/", "/exams/{}/1/answer/", "/exams/{}/submit/"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://testserver.evil.example", "http://testserver:81"]
)
def test_another_site_is_refused_even_with_a_token(taker, slot, page, origin):
    client = Client(enforce_csrf_checks=True)
    client.force_login(taker)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', client.get(f"/exams/{slot.attempt_id}/1/").text)[1]
    before = everything_stored()

    data = {"csrfmiddlewaretoken": token, "letters": "A", "version": "0"}
    response = client.post(page.format(slot.attempt_id), data, headers={"Origin": origin})

    assert response.status_code == 403
    assert everything_stored() == before


# --- Texts on screen ----------------------------------------------------------------------------


class Isolation(HTMLParser):
    """Collects the marked texts that no element isolates from what stands around them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []
        self.found, self.loose = 0, []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link", "input", "br", "line", "circle", "rect", "progress"):
            self.open.append((tag, tag in ("bdi", "title") or dict(attrs).get("dir") == "auto"))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if "MARK" in data:
            self.found += 1
            if not any(isolates for _, isolates in self.open):
                self.loose.append((self.open[-1][0], data.strip()))


# reliability case 9
def test_what_authors_wrote_is_isolated_on_every_page(as_instructor, instructor, bank):
    document = bank.document
    document["title"] = MARKED
    for section in document["sections"]:
        section["title"] = MARKED
        section["objectives"][0]["title"] = MARKED
    Guide.objects.update(document=document, label=MARKED)
    Reference.objects.update(title=MARKED)
    Question.objects.update(stem=MARKED, explanation=MARKED)
    Option.objects.update(text=MARKED, why=MARKED)
    for revision in Revision.objects.all():
        options = [{**option, "text": MARKED, "why": MARKED} for option in revision.content["options"]]
        Revision.objects.filter(pk=revision.pk).update(
            content={**revision.content, "stem": MARKED, "explanation": MARKED, "options": options}
        )
    done, running = finish(make_attempt(instructor), right=3).pk, make_attempt(instructor).pk

    found = {}
    for page in [
        "/",
        "/progress/",
        f"/exams/{running}/1/",
        *(f"/exams/{done}/{p}" for p in ("report/", "review/", "review/1/")),
    ]:
        found[page] = as_instructor.get(page)
    found["preview"] = as_instructor.get(f"{FIRST}{Question.objects.first().pk}/preview/")

    for page, response in found.items():
        isolation = Isolation()
        isolation.feed(response.text)
        assert isolation.found >= 3, page
        assert isolation.loose == [], page


# --- The bank's files ---------------------------------------------------------------------------


# reliability case 28
def test_two_bad_files_among_a_thousand_store_nothing_and_both_are_told(tmp_path):
    folder = write_bank(tmp_path / "tiny")
    text = question_path(folder, CODES[0]).read_text("utf-8")
    for number in range(3, 1001):
        code = f"tiny-1.1-{number:04}"
        question_path(folder, code).write_text(text.replace(CODES[0], code), "utf-8")
    question_path(folder, "tiny-1.1-0900").write_text("stem: [", "utf-8")
    question_path(folder, "tiny-3.1-0002").write_bytes(b"\xff\xfe")

    with pytest.raises(CommandError) as refusal:
        load(folder)

    told = str(refusal.value).splitlines()
    assert [line.partition(":")[0] for line in told[:-1]] == ["1.1/tiny-1.1-0900.yaml", "3.1/tiny-3.1-0002.yaml"]
    assert told[-1] == "2 problems; nothing was loaded."
    assert rows() == [[], [], [], [], []]


# reliability case 28
@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link", "device"])
def test_what_is_no_file_is_told_and_never_waited_for(tmp_path, kind):
    folder = write_bank(tmp_path / "tiny")
    path = question_path(folder, "tiny-1.1-0009")
    {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "dangling link": lambda: path.symlink_to(tmp_path / "nowhere"),
        "device": lambda: path.symlink_to("/dev/zero"),
    }[kind]()

    with pytest.raises(CommandError, match="This is not a file"):
        load(folder)


KILLED = """
import os, signal, sys, django
django.setup()
from django.core.management import call_command
from django.db import connection
left = int(sys.argv[2])

def until(execute, *statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(*statement)

with connection.execute_wrapper(until):
    call_command("load_bank", sys.argv[1])
"""


def dump(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(database)) as stored:
        return list(stored.iterdump())


# reliability case 28
def test_a_load_that_is_killed_half_way_leaves_the_bank_as_it_was(tmp_path):
    folder, data = write_bank(tmp_path / "bank" / "tiny"), tmp_path / "data"
    database = data / "examsim.sqlite3"

    def run(*command: str) -> int:
        environ = {"EXAMSIM_DATA": str(data), "DJANGO_SETTINGS_MODULE": "examsim.settings", "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environ, timeout=60, capture_output=True
        ).returncode

    run("manage.py", "migrate")
    run("manage.py", "load_bank", str(folder))
    before = dump(database)
    for code in CODES:
        write_question(folder, code, stem="Another stem.")
    write_question(folder, "tiny-2.1-0009")

    killed = [run("-c", KILLED, str(folder), str(statements)) for statements in (5, 12, 25)]

    assert killed == [-9, -9, -9]
    assert dump(database) == before
    assert run("manage.py", "load_bank", str(folder)) == 0
    assert len([line for line in dump(database) if "Another stem." in line]) == 12  # six questions, six revisions


# --- A real server ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Of the site, served as `up` serves it."""
    folder = tmp_path_factory.mktemp("site")
    write_bank(folder / "bank" / "tiny")
    environ = {"EXAMSIM_DATA": str(folder / "data"), "EXAMSIM_BANK": str(folder / "bank"), "EXAMSIM_GUIDE": "tiny/one"}
    program = Program("manage.py", "up", "--no-browser", "--port", str(number := free_port()), **environ)
    program.read_until("Stop it with")
    yield number
    program.close()


def status(port: int, request: bytes) -> int:
    """The status that a raw request gets."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        wire.sendall(request)
        return int(wire.makefile("rb").readline().split()[1])


HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
RAW = {
    "100 repeated headers": (HEAD + b"X-Same: 1\r\n" * 100 + b"\r\n", {200}),
    "100 cookies": (HEAD + b"Cookie: sessionid=abcdefgh\r\n" * 100 + b"\r\n", {200, 400}),
    "two hosts": (HEAD + b"Host: evil.example\r\n\r\n", {400}),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", {400}),
    "a negative length": (b"POST /guest/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", {400}),
    "a header of 1 MB": (HEAD + b"X-Long: " + b"a" * 1_000_000 + b"\r\n\r\n", {400, 431}),
    "NUL in a header": (HEAD + b"X-Nul: a\0b\r\n\r\n", {200, 400}),
    "NUL in the path": (b"GET /a\0b HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404}),
    "a path that is no UTF-8": (b"GET /\xff\xfe?\xff=\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404}),
    "a query in hex": (HEAD + b"Content-Type: text/plain; charset=hex\r\n\r\n", {400}),
    "a form in hex": (
        b"POST /guest/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: a/b;charset=hex\r\nContent-Length: 0\r\n\r\n",
        {400},
    ),
    "a query in UTF-8": (HEAD + b"Content-Type: text/plain; charset=UTF-8\r\n\r\n", {200}),
    "no request": (b"\xff\xfe\0\r\n\r\n", {400}),
    "100 MB announced": (b"POST /guest/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n", {413}),
}


# reliability case 42
@pytest.mark.parametrize(("request_", "statuses"), RAW.values(), ids=RAW)
def test_no_raw_request_gives_500_and_the_next_one_is_answered(port, request_, statuses):
    assert status(port, request_) in statuses
    assert status(port, HEAD + b"\r\n") == 200


# reliability case 42
def test_forty_bodies_that_never_end_keep_nobody_waiting(port):
    """Eight threads serve; a body is taken in before one of them is needed."""
    slow = b"POST /guest/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\na=1"
    with contextlib.ExitStack() as wires:
        for _ in range(40):
            wires.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(slow)

        page = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        page.request("GET", "/")
        assert page.getresponse().status == 200
        page.close()


# --- The other database -------------------------------------------------------------------------


@pytest.mark.skipif(connection.vendor == "postgresql", reason="this is that run")
def test_forms_queries_and_addresses_behave_alike_on_postgresql():
    if reason := postgresql.missing():
        pytest.skip(reason)

    with postgresql.cluster() as url:
        run = postgresql.tests(
            url, __file__, "-k", "(query_that or cookie or action_on or such_a_number or tricks) and not raw_request"
        )

    assert run.returncode == 0, run.stdout + run.stderr
