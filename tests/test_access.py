"""Who may open and send what: one table for all addresses, the admin's in a second part."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urljoin

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from questions.models import Attempt, Question, Reference, User
from tests.factories import NOW, UserFactory, finish, make_attempt, make_instructor

pytestmark = pytest.mark.time_machine(NOW, tick=False)

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"]
ROLES = ["anonymous", "guest", "taker", "other", "instructor"]
ADMIN_ROLES = ["anonymous", "guest", "taker", "instructor", "operator"]

SIGN_IN = "302 302 302 302 302"  # to the sign-in page
READ = "200 200 405 405 405"
NOT_THEIRS = "404 404 405 405 405"
SEND = "405 405 302 405 405"  # done, then to another page
SAVE = "405 405 204 405 405"  # done, nothing to show
UNKNOWN = "404 404 404 405 405"  # a page with a form, of somebody else
MISSING = "405 405 404 405 405"
FORM = "200 200 422 405 405"  # nothing was filled in
FILLED = "200 200 302 405 405"  # an empty form is fine here
AWAY = "302 302 302 405 405"  # nothing to do here
REFUSED = "403 403 405 405 405"
GO_ON = "302 302 405 405 405"  # to the page that is meant
TO_FORM = "302 302 302 302 302"  # to the page of the form

EXAM = "/exams/{running}/"
DONE = "/exams/{finished}/"

# The taker owns both exams. Columns: name, address, then one column for each of ROLES.
TABLE = [
    ("questions:home", "/", READ, READ, READ, READ, READ),
    ("questions:about", "/about/", READ, READ, READ, READ, READ),
    ("questions:start", "/exams/start/", SIGN_IN, FILLED, AWAY, FILLED, FILLED),
    ("questions:warm_up", "/exams/warm-up/", SIGN_IN, SEND, SEND, SEND, SEND),
    ("questions:question", "/exams/warm-up/1/", SIGN_IN, GO_ON, GO_ON, GO_ON, GO_ON),  # nobody began one
    ("questions:answer", "/exams/warm-up/1/answer/", SIGN_IN, MISSING, MISSING, MISSING, MISSING),
    ("questions:time", "/exams/warm-up/1/time/", SIGN_IN, MISSING, MISSING, MISSING, MISSING),
    ("questions:finish", "/exams/warm-up/finish/", SIGN_IN, GO_ON, GO_ON, GO_ON, GO_ON),
    ("questions:question", EXAM + "1/", SIGN_IN, NOT_THEIRS, READ, NOT_THEIRS, NOT_THEIRS),
    ("questions:answer", EXAM + "1/answer/", SIGN_IN, MISSING, SEND, MISSING, MISSING),
    ("questions:time", EXAM + "1/time/", SIGN_IN, MISSING, SAVE, MISSING, MISSING),
    ("questions:finish", EXAM + "finish/", SIGN_IN, NOT_THEIRS, READ, NOT_THEIRS, NOT_THEIRS),
    ("questions:submit", EXAM + "submit/", SIGN_IN, UNKNOWN, FILLED, UNKNOWN, UNKNOWN),
    ("questions:report", EXAM + "report/", SIGN_IN, NOT_THEIRS, REFUSED, NOT_THEIRS, NOT_THEIRS),
    ("questions:review", EXAM + "review/", SIGN_IN, NOT_THEIRS, REFUSED, NOT_THEIRS, NOT_THEIRS),
    ("questions:review_question", EXAM + "review/1/", SIGN_IN, NOT_THEIRS, REFUSED, NOT_THEIRS, NOT_THEIRS),
    ("questions:question", DONE + "1/", SIGN_IN, NOT_THEIRS, GO_ON, NOT_THEIRS, NOT_THEIRS),
    ("questions:answer", DONE + "1/answer/", SIGN_IN, MISSING, "405 405 410 405 405", MISSING, MISSING),
    ("questions:time", DONE + "1/time/", SIGN_IN, MISSING, MISSING, MISSING, MISSING),
    ("questions:finish", DONE + "finish/", SIGN_IN, NOT_THEIRS, GO_ON, NOT_THEIRS, NOT_THEIRS),
    ("questions:submit", DONE + "submit/", SIGN_IN, UNKNOWN, AWAY, UNKNOWN, UNKNOWN),
    ("questions:report", DONE + "report/", SIGN_IN, NOT_THEIRS, READ, NOT_THEIRS, NOT_THEIRS),
    ("questions:review", DONE + "review/", SIGN_IN, NOT_THEIRS, READ, NOT_THEIRS, NOT_THEIRS),
    ("questions:review_question", DONE + "review/1/", SIGN_IN, NOT_THEIRS, READ, NOT_THEIRS, NOT_THEIRS),
    ("questions:progress", "/progress/", SIGN_IN, READ, READ, READ, READ),
    ("questions:settings", "/settings/", SIGN_IN, FILLED, FILLED, FILLED, FILLED),
    ("questions:keys", "/settings/keys/", SIGN_IN, SAVE, SAVE, SAVE, SAVE),
    ("questions:my_data", "/settings/my-data/", SIGN_IN, READ, READ, READ, READ),
    ("questions:delete_account", "/settings/delete/", SIGN_IN, FORM, FORM, FORM, FORM),
    ("questions:second_factor", "/settings/second-factor/", SIGN_IN, "403 403 403 405 405", *[FILLED] * 3),
    ("questions:second_factor_off", "/settings/second-factor/off/", SIGN_IN, SEND, SEND, SEND, SEND),
    ("questions:sign_out_everywhere", "/settings/sign-out-everywhere/", SIGN_IN, SEND, SEND, SEND, SEND),
    ("questions:language", "/language/", SEND, SEND, SEND, SEND, SEND),
    ("questions:guest", "/guest/", SEND, SEND, SEND, SEND, SEND),
    ("questions:sign_up", "/sign-up/", FORM, FORM, AWAY, AWAY, AWAY),
    ("metrics", "/metrics", REFUSED, REFUSED, REFUSED, REFUSED, READ),
    ("csp_report", "/csp-report", *["405 405 400 405 405"] * 5),  # an empty report says nothing
    ("admin_sign_in", "/admin/login/", GO_ON, REFUSED, REFUSED, REFUSED, GO_ON),
    ("login", "/sign-in/", FORM, FORM, FORM, FORM, FORM),
    ("sign_in_code", "/sign-in/code/", AWAY, AWAY, AWAY, AWAY, AWAY),
    ("logout", "/sign-out/", SIGN_IN, SEND, SEND, SEND, SEND),
    ("password_change", "/password/", SIGN_IN, FORM, FORM, FORM, FORM),
    ("password_change_done", "/password/done/", SIGN_IN, READ, READ, READ, READ),
    ("admin_password_change", "/admin/password_change/", *[TO_FORM] * 5),
    ("password_reset", "/password/reset/", FORM, FORM, FORM, FORM, FORM),
    ("password_reset_done", "/password/reset/sent/", READ, READ, READ, READ, READ),
    ("password_reset_confirm", "/password/reset/MQ/x-y/", *["200 200 200 200 200"] * 5),  # all say: no such link
    ("password_reset_complete", "/password/reset/done/", READ, READ, READ, READ, READ),
]

NOBODY = [SIGN_IN] * 3  # anonymous, guest, taker: the admin is closed to them
FORBIDDEN = "403 403 403 403 403"
ABSENT = "404 404 404 404 404"
PAGE = "200 200 200 200 200"  # Django's admin takes every method for GET where it does not post
EDIT = "200 200 422 200 200"  # nothing was filled in
LOOK = "200 200 403 200 200"  # may be read, not changed

OPERATOR = {"changelist": PAGE, "add": EDIT, "history": PAGE, "delete": PAGE, "change": EDIT}  # of accounts


def model_rows(model: str, changelist: str, add: str, history: str, delete: str, change: str) -> list[tuple[str, ...]]:
    """Rows of one model's pages for the instructor; the operator sees the same, and accounts as well."""
    place, name = f"/admin/{model}/", model.replace("/", "_")
    key = model.split("/")[1]
    mine = {"changelist": changelist, "add": add, "history": history, "delete": delete, "change": change}
    operators = OPERATOR if changelist == FORBIDDEN else mine
    tails = {"changelist": "", "add": "add/"} | {n: f"{{{key}}}/{n}/" for n in ("history", "delete", "change")}
    rows = [(f"admin:{name}_{n}", place + tails[n], *NOBODY, mine[n], operators[n]) for n in mine]
    return [*rows, (f"{place}<path:object_id>/", f"{place}{{{key}}}/", *NOBODY, TO_FORM, TO_FORM)]


