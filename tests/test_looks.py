"""What pages look like, as far as a machine can tell: on a phone, on paper, in either colour scheme, where a link is shared."""

import re
import struct
from html import unescape
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.factories import UserFactory, finish, make_attempt, make_bank, make_instructor
from tests.test_journey import axe_finds_nothing
from tests.test_strict_browser import sign_in

VISITORS = ["/", "/about/", "/sign-in/", "/sign-up/", "/password/reset/", "/password/reset/sent/", "/no/such/page/"]
TAKERS = [
    "/",
    "/progress/",
    "/settings/",
    "/settings/second-factor/",
    "/settings/delete/",
    "/password/",
    "/exams/{done}/report/",
    "/exams/{done}/review/",
    "/exams/{done}/review/?show=unanswered",
    "/exams/{done}/review/1/",
    "/exams/{running}/1/",
    "/exams/{running}/finish/",
]

# The borders of controls that stand out from what is around them by less than 3 to 1, as WCAG counts it.
FAINT_BORDERS = """() => {
    const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
    }
    const ground = (each) => {
        const colour = getComputedStyle(each).backgroundColor
        return /, 0\\)$/.test(colour) && each.parentElement ? ground(each.parentElement) : colour
    }
    const ratio = (one, other) => Math.max(light(one), light(other)) / Math.min(light(one), light(other))
    return [...document.querySelectorAll("main :is(input:not([type=hidden]), select, button:not(.strike), .button)")]
        .filter((each) => each.checkVisibility() && !each.disabled && !each.matches(".visually-hidden"))
        .filter((each) => ratio(getComputedStyle(each).borderTopColor, ground(each.parentElement)) < 3)
        .map((each) => each.name || each.textContent.trim())
}"""


@pytest.fixture
def exams(page: Page, live_server, transactional_db) -> dict[str, int]:
    """Of somebody signed in: one exam that is done, with questions right and wrong, and one that runs."""
    make_bank()
    user = UserFactory(username="ada")
    done, running = finish(make_attempt(user), right=3), make_attempt(user, timezone.now())
    sign_in(page, live_server.url, "ada")
    return {"done": done.pk, "running": running.pk}


