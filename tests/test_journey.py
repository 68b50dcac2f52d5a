"""Whole journeys in a real browser, with axe on every page on the way, in light and in dark."""

import re
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from questions import bank_file
from questions.loading import load
from questions.models import Attempt, Question, SaveEvent, User
from tests.factories import UserFactory, make_bank, make_instructor

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def pmle(transactional_db, settings, real_bank):
    """The real bank, as it is published."""
    settings.GUIDE = "pmle/seed"
    load(bank_file.read_bank(real_bank), timezone.now())


@pytest.fixture(params=["light", "dark"])
def screen(request, page: Page):
    """A page in either colour scheme that fails on any script error."""
    page.emulate_media(color_scheme=request.param)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    # A form that is refused with its errors is no fault, though the browser notes its status.
    assert [error for error in errors if "status of 422" not in error] == []


# axe passes over text in a transparent colour.
INVISIBLE = """[...document.querySelectorAll("a, button")]
    .filter((each) => /, 0\\)$/.test(getComputedStyle(each).color)).map((each) => each.textContent)"""


def axe_finds_nothing(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found] == []
    assert page.evaluate(INVISIBLE) == []


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def on_question(page: Page, number: int) -> None:
    expect(page.get_by_role("heading", name=re.compile(rf"^Question {number} of"))).to_be_visible()


def start_as_guest(page: Page, address: str) -> None:
    """On the first question of the made-up exam."""
    make_bank()
    page.goto(address)
    press(page, "Try it without an account")
    press(page, "Start exam")
    on_question(page, 1)


def submit(page: Page) -> None:
    """From the page of all questions, past the confirmation."""
    page.get_by_role("link", name="Submit exam", exact=True).click()
    press(page, "Submit exam now")


def choose(page: Page, letter: str) -> None:
    page.locator(f"label:has(input[value={letter}])").click()


def test_a_guest_sits_an_exam_reads_the_report_and_keeps_it_by_signing_up(screen: Page, live_server, pmle):
    page = screen
    page.goto(live_server.url)
    axe_finds_nothing(page)
    press(page, "Try it without an account")
    axe_finds_nothing(page)
    press(page, "Start exam")

    for number in range(1, 61):
        on_question(page, number)
        slot = Attempt.objects.get().slots.get(position=number)
        if number % 10:  # leave six unanswered
            for letter in slot.key:
                choose(page, letter)
            expect(page.locator("#save-state")).to_have_text("Saved")
        if number % 20 == 0:
            press(page, "Flag for review")
            flag = page.get_by_role("button", name="Flag for review", exact=True)
            expect(flag).to_have_attribute("aria-pressed", "true")
            expect(page.locator("#save-state")).to_have_text("Saved")
        if number in (1, 60):
            axe_finds_nothing(page)
        if number < 60:
            press(page, "Next")

    press(page, "Previous")
    on_question(page, 59)
    slot = Attempt.objects.get().slots.get(position=59)
    for letter in slot.key:  # a revisit with a change of mind: take the answer back, then choose it again
        expect(page.locator(f"input[value={letter}]")).to_be_checked()
    press(page, "Clear answer")
    expect(page.locator("#answered")).to_have_text("53")
    for letter in slot.key:
        choose(page, letter)
    expect(page.locator("#answered")).to_have_text("54")
    press(page, "Finish exam")
    expect(page.get_by_role("link", name="Unanswered (6)")).to_be_visible()
    axe_finds_nothing(page)
    page.get_by_role("link", name="Flagged (3)").click()
    page.get_by_role("link", name="Time spent").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    axe_finds_nothing(page)
    page.get_by_role("link", name="Submit exam", exact=True).click()
    expect(page.get_by_text("Not answered: 10, 20, 30, 40, 50, 60.")).to_be_visible()
    axe_finds_nothing(page)
    press(page, "Submit exam now")

    expect(page.locator(".score")).to_have_text("54 of 60")
    axe_finds_nothing(page)
    page.get_by_role("link", name="Review", exact=True).click()
    expect(page.get_by_role("link", name="Missed (6)")).to_be_visible()
    axe_finds_nothing(page)
    page.get_by_role("link", name="Question 10", exact=True).click()
    expect(page.get_by_text("The rule to take away")).to_be_visible()
    axe_finds_nothing(page)
    page.get_by_role("link", name="Next missed").click()
    expect(page.get_by_role("heading", name="Question 20 of 60")).to_be_visible()

    page.get_by_role("link", name="Sign up").click()
    axe_finds_nothing(page)
    page.get_by_label("Username").fill("ada")
    page.locator("#id_password1").fill("lantern-7-harbour")
    page.locator("#id_password2").fill("lantern-7-harbour")
    press(page, "Sign up")
    expect(page.get_by_role("cell", name="54 of 60 (90%)")).to_be_visible()
    axe_finds_nothing(page)
    press(page, "Sign out")
    page.get_by_role("link", name="Sign in").first.click()
    axe_finds_nothing(page)
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("lantern-7-harbour")
    press(page, "Sign in")
    page.get_by_role("link", name="Progress").click()
    expect(page.get_by_role("cell", name="54 of 60 (90%)")).to_be_visible()
    axe_finds_nothing(page)
    page.get_by_role("link", name="Settings").click()
    axe_finds_nothing(page)


