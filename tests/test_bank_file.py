from pathlib import Path

import pytest

from questions.bank_file import LEDGER_BYTES, QUESTION_BYTES, FileProblem, dump, read_bank, storage_order
from questions.records import QuestionRecord
from tests.bank_folder import CODES, question_path, write_bank, write_guide
from tests.factories import guide_document, question_data


def put(folder: Path, name: str, text: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def edit(folder: Path, code: str, old: str, new: str) -> None:
    path = question_path(folder, code)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def found(folder: Path) -> list[str]:
    return [str(problem) for problem in read_bank(folder).problems]


def test_a_sound_bank_is_read_whole(tmp_path):
    write_guide(write_bank(tmp_path) / "guide-2.yaml", {**guide_document(), "edition": "two"})
    put(tmp_path, "solves/tiny-1.1-0001.yaml", "anything: else")

    bank = read_bank(tmp_path)

    assert bank.problems == []
    assert [guide.edition for guide in bank.guides] == ["one", "two"]
    assert [reference.id for reference in bank.references] == ["page-one", "page-two"]
    assert bank.questions == [QuestionRecord.model_validate(question_data(code)) for code in CODES]


def test_all_problems_of_all_files_come_in_one_pass_each_with_its_line(tmp_path):
    write_bank(tmp_path)
    edit(tmp_path, "tiny-1.1-0001", "difficulty: 2", "difficulty: 7")
    edit(tmp_path, "tiny-1.1-0001", "  why: Because of 1.", "  wyh: Because of 1.")
    edit(tmp_path, "tiny-1.1-0002", "- page-one", "- page-three")
    edit(tmp_path, "tiny-2.1-0001", "section: 2", "section: 2\nsection: 2")
    edit(tmp_path, "tiny-2.1-0002", "  key: true\n", "")
    put(tmp_path, "3.1/tiny-3.1-0001.yaml", b"stem: caf\xe9\n")
    put(tmp_path, "3.1/tiny-3.1-0003.yaml", "")
    put(tmp_path, "3.1/tiny-3.1-0004.yaml", "- a list")
    put(tmp_path, "3.1/tiny-3.1-0005.yaml", "x" * (QUESTION_BYTES + 1))

    bank = read_bank(tmp_path)

    assert [str(problem) for problem in bank.problems] == [
        "1.1/tiny-1.1-0001.yaml:12: tiny-1.1-0001: `difficulty` must be 3 or less.",
        "1.1/tiny-1.1-0001.yaml:22: tiny-1.1-0001: `why` is missing. Add it.",
        "1.1/tiny-1.1-0001.yaml:23: tiny-1.1-0001: `wyh` is not a field here. Remove it or correct its spelling.",
        "1.1/tiny-1.1-0002.yaml:31: tiny-1.1-0002: Reference page-three is not in the ledger. "
        "Add it to references.yaml first.",
        "2.1/tiny-2.1-0001.yaml:3: tiny-2.1-0001: The field 'section' stands here twice. Delete one of them.",
        "2.1/tiny-2.1-0002.yaml:19: tiny-2.1-0002: Mark exactly 1 option as key; here are 0.",
        "3.1/tiny-3.1-0001.yaml:1: The file is not UTF-8 text. Save it as UTF-8.",
        "3.1/tiny-3.1-0003.yaml:1: tiny-3.1-0003: The file is empty. Fill it or delete it.",
        "3.1/tiny-3.1-0004.yaml:1: The file must be a mapping of fields.",
        "3.1/tiny-3.1-0005.yaml:1: tiny-3.1-0005: The file is over 65,536 bytes. Shorten it or split it.",
    ]
    assert [question.id for question in bank.questions] == ["tiny-3.1-0002"]


def test_a_question_outside_its_place_is_refused(tmp_path):
    write_bank(tmp_path)
    question_path(tmp_path, "tiny-1.1-0001").rename(tmp_path / "2.1" / "tiny-1.1-0001.yaml")
    question_path(tmp_path, "tiny-1.1-0002").rename(tmp_path / "1.1" / "a-better-name.yaml")

    assert found(tmp_path) == [
        "1.1/a-better-name.yaml:1: tiny-1.1-0002: This question belongs in 1.1/tiny-1.1-0002.yaml.",
        "2.1/tiny-1.1-0001.yaml:1: tiny-1.1-0001: This question belongs in 1.1/tiny-1.1-0001.yaml.",
    ]


def test_an_id_that_two_files_use_is_refused(tmp_path):
    write_bank(tmp_path)
    put(tmp_path, "1.1/copy.yaml", question_path(tmp_path, "tiny-1.1-0002").read_bytes())

    assert found(tmp_path) == [
        "1.1/copy.yaml:1: tiny-1.1-0002: This question belongs in 1.1/tiny-1.1-0002.yaml.",
        "1.1/tiny-1.1-0002.yaml:1: tiny-1.1-0002: The id is used in copy.yaml as well. Take a new one.",
    ]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("guide.yaml", "code: tiny\nsections: [\n", "guide.yaml:3: guide: This is not valid YAML"),
        ("guide.yaml", "- a list\n", "guide.yaml:1: The file must be a mapping of fields."),
        ("guide-2.yaml", "", "guide-2.yaml:1: guide-2: The file is empty."),
        ("references.yaml", "id: page-one\n", "references.yaml:1: The file must be a list of entries."),
        ("references.yaml", b"\xff\xfe", "references.yaml:1: The file is not UTF-8 text."),
        (
            "references.yaml",
            "#" * (LEDGER_BYTES + 1),
            "references.yaml:1: references: The file is over 4,194,304 bytes",
        ),
    ],
)
def test_a_guide_or_ledger_that_cannot_be_read_is_told_with_the_questions_own_problems(tmp_path, name, text, problem):
    write_bank(tmp_path)
    put(tmp_path, name, text)
    put(tmp_path, "1.1/tiny-1.1-0001.yaml", "nonsense")

    first, *others = found(tmp_path)

    assert first.startswith(problem)
    assert others == ["1.1/tiny-1.1-0001.yaml:1: The file must be a mapping of fields."]


