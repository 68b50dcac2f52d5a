"""What a browser does to keep every choice: the outbox, its states on screen, two windows, two devices, the clock."""

import random
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Dialog, Error, Page, Route, expect

from questions.models import Attempt, SaveEvent, Slot, User
from tests.factories import UserFactory, make_bank
from tests.pages import sign_in
from tests.test_journey import axe_finds_nothing, choose, on_question, press, submit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ANSWERS = "**/answer/"


@pytest.fixture
def taker(transactional_db) -> User:
    return UserFactory(username="ada")


@pytest.fixture
def elsewhere(browser):
    """Another device: nothing is shared with the first one but the server."""
    context = browser.new_context()
    yield context
    context.close()


def told(page: Page, text: str | re.Pattern[str], **options: Any) -> None:
    expect(page.locator("#save-state")).to_have_text(text, **options)


def ticked(page: Page, letter: str) -> None:
    expect(page.locator(f"input[value={letter}]")).to_be_checked()


def stored(position: int = 1) -> tuple[str, bool, int]:
    return Slot.objects.values_list("letters", "flagged", "version").get(position=position)


def events() -> list[tuple[int, str, bool]]:
    return list(SaveEvent.objects.values_list("slot__position", "letters", "late"))


def kept(page: Page) -> dict[str, str]:
    return page.evaluate("({...localStorage})")


def refuse(route: Route) -> None:
    route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")


def deliver_and_lose_the_reply(route: Route) -> None:
    route.fetch()
    with suppress(Error):  # the page has given this try up already
        route.abort()


# --- Every click is kept ------------------------------------------------------------------------


def test_every_choice_in_any_order_with_a_reload_after_each_is_the_one_stored(open_exam, exam):
    # reliability case 1
    chance = random.Random(1)
    last: dict[int, str] = {}
    changes = []
    page = open_exam()
    for position in [1, 2, 3, 4, 5, 6, *chance.choices(range(1, 7), k=10)]:
        letter = chance.choice([each for each in "ABCD" if each != last.get(position)])
        page.locator(f'.palette button[value="{position}"]').click()
        on_question(page, position)
        choose(page, letter)
        page.reload()
        ticked(page, letter)
        last[position] = letter
        changes.append((position, letter, False))

    told(page, re.compile("^(Saved)?$"))
    assert dict(exam.slots.values_list("position", "letters")) == last
    assert events() == changes


def test_what_was_saved_is_there_on_another_device_though_the_window_closed_at_once(open_exam, elsewhere):
    # reliability case 2
    page = open_exam()
    with page.expect_response(ANSWERS):
        choose(page, "C")
    page.close()

    other = open_exam(on=elsewhere)

    ticked(other, "C")
    assert events() == [(1, "C", False)]


def test_a_choice_whose_window_closed_before_the_reply_is_delivered_at_the_next_visit(open_exam, page, live_server):
    # reliability case 2
    page = open_exam()
    page.route(ANSWERS, lambda route: None)
    choose(page, "C")
    told(page, "Saving…")
    page.close()
    assert events() == []

    other = page.context.new_page()
    other.goto(live_server.url)  # not even the exam itself

    told(other, "Saved")
    assert events() == [(1, "C", False)]
    assert kept(other) == {}


def test_a_page_made_before_a_save_under_way_was_stored_shows_the_choice_all_the_same(open_exam, exam):
    page = open_exam()
    made_before = page.content()
    held: list[Route] = []
    page.route(ANSWERS, lambda route: held.append(route))
    choose(page, "C")
    told(page, "Saving…")

    def store_then_show(route: Route) -> None:
        held[0].fulfill(response=held[0].fetch())
        route.fulfill(body=made_before, content_type="text/html")

    page.route(f"**/{exam.pk}/1/", store_then_show)
    page.reload(wait_until="commit")
    page.unroute(ANSWERS)

    ticked(page, "C")
    told(page, "Saved", timeout=10_000)
    assert (events(), kept(page)) == ([(1, "C", False)], {})


def test_a_cleared_answer_and_a_flag_survive_a_reload_and_count_as_unanswered(open_exam, exam):
    # reliability case 3
    page = open_exam()
    choose(page, "B")
    press(page, "Flag for review")
    press(page, "Clear answer")
    told(page, "Saved")

    page.reload()

    expect(page.locator("[name=letters]:checked")).to_have_count(0)
    expect(page.get_by_role("button", name="Flag for review")).to_have_attribute("aria-pressed", "true")
    press(page, "Finish exam")
    expect(page.locator(".filters")).to_have_text(re.compile(r"Unanswered \(6\).*Flagged \(1\)", re.DOTALL))
    submit(page)
    expect(page.locator(".score")).to_have_text("0 of 6")
    assert stored()[:2] == ("", True)


