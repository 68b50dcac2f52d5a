import base64
import hashlib
import re
from collections import deque
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import resolve

from questions.models import Question, User
from tests.factories import NOW, UserFactory, finish, make_attempt, make_instructor

pytestmark = pytest.mark.time_machine(NOW, tick=False)

CSP = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "object-src 'none'",
    "frame-ancestors 'none'",
    "report-uri /csp-report",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
}
INLINE = {
    "script": r"<script(?![^>]*\ssrc=)[^>]*>",
    "style": r"<style\b",
    "style attribute": r"<[^>]*\sstyle\s*=",
    "handler": r"<[^>]*\son\w+\s*=",
    "htmx handler": r"<[^>]*\shx-on",
    "address": r"(?:href|src|action)\s*=\s*[\"']?\s*javascript:",
}


@pytest.fixture
def people(bank) -> dict[str, User]:
    """A guest, a taker and an instructor, each with a finished and a running exam."""
    instructor = make_instructor()
    people = {"guest": User.objects.create_guest(), "taker": UserFactory(), "instructor": instructor}
    for user in people.values():
        finish(make_attempt(user, NOW - timedelta(days=1)), right=3)
        make_attempt(user)
    return people


@pytest.mark.parametrize("name", ["guest", "taker", "instructor"])
def test_no_page_of_the_signed_in_repeats_what_its_address_asks(client, people, name):
    """Who can make a browser open addresses and see how long the packed replies are would guess by it what a page says."""
    user = people[name]
    finished, running = user.attempts.order_by("pk").values_list("pk", flat=True)
    of_exams = [f"/exams/{finished}/{page}/" for page in ("report", "review", "review/1")]
    of_exams += [f"/exams/{running}/{page}/" for page in ("1", "finish", "submit")]
    query = urlencode(dict.fromkeys(["show", "sort", "section", "warm-up", "next", "email", "q"], "echo-me"))
    client.force_login(user)

    pages = {
        path: client.get(f"{path}?{query}")
        for path in ["/", "/settings/", "/progress/", "/about/", "/exams/start/", "/no/such/page/", *of_exams]
    }

    assert [path for path, page in pages.items() if "echo-me" in page.text] == []
    assert {path: page.status_code for path, page in pages.items() if page.status_code != 200} == {
        "/no/such/page/": 404,
        "/exams/start/": 302,
    }


def replies(client: Client, user: User) -> dict[str, tuple[int, dict[str, str]]]:
    """One reply of each kind: status and headers."""
    exam = f"/exams/{user.attempts.unfinished().get().pk}"
    client.force_login(user)
    found = {
        "page": client.get("/"),
        "question": client.get(f"{exam}/1/"),
        "fragment": client.get(f"{exam}/1/", headers={"HX-Request": "true"}),
        "save": client.post(f"{exam}/1/answer/", {"version": "0"}, headers={"Accept": "application/json"}),
        "redirect": client.post("/exams/start/"),
        "refused form": client.post(f"{exam}/1/answer/", {"version": "x"}),
        "still running": client.get(f"{exam}/report/"),
        "not found": client.get("/exams/999999/report/"),
        "no such address": client.get("/no/such/address/"),
        "wrong method": client.put("/exams/start/"),
    }
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    found["forged form"] = strict.post("/exams/start/")
    return {kind: (reply.status_code, dict(reply.headers)) for kind, reply in found.items()}


def policy(headers: Mapping[str, str]) -> set[str]:
    """The policy's parts without the nonce that the admin's pages add, new in each reply."""
    return set(re.sub(r" 'nonce-[\w-]{20,}'", "", headers["Content-Security-Policy"]).split("; "))


def inline_parts(page: str) -> list[str]:
    return [kind for kind, pattern in INLINE.items() if re.search(pattern, page, re.IGNORECASE)]


# --- Headers ------------------------------------------------------------------------------------


