"""The page before an exam, and the start itself."""

import re
from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.test import Client

from questions.models import Attempt, Guide, Question, Slot, User
from questions.models.attempts import MOST_STARTS
from tests.factories import NOW, GuideFactory, UserFactory, finish, guide_document, make_attempt, make_bank
from tests.test_sitting import page_of

pytestmark = pytest.mark.time_machine(NOW, tick=False)


@pytest.fixture
def other_edition(bank) -> Guide:
    """Beside the site's own edition of 6 questions in 60 minutes, one of 4 in 90."""
    document = guide_document(sections=2, minutes=90) | {"edition": "two"}
    return GuideFactory(edition="two", label="The new one", is_home=False, document=document)


def editions_of(page: str) -> list[tuple[str, str, str]]:
    """Edition, what it is called, and its size where that is told."""
    labels = re.findall(r"<label>(.*?)</label>", page.partition("<legend>Edition")[2])
    found = [re.search(r'value="(\w+)"', label)[1] for label in labels]
    texts = [" ".join(re.sub(r"<[^>]+>", "|", label).split()).strip("| ") for label in labels]
    return [(edition, *map(str.strip, text.partition("|")[::2])) for edition, text in zip(found, texts, strict=True)]


# --- The page -----------------------------------------------------------------------------------


def test_opening_the_page_starts_nothing(as_taker, bank):
    page = page_of(as_taker.get("/exams/start/"))

    assert "6 questions in 60 minutes." in page
    assert "<button>Start exam</button>" in page
    assert "Edition of the exam guide" not in page
    assert Attempt.objects.count() == 0


def test_the_home_page_leads_a_taker_there_and_a_guest_arrives_there(client, as_taker, bank):
    assert '<a class="button" href="/exams/start/">Start an exam</a>' in page_of(as_taker.get("/"))
    client.logout()
    assert client.post("/guest/").url == "/exams/start/"


@pytest.mark.parametrize(
    ("factor", "told"), [(125, "Your time: 75 minutes (125%)."), (133, "Your time: 79.8 minutes (133%).")]
)
def test_a_longer_time_is_told_before_the_start_and_given(client, bank, factor, told):
    client.force_login(UserFactory(time_factor=factor))

    page = page_of(client.get("/exams/start/"))
    client.post("/exams/start/")

    assert "6 questions in 60 minutes." in page
    assert told in page
    attempt = Attempt.objects.get()
    assert (attempt.deadline - attempt.started_at).total_seconds() == 60 * 60 * factor / 100


def test_where_editions_differ_in_size_each_says_its_own(client, other_edition):
    client.force_login(UserFactory(time_factor=150))

    page = page_of(client.get("/exams/start/"))

    assert editions_of(page) == [
        ("one", "one", "6 questions in 60 minutes. Your time: 90 minutes (150%)."),
        ("two", "The new one", "4 questions in 90 minutes. Your time: 135 minutes (150%)."),
    ]
    assert "How many questions in how many minutes depends on the edition, below." in page


def test_where_all_editions_have_one_size_it_is_told_once(as_taker, other_edition):
    Guide.objects.filter(pk=other_edition.pk).update(document=guide_document() | {"edition": "two"})

    page = page_of(as_taker.get("/exams/start/"))

    assert editions_of(page) == [("one", "one", ""), ("two", "The new one", "")]
    assert page.count("6 questions in 60 minutes.") == 1


@pytest.mark.parametrize("on", [True, False])
def test_the_keys_are_named_only_where_single_keys_are_on(client, bank, on):
    client.force_login(UserFactory(single_keys=on))

    page = page_of(client.get("/exams/start/"))

    assert ("<kbd>F</kbd>" in page) is on
    assert ("Keys to try" in page) is on


def test_a_running_exam_is_resumed_from_there(as_taker, taker, bank):
    attempt = make_attempt(taker)

    assert as_taker.get("/exams/start/").url == f"/exams/{attempt.pk}/1/"


def test_without_a_bank_it_leads_home_where_the_reason_stands(as_taker):
    response = as_taker.get("/exams/start/", follow=True)

    assert response.redirect_chain == [("/", 302)]
    assert "There are no questions yet." in page_of(response)


