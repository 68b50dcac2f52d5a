from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from questions.bank_file import LEDGER_BYTES, digest, dump, face_digest, storage_order
from questions.records import LEVELS, TRAITS, GuideRecord, QuestionRecord, Record, ReferenceRecord
from questions.strict_yaml import read_yaml
from tests.bank_folder import reference_data
from tests.factories import guide_document, question_data

# --- There and back -----------------------------------------------------------------------------

AWKWARD = ["yes", "No", "null", "~", "1", "0x1F", "1e3", "1:30", "2026-11-21", "=", "<<", "---", "...", "|", ">"]
AWKWARD += ["- a", "? a", "# a", "a # b", "a: b", "a:", "*a", "&a", "!a", "%a", "@a", "`a: b`", "{a", "[a, b]"]
AWKWARD += ['"', "'", "'a' \"b\" ''", "\\n \\ \\x41", "a\tb", "a\u00a0b", "a\x9fb", "\ufeffa", "a\ufffe\uffff"]
AWKWARD += ["é ü ß", "日本語", "🐢 🏴‍☠️", "word " * 60 + "end", "x" * 300]

REFUSED = "".join(map(chr, [*range(0x09), *range(0x0B, 0x20), 0x7F]))
characters = st.characters(exclude_categories=["Cs"], exclude_characters=REFUSED)
one_line = st.characters(exclude_categories=["Cs"], exclude_characters=REFUSED + "\n\x85\u2028\u2029")
lines = st.one_of(st.sampled_from(AWKWARD), st.text(one_line, min_size=1, max_size=150)).filter(str.strip)
shorts = lines.map(lambda text: text[:40]).filter(str.strip)
blocks = st.sampled_from(["", "    indented", "\tindented", "```python\nx = 1\n\n  y = '2'\n```"])
stems = (
    st.lists(st.one_of(lines, blocks, st.text(characters, max_size=150)), min_size=1, max_size=6)
    .map("\n".join)
    .filter(str.strip)
)
slugs = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,12}", fullmatch=True)


@st.composite
def questions(draw: Any) -> QuestionRecord:
    """Any record that its shape allows, sensible or not."""
    return QuestionRecord.model_validate(
        question_data(
            topics=draw(st.lists(slugs, min_size=1, max_size=3)),
            guides=draw(st.dictionaries(slugs, st.integers(0, 9), max_size=2)),
            sector=draw(shorts),
            decisive=draw(lines),
            level=draw(st.sampled_from(LEVELS)),
            traits=draw(st.lists(st.sampled_from(TRAITS), max_size=2)),
            stem=draw(stems),
            options=[
                {
                    "text": draw(lines),
                    "why": draw(lines),
                    **draw(st.sampled_from([{}, {"key": True}, {"flip": "a ... b -> c"}])),
                }
                for _ in range(draw(st.integers(1, 3)))
            ],
            explanation=draw(lines),
            reviewers=draw(st.lists(shorts, max_size=2)),
            history=draw(st.lists(st.fixed_dictionaries({"date": st.dates(), "note": lines}), max_size=2)),
        )
    )


def read_back(record: Record) -> Record:
    return type(record).model_validate(read_yaml(dump(record), LEDGER_BYTES).data)


@settings(max_examples=120, deadline=None)
@given(questions())
def test_a_question_written_and_read_is_the_same_and_is_written_the_same_again(record):
    again = read_back(record)

    assert again == record
    assert digest(again) == digest(record)
    assert dump(again) == dump(record)


@pytest.mark.parametrize("text", AWKWARD)
def test_a_text_that_looks_like_something_else_comes_back_as_the_same_text(text):
    record = QuestionRecord.model_validate(question_data(stem=text, explanation=text, sector=text[:40]))

    assert read_back(record) == record


def test_guides_and_references_come_back_too():
    guide = GuideRecord.model_validate(guide_document())
    references = [ReferenceRecord.model_validate(reference_data(code)) for code in ("page-one", "page-two")]

    assert read_back(guide) == guide
    assert [
        ReferenceRecord.model_validate(data) for data in read_yaml(dump(references), LEDGER_BYTES).data
    ] == references