def test_every_kind_of_reply_carries_the_headers_that_protect_it(client, people):  # reliability case 38
    found = replies(client, people["taker"])

    assert {kind: status for kind, (status, _) in found.items()} == {
        "page": 200,
        "question": 200,
        "fragment": 200,
        "save": 200,
        "redirect": 302,
        "refused form": 422,
        "still running": 403,
        "not found": 404,
        "no such address": 404,
        "wrong method": 405,
        "forged form": 403,
    }
    for kind, (_, headers) in found.items():
        assert {name: headers.get(name) for name in HEADERS} == HEADERS, kind
        assert policy(headers) == CSP, kind


@pytest.mark.parametrize("path", ["/", "/sign-in/", "/sign-up/", "/password/reset/", "/progress/", "/no/such/address/"])
def test_visitors_get_the_same_protection(client, bank, path):
    headers = client.get(path).headers

    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert policy(headers) == CSP


def test_no_copy_of_a_signed_in_page_is_stored(client, people):
    for kind, (_, headers) in replies(client, people["taker"]).items():
        assert {"no-store", "private"} <= set(headers["Cache-Control"].split(", ")), kind


def test_a_page_for_visitors_is_not_called_private(client, bank):
    assert "Cache-Control" not in client.get("/").headers


def test_only_signing_out_clears_the_browser(client, people):  # reliability case 41
    client.force_login(people["guest"])

    asked = client.post("/sign-out/")  # a guest with exams stays signed in until they say so
    done = client.post("/sign-out/", {"anyway": "1"})

    assert (asked.status_code, asked.headers.get("Clear-Site-Data")) == (200, None)
    assert (done.status_code, done.headers.get("Clear-Site-Data")) == (302, '"cache", "storage"')


def test_a_nonce_is_good_for_one_reply(client, people):
    client.force_login(people["instructor"])

    replies = [client.get("/admin/questions/question/") for _ in range(3)]

    nonces = [re.findall(r"'nonce-([\w-]+)'", reply.headers["Content-Security-Policy"]) for reply in replies]
    assert [len(set(each)) for each in nonces] == [1, 1, 1]
    assert len({each[0] for each in nonces}) == 3


def test_cookies_are_closed_to_scripts_and_to_other_sites(client, bank):
    UserFactory(username="ada")
    client.get("/sign-in/")
    client.post("/sign-in/", {"username": "ada", "password": "lantern-7-harbour"})

    cookies = {name: (c["httponly"], c["samesite"], c["path"]) for name, c in client.cookies.items()}
    assert cookies == dict.fromkeys(("csrftoken", "device", "sessionid"), (True, "Lax", "/"))


# --- Pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "kinds"),
    [
        ('<script src="/a.js" defer></script><p data-style="x" class="one on"></p>', []),
        ("<script>alert(1)</script>", ["script"]),
        ('<p class="a" style="color: red">', ["style attribute"]),
        ("<style>p {}</style>", ["style"]),
        ('<button onclick="go()">', ["handler"]),
        ('<form hx-on:click="go()">', ["htmx handler"]),
        ('<a href="javascript:go()">', ["address"]),
    ],
)
def test_the_search_for_inline_parts_finds_them(page, kinds):
    assert inline_parts(page) == kinds


@pytest.mark.parametrize("role", ["visitor", "guest", "taker"])
def test_no_page_that_links_lead_to_has_inline_script_style_or_handler(client, people, role):
    if role != "visitor":
        client.force_login(people[role])
    todo, names = deque(["/"]), set()
    done = {"/"}
    while todo:
        path = todo.popleft()
        response = client.get(path, follow=True)
        page = response.content.decode()
        assert (path, response.status_code, inline_parts(page)) == (path, 200, [])
        names.add(resolve(response.request["PATH_INFO"]).view_name)
        links = {href.partition("#")[0] for href in re.findall(r'href="([/?][^"]*)"', page)}
        links = {f"{response.request['PATH_INFO']}{href}" if href[0] == "?" else href for href in links}
        fresh = {href.replace("&amp;", "&") for href in links if not href.startswith("/static/")} - done
        done |= fresh
        todo.extend(sorted(fresh))

    visitor = {"questions:home", "questions:about", "questions:sign_up", "login", "password_reset"}
    inside = {"questions:home", "questions:about", "questions:progress", "questions:settings"} | {
        f"questions:{name}" for name in ("question", "report", "review", "review_question", "my_data", "delete_account")
    }
    assert (
        names
        == {
            "visitor": visitor,
            "guest": inside | {"questions:sign_up"},
            "taker": inside | {"password_change", "questions:second_factor"},
        }[role]
    )


