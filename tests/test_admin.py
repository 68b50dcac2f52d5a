"""One question in an instructor's hands: adding and changing it in a form."""

from typing import Any

import pytest
from django.forms import BoundField
from django.http import HttpResponse

from questions.models import Guide, Question
from tests.bank_folder import load, write_bank, write_question
from tests.factories import NOW, QuestionFactory, ReferenceFactory, make_attempt

ADD = "/admin/questions/question/add/"
FIRST = "tiny-1.1-0001"


def page_data(response: HttpResponse) -> dict[str, Any]:
    """What a browser would send from the page's form, with the line ends of a browser."""
    formsets = [inline.formset for inline in response.context["inline_admin_formsets"]]
    forms = [response.context["adminform"].form]
    forms += [form for formset in formsets for form in (formset.management_form, *formset.forms)]
    data: dict[str, Any] = {}
    for field in (field for form in forms for field in form):
        value = field.value()
        if value is True:
            value = "on"
        if value is not None and value is not False:
            data[field.html_name] = as_shown(field, value) if isinstance(value, list) else as_sent(str(value))
    return data


def as_shown(field: BoundField, chosen: list[Any]) -> list[str]:
    shown = [str(value) for value, _ in field.field.choices]
    return sorted(map(str, chosen), key=shown.index)


def as_sent(text: str) -> str:
    return "\r\n".join(text.splitlines()) + ("\r\n" if text.endswith("\n") else "")


def problems(response: HttpResponse) -> dict[str, list[str]]:
    """The messages on the page, by the name of the field at which they stand; `options` for those of all together."""
    form = response.context["adminform"].form
    found = {(name if name in form.fields else ""): list(errors) for name, errors in form.errors.items()}
    for inline in response.context["inline_admin_formsets"]:
        found |= {f"{f.prefix}-{name}": list(errors) for f in inline.formset.forms for name, errors in f.errors.items()}
        if inline.formset.non_form_errors():
            found["options"] = list(inline.formset.non_form_errors())
    for message in (message for messages in found.values() for message in messages):
        assert message.replace("'", "&#x27;") in response.text
    return found


@pytest.fixture
def new_question(as_instructor, bank):
    """The form for a new question, filled in as an instructor would."""
    data = page_data(as_instructor.get(ADD))
    data |= {
        "objective": "1.1",
        "topic_1": "topic-1-7",
        "topic_2": "topic-2-0",
        "type": "single",
        "level": "apply",
        "difficulty": "2",
        "moment": "design",
        "traits": ["sql"],
        "stem": "A bakery bakes.\r\n\r\nWhat should it do?",
        "explanation": "The rule to take away.",
        "sector": "bakery",
        "decisive": "It bakes.",
        "author": "An instructor",
        "reviewers_text": "Ada, Grace",
        "license": "CC-BY-4.0",
        "status": "published",
        "pages": [str(ReferenceFactory().pk)],
    }
    for number in range(4):
        data |= {f"options-{number}-text": f"Choice {number}", f"options-{number}-why": f"Reason {number}."}
    return data | {"options-2-is_key": "on", "options-3-flip": "bakes -> cooks"}


# --- Adding -------------------------------------------------------------------------------------


