"""The exam screen: its tools, its keys, its clock and its palette, in a real browser."""

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from questions.models import Attempt, SaveEvent, Slot, User
from questions.models.attempts import PARTS
from tests.pages import sign_in
from tests.test_journey import axe_finds_nothing, choose, on_question, press

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def saved(page: Page) -> None:
    expect(page.locator("#save-state")).to_have_text("Saved")


def stored(position: int = 1) -> dict[str, object]:
    """What differs from a slot never touched."""
    slot = Slot.objects.get(position=position)
    return {part: value for part, value in slot.parts.items() if value != getattr(Slot(), part)}


def spoken(page: Page, text: str) -> None:
    expect(page.locator("#spoken")).to_have_text(text)


def noticed(page: Page, text: str) -> None:
    expect(page.locator("#notice")).to_have_text(text)


def select(page: Page, start: int, end: int) -> None:
    """Select characters of the stem's text."""
    page.evaluate(
        """([start, end]) => {
            const range = document.createRange();
            const walker = document.createTreeWalker(document.querySelector(".stem"), NodeFilter.SHOW_TEXT);
            for (let at = 0; walker.nextNode(); at += walker.currentNode.length) {
                const { length } = walker.currentNode;
                if (at <= start && start < at + length) range.setStart(walker.currentNode, start - at);
                if (at < end && end <= at + length) range.setEnd(walker.currentNode, end - at);
            }
            getSelection().removeAllRanges();
            getSelection().addRange(range);
        }""",
        [start, end],
    )
    page.wait_for_timeout(50)  # the event comes with the next frame


def highlighted(page: Page) -> list[str]:
    return page.locator(".stem mark").all_text_contents()


# --- Tools --------------------------------------------------------------------------------------


def test_an_option_is_chosen_or_struck_out_never_both(open_exam):
    page = open_exam()
    choose(page, "A")
    press(page, "Strike out A")
    expect(page.locator("[name=letters][value=A]")).not_to_be_checked()
    press(page, "Strike out B")
    saved(page)
    assert stored() == {"struck": "AB"}

    choose(page, "B")

    expect(page.get_by_role("button", name="Strike out B")).to_have_attribute("aria-pressed", "false")
    saved(page)
    assert stored() == {"letters": "B", "struck": "A"}


def test_what_is_struck_out_highlighted_noted_and_how_sure_survive_a_reload(open_exam):
    page = open_exam()
    stem = page.locator(".stem").inner_text()
    choose(page, "C")
    press(page, "Strike out A")
    page.get_by_role("radio", name="unsure").check()
    select(page, 2, 9)
    press(page, "Highlight")
    page.get_by_text("Note", exact=True).click()
    page.get_by_label("Your note on this question").fill("Compare with 12.\nLatency first.")
    page.get_by_role("heading", name="Question 1").click()
    saved(page)

    page.reload()

    expect(page.get_by_role("button", name="Strike out A")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("radio", name="unsure")).to_be_checked()
    expect(page.get_by_label("Your note on this question")).to_have_value("Compare with 12.\nLatency first.")
    assert highlighted(page) == [stem[2:9]]
    assert stored() == {
        "letters": "C",
        "struck": "A",
        "confidence": 2,
        "marks": "2-9",
        "note": "Compare with 12.\nLatency first.",
    }


def test_highlights_that_touch_become_one_and_part_of_one_can_be_taken_back(open_exam):
    page = open_exam()
    for start, end in ((0, 5), (5, 12), (20, 24)):
        select(page, start, end)
        page.keyboard.press("h")
    saved(page)
    assert stored() == {"marks": "0-12,20-24"}

    select(page, 3, 6)
    page.keyboard.press("h")

    spoken(page, "Highlight taken back")
    saved(page)
    assert stored() == {"marks": "0-3,6-12,20-24"}
    assert [len(text) for text in highlighted(page)] == [3, 6, 4]


def test_highlighting_nothing_says_what_to_do(open_exam):
    page = open_exam()

    press(page, "Highlight")

    noticed(page, "Select text of the question first, then highlight it.")
    assert stored() == {}