# The same for ADMIN_ROLES.
ADMIN_TABLE = [
    ("admin:index", "/admin/", *NOBODY, PAGE, PAGE),
    ("admin:login", "/admin/login/", GO_ON, REFUSED, REFUSED, GO_ON, GO_ON),
    ("admin:logout", "/admin/logout/", *NOBODY, "405 405 200 405 405", "405 405 200 405 405"),
    ("admin:password_change", "/admin/password_change/", *[TO_FORM] * 5),
    ("admin:password_change_done", "/admin/password_change/done/", *NOBODY, READ, READ),
    ("admin:autocomplete", "/admin/autocomplete/", *NOBODY, REFUSED, REFUSED),  # nothing was asked for
    ("admin:jsi18n", "/admin/jsi18n/", *NOBODY, READ, READ),
    ("admin:view_on_site", "/admin/r/{type}/{question}/", *NOBODY, ABSENT, ABSENT),
    ("admin:app_list", "/admin/questions/", *NOBODY, PAGE, PAGE),
    ("/admin/(?P<url>.*)$", "/admin/no/such/page/", *NOBODY, ABSENT, ABSENT),
    ("admin:questions_question_preview", "/admin/questions/question/{question}/preview/", *NOBODY, READ, READ),
    *model_rows("questions/question", PAGE, EDIT, PAGE, FORBIDDEN, EDIT),  # it was served, so it cannot be deleted
    *model_rows("questions/reference", PAGE, EDIT, PAGE, FORBIDDEN, EDIT),
    *model_rows("questions/guide", PAGE, FORBIDDEN, PAGE, FORBIDDEN, LOOK),
    *model_rows("questions/attempt", PAGE, FORBIDDEN, PAGE, FORBIDDEN, LOOK),
    ("admin:questions_attempt_extra_time", "/admin/questions/attempt/{running}/extra-time/", *NOBODY, FORM, FORM),
    *model_rows("questions/user", *[FORBIDDEN] * 5),
    *model_rows("auth/group", *[FORBIDDEN] * 5),
    ("admin:auth_user_password_change", "/admin/questions/user/{user}/password/", *NOBODY, FORBIDDEN, PAGE),
]
ROWS = [(ROLES, row) for row in TABLE] + [(ADMIN_ROLES, row) for row in ADMIN_TABLE]
NAMES = [f"{row[0]} {row[1]}" for _, row in ROWS]

