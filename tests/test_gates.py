"""What the gates measure over a bank: each share on questions made to have it."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from questions import gates
from questions.bank_file import BankFiles, face_digest
from questions.gates import Gate
from questions.records import GuideRecord, PolicyRecord, QuestionRecord, ReferenceRecord, SolveRecord
from tests.bank_folder import reference_data
from tests.factories import guide_document, question_data

POLICY = PolicyRecord(hosts=["docs.cloud.google.com"])
WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll", "lagoon"]


def question(number: int = 1, *, key: int = 0, texts: list[str] | None = None, **changes: Any) -> QuestionRecord:
    """A question whose options differ by nothing but a word of five or six letters, and whose key is stored at `key`."""
    texts = texts or [f"Ask the {WORDS[(number + place) % 12]} team." for place in range(4)]
    options: list[dict[str, Any]] = [{"text": text, "why": f"Reason {text}"} for text in texts]
    options[key]["key"] = True
    code = f"tiny-1.1-{number:04}"
    return QuestionRecord.model_validate(question_data(code, options=options, **changes))


def bank(*questions: QuestionRecord, **fields: Any) -> BankFiles:
    files = BankFiles(
        guides=[GuideRecord.model_validate(guide_document())],
        references=[ReferenceRecord.model_validate(reference_data())],
        policy=POLICY,
        questions=list(questions),
    )
    for name, value in fields.items():
        setattr(files, name, value)
    return files


def solve(of: QuestionRecord, **changes: Any) -> SolveRecord:
    """A sound blind answer that matches the key."""
    fields = {
        "question": of.id,
        "face": face_digest(of),
        "reader": "one",
        "answer": gates.keys(of),
        "confidence": 3,
        "date": date(2026, 11, 25),
        **changes,
    }
    return SolveRecord.model_validate(fields)


def gate(code: str, title: str, files: BankFiles) -> Gate:
    return next(each for each in gates.gates(files) if each.code == code and title in each.title)


# --- What the surface tells -----------------------------------------------------------------------


def test_a_key_stands_out_only_where_it_alone_is_longest():
    longest = question(texts=["Ask the whole team.", "Ask one.", "Ask two.", "Ask six."])
    tie = question(texts=["Ask one.", "Ask two.", "Ask six.", "Ask."])
    distractor = question(texts=["Ask one.", "Ask the whole team.", "Ask two.", "Ask six."])

    assert gates.stands_out([longest, tie, distractor], max) == pytest.approx(1 / 3)
    assert gates.stands_out([longest, tie, distractor], min) == 0


def test_a_guess_among_equals_is_right_by_luck():
    tied = question(texts=["Ask one.", "Ask two.", "Ask six.", "Ask the whole team."])

    assert gates.guessed([tied], lambda question, option: -len(option.text)) == pytest.approx(1 / 3)
    assert gates.guessed([tied], lambda question, option: len(option.text)) == 0


def test_overlap_with_the_stem_is_the_share_of_an_options_words():
    asked = question(stem="The harbour needs pilots tonight.", texts=["Call more pilots.", "Wait.", "Sail.", "Anchor."])

    assert gates.stem_overlap(asked, asked.options[0]) == pytest.approx(1 / 3)  # call, more, pilots
    assert gates.stem_overlap(asked, asked.options[1]) == 0


def test_shared_words_are_counted_over_the_other_options():
    asked = question(texts=["Call pilots tonight.", "Call pilots later.", "Call nobody.", "Wait."])

    assert gates.shared_words(asked, asked.options[0]) == pytest.approx((2 + 1 + 0) / 3)


def test_the_solver_finds_a_key_that_is_always_the_longest():
    leaky = [
        question(
            n, key=n % 4, texts=[f"Ask {WORDS[(n + p) % 12]}{' and wait for it' * (p == n % 4)}." for p in range(4)]
        )
        for n in range(1, 41)
    ]

    assert gates.surface_solver(leaky) == 1.0


def test_the_solver_is_lost_where_keys_are_drawn_by_chance():
    share = gates.surface_solver([question(n, key=(n * n + n // 3) % 4) for n in range(1, 201)])

    assert share < 0.40


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_solver_gives_one_figure_for_one_bank_in_any_order(places):
    questions = [question(number, key=place) for number, place in enumerate(places, start=1)]

    assert gates.surface_solver(questions) == gates.surface_solver(questions[::-1])


# --- Bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "passed", "figure"),
    [
        (6, True, "50%, 50%, 0%, 0% (wanted 0% to 56%)"),
        (60, False, "50%, 50%, 0%, 0% (wanted 21% to 29%)"),  # ten exams of six: no luck is granted
    ],
)
def test_bounds_widen_while_the_bank_is_small(size, passed, figure):
    files = bank(*(question(number, key=number % 2) for number in range(size)))

    assert gate("G2", "position", files) == Gate("G2", "stored position of the key", passed, figure)


def test_drafts_and_retired_questions_are_not_measured():
    files = bank(question(1), question(2, status="draft"), question(3, status="retired"))

    assert gate("G8", "", files).figure == "0 of 1"


# --- Readers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"answer": ["Ask the cedar team."]},
        {"confidence": 1},
        {"defended": ["Ask the cedar team."]},
        {"face": "0" * 64},  # an answer to another text
        {"reader": "one"},  # the same reader again
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_two_readers_must_match_the_key_and_defend_nothing_else(fault):
    asked = question()
    first = solve(asked)

    assert gate("G8", "", bank(asked, solves={asked.id: [first, solve(asked, reader="two")]})).passed
    assert not gate(
        "G8", "", bank(asked, solves={asked.id: [first, solve(asked, **{"reader": "two", **fault})]})
    ).passed


@pytest.mark.parametrize(
    ("right", "passed", "figure"),
    [
        (4, True, "40% of 10 at 10 questions (wanted up to 40%)"),
        (5, False, "50% of 10 at 10 questions (wanted up to 40%)"),
    ],
)
def test_a_reader_of_the_options_alone_must_not_find_the_key(right, passed, figure):
    questions = [question(number) for number in range(10)]
    answers = [solve(q, answer=gates.keys(q) if n < right else ["Wait."]) for n, q in enumerate(questions)]

    assert gate("G5", "", bank(*questions, options_only={"2": [], "10": answers})) == Gate(
        "G5", "reader who sees only the options", passed, figure
    )


def test_options_that_nobody_read_alone_are_not_passed():
    assert gate("G5", "", bank(question())) == Gate("G5", "reader who sees only the options", False, "not measured")


def test_too_small_a_sample_is_not_passed():
    questions = [question(number) for number in range(5)]
    answers = [solve(each, answer=["Wait."]) for each in questions[:4]]

    assert not gate("G5", "", bank(*questions, options_only={"5": answers})).passed


# --- What is there --------------------------------------------------------------------------------


def test_every_question_cites_an_official_page():
    foreign = ReferenceRecord.model_validate(reference_data("page-two", url="https://blog.example/post"))
    files = bank(question(1), question(2, references=["page-two"]))
    files.references.append(foreign)

    assert gate("G6", "", files) == Gate("G6", "a reason for every option, an official reference", False, "1 of 2")


def test_no_stem_is_told_twice():
    stem = "A harbour counts the ships that wait in the bay at dawn. What should you do?"

    assert gate("G7", "", bank(question(1, stem=stem), question(2, stem=stem))).figure == "1 pair (wanted 0)"


def in_place(place: str, number: int) -> QuestionRecord:
    return QuestionRecord.model_validate(
        question_data(f"tiny-{place}-{number:04}", topics=[f"topic-{place[0]}-{number}"])
    )


def test_objectives_are_filled_exam_by_exam():
    whole = [in_place(f"{section}.1", number) for section in (1, 2, 3) for number in (1, 2)]

    assert gate("G9", "objective", bank(*whole)).figure == "6: exactly 1 exam"
    off = gate("G9", "objective", bank(*whole[1:], in_place("2.1", 3)))
    assert (off.passed, off.figure) == (False, "off in 1.1, 2.1")


def test_topics_are_covered_in_proportion_to_the_size():
    whole = [in_place(f"{section}.1", number) for section in (1, 2, 3) for number in (1, 2)]
    one_topic = [each.model_copy(update={"topics": ["topic-1-1"]}) for each in whole]

    assert gate("G9", "topics", bank(*whole)).figure == "6 of 36 (wanted 4 at this size)"
    assert not gate("G9", "topics", bank(*one_topic)).passed