def test_a_note_is_saved_while_it_is_written_and_when_the_question_is_left(open_exam):
    page = open_exam()
    page.keyboard.press("n")
    expect(page.get_by_label("Your note on this question")).to_be_focused()
    page.keyboard.type("abcdef?")  # no key of a text field does anything else
    saved(page)
    assert stored() == {"note": "abcdef?"}
    page.keyboard.type(" j")

    page.keyboard.press("Escape")
    page.keyboard.press("j")

    on_question(page, 2)
    saved(page)
    assert stored() == {"note": "abcdef? j"}


def test_a_note_that_is_too_long_is_refused_with_what_to_do(open_exam, exam):
    page = open_exam()
    page.evaluate("document.querySelector('[name=note]').removeAttribute('maxlength')")
    page.keyboard.press("n")

    page.get_by_label("Your note on this question").fill("x" * 2003)

    expect(page.locator("#problem")).to_have_text("A note holds 2000 characters. Shorten it by 3.")
    assert stored() == {}


def test_of_strikes_on_two_devices_the_last_counts_without_a_question(open_exam, browser):
    page = open_exam()
    choose(page, "A")
    saved(page)
    context = browser.new_context()
    other = open_exam(on=context)
    press(other, "Strike out C")
    saved(other)

    press(page, "Strike out B")

    saved(page)
    expect(page.locator("#problem")).to_be_hidden()
    assert stored() == {"letters": "A", "struck": "B"}
    context.close()


@pytest.mark.parametrize(("word", "letters"), [("Use mine", "B"), ("Keep what is stored", "C")])
def test_a_note_written_while_two_answers_wait_for_a_word_decides_nothing_and_is_kept(
    open_exam, browser, word, letters
):
    context = browser.new_context()
    other = open_exam(on=context)
    page = open_exam()
    choose(other, "C")
    saved(other)
    choose(page, "B")
    expect(page.locator("#problem")).to_contain_text("Stored is: C. Yours was: B.")

    page.keyboard.press("n")
    page.keyboard.type("thinking")
    page.wait_for_timeout(1500)
    expect(page.locator("#problem")).to_contain_text("Stored is: C. Yours was: B.")
    press(page, word)

    saved(page)
    assert stored() == {"letters": letters, "note": "thinking"}
    context.close()


def test_what_is_written_while_the_next_question_is_on_its_way_stays_with_its_question(open_exam, exam):
    page = open_exam()
    press(page, "Strike out A")
    held: list[Route] = []
    page.route(re.compile(r"/5/\?"), lambda route: held.append(route))
    page.keyboard.press("n")
    page.keyboard.type("one")
    page.locator(".palette [value='5']").click()
    page.get_by_label("Your note on this question").click()
    page.keyboard.press("End")
    page.keyboard.type(" two")

    held[0].continue_()

    on_question(page, 5)
    saved(page)
    assert (stored(1), stored(5)) == ({"struck": "A", "note": "one two"}, {})


def test_a_question_fetched_ahead_of_its_own_save_shows_what_was_saved(open_exam, exam):
    page = open_exam("2/")
    answers = f"**/exams/{exam.pk}/2/answer/"
    page.route(answers, lambda route: route.fulfill(status=503, body=""))
    choose(page, "B")
    expect(page.locator("#save-state")).to_contain_text("Not saved")
    with page.expect_response(re.compile(r"/2/$")):
        page.keyboard.press("k")
    on_question(page, 1)
    page.unroute(answers)
    saved(page)

    page.keyboard.press("j")
    on_question(page, 2)

    expect(page.locator("[name=letters][value=B]")).to_be_checked()
    choose(page, "C")
    saved(page)
    expect(page.locator("#problem")).to_be_hidden()
    assert stored(2) == {"letters": "C"}


def test_a_flag_in_another_window_takes_along_the_answer_that_waits(open_exam, page):
    page = open_exam()
    other = open_exam(on=page.context)
    page.context.route("**/answer/", lambda route: route.abort())
    choose(page, "B")
    expect(page.locator("#save-state")).to_contain_text("Not saved")
    press(other, "Flag for review")
    expect(other.locator("#save-state")).to_contain_text("Not saved")
    page.context.unroute("**/answer/")

    saved(page)
    saved(other)

    assert stored() == {"letters": "B", "flagged": True}


