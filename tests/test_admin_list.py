"""Many questions in an instructor's hands: publishing, retiring, deleting, searching, looking."""

import pytest
import time_machine

from questions.models import Attempt, Guide, Option, Question, Reference, Slot
from tests.bank_folder import CODES, load, write_bank, write_question
from tests.factories import NOW, QuestionFactory, ReferenceFactory, make_attempt, make_bank

LIST = "/admin/questions/question/"
FIRST = "tiny-1.1-0001"


@pytest.fixture
def first(bank):
    return Question.objects.get(code=FIRST)


# --- Publishing and retiring many ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "action", "after", "said"),
    [
        ("reviewed", "publish", "published", "6 published."),
        ("published", "publish", "published", "0 published."),
        ("published", "retire", "retired", "6 retired."),
    ],
)
def test_many_questions_are_published_or_retired_at_once(as_instructor, tmp_path, before, action, after, said):
    folder = write_bank(tmp_path / "tiny")
    for code in CODES:
        write_question(folder, code, status=before)
    load(folder)
    version = Guide.objects.get().bank_version

    chosen = {"action": action, "_selected_action": list(Question.objects.values_list("pk", flat=True))}
    page = as_instructor.post(LIST, chosen, follow=True)

    assert said in page.text
    assert set(Question.objects.values_list("status", flat=True)) == {after}
    assert Guide.objects.get().bank_version == version + (before != after)
    assert [question.digest() for question in Question.objects.all()] == list(
        Question.objects.values_list("record_digest", flat=True)
    )


def test_what_was_published_here_is_no_difference_to_files_that_say_the_same_later(as_instructor, tmp_path):
    folder = write_bank(tmp_path / "tiny")
    write_question(folder, FIRST, status="reviewed")
    load(folder)
    chosen = {"action": "publish", "_selected_action": [Question.objects.get(code=FIRST).pk]}

    as_instructor.post(LIST, chosen)

    assert load(folder) == ("Bank tiny: 6 unchanged.\n", "")
    assert Question.objects.get(code=FIRST).status == "published"
    write_question(folder, FIRST, status="published")
    assert load(folder) == ("Bank tiny: 6 unchanged.\n", "")
    write_question(folder, FIRST, status="retired")
    assert load(folder) == ("Bank tiny: 1 updated, 5 unchanged.\n", "")


# reliability case 8
def test_retiring_one_too_many_tells_the_instructor_what_takers_are_told_until_one_is_published_again(
    as_instructor, as_taker, bank
):
    chosen = {"_selected_action": [Question.objects.get(code="tiny-2.1-0001").pk]}

    retired = as_instructor.post(f"{LIST}?status__exact=published", chosen | {"action": "retire"}, follow=True).text
    refused = as_taker.post("/exams/start/", follow=True).text
    published = as_instructor.post(LIST, chosen | {"action": "publish"}, follow=True).text

    lacks = "section 2, objective 2.1: 1 too few"
    assert (
        f"The bank cannot fill exams of Tiny Engineer (one) ({lacks}). They cannot be started until it can." in retired
    )
    assert f"The bank cannot fill this exam yet ({lacks}). An instructor needs to add questions." in refused
    assert (Attempt.objects.count(), Slot.objects.count()) == (0, 0)
    assert "cannot fill" not in published


# --- Deleting -----------------------------------------------------------------------------------