def test_problems_in_guides_and_in_the_ledger_have_their_lines(tmp_path):
    write_bank(tmp_path)
    guide = (tmp_path / "guide.yaml").read_text("utf-8")
    put(tmp_path, "guide.yaml", guide.replace("minutes: 60", "minutes: 0"))
    put(tmp_path, "guide-2.yaml", guide.replace("  questions: 6", "  questions: 7"))
    entry = (
        "- id: page-one\n  url: https://example.org/\n  title: T\n  checked: 2026-11-21\n  seen: page\n  facts: F.\n"
    )
    put(
        tmp_path, "references.yaml", entry + entry.replace("page-one", "page-two").replace("2026-11-21", "soon") + entry
    )

    assert found(tmp_path) == [
        "guide.yaml:6: `minutes` must be 1 or more.",
        "guide-2.yaml:1: The file: make the sections' `questions` add up to 7.",
        "references.yaml:10: `checked` must be a date such as 2026-01-31.",
        "references.yaml:13: The id page-one is there twice. Rename or delete one.",
    ]


def test_a_folder_without_a_guide_is_no_bank(tmp_path):
    assert read_bank(tmp_path).problems == [
        FileProblem(str(tmp_path), 1, "", "There is no guide.yaml here. Name a bank's folder.")
    ]


def test_the_shipped_bank_has_no_problems_and_is_written_as_it_would_be_exported(real_bank):
    bank = read_bank(real_bank)

    assert [str(problem) for problem in bank.problems] == []
    assert dump(bank.guides[0]) == (real_bank / "guide.yaml").read_text("utf-8")
    assert dump(bank.references) == (real_bank / "references.yaml").read_text("utf-8")
    for question in bank.questions:
        assert dump(question) == question_path(real_bank, question.id).read_text("utf-8")
        texts = [option.text for option in question.options]
        assert texts == sorted(texts, key=lambda text: storage_order(question.id, text)), question.id


def test_a_place_in_another_edition_must_be_one_of_its_sections(tmp_path):
    write_bank(tmp_path)
    guide = (tmp_path / "guide.yaml").read_text("utf-8")
    put(tmp_path, "guide-two.yaml", guide.replace("edition: one", "edition: two"))
    path = question_path(tmp_path, "tiny-1.1-0001")
    text = path.read_text("utf-8")
    assert "guides: {}\n" in text
    path.write_text(text.replace("guides: {}\n", "guides: {two: 9, unknown: 9}\n"), "utf-8")

    assert found(tmp_path) == ["1.1/tiny-1.1-0001.yaml:6: tiny-1.1-0001: Edition two has no section 9."]
