"""The warm-up and the pages before submission in a real browser: by pointer, by keyboard, without JavaScript."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from questions import warm_up
from questions.models import Attempt
from tests.factories import make_bank
from tests.test_journey import axe_finds_nothing, choose, on_question, press

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def begin(page: Page, address: str) -> None:
    make_bank()
    page.goto(address)
    press(page, "Try it without an account")
    press(page, "Try the screen: three-question warm-up")
    on_question(page, 1)


def saved(page: Page) -> None:
    expect(page.locator("#save-state")).to_have_text("Saved")


def said(page: Page) -> list[bool]:
    """Of each thing to try, whether it was."""
    expect(page.get_by_role("heading", name="What you have tried")).to_be_visible()
    return ["✓" in text for text in page.locator(".tried li").all_inner_texts()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_tried_by_pointer(page: Page, live_server, transactional_db, scheme):
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.emulate_media(color_scheme=scheme)
    begin(page, live_server.url)
    axe_finds_nothing(page)
    choose(page, "A")
    choose(page, "B")
    page.get_by_role("button", name="Strike out D").click()
    saved(page)
    press(page, "Next")
    on_question(page, 2)
    choose(page, "A")
    choose(page, "C")
    press(page, "Flag for review")
    saved(page)
    axe_finds_nothing(page)
    press(page, "Next")
    on_question(page, 3)
    page.locator("#sitting .stem p").last.select_text()
    press(page, "Highlight")
    page.get_by_label("unsure", exact=True).check()
    page.get_by_text("Note", exact=True).click()
    page.get_by_label("Your note on this question").fill("Breathe.")
    saved(page)
    axe_finds_nothing(page)
    press(page, "Finish warm-up")

    assert said(page) == [True] * 7
    axe_finds_nothing(page)
    page.get_by_role("link", name="Back to the warm-up").click()
    expect(page.locator("input[value=B]")).to_be_checked()
    assert (errors, page.evaluate("localStorage.length"), Attempt.objects.count()) == ([], 0, 0)


def test_everything_is_tried_by_keyboard(page: Page, live_server, transactional_db):
    begin(page, live_server.url)
    keyboard = page.keyboard
    for key in ("a", "b", "s", "d"):
        keyboard.press(key)
    saved(page)
    keyboard.press("j")
    on_question(page, 2)
    for key in ("1", "3", "f", "u", "n"):
        keyboard.press(key)
    keyboard.type("Breathe, j and k.")
    keyboard.press("Escape")
    page.locator("#sitting .stem p").last.select_text()  # what a keyboard does with caret browsing
    keyboard.press("h")
    saved(page)
    keyboard.press("g")
    keyboard.type("3")
    keyboard.press("Enter")
    on_question(page, 3)
    keyboard.press("j")  # after the last one comes the finish

    assert said(page) == [True] * 7
    page.get_by_role("link", name="On to the exam").focus()
    keyboard.press("Enter")
    page.get_by_role("button", name="Start exam").focus()
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Question 1 of 6", exact=True)).to_be_visible()


def test_it_works_without_javascript(browser, live_server, transactional_db):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    begin(page, live_server.url)
    choose(page, "A")
    page.get_by_role("button", name="Strike out D").click()
    on_question(page, 1)
    expect(page.locator("input[value=A]")).to_be_checked()
    press(page, "Next")
    choose(page, "A")
    choose(page, "C")
    press(page, "Flag for review")
    page.get_by_label("guess", exact=True).check()
    page.get_by_text("Note", exact=True).click()
    page.get_by_label("Your note on this question").fill("Breathe.")
    press(page, "Next")
    on_question(page, 3)
    press(page, "Finish warm-up")

    # highlighting takes the script
    assert said(page) == [True, True, True, True, True, False, True]
    context.close()


def test_when_its_time_is_over_the_page_goes_back_to_the_start(page: Page, live_server, transactional_db, monkeypatch):
    monkeypatch.setattr(warm_up, "LIMIT", timedelta(seconds=5))
    begin(page, live_server.url)
    choose(page, "A")

    expect(page.get_by_text("The ten minutes of the warm-up are over.")).to_be_visible(timeout=15_000)
    expect(page).to_have_url(re.compile(r"/exams/start/\?warm-up=over$"))
    assert page.evaluate("localStorage.length") == 0
    axe_finds_nothing(page)


def test_the_table_before_submission_fits_a_small_screen_and_sorts_without_javascript(
    browser, live_server, transactional_db
):
    make_bank(per_section=20)
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 640})
    page = context.new_page()
    page.goto(live_server.url)
    press(page, "Try it without an account")
    press(page, "Start exam")
    slots = Attempt.objects.get().slots
    slots.filter(position=7).update(letters="A", key="AC", flagged=True, confidence=2, seconds=2399)
    slots.filter(position=52).update(letters="B", flagged=True, seconds=7199)
    press(page, "Finish exam")

    page.get_by_role("link", name="Flagged (2)").click()
    page.get_by_role("link", name="Time spent").click()
    page.get_by_role("link", name="Time spent").click()

    assert [text.split() for text in page.locator("tbody th").all_inner_texts()] == [
        ["Question", "52"],
        ["Question", "7"],
    ]
    assert page.get_by_role("columnheader", name="Time spent").get_attribute("aria-sort") == "descending"
    page.get_by_role("link", name="All (60)").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    context.close()