# --- The line is gone ---------------------------------------------------------------------------


def test_eight_changes_of_two_minutes_without_a_line_arrive_once_and_with_the_last_value(open_exam, exam):
    # reliability case 4; pages still come, so that the taker reaches several questions
    page = open_exam("1/")
    page.clock.install()
    page.reload()
    page.route(ANSWERS, lambda route: route.abort())
    for position, letters in enumerate(["A", "BCD", "B", "C", "D", "A"], start=1):
        on_question(page, position)
        for letter in letters:
            choose(page, letter)
        told(page, f"Not saved: {position} waiting. Trying again.")
        if position < 6:
            press(page, "Next")
    page.clock.fast_forward(120_000)
    told(page, "Not saved: 6 waiting. Trying again.")
    page.context.set_offline(True)

    page.unroute(ANSWERS)
    page.context.set_offline(False)

    told(page, "Saved", timeout=10_000)
    assert sorted(events()) == [(n, letter, False) for n, letter in enumerate("ADBCDA", start=1)]
    shows_the_time_left(page, exam)


def test_tries_grow_rarer_and_come_at_once_when_the_line_is_back(open_exam, page):
    page.clock.install()
    open_exam()
    tries: list[str] = []
    page.on("requestfailed", lambda request: tries.append(request.url))
    page.context.set_offline(True)
    choose(page, "A")
    told(page, "Not saved: 1 waiting. Trying again.")
    for _ in range(60):
        page.clock.run_for(1000)
        page.wait_for_timeout(10)
    assert 7 <= len(tries) <= 14  # after 1, 2, 4 and then every 8 seconds, each by a fifth more or less
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))  # no try falls due any more

    page.context.set_offline(False)

    told(page, "Saved", timeout=2000)
    assert events() == [(1, "A", False)]


FAULTS: dict[str, Callable[[Route], None]] = {
    "500": lambda route: route.fulfill(status=500, body=""),
    "502 with a page": refuse,
    "200 with the page of a proxy": lambda route: route.fulfill(content_type="text/html", body="<h1>Welcome</h1>"),
    "200 with somebody else's JSON": lambda route: route.fulfill(json={"version": 7}),
    "a login page": lambda route: route.fulfill(status=302, headers={"Location": "/sign-in/"}),
    "no reply at all": lambda route: None,
    "a reply that got lost": deliver_and_lose_the_reply,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_whatever_a_save_is_answered_the_question_stays_and_the_save_is_tried_again(open_exam, fault):
    # reliability case 5
    page = open_exam()
    page.clock.install()
    page.reload()
    page.route(ANSWERS, fault)
    choose(page, "D")
    page.clock.fast_forward(15_000)  # as long as a try takes
    told(page, "Not saved: 1 waiting. Trying again.")
    on_question(page, 1)
    ticked(page, "D")

    page.unroute(ANSWERS)
    page.clock.fast_forward(10_000)

    told(page, "Saved")
    ticked(page, "D")
    assert (events(), kept(page)) == ([(1, "D", False)], {})


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_next_question_that_is_none_never_takes_the_place_of_this_one(open_exam, page, status):
    # reliability case 5
    second = re.compile(r"/2/(\?|$)")
    page.route(second, lambda route: route.fulfill(status=status, content_type="text/html", body="<h1>Proxy</h1>"))
    open_exam()
    choose(page, "B")

    press(page, "Next")

    expect(page.locator("#problem")).to_have_text("The server could not answer. Try again in a moment.")
    on_question(page, 1)
    ticked(page, "B")
    page.unroute(second)
    press(page, "Next")
    on_question(page, 2)


def test_one_save_that_fails_holds_up_no_other(open_exam, exam):
    page = open_exam()
    page.route(f"**/{exam.pk}/1/answer/", refuse)
    choose(page, "A")
    press(page, "Next")
    on_question(page, 2)

    choose(page, "B")

    expect(page.locator(".palette button.answered")).to_have_count(1)
    told(page, "Not saved: 1 waiting. Trying again.")
    assert events() == [(2, "B", False)]


def test_a_newer_choice_is_no_conflict_with_an_older_one_whose_reply_got_lost(open_exam):
    page = open_exam()
    page.route(ANSWERS, deliver_and_lose_the_reply)
    choose(page, "A")
    told(page, "Not saved: 1 waiting. Trying again.")
    page.unroute(ANSWERS)

    choose(page, "B")

    told(page, "Saved")
    ticked(page, "B")
    expect(page.locator("#problem")).to_be_hidden()
    assert events() == [(1, "A", False), (1, "B", False)]


def test_without_a_line_no_button_replaces_the_question_by_an_error(open_exam):
    page = open_exam()
    choose(page, "B")
    told(page, "Saved")
    page.context.set_offline(True)

    for button in (page.locator(".palette [value='3']"), page.get_by_role("button", name="Finish exam", exact=True)):
        button.click()
        expect(page.locator("#problem")).to_have_text(
            "The next page could not be fetched. Check the connection, then try again."
        )
        ticked(page, "B")


@pytest.mark.parametrize(
    "storage",
    [
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})",
        "for (let size = 4096 * 1024; size >= 1; size /= 2) try { localStorage[`f${size}`] = '.'.repeat(size) } catch {}",
    ],
    ids=["refused", "full"],
)
def test_a_browser_that_stores_nothing_saves_too_and_warns_before_a_choice_is_left_behind(open_exam, page, storage):
    page.add_init_script(storage)
    page.route(ANSWERS, refuse)
    open_exam()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    choose(page, "B")
    told(page, "Not saved: 1 waiting. Trying again.")

    page.close(run_before_unload=True)
    ticked(page, "B")
    page.unroute(ANSWERS)
    choose(page, "C")

    told(page, "Saved")
    assert (asked, events()) == (["beforeunload"], [(1, "C", False)])