def test_a_note_on_another_device_survives_a_strike_on_this_one(open_exam, browser):
    page = open_exam()
    context = browser.new_context()
    other = open_exam(on=context)
    other.keyboard.press("n")
    other.keyboard.type("long thought")
    saved(other)

    press(page, "Strike out A")

    saved(page)
    expect(page.get_by_label("Your note on this question")).to_have_value("long thought")
    assert stored() == {"struck": "A", "note": "long thought"}
    context.close()


def test_broken_characters_in_a_note_hold_up_no_answer(open_exam):
    page = open_exam()
    page.keyboard.press("n")
    page.evaluate("document.querySelector('[name=note]').value = 'bad \\uFFFD \\uD800text'")
    page.keyboard.type("!")
    page.keyboard.press("Escape")
    page.keyboard.press("b")

    saved(page)
    assert stored()["letters"] == "B"
    assert "text" in stored()["note"]


def test_without_the_script_but_with_htmx_the_form_still_saves(open_exam, page):
    page.route("**/sitting.js", lambda route: route.abort())
    open_exam()
    choose(page, "B")

    press(page, "Next")

    on_question(page, 2)
    assert stored() == {"letters": "B"}


def test_the_answer_cleared_also_clears_how_sure(open_exam):
    page = open_exam()
    choose(page, "B")
    page.get_by_role("radio", name="guess").check()
    saved(page)

    press(page, "Clear answer")

    saved(page)
    assert stored() == {}


@pytest.mark.parametrize("marks", ["x1-2", "1-2 junk", "1-2,", "1-2\n", "\u0663-\u0665", "1-2,3"])
def test_marks_that_are_none_are_refused(client, exam, taker, marks):
    client.force_login(taker)

    response = client.post(f"/exams/{exam.pk}/1/answer/", {"version": "0", "marks": marks, "letters": "A"})

    assert response.status_code == 422
    assert stored() == {}


def test_a_refused_or_overtaken_plain_form_keeps_what_was_written(client, exam, taker):
    client.force_login(taker)
    place, sent = f"/exams/{exam.pk}/1/answer/", {"note": "my thought", "confidence": "2"}

    refused = client.post(place, {**sent, "version": "0", "letters": ["A", "B"]}).content.decode()
    Slot.objects.filter(position=1).update(version=3, note="from the phone")
    overtaken = client.post(place, {**sent, "version": "0", "letters": "A"}).content.decode()

    assert ">my thought</textarea>" in refused
    assert 'value="2" checked' in refused
    assert ">from the phone\nmy thought</textarea>" in overtaken


