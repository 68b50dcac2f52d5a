"""WCAG 2.2 AA, as far as a machine can tell: every page and every state of the exam screen, measured."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from questions.models import Attempt, Revision, Slot
from tests.factories import UserFactory, finish, make_attempt, make_bank
from tests.pages import sign_in
from tests.test_exam_screen import noticed, saved, select
from tests.test_journey import choose, on_question, press

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MEASURES = (Path(__file__).parent / "measures.js").read_text("utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
STEM = """\
A lighthouse keeps **records** like `lamp_id` in this table.

| Lamp | Hours |
| --- | --- |
| north | 4,000 |

```python
# how long a lamp lasts
def hours(lamp: str) -> int:
    return 4000 if lamp == "north" else 10 ** len(lamp)
```

What should you do?"""


@pytest.fixture
def site(page: Page, live_server, transactional_db) -> Callable[[str], Page]:
    """Opens an address; `{done}` and `{exam}` stand for the exams of who is signed in, one finished, one running."""
    make_bank()
    taker = UserFactory(email="ada@example.org")
    done = finish(make_attempt(taker, timezone.now() - timedelta(days=1)), right=3)
    exam = make_attempt(taker, timezone.now())
    revision = exam.slots.get(position=1).revision
    Revision.objects.filter(pk=revision.pk).update(content=revision.content | {"stem": STEM})

    def at(address: str) -> Page:
        if not address.startswith("visitor:"):
            sign_in(page.context, live_server.url, taker)
        page.goto(live_server.url + address.removeprefix("visitor:").format(done=done.pk, exam=exam.pk))
        return page

    return at


# --- The table of states ------------------------------------------------------------------------


def sign_in_refused(page: Page) -> None:
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("wrong")
    press(page, "Sign in")


def sign_up_refused(page: Page) -> None:
    page.get_by_label("Username").fill("no spaces")
    page.locator("#id_password1").fill("a")
    page.locator("#id_password2").fill("b")
    press(page, "Sign up")


def settings_refused(page: Page) -> None:
    page.locator("#id_target").evaluate("(input) => { input.form.noValidate = true; input.value = '101' }")
    press(page, "Save")
    expect(page.get_by_role("alert")).to_be_visible()


def no_exam_runs(page: Page) -> None:
    Attempt.objects.filter(finished_at=None).delete()
    page.reload()


def decided(page: Page) -> None:
    """Chosen, struck out, flagged, said how sure, highlighted in words and code, with a note open."""
    choose(page, "A")
    press(page, "Strike out B")
    page.keyboard.press("f")
    page.get_by_role("radio", name="unsure").check()
    select(page, 2, 40)
    page.keyboard.press("h")
    select(page, 90, 130)
    page.keyboard.press("h")
    page.get_by_text("Note", exact=True).click()
    page.get_by_label("Your note on this question").fill("Latency first.")
    saved(page)


def a_problem(page: Page) -> None:
    page.locator("[name=note]").evaluate("(note) => note.removeAttribute('maxlength')")
    page.keyboard.press("n")
    page.keyboard.insert_text("x" * 2001)
    expect(page.locator("#problem")).to_be_visible()


def a_conflict(page: Page) -> None:
    Slot.objects.filter(attempt__finished_at=None, position=1).update(letters="B", version=3)
    choose(page, "A")
    expect(page.get_by_role("button", name="Use mine")).to_be_visible()


def keys_shown(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


def going_to(page: Page) -> None:
    page.keyboard.press("g")
    expect(page.get_by_role("dialog", name="Go to a question")).to_be_visible()


def a_notice(page: Page) -> None:
    page.keyboard.press("h")
    noticed(page, "Select text of the question first, then highlight it.")


def not_saved(page: Page) -> None:
    page.route("**/answer/", lambda route: route.abort())
    choose(page, "C")
    expect(page.locator("#save-state")).to_contain_text("Not saved: 1 waiting")


def hardly_any_time(page: Page) -> None:
    Attempt.objects.filter(finished_at=None).update(deadline=timezone.now() + timedelta(minutes=4))
    page.reload()
    expect(page.locator("#clock.short")).to_be_visible()


def clock_hidden(page: Page) -> None:
    press(page, "Hide the clock")


def time_up(page: Page) -> None:
    """The line is cut, so that the result does not come at once."""
    page.route("**/exams/**", lambda route: route.abort() if route.request.method == "HEAD" else route.continue_())
    Attempt.objects.filter(finished_at=None).update(deadline=timezone.now() + timedelta(seconds=2))
    page.reload()
    expect(page.locator("#problem")).to_contain_text("Time is up.")


def on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.reload()
    expect(page.get_by_role("button", name="6, not seen")).to_be_hidden()


def palette_opened(page: Page) -> None:
    on_a_phone(page)
    page.locator(".palette summary").click()
    expect(page.get_by_role("button", name="6, not seen")).to_be_visible()


def time_is_over(page: Page) -> None:
    Attempt.objects.filter(finished_at=None).update(deadline=timezone.now())
    page.reload()
    expect(page.get_by_role("heading", name="Time is up")).to_be_visible()


def warm_up(page: Page) -> None:
    press(page, "Try the screen: three-question warm-up")
    on_question(page, 1)


def warm_up_finished(page: Page) -> None:
    warm_up(page)
    choose(page, "A")
    saved(page)
    press(page, "Finish warm-up")
    expect(page.get_by_role("heading", name="What you have tried")).to_be_visible()


def starting(page: Page, then: Callable[[Page], None] | None = None) -> None:
    no_exam_runs(page)
    page.get_by_role("link", name="Start an exam").click()
    expect(page.get_by_role("heading", name="Before you start")).to_be_visible()
    if then:
        then(page)


# name: (address, what is done there)
STATES: dict[str, tuple[str, Callable[[Page], None] | None]] = {
    "home of a visitor": ("visitor:/", None),
    "about": ("visitor:/about/", None),
    "sign in": ("visitor:/sign-in/", None),
    "sign in, refused": ("visitor:/sign-in/", sign_in_refused),
    "sign up": ("visitor:/sign-up/", None),
    "sign up, refused": ("visitor:/sign-up/", sign_up_refused),
    "reset of a password": ("visitor:/password/reset/", None),
    "mail with a link sent": ("visitor:/password/reset/sent/", None),
    "nothing here": ("visitor:/no/such/page/", None),
    "home, an exam runs": ("/", None),
    "home, none runs": ("/", no_exam_runs),
    "before the start": ("/", starting),
    "warm-up": ("/", lambda page: starting(page, warm_up)),
    "warm-up, finished": ("/", lambda page: starting(page, warm_up_finished)),
    "exam, fresh": ("/exams/{exam}/1/", None),
    "exam, decided": ("/exams/{exam}/1/", decided),
    "exam, a problem": ("/exams/{exam}/1/", a_problem),
    "exam, changed elsewhere": ("/exams/{exam}/1/", a_conflict),
    "exam, keys shown": ("/exams/{exam}/1/", keys_shown),
    "exam, going to a number": ("/exams/{exam}/1/", going_to),
    "exam, a notice": ("/exams/{exam}/1/", a_notice),
    "exam, not saved": ("/exams/{exam}/1/", not_saved),
    "exam, hardly any time": ("/exams/{exam}/1/", hardly_any_time),
    "exam, clock hidden": ("/exams/{exam}/1/", clock_hidden),
    "exam, time up": ("/exams/{exam}/1/", time_up),
    "exam on a phone": ("/exams/{exam}/1/", on_a_phone),
    "exam on a phone, palette open": ("/exams/{exam}/1/", palette_opened),
    "finish": ("/exams/{exam}/finish/", None),
    "finish, sorted and filtered": ("/exams/{exam}/finish/?show=unanswered&sort=-time", None),
    "finish, none fits": ("/exams/{exam}/finish/?show=flagged", None),
    "submit": ("/exams/{exam}/submit/", None),
    "still running": ("/exams/{exam}/report/", None),
    "time is up": ("/exams/{exam}/1/", time_is_over),
    "report": ("/exams/{done}/report/", None),
    "progress": ("/progress/", None),
    "review": ("/exams/{done}/review/", None),
    "review, none fits": ("/exams/{done}/review/?show=unanswered", None),
    "reviewed question, missed": ("/exams/{done}/review/4/", None),
    "reviewed question, right": ("/exams/{done}/review/1/", None),
    "settings": ("/settings/", None),
    "settings, refused": ("/settings/", settings_refused),
    "second factor": ("/settings/second-factor/", None),
    "deletion": ("/settings/delete/", None),
    "change of the password": ("/password/", None),
}

# --- Everything measured ------------------------------------------------------------------------


def axe(page: Page) -> list[Any]:
    page.evaluate("scrollTo(0, 0)")  # what lies half under the bar counts as small
    found = Axe().run(page, options={"runOnly": RULES}).response["violations"]
    return [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found]


def measure(page: Page, what: str, argument: Any = None) -> Any:
    if not page.evaluate("'measure' in window"):
        page.evaluate(MEASURES)
    return page.evaluate(f"(argument) => measure.{what}(argument)", argument)


FLAWS = """<!doctype html><title>Flaws</title>
<style>
  body { background: #fff; color: #000; margin: 0; width: 600px }
  .pale { color: rgb(0 0 0 / 40%) } .veiled { opacity: 0.5 }
  button, input { outline: none !important; border: 1px solid #ccc; background: #fff; width: 20px; height: 20px; padding: 0; overflow: visible }
  .cut { width: 30px; overflow: hidden; white-space: nowrap } .slow { transition: color 1s }
</style>
<main><h1>One</h1><h3 class="slow">Three</h3><p class="pale">pale</p><p class="veiled"><b>veiled</b></p>
<p class="cut">cut off here</p><button>unseen</button><p style="margin-left: 500px">beyond the side</p></main>"""


def test_the_measures_find_what_they_are_for(page):
    page.set_viewport_size({"width": 320, "height": 256})
    page.set_content(FLAWS)

    names = ("faintText", "faintControls", "focusNotSeen", "headingGaps", "motion", "lost")
    found = {name: measure(page, name) for name in names} | {"smallTargets": measure(page, "smallTargets", 24)}

    assert found == {
        "faintText": ["p.pale pale: 2.84", "b veiled: 3.97"],
        "faintControls": ["button unseen: 1.6"],
        "focusNotSeen": ["button unseen: no line"],
        "headingGaps": ["1 3"],
        "motion": ["h3.slow Three"],
        "lost": ["the page scrolls sideways by 280", "p.cut cut off here", "button unseen", "p beyond the side"],
        "smallTargets": ["button unseen: 20 \N{MULTIPLICATION SIGN} 20"],
    }


@pytest.mark.parametrize("state", STATES)
def test_nothing_keeps_anybody_out(site, settings, state):
    settings.GRACE_SECONDS = 600  # so that the page after the deadline stays
    address, act = STATES[state]
    page = site(address)
    page.emulate_media(reduced_motion="reduce")
    if act:
        act(page)
    least = 44 if state.startswith(("exam", "warm-up")) else 24

    found = {"axe": axe(page), "headings": measure(page, "headingGaps"), "motion": measure(page, "motion")}
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        for what in ("faintText", "faintControls", "focusNotSeen"):
            found[f"{what}, {scheme}"] = measure(page, what)
    page.emulate_media(color_scheme="dark")
    found["axe, dark"] = axe(page)
    page.set_viewport_size({"width": 360, "height": 640})
    found["small targets"] = measure(page, "smallTargets", least)
    page.set_viewport_size({"width": 320, "height": 256})  # what 1280 by 1024 is at 400%
    found["lost at 320 pixels"] = measure(page, "lost")
    measure(page, "space", True)
    found["lost with more space"] = measure(page, "lost")
    page.set_viewport_size({"width": 1280, "height": 1024})
    found["lost with more space on a wide screen"] = measure(page, "lost")

    assert {name: each for name, each in found.items() if each} == {}


# --- What is told -------------------------------------------------------------------------------


def test_the_exam_screen_is_told_in_the_order_of_reading_with_names_and_states(site, page):
    site("/exams/{exam}/2/")
    choose(page, "B")
    press(page, "Strike out D")
    press(page, "Flag for review")
    page.get_by_role("radio", name="unsure").check()
    saved(page)
    texts = [option["text"] for option in Slot.objects.get(attempt__finished_at=None, position=2).shown]

    told = re.sub(r"\d+:\d\d", "0:00", page.locator("main").aria_snapshot())

    option = """
    - radio "{0} {1}"{2}
    - text: {0} {1}
    - button "Strike out {0}"{3}: {0}"""
    options = "".join(
        option.format(letter, text, " [checked]" * (letter == "B"), " [pressed]" * (letter == "D"))
        for letter, text in zip("ABCD", texts, strict=True)
    )
    numbers = ["1, not seen", "2, answered, flagged", *(f"{number}, not seen" for number in range(3, 7))]
    palette = "".join(f'\n      - listitem:\n        - button "{name}": "{name[0]}"' for name in numbers)
    stem = page.locator(".stem p").first.inner_text()
    assert (
        told
        == f"""\
- main:
  - heading "Question 2 of 6" [level=1]
  - paragraph:
    - text: "Time left:"
    - timer: 0:00
    - text: until 0:00 UTC
  - button "Hide the clock"
  - button "Finish exam"
  - paragraph: {stem}
  - paragraph: What should you do?
  - group "Choose one option":
    - text: Choose one option{options}
  - group "How sure are you?":
    - text: How sure are you?
    - radio "guess"
    - text: guess
    - radio "unsure" [checked]
    - text: unsure
    - radio "sure"
    - text: sure
  - group: Note
  - button "Previous"
  - button "Next"
  - button "Flag for review" [pressed]
  - button "Clear answer"
  - button "Highlight"
  - button "Keys"
  - group:
    - text: 1 of 6 answered
    - list "All questions":{palette}
  - status: D struck out"""
    )


def test_a_number_of_the_palette_is_told_anew_when_its_answer_changes(site, page):
    site("/exams/{exam}/1/")
    one = page.locator(".palette button").first

    choose(page, "A")
    expect(one).to_have_accessible_name("1, answered")
    press(page, "Clear answer")

    expect(one).to_have_accessible_name("1, not answered")


def test_saving_notices_and_keys_are_said_politely_problems_at_once_and_the_clock_never(site, page):
    site("/exams/{exam}/1/")

    regions = page.locator("[role=timer], [role=status], [role=alert], [aria-live]")
    found = regions.evaluate_all("(all) => all.map((each) => [each.id, each.role, each.ariaLive])")

    assert found == [
        ["clock", "timer", None],  # silent by its role; the last minutes are told by the notice
        ["problem", "alert", None],
        ["spoken", "status", None],
        ["notice", "status", None],
        ["save-state", "status", None],
    ]


def test_when_the_time_is_up_that_can_be_read_and_nothing_else_can_be_pressed(site, page):
    site("/exams/{exam}/1/")
    page.keyboard.press("?")
    time_is_short = Attempt.objects.filter(finished_at=None)
    time_is_short.update(deadline=timezone.now() + timedelta(seconds=3))
    time_up(page)

    open_controls = "(all) => all.filter((each) => each.checkVisibility() && !each.closest('[inert]')).map((each) => each.textContent)"
    assert page.locator(".exam :is(button, input, textarea, summary)").evaluate_all(open_controls) == ["Save"]
    assert page.locator("#problem").evaluate("(line) => line.closest('[inert]')") is None


# The bar stands for a dash.
TITLES = {
    "/": "ExamSim: practice exams for the Professional Machine Learning Engineer",
    "/about/": "About the bank | ExamSim",
    "/exams/{exam}/1/": "Question 1 of 6 | ExamSim",
    "/exams/{exam}/2/": "Question 2 of 6 | ExamSim",
    "/exams/{exam}/finish/": "Finish exam | ExamSim",
    "/exams/{exam}/submit/": "Submit exam | ExamSim",
    "/exams/{exam}/report/": "Still running | ExamSim",
    "/exams/{done}/report/": "Report | ExamSim",
    "/exams/{done}/review/": "Review | ExamSim",
    "/exams/{done}/review/1/": "Question 1 | Review | ExamSim",
    "/progress/": "Progress | ExamSim",
    "/settings/": "Settings | ExamSim",
    "/settings/second-factor/": "Second factor | ExamSim",
    "/settings/delete/": "Delete my account | ExamSim",
    "/password/": "Change password | ExamSim",
    "visitor:/sign-in/": "Sign in | ExamSim",
    "visitor:/sign-up/": "Sign up | ExamSim",
    "visitor:/password/reset/": "Reset password | ExamSim",
}


def test_every_page_has_a_title_of_its_own_also_the_next_question(site, page):
    titles = {}
    for address in reversed(TITLES):  # visitors' pages first
        site(address)
        titles[address] = page.title().replace("\N{EN DASH}", "|")

    assert titles == TITLES
    assert len(set(TITLES.values())) == len(TITLES)
    site("/exams/{exam}/1/")
    press(page, "Next")
    on_question(page, 2)
    assert page.title() == "Question 2 of 6 \N{EN DASH} ExamSim"


# --- What is seen -------------------------------------------------------------------------------


def test_in_colours_of_the_readers_own_every_state_still_differs(site, page):
    site("/exams/{exam}/1/")
    Slot.objects.filter(attempt__finished_at=None, position=2).update(seconds=9)
    decided(page)
    page.reload()
    page.keyboard.press("Shift")  # what comes now is by keyboard

    page.emulate_media(forced_colors="active")

    def looks(selector: str, *names: str, part: str | None = None) -> list[str]:
        script = "(each, [names, part]) => names.map((name) => getComputedStyle(each, part)[name])"
        return page.locator(selector).first.evaluate(script, [names, part])

    def option(letter: str) -> str:
        return f".options label:has([value={letter}])"

    pressed, free = looks("[value=B].strike", "backgroundColor"), looks("[value=C].strike", "backgroundColor")
    assert pressed != free
    assert looks(".flag", "backgroundColor") == pressed
    borders = [looks(option(letter), "borderTopWidth", "borderTopStyle", "textDecorationLine") for letter in "ABC"]
    assert borders == [["3px", "solid", "none"], ["1px", "dashed", "line-through"], ["1px", "solid", "none"]]
    assert looks(option("A") + " input", "appearance") == ["auto"]  # drawn by the system
    assert looks(".stem mark", "backgroundColor") != looks(".stem", "backgroundColor")
    shape = ("borderTopWidth", "borderTopStyle", "borderBottomWidth")
    assert [looks(f".palette [value='{number}']", *shape) for number in (1, 2, 3)] == [
        ["3px", "solid", "6px"],  # here, and answered
        ["1px", "solid", "1px"],
        ["1px", "dashed", "1px"],
    ]
    assert "⚑" in looks(".palette [value='1']", "content", part="::after")[0]
    for control in (".palette [value='1']", ".next", ".strike", ".palette summary", "[name=note]"):
        page.locator(control).first.focus()
        assert looks(control, "outlineStyle", "outlineWidth") == ["solid", "3px"]
    page.keyboard.press("Escape")  # leaves the note
    keys_shown(page)
    assert looks("#keys article", "borderTopWidth", "borderTopStyle") == ["2px", "solid"]


@pytest.mark.parametrize("key", ["Tab", "Shift+Tab"])
@pytest.mark.parametrize("state", ["exam, decided", "finish"])
def test_the_bars_never_hide_what_has_the_focus(site, page, state, key):
    address, act = STATES[state]
    page.set_viewport_size({"width": 360, "height": 640 if act else 400})
    site(address)
    if act:
        act(page)
    page.locator("body").evaluate("() => document.activeElement.blur()")

    hidden, reached = [], set()
    for _ in range(30):
        page.keyboard.press(key)
        reached.add(page.evaluate("document.activeElement.outerHTML"))
        hidden += measure(page, "obscured")

    assert hidden == []
    assert len(reached) > 15


@pytest.mark.parametrize("size", [(320, 256), (360, 640), (768, 1024)])
def test_bars_leave_two_thirds_of_a_small_screen_to_the_question(site, page, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    site("/exams/{exam}/1/")
    choose(page, "A")
    saved(page)

    assert measure(page, "covered") < 1 / 3