def test_submitting_while_the_server_is_away_replaces_nothing_by_an_error(open_exam, exam):
    page = open_exam("submit/")
    page.route("**/exams/**", refuse)

    press(page, "Submit exam now")

    expect(page.locator("#problem")).to_have_text(
        "The server cannot be reached. Try again in a moment; what you chose is kept."
    )
    page.unroute("**/exams/**")
    press(page, "Submit exam now")
    expect(page.locator(".score")).to_have_text("0 of 6")


# --- Signed out in between ----------------------------------------------------------------------


def test_signing_in_again_leads_back_to_the_question_and_saves_what_waits(open_exam):
    page = open_exam("2/")
    Session.objects.all().delete()
    choose(page, "C")
    told(page, "You are signed out. Not saved: 1 waiting. Sign in to save.")
    ticked(page, "C")

    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("lantern-7-harbour")
    press(page, "Sign in")

    on_question(page, 2)
    ticked(page, "C")
    told(page, "Saved")
    assert (events(), kept(page)) == ([(2, "C", False)], {})


def test_a_new_token_from_signing_in_again_in_another_window_is_taken_up(open_exam, page, live_server):
    page = open_exam()
    Session.objects.all().delete()
    other = page.context.new_page()
    other.goto(f"{live_server.url}/sign-in/")
    other.get_by_label("Username").fill("ada")
    other.get_by_label("Password").fill("lantern-7-harbour")
    press(other, "Sign in")
    expect(other.get_by_role("link", name="Resume exam")).to_be_visible()

    choose(page, "C")

    told(page, "Saved")
    assert events() == [(1, "C", False)]


def test_somebody_else_in_the_same_browser_neither_sends_nor_sees_what_waits(open_exam, page, live_server):
    page = open_exam()
    page.route(ANSWERS, refuse)
    choose(page, "A")
    told(page, "Not saved: 1 waiting. Trying again.")
    waiting = kept(page)
    page.unroute(ANSWERS)
    sign_in(page.context, live_server.url, UserFactory())

    page.goto(live_server.url)

    expect(page.get_by_role("link", name="Start an exam")).to_be_visible()
    told(page, "")
    assert (events(), kept(page)) == ([], waiting)


