"""The real bank, as its files stand. What its questions are held against, `lint_bank` knows and .ci/run calls; this is the rest."""

import csv
import re
from collections import Counter

import pytest

from questions import bank_file
from questions.draw import draw
from questions.gates import FULL_EXAMS
from questions.models import Guide
from questions.records import QuestionRecord
from tests.bank_folder import load


@pytest.fixture(scope="module")
def files(real_bank) -> bank_file.BankFiles:
    return bank_file.read_bank(real_bank)


@pytest.fixture(scope="module")
def published(files) -> list[QuestionRecord]:
    return [question for question in files.questions if question.status == "published"]


def test_the_bank_has_no_problems(files):
    assert [str(problem) for problem in files.problems] == []


def test_options_are_stored_in_an_order_that_nobody_chose(files):
    chosen = [
        question.id
        for question in files.questions
        if question.options != sorted(question.options, key=lambda o: bank_file.storage_order(question.id, o.text))
    ]

    assert chosen == []


def test_the_figures_on_the_site_are_those_of_the_files(files, published):
    assert files.quality is not None
    assert files.quality.questions == len(published)
    assert [section.count for section in files.quality.sections] == [
        sum(question.section == section.code for question in published) for section in files.guides[0].sections
    ]


# --- Kinds, in the shares that the full bank is to have: at most two in a hundred off -------------


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        (lambda question: question.type == "multiple", 0.08),
        (lambda question: "python" in question.traits, 0.08),
        (lambda question: "sql" in question.traits, 0.07),
        (lambda question: "genai" in question.traits, 0.15),
        (lambda question: "simplest-wins" in question.traits, 0.04),
        (lambda question: question.level == "recall", 0.08),
        (lambda question: question.moment != "design", 0.45),
    ],
    ids=["choose two", "Python", "SQL", "generative AI", "simplest wins", "recall", "already running"],
)
def test_kinds_are_mixed_as_planned(published, kind, share):
    assert sum(map(kind, published)) / len(published) == pytest.approx(share, abs=0.02)


def test_a_question_with_code_says_which(published):
    blocks = {q.id: set(re.findall(r"^```(python|sql)$", q.stem, re.MULTILINE)) for q in published}

    assert {q.id: blocks[q.id] ^ ({"python", "sql"} & set(q.traits)) for q in published if blocks[q.id]} == {
        code: set() for code, found in blocks.items() if found
    }


def test_no_sector_has_more_than_its_share_of_questions(published):
    assert max(Counter(question.sector for question in published).values()) <= 0.08 * len(published)


def test_no_product_marks_the_key_too_often(files, published):
    names = sorted((product.name for product in files.policy.products), key=len, reverse=True)

    def named(text: str) -> set[str]:
        found = set()
        for name in names:  # the longer ones first: BigQuery ML is not BigQuery
            if name in text:
                found.add(name)
                text = text.replace(name, " ")
        return found

    marks = Counter(
        product
        for question in published
        for product in set().union(*(named(o.text) for o in question.options if o.key))
        - set.intersection(*(named(o.text) for o in question.options))
    )

    assert {product: count for product, count in marks.items() if count > 0.06 * len(published)} == {}


# --- The plan -------------------------------------------------------------------------------------


def test_the_plan_fills_the_bank_by_the_blueprint_and_knows_what_is_written(real_bank, files, published):
    plan = list(csv.DictReader((real_bank / "plan.csv").open(encoding="utf-8")))

    assert Counter(row["objective"] for row in plan) == {
        cell.objective: FULL_EXAMS * cell.questions for cell in files.guides[0].cells()
    }
    assert {row["id"] for row in plan if row["stage"] == "written"} == {question.id for question in published}
    topics = {topic for row in plan for topic in row["topics"].split()}
    assert topics == set(files.guides[0].topic_sections())
    decisions = Counter(row["decision"] for row in plan)
    assert [decision for decision, count in decisions.items() if count > 1 or not decision] == []


# --- Exams from it --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_taker_sits_exam_after_exam_without_meeting_a_question_again(real_bank, published):
    load(real_bank)
    guide = Guide.objects.get(code="pmle", edition="seed")
    served: dict[int, int] = {}
    exams = len(published) // guide.record.exam.questions

    for exam in range(exams):
        drawn = [candidate.question for candidate in draw(guide.record.cells(), guide.candidates(), served, seed=exam)]
        assert not served.keys() & set(drawn)
        served |= dict.fromkeys(drawn, exam)

    assert len(served) == len(published)
    assert exams <= FULL_EXAMS


@pytest.mark.django_db
def test_every_question_has_a_place_in_the_other_edition_and_that_one_can_be_drawn_too(real_bank, published):
    load(real_bank)
    guide = Guide.objects.get(code="pmle", edition="2026-06")

    drawn = draw(guide.record.cells(), guide.candidates(), {}, seed=1)

    assert [question.id for question in published if "2026-06" not in question.guides] == []
    assert Counter(candidate.section for candidate in drawn) == {1: 8, 2: 9, 3: 12, 4: 12, 5: 11, 6: 8}