def test_a_guest_reads_about_the_bank_and_sits_the_exam_of_another_edition(screen: Page, live_server, pmle):
    page = screen
    page.goto(live_server.url)
    page.get_by_role("link", name="About the bank").click()
    expect(page.get_by_role("heading", name="About the bank")).to_be_visible()
    axe_finds_nothing(page)
    page.get_by_role("link", name="ExamSim").click()
    press(page, "Try it without an account")
    page.get_by_label("June 2026 guide").check()
    axe_finds_nothing(page)
    press(page, "Start exam")
    on_question(page, 1)
    page.get_by_role("link", name="Finish exam").or_(page.get_by_role("button", name="Finish exam")).click()
    submit(page)

    expect(page.get_by_text("June 2026 guide, as the exam is given now")).to_be_visible()
    expect(page.get_by_role("rowheader", name="1. Architecting low-code AI solutions")).to_be_visible()
    axe_finds_nothing(page)


def test_an_instructor_adds_a_question_and_it_can_be_drawn(screen: Page, live_server, transactional_db):
    make_bank(sections=3, per_section=2)
    Question.objects.get(code="tiny-1.1-0002").delete()
    teacher = make_instructor(username="instructor")
    page = screen
    page.goto(f"{live_server.url}/admin/questions/question/add/")
    page.get_by_label("Username").fill("instructor")
    page.get_by_label("Password").fill("lantern-7-harbour")
    press(page, "Sign in")

    page.locator("#id_objective").select_option("1.1")
    page.locator("#id_topic_1").select_option("topic-1-5")
    page.locator("#id_type").select_option("single")
    page.locator("#id_level").select_option("apply")
    page.locator("#id_difficulty").select_option("2")
    page.locator("#id_moment").select_option("design")
    page.locator("#id_status").select_option("published")
    page.locator("#id_stem").fill("A ferry line asks for a forecast.\n\nWhat should you do?")
    page.locator("#id_explanation").fill("The rule of ferries.")
    page.locator("#id_pages").select_option(index=0)
    page.locator("#id_sector").fill("ferries")
    page.locator("#id_decisive").fill("The harbour decides.")
    page.locator("#id_author").fill("The instructor")
    for number in range(4):
        page.locator(f"#id_options-{number}-text").fill(f"Sail route {number}.")
        page.locator(f"#id_options-{number}-why").fill(f"Because of the tide {number}.")
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.get_by_text("Mark exactly 1 option as key")).to_be_visible()
    expect(page.locator("#id_stem")).to_have_value(re.compile("A ferry line"))
    page.locator("#id_options-2-is_key").check()
    page.get_by_role("button", name="Save", exact=True).first.click()
    page.get_by_role("link", name=re.compile("tiny-1.1-000")).last.click()
    page.get_by_role("link", name="Preview").click()
    expect(page.get_by_text("A ferry line asks for a forecast.").first).to_be_visible()
    axe_finds_nothing(page)

    page.goto(live_server.url)
    page.get_by_role("link", name="Start an exam").click()
    press(page, "Start exam")
    on_question(page, 1)
    drawn = Attempt.objects.get(user=teacher).slots.values_list("question__sector", flat=True)
    assert "ferries" in drawn