# What is posted where a form without any field would say nothing.
SENT = {
    "questions:answer": {"letters": "A", "version": "0"},
    "questions:time": {"seconds": "1"},
    "questions:settings": {"target": ""},
    "questions:language": {"language": "en"},
    "questions:sign_up": {"username": ""},
    "questions:delete_account": {"password": ""},
    "password_change": {"old_password": ""},
    "password_reset": {"email": ""},
    "questions:second_factor": {"code": ""},
}


@pytest.fixture
def people(bank) -> dict[str, User | None]:
    instructor = make_instructor()
    taker = UserFactory()
    return {
        "anonymous": None,
        "guest": User.objects.create_guest(),
        "taker": taker,
        "other": UserFactory(),
        "instructor": instructor,
        "operator": UserFactory(is_staff=True, is_superuser=True),
    }


@pytest.fixture
def exams(people) -> dict[str, int]:
    """The taker's exams, and one row of each kind that the admin shows."""
    taker = people["taker"]
    finished = finish(make_attempt(taker), right=3)
    return {
        "finished": finished.pk,
        "running": make_attempt(taker).pk,
        "attempt": finished.pk,
        "question": finished.slots.first().question_id,
        "reference": Reference.objects.get().pk,
        "guide": finished.guide_id,
        "user": taker.pk,
        "group": Group.objects.get().pk,
        "type": ContentType.objects.get_for_model(Question).pk,
    }