@pytest.mark.parametrize("path", ["/no/such/address/", "/exams/{running}/finish/", "/exams/{running}/report/"])
def test_pages_without_a_link_have_no_inline_parts_either(client, people, path):
    taker = people["taker"]
    client.force_login(taker)

    page = client.get(path.format(running=taker.attempts.unfinished().get().pk)).content.decode()

    assert "<html" in page
    assert inline_parts(page) == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "questions/question/",
        "questions/question/add/",
        "questions/question/{}/change/",
        "questions/question/{}/preview/",
    ],
)
def test_the_pages_of_instructors_work_under_the_same_policy(client, people, path):
    client.force_login(people["instructor"])

    response = client.get("/admin/" + path.format(Question.objects.first().pk))

    assert response.status_code == 200
    assert inline_parts(response.content.decode()) == []
    assert policy(response.headers) == CSP


def test_what_an_author_writes_cannot_bring_markup_of_its_own(client, people):
    taker = people["taker"]
    running, done = taker.attempts.all()
    evil = '<img src=x onerror="go()"><script>go()</script><p style="x">hm</p>[link](javascript:go())'
    for slot in [running.slots.select_related("revision").first(), done.slots.select_related("revision").first()]:
        content = slot.revision.content
        content |= {"stem": evil, "explanation": evil}
        content["options"] = [{**option, "text": evil, "why": evil} for option in content["options"]]
        slot.revision.save()
    client.force_login(taker)

    pages = [client.get(f"/exams/{path}").content.decode() for path in (f"{running.pk}/1/", f"{done.pk}/review/1/")]

    for page in pages:
        assert "go()" in page
        assert inline_parts(page) == []
        assert "<img" not in page


def loaded(page: str) -> dict[str, str]:
    """Address and integrity of each script and style that a page loads."""
    tags = re.findall(r"<(?:script|link)\b[^>]*>", page)
    files = [tag for tag in tags if "src=" in tag or "stylesheet" in tag]
    found = [(re.search(r'(?:src|href)="([^"]+)"', tag)[1], re.search(r'integrity="([^"]*)"', tag)) for tag in files]
    return {address: integrity[1] if integrity else "" for address, integrity in found}


def integrity_of(content: bytes) -> str:
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


@pytest.mark.parametrize(
    "path", ["/", "/sign-in/", "/no/such/address/", "/exams/{running}/1/", "/exams/{done}/report/"]
)
def test_scripts_and_styles_of_a_page_are_bound_to_their_content(client, people, settings, path):  # reliability case 51
    settings.WHITENOISE_USE_FINDERS = True  # nothing is collected for tests
    taker = people["taker"]
    running, done = (attempt.pk for attempt in taker.attempts.order_by("-started_at"))
    client.force_login(taker)

    files = loaded(client.get(path.format(running=running, done=done), follow=True).content.decode())

    assert {"/static/site.css", "/static/outbox.js"} <= files.keys()
    assert files == {each: integrity_of(client.get(each).getvalue()) for each in files}


def test_the_search_for_scripts_and_styles_finds_those_that_are_not_bound():
    page = (
        '<link rel="icon" href="/i.svg"><link rel="stylesheet" href="/a.css" integrity="x"><script src="/b.js" defer>'
    )

    assert loaded(page) == {"/a.css": "x", "/b.js": ""}