def test_choices_made_offline_wait_and_are_saved_when_the_line_is_back(page: Page, live_server, transactional_db):
    start_as_guest(page, live_server.url)

    page.context.set_offline(True)
    choose(page, "B")
    expect(page.locator("#save-state")).to_contain_text("Not saved: 1 waiting")
    choose(page, "C")
    expect(page.locator("input[value=C]")).to_be_checked()
    page.context.set_offline(False)

    expect(page.locator("#save-state")).to_have_text("Saved")
    slot = Attempt.objects.get().slots.get(position=1)
    assert (slot.letters, slot.version) == ("C", 1)
    assert page.evaluate("localStorage.length") == 0


def test_a_choice_made_before_the_script_has_loaded_is_saved_when_it_is_there(
    page: Page, live_server, transactional_db
):
    held: list[Route] = []
    page.route("**/sitting.js", lambda route: held.append(route))
    make_bank()
    page.goto(live_server.url)
    press(page, "Try it without an account")
    page.get_by_role("button", name="Start exam", exact=True).click(no_wait_after=True)
    page.wait_for_selector("#sitting", state="attached")
    choose(page, "C")
    assert Attempt.objects.get().slots.get(position=1).letters == ""

    held[-1].continue_()

    expect(page.locator("#save-state")).to_have_text("Saved")
    assert Attempt.objects.get().slots.get(position=1).letters == "C"


def test_a_reload_brings_back_what_is_still_waiting(page: Page, live_server, transactional_db):
    start_as_guest(page, live_server.url)
    page.route("**/answer/", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    choose(page, "D")
    expect(page.locator("#save-state")).to_contain_text("Not saved: 1 waiting")

    page.unroute("**/answer/")
    page.reload()

    expect(page.locator("input[value=D]")).to_be_checked()
    expect(page.locator("#save-state")).to_have_text("Saved")
    assert Attempt.objects.get().slots.get(position=1).letters == "D"


def test_two_windows_on_one_question_show_the_same_choice(page: Page, live_server, transactional_db):
    start_as_guest(page, live_server.url)
    other = page.context.new_page()
    other.goto(page.url)
    choose(page, "A")
    expect(page.locator("#save-state")).to_have_text("Saved")
    expect(other.locator("input[value=A]")).to_be_checked()

    choose(other, "B")

    expect(page.locator("input[value=B]")).to_be_checked()
    expect(other.locator("#save-state")).to_have_text("Saved")
    assert list(SaveEvent.objects.values_list("letters", "version")) == [("A", 1), ("B", 2)]


def test_the_exam_works_without_javascript(browser, live_server, transactional_db):
    # reliability case 6
    make_bank()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(live_server.url)
    press(page, "Try it without an account")
    press(page, "Start exam")

    for _ in range(6):
        choose(page, "A")
        press(page, "Next")
    expect(page.get_by_role("link", name="Unanswered (0)")).to_be_visible()
    submit(page)

    expect(page.locator(".score")).to_have_text(re.compile(r"\d of 6"))
    assert set(Attempt.objects.get().slots.values_list("letters", flat=True)) == {"A"}
    context.close()


def test_the_exam_can_be_sat_with_the_keyboard_alone(page: Page, live_server, transactional_db):
    # reliability case 6
    make_bank()
    page.goto(live_server.url)
    page.get_by_role("button", name="Try it without an account").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Start exam").focus()
    page.keyboard.press("Enter")
    on_question(page, 1)

    page.locator("input[name=letters]").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("#save-state")).to_have_text("Saved")
    page.keyboard.press("ArrowDown")
    expect(page.locator("input[value=B]")).to_be_checked()
    expect(page.locator("#save-state")).to_have_text("Saved")
    for _ in range(6):  # three that strike out, how sure, the note; Previous is disabled on the first question
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Next")).to_be_focused()
    page.keyboard.press("Enter")

    on_question(page, 2)
    expect(page.get_by_role("heading", name="Question 2 of")).to_be_focused()
    assert Attempt.objects.get().slots.get(position=1).letters == "B"
    assert User.objects.get().is_guest