REFUSED = {
    "two keys": ({"options-0-is_key": "on"}, {"options": ["Mark exactly 1 option as key; here are 2."]}),
    "no key": ({"options-2-is_key": None}, {"options": ["Mark exactly 1 option as key; here are 0."]}),
    "no rationale": ({"options-1-why": ""}, {"options-1-why": ["This field is required."]}),
    "three options": (
        {"options-3-text": "", "options-3-why": "", "options-3-flip": ""},
        {"options-3-text": ["This field is required."], "options-3-why": ["This field is required."]},
    ),
    "five options": (
        {"options-4-text": "Choice 4", "options-4-why": "Reason 4."},
        {"options": ["A single-choice question has 4 options; here are 5."]},
    ),
    "the same option twice": (
        {"options-3-text": "choice 0"},
        {"options-3-text": ["This option says the same as another one. Change or replace it."]},
    ),
    "a key that flips": ({"options-2-flip": "a -> b"}, {"options-2-flip": ["A key has no `flip`. Remove it."]}),
    "no reference": ({"pages": []}, {"pages": ["`references` needs at least 1 entry."]}),
    "a primary topic of another section": (
        {"topic_1": "topic-2-1"},
        {"topic_1": ["The primary topic topic-2-1 belongs to section 2. Put a topic of section 1 in front."]},
    ),
    "a topic twice": ({"topic_2": "topic-1-7"}, {"topic_2": ["Topic topic-1-7 is named twice. Remove one."]}),
    "no stem": ({"stem": " \r\n"}, {"stem": ["This field is required."]}),
    "two paragraphs in one": (
        {"explanation": "One.\r\n\r\nTwo."},
        {"explanation": ["`explanation`: must be one paragraph; join the lines."]},
    ),
    "a line break in a rationale": (
        {"options-1-why": "One.\r\nTwo."},
        {"options-1-why": ["`why`: must be one paragraph; join the lines."]},
    ),
    "an id of another objective": ({"code": "tiny-2.1-0009"}, {"code": ["The id must be tiny-1.1- and four digits."]}),
    "an id that is taken": ({"code": FIRST}, {"code": ["Question with this Id already exists."]}),
    "four options for choose-two": (
        {"type": "multiple", "options-0-is_key": "on"},
        {"options": ["A multiple-choice question has 5 options; here are 4."]},
    ),
    "one key for choose-two": (
        {"type": "multiple", "options-4-text": "Choice 4", "options-4-why": "Reason 4."},
        {"options": ["Mark exactly 2 options as key; here is 1."]},
    ),
}