def test_a_served_question_cannot_be_deleted(as_instructor, first):
    make_attempt()

    assert f"{LIST}{first.pk}/delete/" not in as_instructor.get(f"{LIST}{first.pk}/change/").text
    assert as_instructor.post(f"{LIST}{first.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Question.objects.filter(pk=first.pk).exists()


def test_a_question_that_has_a_file_cannot_be_deleted_because_the_next_load_would_bring_it_back(as_instructor, first):
    Question.objects.filter(pk=first.pk).update(file_digest="0" * 64)

    assert as_instructor.post(f"{LIST}{first.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Question.objects.filter(pk=first.pk).exists()


def test_a_question_never_served_is_deleted_and_no_exam_draws_it(as_instructor, taker, db):
    make_bank(spare=1)
    question = Question.objects.get(code=FIRST)
    Guide.objects.get().candidates()  # this process has drawn before

    assert f"{LIST}{question.pk}/delete/" in as_instructor.get(f"{LIST}{question.pk}/change/").text
    as_instructor.post(f"{LIST}{question.pk}/delete/", {"post": "yes"})

    assert not Question.objects.filter(pk=question.pk).exists()
    with time_machine.travel(NOW, tick=False):
        as_instructor.force_login(taker)
        as_instructor.post("/exams/start/")
    assert sorted(taker.attempts.get().slots.filter(section=1).values_list("question__code", flat=True)) == [
        "tiny-1.1-0002",
        "tiny-1.1-0003",
    ]


def test_of_many_to_be_deleted_none_goes_if_one_was_served(as_instructor, bank):
    make_attempt()
    spare = QuestionFactory(guide=bank, code="tiny-1.1-0041")
    chosen = {"action": "delete_selected", "_selected_action": [Question.objects.get(code=FIRST).pk, spare.pk]}

    response = as_instructor.post(LIST, chosen | {"post": "yes"})

    assert "Cannot delete questions" in response.text
    assert Question.objects.count() == 7


@pytest.mark.parametrize(
    ("address", "data"),
    [
        ("{}{}/delete/", {"post": "yes"}),
        ("{}", {"action": "delete_selected", "post": "yes", "_selected_action": "{}"}),
    ],
)
def test_deleting_one_too_many_tells_the_instructor(as_instructor, first, address, data):
    data = {name: value.format(first.pk) for name, value in data.items()}

    page = as_instructor.post(address.format(LIST, first.pk), data, follow=True).text

    assert "(section 1, objective 1.1: 1 too few)" in page


def test_many_questions_never_served_are_deleted_at_once(as_instructor, bank):
    spare = [QuestionFactory(guide=bank, code=f"tiny-1.1-004{number}").pk for number in (1, 2)]
    Guide.objects.get().candidates()  # this process has drawn before

    as_instructor.post(LIST, {"action": "delete_selected", "_selected_action": spare, "post": "yes"})

    assert Question.objects.count() == 6
    assert {candidate.question for candidate in Guide.objects.get().candidates()}.isdisjoint(spare)


# --- Looking ------------------------------------------------------------------------------------


def test_the_preview_shows_the_question_before_and_after_submission(as_instructor, first):
    ReferenceFactory()
    Option.objects.filter(question=first, position=0).update(text="Use `x`")
    first.stem = "It is **late**.\n\n```sql\nSELECT 1\n```"
    first.save()

    page = as_instructor.get(f"{LIST}{first.pk}/preview/").text

    assert "It is <strong>late</strong>." in page
    assert page.count("<code>x</code>") == 2
    for number in (1, 2, 3):
        assert page.count(f"Option {number} of {FIRST}") == 2
    for text in ("Because of 0.", "Because of 1.", "Because of 2.", "Because of 3.", "The rule.", "Page one"):
        assert page.count(text) == 1
    assert f'href="{Reference.objects.get().url}"' in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=0002", ["tiny-1.1-0002", "tiny-2.1-0002", "tiny-3.1-0002"]),
        ("q=Option+3+of+tiny-2.1-0001", ["tiny-2.1-0001"]),
        ("q=windmill", ["tiny-3.1-0001"]),
        ("q=nowhere", []),
        ("section=2", ["tiny-2.1-0001", "tiny-2.1-0002"]),
        ("objective=3.1", ["tiny-3.1-0001", "tiny-3.1-0002"]),
        ("status__exact=retired", ["tiny-1.1-0002"]),
        ("section=1&status__exact=published", ["tiny-1.1-0001"]),
    ],
)
def test_questions_are_searched_and_filtered(as_instructor, bank, query, found):
    Question.objects.filter(code="tiny-1.1-0002").update(status="retired")
    Question.objects.filter(code="tiny-3.1-0001").update(stem="The windmill turns.")

    page = as_instructor.get(f"{LIST}?{query}")

    assert sorted(question.code for question in page.context["cl"].result_list) == found


@pytest.mark.parametrize("spare", [0, 2])
def test_the_list_costs_as_many_queries_for_many_questions_as_for_few(
    as_instructor, db, django_assert_num_queries, spare
):
    make_bank(spare=spare)
    as_instructor.get(LIST)

    with django_assert_num_queries(9):
        as_instructor.get(LIST)