def sideways(page: Page) -> int:
    """By how many pixels the page as a whole scrolls to the side."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def looks_of(page: Page, selector: str, *names: str) -> list[str]:
    return page.locator(selector).first.evaluate(
        "(each, names) => names.map((name) => getComputedStyle(each)[name])", names
    )


# --- In a browser -------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_no_page_of_a_taker_scrolls_sideways_on_the_narrowest_screen(page: Page, live_server, exams):
    page.set_viewport_size({"width": 320, "height": 640})

    found = {}
    for address in TAKERS:
        page.goto(live_server.url + address.format(**exams))
        found[address] = sideways(page)

    assert found == dict.fromkeys(TAKERS, 0)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_no_page_of_a_visitor_or_an_instructor_scrolls_sideways_on_the_narrowest_screen(page: Page, live_server, exams):
    page.set_viewport_size({"width": 320, "height": 640})
    page.context.clear_cookies()
    found = {}
    for address in VISITORS:
        page.goto(live_server.url + address)
        found[address] = sideways(page)
    make_instructor(username="ines")
    sign_in(page, live_server.url, "ines")
    theirs = [f"/admin/questions/attempt/{exams['running']}/extra-time/", "/admin/questions/question/1/preview/"]
    for address in theirs:
        page.goto(live_server.url + address)
        found[address] = sideways(page)

    assert found == dict.fromkeys([*VISITORS, *theirs], 0)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_control_has_a_border_that_can_be_seen(page: Page, live_server, exams, scheme):
    page.emulate_media(color_scheme=scheme)

    found = {}
    for address in TAKERS:
        page.goto(live_server.url + address.format(**exams))
        found[address] = page.evaluate(FAINT_BORDERS)

    assert found == {address: [] for address in TAKERS}


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_reviewed_question_is_printed_black_on_white_with_the_addresses_of_its_references(
    page: Page, live_server, exams
):
    page.emulate_media(color_scheme="dark")
    page.goto(f"{live_server.url}/exams/{exams['done']}/review/4/")
    reference = ".reviewed ~ ul a"
    address = page.locator(reference).first.get_attribute("href")
    written = f"getComputedStyle(document.querySelector('{reference}'), '::after').content"
    assert page.evaluate(written) == "none"

    page.emulate_media(color_scheme="dark", media="print")

    assert page.evaluate(written) in (f'" (" "{address}" ")"', f'" ({address})"')
    assert looks_of(page, "html", "backgroundColor") == ["rgb(255, 255, 255)"]
    assert looks_of(page, ".stem p", "color") == ["rgb(0, 0, 0)"]
    assert looks_of(page, ".reviewed li", "breakInside") == ["avoid"]
    for part in ("header.site", "nav.actions", "body > footer"):
        expect(page.locator(part)).to_be_hidden()
    for part in (".stem", ".reviewed .is-key .why", ".reviewed .is-wrong .tag", ".rule"):
        expect(page.locator(part)).to_be_visible()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_question_of_a_running_exam_is_printed_with_its_options_and_nothing_to_press(page: Page, live_server, exams):
    page.goto(f"{live_server.url}/exams/{exams['running']}/1/")
    expect(page.get_by_role("button", name="Keys")).to_be_visible()

    page.emulate_media(media="print")

    for part in (".stem", ".options .text >> nth=0", ".options .text >> nth=3", ".bar h1"):
        expect(page.locator(part)).to_be_visible()
    assert [button.text_content() for button in page.get_by_role("button").all() if button.is_visible()] == []


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_right_and_wrong_options_differ_in_shape_and_words(page: Page, live_server, exams):
    page.goto(f"{live_server.url}/exams/{exams['done']}/review/4/")

    key, wrong = (
        [*looks_of(page, f".reviewed {each}", "borderTopStyle"), *looks_of(page, f".reviewed {each} .letter", "borderTopLeftRadius")]
        for each in (".is-key", ".is-wrong")
    )  # fmt: skip
    assert (key, wrong) == (["solid", "50%"], ["dashed", "4px"])
    expect(page.locator(".is-key .tag")).to_have_text("right")
    expect(page.locator(".is-wrong .tag")).to_have_text("wrong, your choice")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["400.html", "500.html", "503.html"])
def test_the_pages_of_a_broken_site_look_like_the_others(page: Page, live_server, name, scheme):
    page.emulate_media(color_scheme=scheme)
    text = render_to_string(name, {"request_id": "0123456789abcdef"})
    page.route("**/broken/", lambda route: route.fulfill(body=text, content_type="text/html"))

    page.goto(f"{live_server.url}/broken/")

    axe_finds_nothing(page)
    assert looks_of(page, ".button", "backgroundColor") == [
        {"light": "rgb(11, 90, 143)", "dark": "rgb(37, 119, 176)"}[scheme]
    ]


def test_the_pages_of_a_broken_site_need_no_list_of_static_files(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
    }
    with pytest.raises(ValueError, match="Missing staticfiles manifest entry"):
        render_to_string("404.html")

    pages = [render_to_string(name) for name in ("400.html", "500.html", "503.html")]

    assert [page.count('href="/static/site.css"') for page in pages] == [1, 1, 1]


# --- Forms --------------------------------------------------------------------------------------

REFUSED = [
    ("/sign-up/", {"username": "no spaces", "email": "no", "password1": "a", "password2": "b"}, ["username", "email", "password2"]),
    ("/settings/", {"email": "no", "target": "101"}, ["email", "target"]),
    ("/settings/delete/", {"password": "wrong"}, ["password"]),
    ("/settings/second-factor/", {"code": "", "password": ""}, ["code", "password"]),
    ("/password/", {"old_password": "wrong", "new_password1": "", "new_password2": ""}, ["old_password", "new_password1", "new_password2"]),
    ("/password/reset/", {"email": "no"}, ["email"]),
    ("/admin/questions/attempt/{}/extra-time/", {"minutes": "9999", "reason": ""}, ["minutes", "reason"]),
]  # fmt: skip


@pytest.mark.parametrize(("address", "sent", "wrong"), REFUSED, ids=[address for address, _, _ in REFUSED])
def test_a_refused_form_says_so_on_top_and_ties_every_problem_to_its_field(client, bank, address, sent, wrong):
    attempt = make_attempt(now=timezone.now())
    if address != "/sign-up/":
        client.force_login(make_instructor())

    page = client.get(address.format(attempt.pk)).text
    token = re.search(r'name="token" value="([^"]+)"', page)
    page = client.post(address.format(attempt.pk), sent | ({"token": unescape(token[1])} if token else {})).text

    alert = page.partition('role="alert">')[2].partition("</div>")[0]
    assert re.findall(r'<a href="#id_(\w+)">', alert) == wrong
    assert page.index('role="alert"') < page.index(f'id="id_{wrong[0]}"')
    fields = re.findall(r"<(?:input|select)[^>]*>", page)
    told = {re.search(r'name="(\w+)"', field)[1]: field for field in fields if 'aria-invalid="true"' in field}
    assert list(told) == wrong
    for name, field in told.items():
        described = re.search(r'aria-describedby="([^"]+)"', field)[1].split()
        assert described[-1] == f"id_{name}_error"
        assert [f'id="{each}"' in page for each in described] == [True] * len(described)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("/sign-in/", {"username": "username", "password": "current-password"}),
        ("/sign-up/", {"username": "username", "email": "email", "password1": "new-password", "password2": "new-password"}),
        ("/password/reset/", {"email": "email"}),
    ],
)  # fmt: skip
def test_a_password_manager_knows_what_each_field_of_a_visitor_is(client, db, address, names):
    fields = re.findall(r"<input[^>]*>", client.get(address).text)

    found = {re.search(r'name="(\w+)"', field)[1]: re.search(r'autocomplete="([\w-]+)"', field) for field in fields}
    assert {name: kind and kind[1] for name, kind in found.items() if name in names} == names


def test_the_settings_know_the_mail_address_of_who_fills_them_in(as_taker):
    assert 'autocomplete="email"' in as_taker.get("/settings/").text


# --- Where a link is shared ---------------------------------------------------------------------


def shared(page: str) -> dict[str, str]:
    return dict(re.findall(r'<meta (?:property|name)="((?:og|twitter|description)[\w:]*)" content="([^"]*)">', page))


@pytest.mark.parametrize(
    ("configured", "address"), [("https://exams.example.org", "https://exams.example.org"), ("", "http://testserver")]
)
@pytest.mark.parametrize("path", ["/", "/about/", "/sign-in/", "/sign-up/"])
def test_a_public_page_tells_what_it_is_where_its_link_is_shared(client, bank, settings, configured, address, path):
    settings.ADDRESS = configured

    found = shared(client.get(path).text)

    assert (found["og:url"], found["og:image"]) == (f"{address}{path}", f"{address}/static/social.png")
    assert found["og:description"] == found["description"]
    assert 40 <= len(found["description"]) <= 170
    assert found["og:title"]


def test_pages_behind_the_sign_in_are_described_nowhere(as_taker, taker, bank):
    attempt = finish(make_attempt(taker), right=3)

    pages = [as_taker.get(path).text for path in ("/", "/progress/", f"/exams/{attempt.pk}/report/")]

    assert [shared(page) for page in pages] == [{}, {}, {}]


def test_the_picture_of_the_site_has_the_size_that_is_told():
    header = Path(finders.find("social.png")).read_bytes()[:24]

    assert (header[:8], struct.unpack(">II", header[16:24])) == (b"\x89PNG\r\n\x1a\n", (1200, 630))