def signed_in(user: User | None, **options: Any) -> Client:
    client = Client(**options)
    if user:
        client.force_login(user)
    return client


def addresses(patterns: list[URLPattern | URLResolver], prefix: str = "", place: str = "/") -> Iterator[str]:
    """The names of all addresses with their namespace; the whole pattern, where Django's admin gives no name."""
    for pattern in patterns:
        here = place + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield prefix + pattern.name if pattern.name else here
        else:
            yield from addresses(pattern.url_patterns, f"{pattern.namespace}:" if pattern.namespace else prefix, here)


def everything_stored() -> dict[str, list[dict[str, Any]]]:
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in apps.get_models()}


def without_token(content: bytes) -> bytes:
    return re.sub(rb'(csrfmiddlewaretoken" value=")\w+', rb"\1", content)


# --- The table ----------------------------------------------------------------------------------


def test_the_table_names_every_address():
    assert {row[0] for row in TABLE + ADMIN_TABLE} == set(addresses(get_resolver().url_patterns))


@pytest.mark.parametrize(("roles", "row"), ROWS, ids=NAMES)
def test_who_may_open_and_send_what(people, exams, roles, row):
    name, path, *columns = row
    found = {}
    for role in roles:
        user, statuses = people[role], []
        for method in METHODS:
            with transaction.atomic():
                data = SENT.get(name) if method == "POST" else None
                client = signed_in(user)
                statuses.append(str(getattr(client, method.lower())(path.format(**exams), data).status_code))
                transaction.set_rollback(True)
        found[role] = " ".join(statuses)

    assert found == dict(zip(roles, columns, strict=True))


# reliability case 33
@pytest.mark.parametrize(("roles", "row"), ROWS, ids=NAMES)
def test_reading_changes_nothing(people, exams, roles, row):
    for role in roles:
        client = signed_in(people[role])
        before = everything_stored()

        client.get(row[1].format(**exams))
        client.head(row[1].format(**exams))

        assert everything_stored() == before


# reliability case 33
@pytest.mark.parametrize("role", ["guest", "taker", "instructor", "operator"])
def test_following_every_link_by_get_and_head_changes_no_row(people, exams, role):
    client = signed_in(people[role])
    before, seen, waiting = everything_stored(), set(), ["/", f"/exams/{exams['running']}/1/"]
    while waiting:
        address = waiting.pop(0)
        place = address.partition("?")[0]
        if place not in seen:  # once, with whatever query leads to it first
            seen.add(place)
            client.head(address)
            page = client.get(address)
            links = (
                re.findall(r'(?:href|hx-get)="([^"#]*)', page.text) if "html" in page.headers["Content-Type"] else []
            )
            inside = [urljoin(address, unescape(link)) for link in links]
            waiting += [link for link in inside if re.match(r"/(?!static/|/)", link)]

    assert everything_stored() == before
    assert len(seen) >= {"guest": 6, "taker": 16, "instructor": 35, "operator": 50}[role]


@pytest.mark.parametrize("role", ["anonymous", "guest", "taker", "other"])
@pytest.mark.parametrize(
    "path", ["", "questions/question/", "questions/question/{question}/preview/", "questions/user/"]
)
def test_the_admin_is_closed_to_takers(people, role, path):
    question = Question.objects.first()

    response = signed_in(people[role]).get(f"/admin/{path.format(question=question.pk)}")

    assert response.status_code == 302
    assert response.url.partition("?")[0] in ("/admin/login/", "/sign-in/")


def test_instructors_see_the_bank_and_no_accounts(people):
    client = signed_in(people["instructor"])

    statuses = [client.get(f"/admin/questions/{name}/").status_code for name in ("question", "attempt", "user")]

    assert statuses == [200, 200, 403]


# --- Other people's exams -----------------------------------------------------------------------


