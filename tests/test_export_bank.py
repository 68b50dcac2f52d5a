from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from questions.models import Guide, Option, Question, Reference
from tests.bank_folder import load, reference_data, texts, write_bank, write_guide, write_question, write_references
from tests.factories import NOW, QuestionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path):
    """A made-up bank in all its variety: two editions, both types, every optional field."""
    folder = write_bank(tmp_path / "tiny")
    edition = {
        "code": "tiny",
        "edition": "2026-06",
        "title": "Tiny Engineer",
        "exam": {"questions": 4, "minutes": 30, "target": 75},
        "sections": [{"code": 1, "title": "First", "weight": 1}, {"code": 2, "title": "Second", "weight": 3}],
    }
    write_guide(folder / "guide-2026-06.yaml", edition)
    write_question(
        folder,
        "tiny-2.1-0001",
        type="multiple",
        choose=2,
        status="draft",
        guides={"2026-06": 1},
        topics=["topic-2-3", "topic-1-0"],
        traits=["sql", "near-miss"],
        stem="It fails:\n\n```sql\nSELECT  'a: \"b\"'\n  FROM t\n```\n\nZażółć 日本語 😀. What now?",
        options=[
            {"text": f"Option {n}: `x #{n}`", **({"key": True} if n in (1, 4) else {"flip": "a -> b"}), "why": f"{n}."}
            for n in range(5)
        ],
        references=["page-two", "page-one"],
        reviewers=["A. Reviewer", "null"],
        history=[{"date": NOW.date(), "note": "First version."}, {"date": NOW.date(), "note": "yes"}],
    )
    return folder


def export(folder: Path, bank: str = "tiny") -> str:
    out = StringIO()
    call_command("export_bank", folder, bank=bank, stdout=out)
    return out.getvalue()


def empty_the_database() -> None:
    Question.objects.all().delete()
    Reference.objects.all().delete()
    Guide.objects.all().delete()


def everything() -> list[Any]:
    """The bank's content as plain data."""
    return [
        list(Guide.objects.order_by("edition").values_list("code", "edition", "is_home", "document")),
        [reference.to_record() for reference in Reference.objects.order_by("code")],
        [question.to_record() for question in Question.objects.all()],
        list(Question.objects.values_list("code", "revision__content", "revision__key", "record_digest")),
    ]


def test_what_is_loaded_is_exported_byte_for_byte(folder, tmp_path):
    load(folder)

    said = export(tmp_path / "out")

    assert said == f"6 questions written to {tmp_path / 'out'}\n"
    assert texts(tmp_path / "out") == texts(folder)


def test_the_real_bank_is_exported_byte_for_byte(real_bank, tmp_path):
    load(real_bank)

    export(tmp_path / "out", "pmle")

    beside = ("solves", "policy.yaml", "quality.yaml")  # what lint reads and writes; no instructor edits it
    shipped = {name: text for name, text in texts(real_bank).items() if not name.startswith(beside)}
    assert texts(tmp_path / "out") == shipped


def test_an_export_into_the_banks_own_folder_changes_no_file(folder):
    load(folder)
    before = texts(folder)

    export(folder)

    assert texts(folder) == before
    assert load(folder) == ("Bank tiny: 6 unchanged.\n", "")


def test_a_reference_that_was_added_between_others_is_exported_where_the_file_has_it(folder, tmp_path):
    load(folder)
    write_references(folder, *[reference_data(code) for code in ("page-a", "page-one", "page-owl", "page-two")])
    load(folder)

    export(tmp_path / "out")

    assert texts(tmp_path / "out") == texts(folder)


def test_an_edit_made_here_comes_back_the_same_from_an_export_into_an_empty_database(folder, tmp_path):
    load(folder)
    question = Question.objects.get(code="tiny-1.1-0001")
    question.stem, question.status, question.references = "Edited: here\n\n- one\n\nWhat?", "retired", ["page-two"]
    question.save()
    Option.objects.filter(question=question, position=0).update(text="'Quoted': and # odd", flip="x -> y")
    question.record_change(NOW)
    before = everything()

    export(tmp_path / "out")
    empty_the_database()
    load(tmp_path / "out")

    assert everything() == before


def test_an_edit_made_here_is_merged_by_an_export_over_the_files(folder):
    load(folder)
    question = Question.objects.get(code="tiny-1.1-0001")
    question.stem = "Edited here."
    question.save()
    question.record_change(NOW)

    export(folder)

    assert load(folder) == ("Bank tiny: 6 unchanged.\n", "")
    write_question(folder, "tiny-1.1-0001", stem="And then there.")
    assert load(folder) == ("Bank tiny: 1 updated, 5 unchanged.\n", "")


def test_a_question_made_here_is_exported_and_from_then_on_follows_its_file(folder):
    load(folder)
    QuestionFactory(guide=Guide.objects.get(is_home=True), code="tiny-1.1-0099", topics=["topic-1-4"])

    said = export(folder)

    assert said == f"7 questions written to {folder}\n"
    assert load(folder) == ("Bank tiny: 7 unchanged.\n", "")
    write_question(folder, "tiny-1.1-0099", stem="A file of its own.")
    assert load(folder) == ("Bank tiny: 1 updated, 6 unchanged.\n", "")
    assert Question.objects.get(code="tiny-1.1-0099").stem == "A file of its own."


def test_only_the_bank_asked_for_is_exported(folder, tmp_path):
    load(folder)
    other = Guide.objects.create(code="other", edition="one", is_home=True, document=Guide.objects.first().document)
    QuestionFactory(guide=other, code="other-1.1-0001")

    export(tmp_path / "out")

    assert texts(tmp_path / "out") == texts(folder)