def test_a_question_is_written_for_reading():
    record = QuestionRecord.model_validate(
        question_data(
            stem='He said: "no".\n\n```sql\nSELECT 1\n\n  AS one\n```\n\nWhat now?',
            explanation="yes",
            guides={"2026-06": 4},
            history=[{"date": date(2026, 11, 21), "note": "Für 日本 🐢."}],
        )
    )

    text = dump(record)

    assert text.startswith(
        "id: tiny-1.1-0001\nsection: 1\nobjective: '1.1'\ntopics:\n- topic-1-0\nguides:\n  2026-06: 4\n"
    )
    assert (
        'stem: |\n  He said: "no".\n\n  ```sql\n  SELECT 1\n\n    AS one\n  ```\n\n  What now?\n'
        "options:\n- text: Option 0 of tiny-1.1-0001\n  why: Because of 0.\n" in text
    )
    assert "\nexplanation: 'yes'\n" in text
    assert text.endswith("history:\n- date: 2026-11-21\n  note: Für 日本 🐢.\n")


# --- Digests and the order of options -----------------------------------------------------------

BASE = question_data(guides={"two": 1})


def changed(field: str, **change: Any) -> dict[str, Any]:
    """The first two options are swapped, or an option gets other fields."""
    options = [dict(option) for option in BASE["options"]]
    if field == "swap":
        options[0], options[1] = options[1], options[0]
    else:
        options[int(field)].update(change)
    return {"options": [{k: v for k, v in option.items() if v is not None} for option in options]}


FACE = [
    {"stem": "Another stem?"},
    {"type": "multiple"},
    changed("0", text="Another option"),
    changed("2", text="Another key"),
    {**changed("2", key=None)},
    {**changed("0", key=True)},
    {"options": BASE["options"][:3]},
]
BEHIND = [
    {"id": "tiny-1.1-0009"},
    {"section": 2},
    {"objective": "1.2"},
    {"topics": ["topic-1-1"]},
    {"guides": {"two": 2}},
    {"sector": "ferries"},
    {"decisive": "Another."},
    {"choose": 2},
    {"level": "recall"},
    {"difficulty": 3},
    {"moment": "incident"},
    {"traits": ["sql"]},
    changed("0", why="Another reason."),
    changed("2", why="Another reason."),
    changed("0", flip="a -> b"),
    changed("swap"),
    {"explanation": "Another."},
    {"references": ["page-two"]},
    {"author": "Another"},
    {"reviewers": ["Someone"]},
    {"license": "CC0-1.0"},
    {"status": "retired"},
    {"history": [{"date": date(2026, 11, 21), "note": "First."}]},
    {"stem": BASE["stem"].replace("\n\n", " ")},  # lines broken elsewhere ask the same
]


@pytest.mark.parametrize("change", FACE + BEHIND, ids=lambda change: next(iter(change)))
def test_the_digest_changes_with_any_field(change):
    assert set(QuestionRecord.model_fields) == {field for one in FACE + BEHIND for field in one}

    base, other = QuestionRecord.model_validate(BASE), QuestionRecord.model_validate({**BASE, **change})

    assert digest(other) != digest(base)


def test_equal_records_have_equal_digests_however_they_are_written():
    record = QuestionRecord.model_validate(BASE)
    loosely = {**BASE, "stem": BASE["stem"] + " \n\n", "guides": dict(BASE["guides"])}
    backwards = QuestionRecord.model_validate({field: loosely[field] for field in reversed(loosely)})

    assert digest(backwards) == digest(record)


@pytest.mark.parametrize("change", FACE, ids=lambda change: next(iter(change)))
def test_the_face_changes_with_stem_options_and_key(change):
    base, other = QuestionRecord.model_validate(BASE), QuestionRecord.model_validate({**BASE, **change})

    assert face_digest(other) != face_digest(base)


@pytest.mark.parametrize("change", BEHIND, ids=lambda change: next(iter(change)))
def test_the_face_stays_with_anything_that_a_taker_is_not_asked(change):
    base, other = QuestionRecord.model_validate(BASE), QuestionRecord.model_validate({**BASE, **change})

    assert face_digest(other) == face_digest(base)


def test_the_storage_order_tells_nothing_about_the_key():
    texts = ["the key", "one", "two", "three"]

    places = Counter(
        sorted(texts, key=lambda text: storage_order(f"tiny-1.1-{number:04}", text)).index("the key")
        for number in range(2000)
    )

    assert all(abs(places[place] - 500) < 100 for place in range(4))  # five standard deviations
    assert storage_order("tiny-1.1-0001", "one") == storage_order("tiny-1.1-0001", "one")