@pytest.mark.parametrize(("changes", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_faulty_question_is_refused_at_the_right_field_and_nothing_typed_is_lost(
    as_instructor, new_question, changes, expected
):
    posted = {name: value for name, value in (new_question | changes).items() if value is not None}

    response = as_instructor.post(ADD, posted)

    assert problems(response) == expected
    assert page_data(response) == posted
    assert Question.objects.count() == 6


def test_a_question_is_added_with_its_options_in_one_form_and_drawn_by_the_next_exam(
    as_instructor, new_question, taker
):
    Question.objects.filter(code=FIRST).set_status("retired")
    as_instructor.post(ADD, new_question, follow=True)

    question = Question.objects.get(code="tiny-1.1-0003")
    assert question.to_record() == {
        "id": "tiny-1.1-0003",
        "section": 1,
        "objective": "1.1",
        "topics": ["topic-1-7", "topic-2-0"],
        "guides": {},
        "sector": "bakery",
        "decisive": "It bakes.",
        "type": "single",
        "choose": 1,
        "level": "apply",
        "difficulty": 2,
        "moment": "design",
        "traits": ["sql"],
        "stem": "A bakery bakes.\n\nWhat should it do?",
        "options": [
            {"text": "Choice 0", "why": "Reason 0."},
            {"text": "Choice 1", "why": "Reason 1."},
            {"text": "Choice 2", "key": True, "why": "Reason 2."},
            {"text": "Choice 3", "why": "Reason 3.", "flip": "bakes -> cooks"},
        ],
        "explanation": "The rule to take away.",
        "references": ["page-one"],
        "author": "An instructor",
        "reviewers": ["Ada", "Grace"],
        "license": "CC-BY-4.0",
        "status": "published",
        "history": [],
    }
    assert (question.revision.number, question.revision.key) == (1, "2")
    attempt = make_attempt(taker)
    assert sorted(attempt.slots.filter(section=1).values_list("question__code", flat=True)) == [
        "tiny-1.1-0002",
        "tiny-1.1-0003",
    ]


def test_a_choose_two_question_is_added_with_five_options(as_instructor, new_question):
    new_question |= {"type": "multiple", "options-0-is_key": "on"}
    new_question |= {"options-4-text": "Choice 4", "options-4-why": "Reason 4."}

    as_instructor.post(ADD, new_question)

    revision = Question.objects.get(code="tiny-1.1-0003").revision
    assert (revision.options, revision.key) == (5, "02")


def test_an_empty_id_is_filled_with_the_one_after_the_highest(as_instructor, new_question):
    QuestionFactory(guide=Guide.objects.get(), code="tiny-1.1-0041", status="retired")

    as_instructor.post(ADD, new_question)
    as_instructor.post(ADD, new_question | {"stem": "Another one."})
    as_instructor.post(ADD, new_question | {"objective": "1.2"})

    assert list(Question.objects.filter(author="An instructor").values_list("code", flat=True)) == [
        "tiny-1.1-0042",
        "tiny-1.1-0043",
        "tiny-1.2-0001",
    ]


def test_a_draft_is_added_but_not_drawn(as_instructor, new_question):
    as_instructor.post(ADD, new_question | {"status": "draft"})

    drawn = {candidate.question for candidate in Guide.objects.get().candidates()}
    assert drawn == set(Question.objects.exclude(code="tiny-1.1-0003").values_list("pk", flat=True))


def test_without_a_guide_the_form_says_what_to_do(as_instructor):
    page = as_instructor.post(ADD, page_data(as_instructor.get(ADD)))

    assert problems(page)[""] == ["There is no exam guide yet. Load a bank with load_bank first."]


# --- Changing -----------------------------------------------------------------------------------


@pytest.fixture
def first(bank):
    return Question.objects.get(code=FIRST)


def change_page(question: Question) -> str:
    return f"/admin/questions/question/{question.pk}/change/"


def test_an_edit_that_changes_nothing_makes_no_revision_and_leaves_the_record_as_its_file_has_it(
    as_instructor, tmp_path
):
    folder = write_bank(tmp_path / "tiny")
    write_question(
        folder,
        FIRST,
        traits=["sql", "python"],
        references=["page-two", "page-one"],
        reviewers=["Ada", "Grace"],
        guides={"two": 3},
        history=[{"date": NOW.date(), "note": "First version."}],
    )
    load(folder)
    question = Question.objects.get(code=FIRST)
    before = question.to_record()

    as_instructor.post(change_page(question), page_data(as_instructor.get(change_page(question))))

    question = Question.objects.get(code=FIRST)
    assert question.to_record() == before
    assert question.record_digest == question.file_digest
    assert list(question.revisions.values_list("number", flat=True)) == [1]


# reliability case 8
def test_retiring_one_too_many_in_its_form_tells_the_instructor(as_instructor, first):
    data = page_data(as_instructor.get(change_page(first))) | {"status": "retired"}

    page = as_instructor.post(change_page(first), data, follow=True).text

    assert "The bank cannot fill exams of Tiny Engineer (one) (section 1, objective 1.1: 1 too few)." in page


def test_an_edit_of_a_served_question_makes_the_next_revision_and_exams_keep_theirs(as_instructor, first):
    attempt = make_attempt()
    data = page_data(as_instructor.get(change_page(first)))
    data |= {"stem": "A better stem.", "options-0-text": "A better option"}

    response = as_instructor.post(change_page(first), data, follow=True)

    assert "Saved as revision 2. Exams under way keep theirs." in response.text
    first.refresh_from_db()
    assert (first.revision.number, first.revision.content["stem"]) == (2, "A better stem.")
    assert first.revision.content["options"][0]["text"] == "A better option"
    slot = attempt.slots.get(question=first)
    assert (slot.revision.number, slot.revision.content["options"][0]["text"]) == (1, f"Option 0 of {FIRST}")


def test_the_id_of_a_question_cannot_be_changed(as_instructor, first):
    data = page_data(as_instructor.get(change_page(first)))

    as_instructor.post(change_page(first), data | {"code": "tiny-1.1-0077"})

    first.refresh_from_db()
    assert first.code == FIRST


def test_an_option_is_replaced_by_another(as_instructor, first):
    data = page_data(as_instructor.get(change_page(first)))
    data |= {"options-0-DELETE": "on", "options-4-text": "A new one", "options-4-why": "It is new."}

    as_instructor.post(change_page(first), data)

    first.refresh_from_db()
    texts = [f"Option {n} of {FIRST}" for n in (1, 2, 3)]
    assert [option["text"] for option in first.revision.content["options"]] == [*texts, "A new one"]
    assert first.revision.key == "1"
