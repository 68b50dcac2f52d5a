"""A day on the site in a real browser: nothing breaks the policy, nothing leaves the site, nothing stays behind."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, expect

from questions.models import Attempt, Question, User
from tests.factories import make_bank
from tests.test_journey import choose, on_question, press, submit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TELL_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`violation of ${event.violatedDirective} by ${event.blockedURI}`));"""


@pytest.fixture
def watched(page: Page):
    """A page, what it complained about, and every request it made."""
    complaints: list[str] = []
    requests: list[Request] = []
    page.add_init_script(TELL_VIOLATIONS)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.context.on("request", lambda request: requests.append(request))
    return page, complaints, requests


def sit_an_exam(page: Page, address: str) -> None:
    """As a guest who signs up afterwards, through every page a taker has."""
    page.goto(address)
    page.get_by_role("link", name="About the bank").first.click()
    expect(page.get_by_role("heading", name="About the bank")).to_be_visible()
    page.goto(address)
    press(page, "Try it without an account")
    press(page, "Start exam")
    for number, then in ((1, "Next"), (2, "Finish exam")):
        on_question(page, number)
        choose(page, "B")
        expect(page.locator("#save-state")).to_have_text("Saved")
        press(page, "Flag for review")
        press(page, then)
    submit(page)
    page.get_by_role("link", name="Review", exact=True).click()
    expect(page.get_by_role("link", name="Sign up").first).to_be_visible()
    page.goto(f"{address}/exams/{Attempt.objects.get().pk}/review/1/")
    expect(page.get_by_text("The rule to take away")).to_be_visible()
    page.get_by_role("link", name="Sign up").first.click()
    page.locator("#id_username").fill("ada")
    page.locator("#id_password1").fill("lantern-7-harbour")
    page.locator("#id_password2").fill("lantern-7-harbour")
    press(page, "Sign up")
    for name in ("Progress", "Settings"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()


def sign_in(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}/sign-in/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("lantern-7-harbour")
    press(page, "Sign in")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


# --- Policy and privacy -------------------------------------------------------------------------


def test_a_page_that_breaks_the_policy_is_noticed(watched, live_server, transactional_db):
    page, complaints, _ = watched
    page.goto(f"{live_server.url}/sign-in/")

    page.evaluate("document.body.setAttribute('style', 'color: red')")
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://evil.example/'}))")

    page.wait_for_timeout(200)
    told = [complaint for complaint in complaints if complaint.startswith("violation of")]
    assert told == ["violation of style-src-attr by inline", "violation of img-src by https://evil.example/"]


def test_a_day_on_the_site_breaks_no_policy_and_asks_nobody_else(
    watched, live_server, transactional_db
):  # reliability cases 38, 43
    page, complaints, requests = watched
    make_bank()

    sit_an_exam(page, live_server.url)
    press(page, "Sign out")
    expect(page.get_by_role("link", name="Sign in").first).to_be_visible()

    User.objects.create_superuser("root", password="lantern-7-harbour")
    sign_in(page, live_server.url, "root")
    question = f"/admin/questions/question/{Question.objects.first().pk}"
    attempt = Attempt.objects.get().pk
    ada = User.objects.get(username="ada").pk
    for path in (
        "",
        "questions/",
        "questions/question/",
        "questions/question/?q=lighthouse",
        "questions/question/add/",
        f"{question.removeprefix('/admin/')}/change/",
        f"{question.removeprefix('/admin/')}/history/",
        f"{question.removeprefix('/admin/')}/preview/",
        "questions/attempt/",
        f"questions/attempt/{attempt}/change/",
        "questions/user/",
        "questions/user/add/",
        f"questions/user/{ada}/change/",
        f"questions/user/{ada}/password/",
        f"questions/user/{ada}/delete/",
        "auth/group/",
        "auth/group/add/",
        "password_change/",
    ):
        response = page.goto(f"{live_server.url}/admin/{path}")
        assert (path, response.status) == (path, 200)

    assert complaints == []
    assert len(requests) > 100
    assert {urlsplit(request.url)[:2] for request in requests} == {urlsplit(live_server.url)[:2]}


def test_another_site_does_not_learn_where_a_reader_came_from(watched, live_server, transactional_db):
    # reliability case 43
    page, _, requests = watched
    page.context.route("https://**/*", lambda route: route.fulfill(body="<h1>Elsewhere</h1>", content_type="text/html"))
    make_bank()
    sit_an_exam(page, live_server.url)
    page.goto(f"{live_server.url}/exams/{Attempt.objects.get().pk}/review/1/")

    page.locator("footer a[href^=https]").click()
    expect(page.get_by_role("heading", name="Elsewhere")).to_be_visible()

    ours = [request for request in requests if request.url.startswith(live_server.url)]
    others = [request for request in requests if request not in ours]
    assert [request.url for request in others if request.is_navigation_request()] == [page.url]
    assert any("referer" in request.headers for request in ours)
    assert [request.headers for request in others if {"referer", "origin"} & set(request.headers)] == []


# --- After signing out --------------------------------------------------------------------------


def test_after_signing_out_the_back_button_shows_nothing_private(page: Page, live_server, transactional_db):
    # reliability case 41
    make_bank()
    sit_an_exam(page, live_server.url)
    attempt = Attempt.objects.get().pk
    page.evaluate("localStorage.setItem('left', 'behind')")
    visited = [f"/exams/{attempt}/report/", f"/exams/{attempt}/review/1/", "/progress/", "/settings/"]
    for path in visited:
        page.goto(live_server.url + path)

    press(page, "Sign out")
    expect(page.get_by_role("link", name="Sign in").first).to_be_visible()
    assert page.evaluate("localStorage.length") == 0

    for path in reversed(visited):
        page.go_back()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.url == f"{live_server.url}/sign-in/?next={path}"