def test_without_javascript_options_are_struck_out_and_notes_are_kept(browser, live_server, exam, taker):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(context, live_server.url, taker)
    page.goto(f"{live_server.url}/exams/{exam.pk}/1/")
    choose(page, "A")
    page.get_by_role("radio", name="guess").check()
    page.get_by_text("Note", exact=True).click()
    page.get_by_label("Your note on this question").fill("Later")

    press(page, "Strike out D")

    expect(page.get_by_role("button", name="Strike out D")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Highlight")).to_be_hidden()
    assert stored() == {"letters": "A", "struck": "D", "confidence": 1, "note": "Later"}
    press(page, "Strike out D")
    expect(page.get_by_role("button", name="Strike out D")).to_have_attribute("aria-pressed", "false")
    assert stored() == {"letters": "A", "confidence": 1, "note": "Later"}
    context.close()


# --- Keys ---------------------------------------------------------------------------------------


def test_the_whole_exam_is_taken_with_single_keys(open_exam):
    page = open_exam()
    page.keyboard.press("b")
    spoken(page, "B chosen")
    page.keyboard.press("s")
    noticed(page, "Strike out: press the letter of an option.")
    page.keyboard.press("d")
    spoken(page, "D struck out")
    page.keyboard.press("f")
    spoken(page, "Flagged")
    for sure in ("guess", "unsure", "sure", "Not said how sure", "guess"):
        page.keyboard.press("u")
        spoken(page, sure)
    saved(page)
    assert stored() == {"letters": "B", "struck": "D", "flagged": True, "confidence": 1}

    page.keyboard.press("j")
    on_question(page, 2)
    expect(page.get_by_role("heading", name="Question 2")).to_be_focused()
    page.keyboard.press("3")
    spoken(page, "C chosen")
    page.keyboard.press("ArrowRight")
    on_question(page, 3)
    page.keyboard.press("k")
    on_question(page, 2)
    page.keyboard.press("ArrowLeft")
    on_question(page, 1)
    page.keyboard.press("g")
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    on_question(page, 5)
    saved(page)
    assert stored(2) == {"letters": "C"}


def test_a_number_that_does_not_exist_is_refused_and_escape_closes(open_exam):
    page = open_exam()
    page.keyboard.press("g")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    on_question(page, 1)


def test_arrows_stay_with_the_options_when_one_has_the_focus(open_exam):
    page = open_exam()
    page.locator("input[value=A]").focus()

    page.keyboard.press("ArrowRight")

    expect(page.locator("input[value=B]")).to_be_checked()
    on_question(page, 1)


@pytest.mark.parametrize("modifier", ["Control", "Alt", "Meta"])
def test_keys_of_the_browser_are_left_to_it(open_exam, modifier):
    page = open_exam()

    page.keyboard.press(f"{modifier}+b")

    expect(page.locator("input[value=B]")).not_to_be_checked()


def test_the_keys_are_shown_and_can_be_turned_off_for_good(open_exam, taker):
    page = open_exam()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    axe_finds_nothing(page)
    with page.expect_response("**/settings/keys/"):
        page.get_by_label("These keys work by themselves").uncheck()
    press(page, "Close")
    assert User.objects.get(pk=taker.pk).single_keys is False

    page.reload()
    page.keyboard.press("b")
    page.keyboard.press("?")

    expect(page.locator("input[value=B]")).not_to_be_checked()
    expect(page.get_by_role("dialog")).to_be_hidden()
    press(page, "Keys")
    expect(page.get_by_label("These keys work by themselves")).not_to_be_checked()


# --- Clock --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "notice"),
    [
        (30 * 60 + 2, "30 minutes left."),
        (10 * 60 + 2, "10 minutes left."),
        (5 * 60 + 2, "5 minutes left."),
        (60 + 2, "1 minute left."),
    ],
)
def test_the_time_left_is_told_politely_at_a_few_moments(open_exam, exam, left, notice):
    Attempt.objects.update(
        started_at=timezone.now() - timedelta(hours=3), deadline=timezone.now() + timedelta(seconds=left + 2)
    )
    page = open_exam()
    expect(page.locator("#notice")).to_have_text("")

    noticed(page, notice)

    assert page.locator("#notice").get_attribute("role") == "status"


def test_half_of_the_time_is_told(open_exam, exam):
    now = timezone.now()
    Attempt.objects.update(started_at=now - timedelta(minutes=56), deadline=now + timedelta(minutes=56, seconds=6))
    page = open_exam()

    noticed(page, "Half of the time is over.")


def test_a_hidden_clock_comes_back_for_the_last_five_minutes(open_exam, exam):
    Attempt.objects.update(deadline=timezone.now() + timedelta(seconds=305))
    page = open_exam()
    press(page, "Hide the clock")
    expect(page.locator("#clock")).not_to_be_visible()

    noticed(page, "5 minutes left.")

    expect(page.locator("#clock")).to_be_visible()


def test_the_clock_stays_hidden_from_question_to_question(open_exam):
    page = open_exam()
    press(page, "Hide the clock")

    page.keyboard.press("j")
    on_question(page, 2)

    expect(page.locator("#clock")).not_to_be_visible()
    expect(page.get_by_role("button", name="Hide the clock")).to_have_attribute("aria-pressed", "true")


def test_extra_time_moves_the_end_on_screen_and_is_told(open_exam, exam, taker):
    taker.time_zone = "Asia/Tokyo"
    taker.save()
    page = open_exam()
    before = page.locator("#ends").inner_text()
    exam.add_time(15, taker, "Fire alarm", timezone.now())

    choose(page, "A")

    end = timezone.localtime(Attempt.objects.get().deadline, ZoneInfo("Asia/Tokyo"))
    expect(page.locator("#ends")).to_have_text(re.compile(f"until {end:%H:%M} "))
    expect(page.locator("#notice")).to_have_text(re.compile(f"The exam now ends at {end:%H:%M} "))
    assert before != page.locator("#ends").inner_text()