# reliability case 29
@pytest.mark.parametrize("role", ["guest", "other", "instructor"])
@pytest.mark.parametrize("path", ["1/", "finish/", "submit/", "report/", "review/", "review/1/"])
def test_an_exam_of_somebody_else_looks_like_one_that_does_not_exist(people, exams, role, path):
    client = signed_in(people[role])

    theirs, missing = (client.get(f"/exams/{number}/{path}") for number in (exams["finished"], 999_999))

    assert theirs.status_code == missing.status_code == 404
    assert without_token(theirs.content) == without_token(missing.content)
    assert {**theirs.headers, "X-Request-ID": ""} == {**missing.headers, "X-Request-ID": ""}


@pytest.mark.parametrize("path", ["1/answer/", "1/time/", "submit/"])
def test_sending_to_an_exam_of_somebody_else_changes_nothing(people, exams, path):
    client = signed_in(people["other"])
    before = everything_stored()

    theirs, missing = (
        client.post(f"/exams/{number}/{path}", {"letters": "A", "version": "0", "seconds": "5"})
        for number in (exams["running"], 999_999)
    )

    assert theirs.status_code == missing.status_code == 404
    assert without_token(theirs.content) == without_token(missing.content)
    assert everything_stored() == before


# reliability case 29
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("get", path) for path in ("1/", "finish/", "report/", "review/", "review/1/")),
        *(("post", path) for path in ("1/answer/", "1/time/", "submit/")),
    ],
)
@pytest.mark.parametrize("kind", ["running", "finished"])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_an_exam_of_somebody_else_asks_the_database_the_same_as_one_that_does_not_exist(
    people, exams, method, path, kind, accept
):
    """What depends on no clock, and decides how long an answer takes: the same statements, the same body."""
    client = signed_in(people["other"], headers={"Accept": accept})

    def ask(number: int) -> tuple[int, bytes, list[str]]:
        with CaptureQueriesContext(connection) as asked:
            response = getattr(client, method)(
                f"/exams/{number}/{path}", {"letters": "A", "version": "0", "seconds": 5}
            )
        statements = [re.sub(r"\b\d+\b", "N", query["sql"]) for query in asked.captured_queries]
        return response.status_code, without_token(response.content), statements

    theirs, missing = ask(exams[kind]), ask(999_999)

    assert theirs == missing
    assert theirs[0] == 404
    assert theirs[2] != []


# --- Forms of other sites -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["start", "warm_up", "answer", "time", "submit", "settings", "guest", "sign_up"])
def test_a_form_without_our_token_is_refused_and_changes_nothing(people, exams, name):
    client = signed_in(people["taker"], enforce_csrf_checks=True)
    places = {"answer": [exams["running"], 1], "time": [exams["running"], 1], "submit": [exams["running"]]}
    path = reverse(f"questions:{name}", args=places.get(name, []))
    before = everything_stored()

    response = client.post(path, {"letters": "A", "version": "0", "seconds": "5", "target": "80"})

    assert response.status_code == 403
    assert "<h1>Not allowed</h1>" in response.content.decode()
    assert everything_stored() == before


def test_with_the_token_of_its_pages_an_exam_can_be_sat(people):
    user = people["other"]
    client = signed_in(user, enforce_csrf_checks=True)

    def token(path: str) -> str:
        return re.search(r'csrfmiddlewaretoken" value="(\w+)"', client.get(path).content.decode())[1]

    first = client.post("/exams/start/", {"csrfmiddlewaretoken": token("/exams/start/")}).url
    headers = {"X-CSRFToken": token(first), "Accept": "application/json"}
    saved = client.post(f"{first}answer/", {"letters": "A", "version": "0"}, headers=headers)
    attempt = Attempt.objects.get()
    sent = {"csrfmiddlewaretoken": token(f"/exams/{attempt.pk}/submit/")}
    submitted = client.post(f"/exams/{attempt.pk}/submit/", sent)

    attempt.refresh_from_db()
    assert (saved.status_code, submitted.status_code) == (200, 302)
    assert (attempt.user, attempt.is_finished, attempt.slots.get(position=1).letters) == (user, True, "A")
