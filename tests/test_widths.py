"""One whole journey at three widths, in light and dark; by keyboard alone, without JavaScript, on a slow line."""

import re
from collections.abc import Callable
from statistics import median

import pytest
from playwright.sync_api import Page, expect

from questions.models import Attempt
from tests.factories import GuideFactory, QuestionFactory, guide_document, make_bank
from tests.test_journey import axe_finds_nothing, choose, on_question, press, submit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

HEIGHTS = {360: 740, 768: 1024, 1440: 900}
CODE = "\n".join(
    f"line_{n} = compute(parameter_{n}, another_parameter={n})  # longer than any phone is wide" for n in range(30)
)
LONG = f"""A lighthouse runs this:

```python
{CODE}
```

| Model | Latency (ms) | Cost per 1,000 requests | Accuracy on the holdout |
| --- | --- | --- | --- |
| a-model-with-a-name-that-does-not-break | 1200 | $3.40 | 0.912 |

What should you do?"""


@pytest.fixture
def uneven_bank(transactional_db) -> None:
    """Six questions as uneven as real ones: three with long code and a table, three short ones with five options."""
    guide = GuideFactory(document=guide_document())
    for section in (1, 2, 3):
        place = {"guide": guide, "place": f"{section}.1"}
        QuestionFactory(**place, code=f"tiny-{section}.1-0001", stem=LONG)
        QuestionFactory(**place, code=f"tiny-{section}.1-0002", type="multiple", topics=[f"topic-{section}-1"])


@pytest.fixture
def quiet(page: Page):
    """A page that complains of nothing in its console."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    yield page
    assert complaints == []


def fits(page: Page) -> None:
    """Nothing makes the page as a whole scroll to the side."""
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def is_fine(page: Page, title: str) -> None:
    """Once the page of this title is there."""
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    fits(page)
    axe_finds_nothing(page)


def out_of_sight(page: Page, *selectors: str) -> list[str]:
    """Which of these are not wholly inside the window, or lie under something else."""
    return page.evaluate(
        """(selectors) => selectors.filter((selector) => {
            const each = document.querySelector(selector);
            const { left, right, top, bottom } = each.getBoundingClientRect();
            const on = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            return !(left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight && on && (each.contains(on) || on.contains(each)));
        })""",
        selectors,
    )


def stays_in_sight(page: Page, *selectors: str) -> None:
    """At the top of the page as at its end."""
    for scrolled in ("0", "document.body.scrollHeight"):
        page.evaluate(f"window.scrollTo(0, {scrolled})")
        assert (scrolled, out_of_sight(page, *selectors)) == (scrolled, [])
    page.evaluate("window.scrollTo(0, 0)")


def box(page: Page, selector: str) -> dict[str, float]:
    found = page.locator(selector).first.bounding_box()
    assert found is not None
    return found


def frame(page: Page) -> list[object]:
    """Where the heading begins, and where the clock, Finish, Previous, Next and Flag are."""
    heading = box(page, ".bar h1")
    return [(heading["x"], heading["y"], heading["height"])] + [
        box(page, each) for each in ("#clock", ".bar [value=finish]", ".previous", ".next", ".flag")
    ]


def is_an_exam_screen(page: Page, width: int) -> None:
    is_fine(page, "Question")
    stays_in_sight(page, "#clock", ".bar h1", ".bar [value=finish]", ".next")
    assert (page.locator("details.palette").get_attribute("open") is not None) is (width == 1440)
    stem, options = box(page, "#sitting .stem"), box(page, "#sitting .options")
    if width == 1440:
        assert (options["x"] >= stem["x"] + stem["width"], options["y"]) == (True, pytest.approx(stem["y"], abs=2))
    else:
        assert (options["y"] >= stem["y"] + stem["height"], options["x"]) == (True, stem["x"])


def use_the_tools(page: Page) -> None:
    """Choose, strike out, flag, say how sure, highlight, write a note."""
    choose(page, "A")
    press(page, "Strike out D")
    press(page, "Flag for review")
    page.get_by_role("radio", name="unsure").check()
    page.locator("#sitting .stem p").last.select_text()
    page.wait_for_timeout(50)  # the selection is told with the next frame
    press(page, "Highlight")
    page.get_by_text("Note", exact=True).click()
    page.get_by_label("Your note on this question").fill("Latency first.")
    page.get_by_label("Your note on this question").blur()
    expect(page.locator("#save-state")).to_have_text("Saved")
    expect(page.locator("#sitting mark").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", list(HEIGHTS))
def test_a_guest_goes_all_the_way_at_any_width(quiet: Page, live_server, uneven_bank, width, scheme):
    page = quiet
    page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
    page.emulate_media(color_scheme=scheme)

    page.goto(live_server.url)
    is_fine(page, "Practice the")
    press(page, "Try it without an account")
    is_fine(page, "Before you start")
    press(page, "Try the screen: three-question warm-up")
    on_question(page, 1)
    is_an_exam_screen(page, width)
    press(page, "Finish warm-up")
    is_fine(page, "What you have tried")
    page.get_by_role("link", name="On to the exam").click()
    press(page, "Start exam")

    on_question(page, 1)
    is_an_exam_screen(page, width)
    places = [frame(page)]
    use_the_tools(page)
    fits(page)
    for number in range(2, 7):  # long ones and short ones in any order
        press(page, "Next")
        on_question(page, number)
        fits(page)
        places.append(frame(page))
    assert places == [places[0]] * 6
    is_an_exam_screen(page, width)

    press(page, "Finish exam")
    is_fine(page, "Before you submit")
    stays_in_sight(page, "#clock", ".bar h1")
    page.get_by_role("link", name="Submit exam", exact=True).click()
    is_fine(page, "Submit the exam?")
    stays_in_sight(page, "#clock", ".bar h1")
    press(page, "Submit exam now")
    is_fine(page, "Report")
    page.get_by_role("link", name="Review", exact=True).click()
    is_fine(page, "Review")
    page.get_by_role("link", name="Question 2", exact=True).click()
    is_fine(page, "Question 2 of 6")


def test_on_a_phone_the_clock_stays_while_all_numbers_are_looked_through(page: Page, live_server, transactional_db):
    make_bank(per_section=20)
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(live_server.url)
    press(page, "Try it without an account")
    press(page, "Start exam")
    on_question(page, 1)

    page.locator("details.palette summary").click()

    stays_in_sight(page, "#clock", ".bar h1", ".bar [value=finish]")


def tab_to(page: Page, name: str) -> None:
    """With the Tab key alone, to the link or button of that name."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText.trim()") == name:
            return
    pytest.fail(f"The Tab key does not lead to {name!r}")