# --- Two windows, two devices -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "letter", "log"),
    [
        ("Keep what is stored", "A", [(1, "A", False)]),
        ("Use mine", "B", [(1, "A", False), (1, "B", False)]),
    ],
)
@pytest.mark.parametrize("reload", [False, True])
def test_when_two_devices_disagree_the_taker_decides(open_exam, elsewhere, decision, letter, log, reload):
    page, other = open_exam(), open_exam(on=elsewhere)
    choose(page, "A")
    told(page, "Saved")

    choose(other, "B")
    told(other, "Not saved: question 1 was changed elsewhere. Open it to choose.")
    if reload:
        other.reload()
    expect(other.locator("#problem")).to_contain_text("Stored is: A. Yours was: B.")
    ticked(other, "A")
    assert events() == [(1, "A", False)]
    axe_finds_nothing(other)
    press(other, decision)

    expect(other.locator("#problem")).to_be_hidden()
    told(other, "Saved")
    ticked(other, letter)
    expect(other.get_by_role("heading", level=1)).to_be_focused()
    assert (events(), kept(other)) == (log, {})


def test_a_disagreement_about_a_question_left_already_is_told_where_the_taker_is(open_exam, elsewhere):
    page, other = open_exam(), open_exam(on=elsewhere)
    choose(page, "A")
    told(page, "Saved")
    held: list[Route] = []
    other.route("**/1/answer/", lambda route: held.append(route))
    choose(other, "B")
    press(other, "Next")
    on_question(other, 2)

    held[0].continue_()

    told(other, "Not saved: question 1 was changed elsewhere. Open it to choose.")
    expect(other.locator("#problem")).to_be_hidden()
    expect(other.locator("[name=letters]:checked")).to_have_count(0)
    press(other, "Previous")
    expect(other.locator("#problem")).to_contain_text("Stored is: A. Yours was: B.")


def test_the_newest_choice_of_two_windows_without_a_line_is_the_one_saved(open_exam, page):
    page = open_exam()
    other = open_exam(on=page.context)
    page.context.route(ANSWERS, lambda route: route.abort())
    choose(page, "A")
    told(page, "Not saved: 1 waiting. Trying again.")
    choose(other, "B")
    told(other, "Not saved: 1 waiting. Trying again.")

    page.context.unroute(ANSWERS)

    told(page, "Saved", timeout=10_000)
    told(other, "Saved", timeout=10_000)
    assert (stored(), events(), kept(page)) == (("B", False, 1), [(1, "B", False)], {})


def test_coming_back_to_a_window_shows_what_another_device_saved_meanwhile(open_exam, elsewhere):
    page, other = open_exam(), open_exam(on=elsewhere)
    choose(other, "D")
    told(other, "Saved")

    come_back(page)

    ticked(page, "D")
    choose(page, "C")
    told(page, "Saved")
    assert events() == [(1, "D", False), (1, "C", False)]


# --- The end ------------------------------------------------------------------------------------


def test_a_choice_after_the_exam_was_submitted_elsewhere_is_kept_as_late_and_told(open_exam, exam):
    page = open_exam()
    exam.settle(timezone.now())

    choose(page, "B")

    expect(page.get_by_text("1 answer came after the end. It is kept, but not scored.")).to_be_visible()
    assert (stored(), events(), kept(page)) == (("", False, 0), [(1, "B", True)], {})


def test_going_on_in_an_exam_submitted_elsewhere_opens_its_report(open_exam, exam):
    page = open_exam()
    exam.settle(timezone.now())

    press(page, "Next")

    expect(page.locator(".score")).to_have_text("0 of 6")
    expect(page.locator("#sitting")).to_have_count(0)


def test_a_submission_delivers_first_what_waits(open_exam, exam):
    page = open_exam()
    page.route(ANSWERS, refuse)
    choose(page, exam.slots.get(position=1).key)
    told(page, "Not saved: 1 waiting. Trying again.")
    open_exam("submit/", on=page)
    page.unroute(ANSWERS)

    press(page, "Submit exam now")

    expect(page.locator(".score")).to_have_text("1 of 6")
    assert ([late for _, _, late in events()], kept(page)) == ([False], {})


@pytest.mark.parametrize("place", ["finish/", "finish/?show=flagged&sort=-time", "submit/"])
def test_the_pages_before_submission_deliver_what_waits(open_exam, page, place):
    page = open_exam()
    page.route(ANSWERS, refuse)
    choose(page, "B")
    told(page, "Not saved: 1 waiting. Trying again.")
    page.unroute(ANSWERS)

    open_exam(place, on=page)

    told(page, "Saved")
    assert (stored(), kept(page)) == (("B", False, 1), {})