# reliability case 14, in the browser
def test_an_instructor_gives_extra_time_and_the_takers_clock_follows_at_the_next_answer(
    page: Page, live_server, transactional_db, new_context
):
    start_as_guest(page, live_server.url)
    make_instructor(username="teacher")
    office = new_context().new_page()

    office.goto(f"{live_server.url}/admin/questions/attempt/{Attempt.objects.get().pk}/change/")
    office.locator("#id_username").fill("teacher")
    office.locator("#id_password").fill("lantern-7-harbour")
    press(office, "Sign in")
    office.get_by_role("link", name="Extra time").click()
    axe_finds_nothing(office)
    office.get_by_label("Minutes").fill("15")
    office.get_by_label("Reason").fill("Fire alarm")
    press(office, "Change the time")
    expect(office.get_by_text("+15 minutes. It now ends at")).to_be_visible()
    expect(page.locator("#clock")).to_have_text(re.compile(r"^59:"))
    choose(page, "A")

    expect(page.locator("#clock")).to_have_text(re.compile(r"^1:14:"))


def test_a_clock_that_reaches_zero_after_extra_time_was_given_goes_on(page: Page, live_server, transactional_db):
    start_as_guest(page, live_server.url)
    attempt = Attempt.objects.get()
    Attempt.objects.update(deadline=timezone.now() + timedelta(seconds=3))
    page.reload()
    expect(page.locator("#clock")).to_have_text(re.compile(r"^0:0"))

    attempt.add_time(15, UserFactory(), "Fire alarm", timezone.now())

    expect(page.locator("#clock")).to_have_text(re.compile(r"^1[45]:"), timeout=10_000)
    on_question(page, 1)


def test_the_quiet_pages_have_no_axe_finding_either(screen: Page, live_server, transactional_db, settings):
    page = screen
    settings.GRACE_SECONDS = 600  # so that the page after the deadline stays
    start_as_guest(page, live_server.url)
    attempt = Attempt.objects.get()
    addresses = ["/password/reset/", "/password/reset/sent/", "/password/reset/done/", "/password/reset/MQ/x-y/"]
    for address in addresses:
        page.goto(live_server.url + address)
        axe_finds_nothing(page)
    press(page, "Sign out")
    expect(page.get_by_role("heading", name="Leave your results behind?")).to_be_visible()
    axe_finds_nothing(page)

    Attempt.objects.update(deadline=timezone.now())
    page.goto(f"{live_server.url}/exams/{attempt.pk}/1/")
    expect(page.get_by_role("heading", name="Time is up")).to_be_visible()
    axe_finds_nothing(page)

    page.goto(live_server.url)
    page.get_by_role("link", name="Sign up").first.click()
    page.locator("#id_username").fill("ada")
    page.locator("#id_password1").fill("lantern-7-harbour")
    page.locator("#id_password2").fill("lantern-7-harbour")
    press(page, "Sign up")
    settings_pages = ["/settings/", "/settings/second-factor/", "/settings/delete/"]
    for address in ["/password/", "/password/done/", *settings_pages]:
        page.goto(live_server.url + address)
        axe_finds_nothing(page)


@pytest.mark.parametrize("address", ["/exams/{}/report/", "/no/such/page/"])
def test_pages_that_refuse_have_no_axe_finding(page: Page, live_server, transactional_db, address):
    start_as_guest(page, live_server.url)

    page.goto(live_server.url + address.format(Attempt.objects.get().pk))

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    axe_finds_nothing(page)