def test_the_way_from_home_to_the_report_takes_no_mouse(quiet: Page, live_server, uneven_bank):
    page, keyboard = quiet, quiet.keyboard
    page.goto(live_server.url)
    tab_to(page, "Try it without an account")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Before you start")).to_be_visible()
    tab_to(page, "Start exam")
    keyboard.press("Enter")
    for number in range(1, 7):
        on_question(page, number)
        keyboard.press("c")
        expect(page.locator("#save-state")).to_have_text("Saved")
        keyboard.press("j")
    expect(page.get_by_role("heading", name="Before you submit")).to_be_visible()
    tab_to(page, "Submit exam")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Submit the exam?")).to_be_visible()
    tab_to(page, "Submit exam now")
    keyboard.press("Enter")

    expect(page.locator(".score")).to_have_text(re.compile(r"\d of 6"))
    assert list(Attempt.objects.get().slots.values_list("letters", flat=True)) == ["C"] * 6


def test_a_phone_without_javascript_gets_all_the_way(browser, live_server, uneven_bank):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(live_server.url)
    press(page, "Try it without an account")
    fits(page)
    press(page, "Start exam")
    for number in range(1, 7):
        on_question(page, number)
        fits(page)
        stays_in_sight(page, "#clock", ".bar h1", ".bar [value=finish]")
        choose(page, "B")
        press(page, "Next")
    expect(page.get_by_role("link", name="Unanswered (0)")).to_be_visible()
    fits(page)
    stays_in_sight(page, "#clock")
    submit(page)

    expect(page.locator(".score")).to_have_text(re.compile(r"\d of 6"))
    fits(page)
    assert list(Attempt.objects.get().slots.values_list("letters", flat=True)) == ["B"] * 6
    context.close()


# --- How quick it feels -------------------------------------------------------------------------

WATCH = """() => {
    addEventListener("keydown", (event) => { window.pressed = event.timeStamp }, true);
    new MutationObserver(() => {
        const heading = document.querySelector("#sitting h1");
        if (heading && heading.innerText !== window.told) {
            window.told = heading.innerText;
            requestAnimationFrame(() => { window.took = performance.now() - window.pressed });
        }
    }).observe(document.querySelector(".exam"), { childList: true, subtree: true });
}"""


def milliseconds(page: Page, key: str, number: int) -> float:
    """From the press of a key to the frame that shows that question."""
    page.evaluate("window.took = null")
    page.keyboard.press(key)
    on_question(page, number)
    return float(page.wait_for_function("window.took").json_value())


@pytest.fixture
def begun(quiet: Page, live_server, uneven_bank) -> Page:
    """On the first question, with a watch running."""
    quiet.goto(live_server.url)
    press(quiet, "Try it without an account")
    press(quiet, "Start exam")
    on_question(quiet, 1)
    quiet.evaluate(WATCH)
    return quiet


@pytest.fixture
def slow_line(page: Page) -> Callable[[], None]:
    """Makes the line one of 400 ms and 400 kbit/s."""

    def slow() -> None:
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        rates = {"downloadThroughput": 50_000, "uploadThroughput": 50_000}  # bytes a second
        session.send("Network.emulateNetworkConditions", {"offline": False, "latency": 400, **rates})

    return slow


def test_on_a_slow_line_next_is_there_at_once_and_saving_is_told(begun: Page, slow_line):
    page = begun
    slow_line()
    page.keyboard.press("j")
    on_question(page, 2)

    took = []
    for number in range(3, 7):
        with page.expect_response(re.compile(rf"/{number}/$")) as fetched:
            pass
        fetched.value.finished()
        page.wait_for_timeout(100)
        took.append(milliseconds(page, "j", number))
    page.keyboard.press("b")
    expect(page.locator("#save-state")).to_have_text("Saving…")
    expect(page.locator("#save-state")).to_have_text("Saved")

    print(f"\nNext on a slow line, fetched ahead: {[round(each) for each in took]} ms")
    assert median(took) < 100


def test_on_a_good_line_a_question_that_was_not_fetched_ahead_is_there_in_no_time(begun: Page):
    page = begun
    page.keyboard.press("g")
    page.keyboard.type("6")
    page.keyboard.press("Enter")
    on_question(page, 6)

    took = [milliseconds(page, "k", number) for number in range(5, 0, -1)]  # only the next one is fetched ahead

    print(f"\nPrevious on a good line, not fetched ahead: {[round(each) for each in took]} ms")
    assert median(took) < 500  # a fifth of that on a machine of its own