def test_at_zero_the_screen_hands_over_to_the_result_with_what_was_saved(open_exam, exam, settings):
    settings.GRACE_SECONDS = 4
    page = open_exam()
    page.keyboard.press("b")
    saved(page)
    Attempt.objects.update(deadline=timezone.now() + timedelta(seconds=2))
    page.reload()

    expect(page.get_by_role("heading", name="Time is up")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("1 of 6 questions are answered and saved.")).to_be_visible()
    expect(page.locator(".score")).to_be_visible(timeout=15_000)

    assert Slot.objects.get(position=1).letters == "B"


# --- Moving on ----------------------------------------------------------------------------------


def test_the_next_question_is_fetched_ahead_and_shown_without_another_request(open_exam, exam):
    page = open_exam()
    second = re.compile(rf"/exams/{exam.pk}/2/(\?.*)?$")
    with page.expect_response(second):
        pass
    page.wait_for_timeout(100)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if second.search(request.url) else None)

    press(page, "Next")

    on_question(page, 2)
    assert page.url.endswith("/2/")
    assert asked == []


def test_a_key_pressed_the_moment_the_next_question_is_there_loads_no_whole_page(open_exam):
    page = open_exam()
    page.evaluate(
        """() => new MutationObserver((_, observer) => {
            if (document.querySelector("#sitting")?.dataset.position !== "2") return;
            observer.disconnect();
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
        }).observe(document.querySelector(".exam"), { childList: true })"""
    )
    page.evaluate("window.same = true")

    page.keyboard.press("j")

    on_question(page, 3)
    assert page.evaluate("window.same") is True


def test_a_question_fetched_ahead_neither_sets_the_clock_back_nor_loses_what_was_chosen_there(open_exam, exam):
    page = open_exam("2/")
    page.wait_for_timeout(1000)
    press(page, "Previous")
    on_question(page, 1)
    page.wait_for_timeout(3000)  # the second one is there by now
    before = page.locator("#clock").inner_text()

    press(page, "Next")
    on_question(page, 2)

    assert page.locator("#clock").inner_text() <= before
    choose(page, "A")
    saved(page)
    assert list(SaveEvent.objects.values_list("letters", "version")) == [("A", 1)]


def test_the_palette_tells_four_states_by_text_and_marks_the_place(open_exam):
    page = open_exam()
    page.keyboard.press("a")
    page.keyboard.press("j")
    on_question(page, 2)
    page.keyboard.press("j")
    on_question(page, 3)
    page.keyboard.press("f")
    saved(page)

    palette = [button.get_attribute("aria-label") for button in page.locator(".palette button").all()]

    assert palette == [
        "1, answered",
        "2, not answered",
        "3, not answered, flagged",
        "4, not seen",
        "5, not seen",
        "6, not seen",
    ]
    expect(page.locator(".palette [aria-current]")).to_have_accessible_name("3, not answered, flagged")
    expect(page.locator("#answered")).to_have_text("1")


def test_a_reviewed_question_with_highlights_also_says_that_nobody_can_sign_out_without_a_line(open_exam, exam):
    Slot.objects.filter(position=1).update(marks="0-5")
    exam.settle(timezone.now())
    page = open_exam("review/1/")
    assert [len(text) for text in highlighted(page)] == [5]
    page.context.set_offline(True)

    press(page, "Sign out")

    expect(page.locator("#save-state")).to_contain_text("The server cannot be reached. Try again in a moment")


def test_all_parts_are_kept_as_they_are_by_a_plain_form_that_does_not_name_them(client, exam, taker):
    parts = {"letters": "A", "flagged": True, "confidence": 3, "struck": "B", "marks": "1-2", "note": "n"}
    assert set(parts) == set(PARTS)
    Slot.objects.filter(position=1).update(**parts)
    client.force_login(taker)

    client.post(f"/exams/{exam.pk}/1/answer/", {"version": "0", "letters": "A"})

    assert stored() == parts