def test_a_submission_that_would_leave_an_answer_behind_asks_first(open_exam, exam):
    # reliability case 47, too: nothing stays behind, however the exam ended
    page = open_exam()
    page.clock.install()
    page.route(ANSWERS, refuse)
    choose(page, "B")
    told(page, "Not saved: 1 waiting. Trying again.")
    open_exam("submit/", on=page)
    asked: list[str] = []

    def reply(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept() if len(asked) == 2 else dialog.dismiss()

    page.on("dialog", reply)
    for times in (1, 2):
        press(page, "Submit exam now")
        while len(asked) < times:
            page.clock.run_for(1000)
    expect(page.locator(".score")).to_have_text("0 of 6")
    page.unroute(ANSWERS)
    page.clock.fast_forward(10_000)

    told(page, "An answer came after the end of its exam. It is kept, but not scored.")
    assert asked == ["Not saved: question 1. Submit without it?"] * 2
    assert (stored(), events(), kept(page)) == (("", False, 0), [(1, "B", True)], {})


@pytest.mark.parametrize("saves_work", [True, False])
def test_the_end_of_the_time_takes_along_what_waits(open_exam, exam, settings, saves_work):
    # reliability case 11
    settings.GRACE_SECONDS = 2
    Attempt.objects.update(deadline=timezone.now() + timedelta(seconds=4))
    page = open_exam()
    if not saves_work:
        page.route(ANSWERS, refuse)
    expect(page.locator("#clock")).to_have_text("0:02")
    choose(page, exam.slots.get(position=1).key)
    if not saves_work:
        expect(page.locator("#clock")).to_have_text("0:00")
        page.unroute(ANSWERS)

    expect(page.locator(".score")).to_have_text("1 of 6", timeout=10_000)
    exam.refresh_from_db()
    assert (exam.right, exam.finished_at) == (1, exam.deadline)
    assert ([late for _, _, late in events()], kept(page)) == ([False], {})


# --- The clock ----------------------------------------------------------------------------------


def shows_the_time_left(page: Page, exam: Attempt) -> None:
    """Within two seconds of what the server says."""
    exam.refresh_from_db()
    left = int((exam.deadline - timezone.now()).total_seconds())
    shown = [f"{seconds // 60}:{seconds % 60:02}" for seconds in range(left - 2, left + 3)]
    expect(page.locator("#clock")).to_have_text(re.compile("|".join(shown)), timeout=2000)


def come_back(page: Page) -> None:
    """As a browser tells it when its window is shown again; a headless one never hides any."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@pytest.mark.parametrize("wrong", [timedelta(days=3), timedelta(hours=-7)])
def test_a_wrong_clock_of_the_device_changes_nothing(open_exam, page, exam, wrong):
    page.clock.install(time=timezone.now() + wrong)

    shows_the_time_left(open_exam(), exam)


def test_after_ten_minutes_asleep_the_time_left_is_right_within_two_seconds(open_exam, page, exam):
    # reliability case 12: for the server no time passed, so the browser's own counting is ten minutes off
    page.clock.install()
    open_exam()
    shows_the_time_left(page, exam)

    page.clock.fast_forward(600_000)

    shows_the_time_left(page, exam)


def test_a_deadline_that_moved_is_seen_on_coming_back_to_the_window(open_exam, exam):
    # reliability case 12
    page = open_exam()
    Attempt.objects.update(deadline=exam.deadline - timedelta(minutes=20))

    come_back(page)

    shows_the_time_left(page, exam)


def test_an_exam_that_ended_while_the_laptop_slept_shows_its_report(open_exam, exam):
    # reliability case 12
    page = open_exam()
    Attempt.objects.update(deadline=timezone.now() - timedelta(minutes=10))

    come_back(page)

    expect(page.locator(".score")).to_have_text("0 of 6", timeout=2000)


# --- Pages again --------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])
def test_reload_back_and_forward_anywhere_break_nothing(browser, live_server, taker, script):
    # reliability case 7
    make_bank()
    context = browser.new_context(java_script_enabled=script)
    sign_in(context, live_server.url, taker)
    page = context.new_page()
    faults: list[int] = []
    page.on("response", lambda reply: faults.append(reply.status) if reply.status >= 400 else None)
    page.goto(live_server.url)
    page.get_by_role("link", name="Start an exam").click()
    press(page, "Start exam")
    on_question(page, 1)

    page.reload(wait_until="networkidle")
    page.go_back(wait_until="networkidle")
    page.reload(wait_until="networkidle")
    page.go_forward(wait_until="networkidle")
    on_question(page, 1)
    choose(page, "A")
    press(page, "Next")
    on_question(page, 2)
    page.go_back(wait_until="networkidle")
    on_question(page, 1)
    ticked(page, "A")
    page.go_forward(wait_until="networkidle")
    on_question(page, 2)
    press(page, "Finish exam")
    expect(page.get_by_role("link", name="Submit exam")).to_be_visible()
    page.reload(wait_until="networkidle")
    page.go_back(wait_until="networkidle")
    page.go_forward(wait_until="networkidle")
    submit(page)
    expect(page.locator(".score")).to_be_visible()
    page.go_back(wait_until="networkidle")
    expect(page.locator(".score")).to_be_visible()
    page.reload(wait_until="networkidle")
    page.go_forward(wait_until="networkidle")
    expect(page.locator(".score")).to_be_visible()

    assert faults == []
    assert [attempt.is_finished for attempt in Attempt.objects.all()] == [True]
    assert events() == [(1, "A", False)]
    context.close()


# --- What is said, what is kept -----------------------------------------------------------------


def test_states_are_spoken_politely_and_the_running_clock_is_not(open_exam, page):
    page.clock.install()
    open_exam()
    page.evaluate(
        """() => { window.spoken = []; new MutationObserver(() => window.spoken.push(document.querySelector('#save-state').innerText))
        .observe(document.querySelector('#save-state'), {childList: true, characterData: true, subtree: true}) }"""
    )
    page.route(ANSWERS, refuse)
    choose(page, "A")
    told(page, "Not saved: 1 waiting. Trying again.")
    page.clock.run_for(20_000)  # tries go on, and nothing is said again
    page.unroute(ANSWERS)
    page.clock.fast_forward(10_000)
    told(page, "Saved")
    page.clock.run_for(5000)

    assert page.evaluate("window.spoken") == ["Saving…", "Not saved: 1 waiting. Trying again.", "Saved"]
    expect(page.locator("#save-state")).to_have_attribute("role", "status")  # polite by definition
    expect(page.locator("#clock")).to_have_attribute("role", "timer")  # silent by definition
    assert page.locator("[aria-live]").count() == 0


def test_the_browser_keeps_letters_and_numbers_only_and_nothing_after_the_end(open_exam, exam, taker):
    # reliability case 47
    page = open_exam()
    page.route(ANSWERS, refuse)
    choose(page, "B")
    told(page, "Not saved: 1 waiting. Trying again.")
    during = kept(page)
    page.unroute(ANSWERS)
    press(page, "Finish exam")
    submit(page)
    expect(page.locator(".score")).to_be_visible()

    assert list(during) == [f"examsim/{taker.pk}/{exam.pk}/1"]
    assert re.fullmatch(
        r'\{"parts":\{"letters":"B","flagged":false,"confidence":0,"struck":"","marks":"","note":""\},'
        r'"base":0,"op":"[0-9a-f]{32}","earlier":\[\]\}',
        *during.values(),
    )
    assert kept(page) == {}


@pytest.mark.parametrize("answer", ["accept", "dismiss"])
def test_signing_out_with_something_waiting_asks_first_and_leaves_nothing_behind(open_exam, page, live_server, answer):
    # reliability case 47
    page.clock.install()
    open_exam()
    page.route(ANSWERS, refuse)
    choose(page, "B")
    told(page, "Not saved: 1 waiting. Trying again.")
    page.goto(live_server.url)
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), getattr(dialog, answer)()))

    press(page, "Sign out")
    while not asked:
        page.clock.run_for(1000)

    leaves = answer == "accept"
    expect(page.get_by_role("link", name="Sign in" if leaves else "Resume exam").first).to_be_visible()
    assert asked == ["Not saved: question 1. Sign out and lose this?"]
    assert (kept(page) == {}) is leaves


def test_no_request_leaves_the_site_and_no_referrer_names_an_exam(open_exam, live_server):
    # reliability case 43
    page = open_exam()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    choose(page, "A")
    press(page, "Next")
    on_question(page, 2)
    press(page, "Finish exam")
    submit(page)
    expect(page.locator(".score")).to_be_visible()
    assert [url for url in sent if not url.startswith((live_server.url, "data:"))] == []
    assert len(sent) > 5
    page.route("https://creativecommons.org/**", lambda route: route.fulfill(body="The licence"))

    with page.expect_request("https://creativecommons.org/**") as outside:
        page.get_by_role("link", name="CC BY 4.0").click()

    assert "referer" not in outside.value.all_headers()