# --- The start ----------------------------------------------------------------------------------


def test_a_start_draws_the_exam_and_leads_to_its_first_question(as_taker, taker, bank):
    response = as_taker.post("/exams/start/")

    attempt = Attempt.objects.get()
    assert (response.status_code, response.url) == (302, f"/exams/{attempt.pk}/1/")
    assert (attempt.user, attempt.guide, attempt.asked, attempt.target) == (taker, bank, 6, 70)
    assert (attempt.started_at, attempt.finished_at, attempt.right) == (NOW, None, None)
    assert list(attempt.slots.values_list("position", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert sorted(attempt.slots.values_list("section", flat=True)) == [1, 1, 2, 2, 3, 3]
    assert set(attempt.slots.values_list("letters", "flagged", "version", "first_sighting", "is_right")) == {
        ("", False, 0, True, None)
    }


def test_a_second_start_returns_the_same_exam(as_taker, bank):
    first = as_taker.post("/exams/start/")
    second = as_taker.post("/exams/start/")

    assert first.url == second.url
    assert (Attempt.objects.count(), Slot.objects.count()) == (1, 6)


def test_questions_never_seen_come_first_and_then_those_unseen_longest(as_taker, taker):
    make_bank(spare=2)  # two exams' worth
    exams = []
    for _ in range(3):
        as_taker.post("/exams/start/")
        exams.append(set(taker.attempts.latest("pk").slots.values_list("question", "first_sighting")))
        as_taker.post(f"/exams/{taker.attempts.latest('pk').pk}/submit/")

    first, second, third = ({question for question, _ in exam} for exam in exams)
    assert first | second == set(Question.objects.values_list("pk", flat=True))
    assert third == first
    assert [{fresh for _, fresh in exam} for exam in exams] == [{True}, {True}, {False}]


@pytest.mark.parametrize("exams", [0, 1])
def test_a_start_that_the_database_refuses_for_another_reason_is_a_fault_and_not_the_last_exam(
    as_taker, taker, bank, monkeypatch, exams
):
    def refuse(slots: list[Slot]) -> None:
        raise IntegrityError("NOT NULL constraint failed")

    before = [finish(make_attempt(taker), right=3).pk for _ in range(exams)]
    monkeypatch.setattr(Slot.objects, "bulk_create", refuse)
    as_taker.raise_request_exception = False

    response = as_taker.post("/exams/start/")

    assert response.status_code == 500
    assert list(Attempt.objects.values_list("pk", flat=True)) == before


# --- Many starts --------------------------------------------------------------------------------


@pytest.fixture
def busy_taker(taker, bank) -> User:
    """Who started, within 58 minutes, as many exams as anybody may in an hour, and finished all."""
    for number in range(MOST_STARTS):
        finish(make_attempt(taker, NOW - timedelta(minutes=58) * (number + 1) / MOST_STARTS), right=1)
    return taker


def test_a_start_too_many_is_told_when_to_come_again_and_draws_nothing(as_taker, busy_taker):
    other = Client()
    other.force_login(UserFactory())

    refused, of_somebody_else = (browser.post("/exams/start/") for browser in (as_taker, other))

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "120")
    page = page_of(refused)
    assert "You started many exams within an hour. Wait 2 minutes, then try again." in page
    assert "<button>Start exam</button>" in page
    assert busy_taker.attempts.count() == MOST_STARTS
    assert (of_somebody_else.status_code, Attempt.objects.count()) == (302, MOST_STARTS + 1)


def test_after_the_wait_one_more_exam_is_started_and_resumed_however_often(as_taker, busy_taker, time_machine):
    time_machine.move_to(NOW + timedelta(minutes=2), tick=False)

    replies = [as_taker.post("/exams/start/") for _ in range(5)]

    running = busy_taker.attempts.running(NOW + timedelta(minutes=2))
    assert [(reply.status_code, reply.url) for reply in replies] == [(302, f"/exams/{running.pk}/1/")] * 5
    assert busy_taker.attempts.count() == MOST_STARTS + 1
