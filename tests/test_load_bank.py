from datetime import date
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from questions.models import Attempt, Guide, Question, Reference, Revision
from tests.bank_folder import CODES, load, question_path, reference_data, rows, write_bank, write_question
from tests.bank_folder import write_references as write_ledger
from tests.factories import NOW, QuestionFactory, UserFactory, question_data

pytestmark = pytest.mark.django_db

FIRST = "tiny-1.1-0001"
CONFLICT = (
    "tiny-1.1-0001: its file and the database were both changed; the database's text stays. "
    "Merge with export_bank, or load again with --prefer-files.\n"
)


@pytest.fixture
def folder(tmp_path):
    return write_bank(tmp_path / "tiny")


@pytest.fixture
def loaded(folder):
    """The folder, after its first load."""
    load(folder)
    return folder


def first() -> Question:
    return Question.objects.select_related("revision").get(code=FIRST)


def bank_version() -> int:
    return Guide.objects.get().bank_version


def edit_in_admin(**changes: Any) -> None:
    """Change the first question as the admin does."""
    question = first()
    for name, value in changes.items():
        setattr(question, name, value)
    question.save()
    question.record_change(NOW)


def edit_file(text: str, by: str) -> str:
    stem = question_data(FIRST)["stem"]
    assert text in stem
    return stem.replace(text, by)


# --- Nothing is half loaded ---------------------------------------------------------------------


def test_an_error_in_any_file_loads_nothing_and_every_error_is_listed_with_what_to_do(folder):
    path = question_path(folder, FIRST)
    path.write_text(path.read_text("utf-8").replace("difficulty: 2", "difficulty: 7"), "utf-8")
    write_question(folder, "tiny-2.1-0002", references=["page-nine"])
    question_path(folder, "tiny-3.1-0001").write_text("id: one\nid: two\n", "utf-8")

    with pytest.raises(CommandError) as error:
        load(folder)

    assert str(error.value).splitlines() == [
        "1.1/tiny-1.1-0001.yaml:12: tiny-1.1-0001: `difficulty` must be 3 or less.",
        "2.1/tiny-2.1-0002.yaml:31: tiny-2.1-0002: "
        "Reference page-nine is not in the ledger. Add it to references.yaml first.",
        "3.1/tiny-3.1-0001.yaml:2: tiny-3.1-0001: The field 'id' stands here twice. Delete one of them.",
        "3 problems; nothing was loaded.",
    ]
    assert rows() == [[], [], [], [], []]


def test_an_error_in_a_later_load_leaves_the_bank_as_it_was(loaded):
    before = rows()
    write_question(loaded, FIRST, stem="A new stem.\n\nWhat now?")
    write_question(loaded, "tiny-2.1-0001", topics=["topic-1-0"])

    with pytest.raises(CommandError) as error:
        load(loaded)

    assert str(error.value).splitlines() == [
        "2.1/tiny-2.1-0001.yaml:5: tiny-2.1-0001: "
        "The primary topic topic-1-0 belongs to section 1. Put a topic of section 2 in front.",
        "1 problem; nothing was loaded.",
    ]
    assert rows() == before


def test_a_folder_without_a_guide_is_refused(tmp_path):
    with pytest.raises(CommandError, match=r"There is no guide\.yaml here\. Name a bank's folder\."):
        load(tmp_path)


def test_check_reads_everything_and_writes_nothing(folder):
    out, err = load(folder, check=True)

    assert (out, err) == ("Bank tiny: 6 questions, no problems.\n", "")
    assert rows() == [[], [], [], [], []]


def test_check_refuses_what_a_load_would_refuse(folder):
    write_question(folder, FIRST, references=["page-nine"])

    with pytest.raises(CommandError, match=r"1\.1/tiny-1\.1-0001\.yaml:31: tiny-1\.1-0001: Reference page-nine"):
        load(folder, check=True)


# --- Loading, and loading again -----------------------------------------------------------------


