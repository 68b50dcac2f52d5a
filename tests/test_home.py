import re
from datetime import timedelta

import pytest

from questions.models import Attempt, Question, Slot, User
from tests.factories import NOW, UserFactory, finish, make_attempt
from tests.pages import unisolated

pytestmark = pytest.mark.time_machine(NOW, tick=False)


def text_of(response) -> str:
    return " ".join(unisolated(response.content.decode()).split()).replace("\N{EN DASH}", "-")


def past_exams(page: str) -> list[list[str]]:
    """The cells of the table of past exams, without tags."""
    rows = page.partition('aria-label="Table of past exams"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.split(r"</t[hd]>", row)[:-1] for row in rows.split("</tr>")[:-1]]
    return [[" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in row] for row in cells]


# --- What may be missing ------------------------------------------------------------------------


@pytest.mark.parametrize("signed_in", [False, True])
def test_without_a_bank_the_page_says_how_to_load_one(client, db, signed_in):
    if signed_in:
        client.force_login(UserFactory())

    response = client.get("/")

    assert response.status_code == 200
    assert "There are no questions yet. Load the bank with <code>manage.py load_bank</code>." in text_of(response)
    assert "Start an exam" not in text_of(response)


def test_without_a_bank_a_start_is_refused_and_writes_nothing(as_taker):
    response = as_taker.post("/exams/start/", follow=True)

    assert response.redirect_chain == [("/", 302)]
    assert "There are no questions yet. An instructor needs to load the bank first." in text_of(response)
    assert Attempt.objects.count() == 0


# reliability case 8
def test_a_bank_that_cannot_fill_the_blueprint_refuses_the_start_by_section_and_number(as_taker, bank):
    Question.objects.filter(section=2).set_status("retired")
    Question.objects.filter(code="tiny-3.1-0001").set_status("draft")

    response = as_taker.post("/exams/start/", follow=True)

    assert response.redirect_chain == [("/exams/start/", 302)]
    assert (
        "The bank cannot fill this exam yet (section 2, objective 2.1: 2 too few; section 3, objective 3.1: 1 too few). "
        "An instructor needs to add questions."
    ) in text_of(response)
    assert (Attempt.objects.count(), Slot.objects.count()) == (0, 0)


# --- Who sees what ------------------------------------------------------------------------------


def test_a_visitor_is_offered_three_ways_in_and_no_start(client, bank):
    response = client.get("/")

    assert response.status_code == 200
    page = text_of(response)
    assert "<h1>Practice the Tiny Engineer exam</h1>" in page
    assert "<strong>6 questions in 60 minutes</strong>" in page
    for offer in ("Try it without an account", "Sign up</a>", "Sign in</a>"):
        assert offer in page
    for absent in ("Start an exam", "Resume exam", "Past exams", "No exam finished yet"):
        assert absent not in page


def test_the_sections_and_their_questions_are_shown(client, bank):
    page = text_of(client.get("/"))

    for number in (1, 2, 3):
        assert f'<th scope="row">{number}. Section {number}</th><td class="number">2</td>' in page
    assert "The 70% here is a target to aim for" in page


def test_a_visitor_sees_part_of_a_report_by_the_real_formulas(client, bank):
    page = text_of(client.get("/"))

    example = page.partition('<figure class="card example">')[2].partition("</figure>")[0]
    assert "Part of a report, with made-up answers" in example
    # 3 exams of 2 questions a section: 5, 3 and 4 of 6 right. Mastery: (right + 15 * 12 / 18) / (6 + 15)
    assert re.findall(r"(\d of \d) right, mastery ([\d%-]+):</small> ([a-z ]+)", example) == [
        ("5 of 6", "51%-88%", "not enough evidence "),
        ("3 of 6", "41%-81%", "not enough evidence "),
        ("4 of 6", "46%-85%", "not enough evidence "),
    ]
    assert re.findall(r'class="bar-fill" y="5" height="14" width="(\d+%)"', example) == ["71%", "62%", "67%"]


def test_a_taker_sees_no_example(as_taker, bank):
    assert "with made-up answers" not in text_of(as_taker.get("/"))


def test_a_taker_may_start_and_has_no_past_exam_yet(as_taker, bank):
    page = text_of(as_taker.get("/"))

    assert "Start an exam</a>" in page
    assert "No exam finished yet. Your scores will stand here." in page
    for absent in ("Try it without an account", "Resume exam", "Past exams"):
        assert absent not in page


def test_a_longer_time_is_named_before_the_start(client, bank):
    client.force_login(UserFactory(time_factor=150))

    assert "(with your 150% of the time)" in text_of(client.get("/"))


def test_a_running_exam_is_offered_to_resume_instead_of_a_start(as_taker, taker, bank):
    attempt = make_attempt(taker)

    page = text_of(as_taker.get("/"))

    assert f'href="/exams/{attempt.pk}/1/">Resume exam</a>' in page
    assert page.partition('<main id="main" class="container">')[2].startswith(
        ' <section class="card" aria-labelledby="next"> <h1 id="next">Your exam is running</h1>'
    )
    assert "Started 21 November, 12:00, ends 13:00 UTC." in page
    assert "Start an exam" not in page


def test_past_exams_are_listed_newest_first_with_their_scores(as_taker, taker, bank):
    first = finish(make_attempt(taker, NOW - timedelta(days=2)), right=5, after=timedelta(minutes=50))
    second = finish(make_attempt(taker, NOW - timedelta(days=1), target=50), right=2)
    finish(make_attempt(UserFactory(), NOW - timedelta(days=1)), right=6)

    page = text_of(as_taker.get("/"))

    assert past_exams(page) == [
        ["20 Nov 2026, 12:00", "2 of 6 (33%)", "10%-70%", "50% not reached", "30 min 0 s", "Report , Review"],
        ["19 Nov 2026, 12:00", "5 of 6 (83%)", "44%-97%", "70% reached", "50 min 0 s", "Report , Review"],
    ]
    assert re.findall(r"/exams/(\d+)/(\w+)/", page) == [
        (str(attempt.pk), name) for attempt in (second, first) for name in ("report", "review")
    ]


def test_an_exam_that_ran_out_unseen_is_listed_as_finished(as_taker, taker, bank):
    make_attempt(taker, NOW - timedelta(hours=2))

    page = text_of(as_taker.get("/"))

    assert [row[1:5] for row in past_exams(page)] == [["0 of 6 (0%)", "0%-39%", "70% not reached", "1 h 0 min"]]
    assert "Start an exam</a>" in page


@pytest.mark.parametrize(("is_guest", "told"), [(True, True), (False, False)])
def test_only_a_guest_with_results_is_told_how_to_keep_them(client, bank, is_guest, told):
    user = User.objects.create_guest() if is_guest else UserFactory()
    finish(make_attempt(user), right=3)
    client.force_login(user)

    assert ("You are here as a guest." in text_of(client.get("/"))) is told
