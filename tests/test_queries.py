"""How many statements each page costs, with the session and the user, without the bounds of transactions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from questions.models import User
from tests.factories import NOW, QuestionFactory, UserFactory, finish, make_attempt, make_bank, make_instructor

pytestmark = pytest.mark.time_machine(NOW, tick=False)

BOUNDS = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "PRAGMA")


@contextmanager
def statements() -> Iterator[list[str]]:
    """What the block sent to the database."""
    found: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield found
    found += [query["sql"] for query in captured if not query["sql"].startswith(BOUNDS)]


def cost(ask: Callable[[], object]) -> int:
    with statements() as found:
        ask()
    return len(found)


@pytest.fixture
def running(taker, bank):
    return make_attempt(taker)


@pytest.fixture
def as_instructor(client, bank):
    client.force_login(make_instructor())
    return client


def sit(user: User, exams: int) -> None:
    for number in range(exams):
        finish(make_attempt(user, NOW - timedelta(days=40 - number)), right=number % 7)


# --- The exam -----------------------------------------------------------------------------------


def test_a_save_costs_six(as_taker, running):
    data = {"letters": "A", "version": 0, "op": "00000000-0000-0000-0000-000000000001"}
    headers = {"Accept": "application/json"}

    # session, user, the slot with its attempt; the update, the event, when the attempt's last event was
    assert cost(lambda: as_taker.post(f"/exams/{running.pk}/1/answer/", data, headers=headers)) == 6


def test_a_save_of_what_is_stored_already_costs_four(as_taker, running):
    headers = {"Accept": "application/json"}

    # session, user, the slot with its attempt; the seconds
    assert cost(lambda: as_taker.post(f"/exams/{running.pk}/1/answer/", {"version": 0}, headers=headers)) == 4


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_question_costs_four(as_taker, running, headers):
    # session, user, the slot with its attempt and revision, the palette
    assert cost(lambda: as_taker.get(f"/exams/{running.pk}/1/", headers=headers)) == 4


def test_time_spent_costs_three(as_taker, running):
    # session, user, the update
    assert cost(lambda: as_taker.post(f"/exams/{running.pk}/1/time/", {"seconds": 5})) == 3


@pytest.mark.parametrize("per_section", [2, 20])
@pytest.mark.parametrize("page", ["finish/", "finish/?show=unanswered&sort=-time", "submit/"])
def test_the_pages_before_submission_cost_four_whatever_the_number_of_questions(as_taker, taker, page, per_section):
    make_bank(per_section=per_section)
    attempt = make_attempt(taker)

    # session, user, the attempt, its slots
    assert cost(lambda: as_taker.get(f"/exams/{attempt.pk}/{page}")) == 4


def test_the_page_before_a_start_costs_four(as_taker, bank):
    # session, user, guides, a running exam?
    assert cost(lambda: as_taker.get("/exams/start/")) == 4


def test_the_warm_up_costs_two_to_look_at_and_five_to_save(as_taker):
    as_taker.post("/exams/warm-up/")
    answer = {"letters": "A", "version": 0}

    # session, user
    assert cost(lambda: as_taker.get("/exams/warm-up/1/")) == 2
    # the session once more with its row locked, read and written
    assert cost(lambda: as_taker.post("/exams/warm-up/1/answer/", answer)) == 5


def test_the_first_start_of_a_process_costs_ten_and_the_next_nine(client, bank):
    costs = []
    for _ in range(2):
        client.force_login(UserFactory())
        costs.append(cost(lambda: client.post("/exams/start/")))

    # session, user, guide, many started just now?, a running exam?, what was served before, the time factor locked, the attempt, its slots;
    # once per bank: candidates
    assert costs == [10, 9]


def test_a_submission_costs_seven(as_taker, running):
    # session, user, the attempt; again with its row locked, its slots, their results, its score
    assert cost(lambda: as_taker.post(f"/exams/{running.pk}/submit/")) == 7


@pytest.mark.parametrize("page", ["/", "/exams/{}/report/", "/exams/{}/review/"])
def test_finishing_an_exam_that_ran_out_costs_the_reader_four_more(as_taker, taker, bank, page, time_machine):
    attempt = make_attempt(taker)
    time_machine.move_to(NOW + timedelta(hours=2), tick=False)
    path = page.format(attempt.pk)

    first, second = (cost(lambda: as_taker.get(path)) for _ in range(2))

    # the row locked, its slots, their results, its score
    assert first - second == 4


# --- After exams --------------------------------------------------------------------------------


@pytest.mark.parametrize("exams", [1, 30])
@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("/", 5),  # session, user, guide, a running exam?, the attempts
        ("/progress/", 6),  # session, user, what ran out, the attempts with guides, slots of the newest, evidence
        ("/exams/{}/report/", 6),  # session, user, the attempt with its guide, its slots, evidence, late answers
        ("/exams/{}/review/", 4),  # session, user, the attempt with its guide, its slots with their revisions
        ("/exams/{}/review/1/", 6),  # session, user, the attempt with its guide, the slot, the others, references
    ],
)
def test_pages_cost_the_same_after_one_exam_and_after_thirty(as_taker, taker, bank, exams, page, expected):
    sit(taker, exams)
    path = page.format(taker.attempts.latest("started_at").pk)

    assert cost(lambda: as_taker.get(path)) == expected


@pytest.mark.parametrize("questions", [1, 30])
@pytest.mark.parametrize("query", ["", "?status__exact=published", "?objective=1.1", "?q=lighthouse"])
def test_the_list_of_questions_costs_the_same_with_one_more_and_with_thirty_more(as_instructor, bank, questions, query):
    for _ in range(questions):
        QuestionFactory(guide=bank)

    # session, user, rights of the user and of the groups; guide and sections for the filters;
    # how many are found, how many there are, the page
    assert cost(lambda: as_instructor.get(f"/admin/questions/question/{query}")) == 9


@pytest.mark.parametrize("exams", [1, 30])
def test_the_list_of_attempts_costs_the_same_with_one_and_with_thirty(as_instructor, exams):
    sit(UserFactory(), exams)

    # session, user, rights of the user and of the groups; what ran out; the guides for the filter;
    # how many are found, the page with its takers
    assert cost(lambda: as_instructor.get("/admin/questions/attempt/")) == 8


@pytest.mark.parametrize("per_section", [2, 9])
def test_an_attempt_costs_the_same_whatever_the_number_of_its_questions(client, db, per_section):
    make_bank(per_section=per_section)
    attempt = finish(make_attempt(), right=1)
    client.force_login(make_instructor())

    # session, user, rights of the user and of the groups; what ran out; the attempt, its guide and its taker;
    # its changes of the deadline; its slots with their questions
    assert cost(lambda: client.get(f"/admin/questions/attempt/{attempt.pk}/change/")) == 10