def test_the_first_load_brings_guide_references_questions_and_their_first_revisions(folder):
    out, err = load(folder)

    assert (out, err) == ("Bank tiny: 6 added, 0 unchanged.\n", "")
    assert list(Guide.objects.values_list("code", "edition", "is_home", "bank_version")) == [("tiny", "one", True, 1)]
    assert [reference.to_record() for reference in Reference.objects.all()] == [
        reference_data("page-one"),
        reference_data("page-two"),
    ]
    assert [question.to_record() for question in Question.objects.all()] == [question_data(code) for code in CODES]
    assert list(Revision.objects.order_by("question__code").values_list("question__code", "number", "key")) == [
        (code, 1, "2") for code in CODES
    ]


def test_without_a_folder_every_shipped_bank_is_loaded(folder, settings):
    settings.BANK_DIR = folder.parent

    out, _ = load()

    assert out == "Bank tiny: 6 added, 0 unchanged.\n"


def test_a_second_load_of_the_same_files_changes_no_row(loaded):
    before = rows()

    with CaptureQueriesContext(connection) as queries:
        out, err = load(loaded)

    assert (out, err) == ("Bank tiny: 6 unchanged.\n", "")
    assert rows() == before
    written = [q["sql"] for q in queries if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert [sql for sql in written if "questions_guide" not in sql] == []


def test_a_changed_file_makes_a_new_revision_and_an_exam_under_way_keeps_the_old(loaded):
    attempt = Attempt.objects.start(UserFactory(), Guide.objects.get(), 1, NOW)
    old, new = question_data(FIRST)["stem"], edit_file("a model", "no model")
    write_question(loaded, FIRST, stem=new)

    out, _ = load(loaded)

    assert out == "Bank tiny: 1 updated, 5 unchanged.\n"
    assert bank_version() == 2
    assert (first().stem, first().revision.number, first().revision.content["stem"]) == (new, 2, new)
    assert attempt.slots.get(question__code=FIRST).revision.content["stem"] == old


def test_a_changed_option_makes_a_new_revision_as_well(loaded):
    options = question_data(FIRST)["options"]
    options[0]["why"] = "For a better reason."
    write_question(loaded, FIRST, options=options)

    load(loaded)

    assert first().to_record()["options"] == options
    assert first().revision.content["options"][0]["why"] == "For a better reason."
    assert list(first().revisions.values_list("number", flat=True)) == [1, 2]


def test_what_no_taker_sees_changes_without_a_new_revision(loaded):
    write_question(loaded, FIRST, difficulty=3, history=[{"date": date(2026, 11, 22), "note": "Harder than thought."}])

    out, _ = load(loaded)

    assert out == "Bank tiny: 1 updated, 5 unchanged.\n"
    assert (first().difficulty, first().revision.number) == (3, 1)
    assert first().to_record()["history"] == [{"date": date(2026, 11, 22), "note": "Harder than thought."}]


def test_references_are_updated_and_added_but_never_deleted(loaded):
    write_ledger(loaded, reference_data("page-one", title="A new title"), reference_data("page-three"))

    out, _ = load(loaded)

    assert out == "Bank tiny: 6 unchanged.\n"
    assert [reference.to_record() for reference in Reference.objects.order_by("code")] == [
        reference_data("page-one", title="A new title"),
        reference_data("page-three"),
        reference_data("page-two"),
    ]


# --- Files that go and come back ----------------------------------------------------------------


def test_a_file_that_is_gone_retires_its_question_and_deletes_nothing(loaded):
    question_path(loaded, FIRST).unlink()

    out, err = load(loaded)

    assert (out, err) == ("Bank tiny: 1 retired, 5 unchanged.\n", "")
    assert (Question.objects.count(), first().status, bank_version()) == (6, "retired", 2)
    assert load(loaded) == ("Bank tiny: 5 unchanged.\n", "")


def test_a_file_that_comes_back_publishes_its_question_again(loaded):
    question_path(loaded, FIRST).unlink()
    load(loaded)
    write_question(loaded, FIRST)

    out, err = load(loaded)

    assert (out, err) == ("Bank tiny: 1 updated, 5 unchanged.\n", "")
    assert (first().status, first().revision.number, bank_version()) == ("published", 1, 3)


def test_a_file_that_is_gone_does_not_retire_what_was_edited_here(loaded):
    edit_in_admin(stem="Edited here.")
    question_path(loaded, FIRST).unlink()

    out, err = load(loaded)

    assert (out, err) == ("Bank tiny: 5 unchanged.\n", CONFLICT)
    assert (first().status, first().stem) == ("published", "Edited here.")


def test_a_question_made_here_is_left_alone_by_every_load(loaded):
    QuestionFactory(guide=Guide.objects.get(), code="tiny-1.1-0099")
    before = rows()

    assert load(loaded) == ("Bank tiny: 6 unchanged.\n", "")
    assert load(loaded, prefer_files=True) == ("Bank tiny: 6 unchanged.\n", "")
    assert rows() == before


# --- Edits here and there -----------------------------------------------------------------------


def test_an_unchanged_file_never_undoes_an_edit_made_here(loaded):
    edit_in_admin(stem="Edited here.", difficulty=1)
    before = rows()

    assert load(loaded) == ("Bank tiny: 6 unchanged.\n", "")
    assert load(loaded, prefer_files=True) == ("Bank tiny: 6 unchanged.\n", "")
    assert rows() == before


def test_where_both_sides_changed_the_database_stays_and_every_load_says_so(loaded):
    edit_in_admin(stem="Edited here.")
    write_question(loaded, FIRST, stem="Edited there.")
    before = rows()

    assert load(loaded) == ("Bank tiny: 5 unchanged.\n", CONFLICT)
    assert load(loaded) == ("Bank tiny: 5 unchanged.\n", CONFLICT)
    assert rows() == before


def test_a_conflict_is_settled_by_preferring_the_files(loaded):
    edit_in_admin(stem="Edited here.")
    write_question(loaded, FIRST, stem="Edited there.")

    out, err = load(loaded, prefer_files=True)

    assert (out, err) == ("Bank tiny: 1 updated, 5 unchanged.\n", "")
    assert (first().stem, first().revision.number) == ("Edited there.", 3)
    assert load(loaded) == ("Bank tiny: 6 unchanged.\n", "")


def test_a_question_edited_here_and_gone_there_retires_when_files_are_preferred(loaded):
    edit_in_admin(stem="Edited here.")
    question_path(loaded, FIRST).unlink()

    assert load(loaded, prefer_files=True) == ("Bank tiny: 1 retired, 5 unchanged.\n", "")
    assert (first().status, first().stem) == ("retired", "Edited here.")


def test_the_same_edit_on_both_sides_is_no_conflict_and_later_file_edits_are_taken(loaded):
    edit_in_admin(stem="The same edit.")
    write_question(loaded, FIRST, stem="The same edit.")

    assert load(loaded) == ("Bank tiny: 6 unchanged.\n", "")

    write_question(loaded, FIRST, stem="A further edit.")
    assert load(loaded) == ("Bank tiny: 1 updated, 5 unchanged.\n", "")
    assert first().stem == "A further edit."


# --- Files that were loaded before ----------------------------------------------------------------


def test_files_that_were_loaded_before_are_left_alone_on_request(loaded):
    assert load(loaded, if_changed=True) == ("", "")
    write_question(loaded, FIRST, sector="canals")

    assert load(loaded, if_changed=True) == ("Bank tiny: 1 updated, 5 unchanged.\n", "")
    assert load(loaded, if_changed=True) == ("", "")


def test_a_conflict_is_told_at_every_load(loaded):
    edit_in_admin(stem="Edited here.")
    write_question(loaded, FIRST, sector="canals")

    assert load(loaded, if_changed=True) == load(loaded, if_changed=True) == ("Bank tiny: 5 unchanged.\n", CONFLICT)


def test_a_database_that_never_saw_the_files_loads_them(loaded):
    Guide.objects.update(files_digest="")

    assert load(loaded, if_changed=True) == ("Bank tiny: 6 unchanged.\n", "")
