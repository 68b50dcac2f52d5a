"""The real bank, as its files stand: sound, complete, traceable, and giving no key away."""

import re
from collections import Counter, defaultdict
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import pytest

from questions import bank_file
from questions.records import QuestionRecord
from questions.strict_yaml import read_yaml

# What a question may rest on: the documentation of the products, papers, and those who set standards and rules.
OFFICIAL = {
    "docs.cloud.google.com",
    "cloud.google.com",
    "developers.google.com",
    "ai.google.dev",
    "www.tensorflow.org",
    "keras.io",
    "www.kubeflow.org",
    "beam.apache.org",
    "airflow.apache.org",
    "spark.apache.org",
    "docs.ray.io",
    "docs.pytorch.org",
    "scikit-learn.org",
    "xgboost.readthedocs.io",
    "pair-code.github.io",
    "arxiv.org",
    "www.iso.org",
    "www.nist.gov",
    "eur-lex.europa.eu",
    "www.hhs.gov",
    "www.ftc.gov",
}
SOLVE = {
    "question": str,
    "face": str,
    "reader": str,
    "answer": list,
    "confidence": int,
    "defended": list,
    "date": date,
}


@pytest.fixture(scope="module")
def files(real_bank) -> bank_file.BankFiles:
    return bank_file.read_bank(real_bank)


@pytest.fixture(scope="module")
def published(files) -> list[QuestionRecord]:
    return [question for question in files.questions if question.status == "published"]


@pytest.fixture(scope="module")
def single(published) -> list[QuestionRecord]:
    return [question for question in published if question.type == "single"]


@pytest.fixture(scope="module")
def solves(real_bank) -> dict[str, list[dict[str, Any]]]:
    """Every blind answer: name of its file -> records."""
    paths = sorted((real_bank / "solves").glob("*.yaml"))
    return {path.stem: read_yaml(path.read_text("utf-8"), bank_file.QUESTION_BYTES).data for path in paths}


def keys(question: QuestionRecord) -> list[str]:
    return sorted(option.text for option in question.options if option.key)


# --- Sound and complete -------------------------------------------------------------------------


def test_the_bank_has_no_problems(files):
    assert [str(problem) for problem in files.problems] == []


def test_the_published_questions_are_those_of_one_exam_section_by_section_and_objective_by_objective(files, published):
    cells = {(cell.section, cell.objective): cell.questions for cell in files.guides[0].cells()}

    assert Counter((question.section, question.objective) for question in published) == cells


def test_the_kinds_of_question_are_mixed_as_in_the_real_exam(published):
    choose_two = sum(question.type == "multiple" for question in published)
    with_code = sum(bool(re.search(r"^```(python|sql)$", question.stem, re.MULTILINE)) for question in published)

    assert choose_two in (4, 5)
    assert 8 <= with_code <= 10


def test_every_option_has_a_rationale_of_15_to_70_words(files):
    words = {
        (question.id, option.text): len(option.why.split())
        for question in files.questions
        for option in question.options
    }

    assert {option: count for option, count in words.items() if not 15 <= count <= 70} == {}


# --- Traceable ----------------------------------------------------------------------------------


def test_every_reference_is_in_the_ledger_and_official(files):
    ledger = {reference.id: urlsplit(reference.url).hostname for reference in files.references}
    cited = {reference for question in files.questions for reference in question.references}

    assert cited - set(ledger) == set()
    assert {reference: host for reference, host in ledger.items() if host not in OFFICIAL} == {}


def test_every_blind_answer_is_recorded_in_the_file_of_its_question(files, solves):
    ids = {question.id for question in files.questions}
    shapes = {
        (name, tuple((field, type(value)) for field, value in solve.items()))
        for name, records in solves.items()
        for solve in records
    }

    assert set(solves) - ids == set()
    assert {(name, shape) for name, shape in shapes if shape != tuple(SOLVE.items())} == set()
    assert [solve for name, records in solves.items() for solve in records if solve["question"] != name] == []


def test_two_readers_answered_every_published_question_blind_and_matched_its_key(published, solves):
    sound = defaultdict(set)
    for question in published:
        for solve in solves.get(question.id, []):
            matches = solve["face"] == bank_file.face_digest(question) and sorted(solve["answer"]) == keys(question)
            if matches and solve["confidence"] >= 2 and solve["defended"] == []:
                sound[question.id].add(solve["reader"])

    assert {question.id: sound[question.id] for question in published if len(sound[question.id]) < 2} == {}


# --- Giving no key away -------------------------------------------------------------------------


def test_options_are_stored_in_an_order_that_nobody_chose(files):
    chosen = [
        question.id
        for question in files.questions
        if question.options != sorted(question.options, key=lambda o: bank_file.storage_order(question.id, o.text))
    ]

    assert chosen == []


@pytest.mark.parametrize("extreme", [max, min], ids=["longest", "shortest"])
def test_the_key_is_not_told_by_its_length(single, extreme):
    told = 0
    for question in single:
        lengths = [len(option.text) for option in question.options]
        alone = lengths.count(extreme(lengths)) == 1
        told += alone and question.options[lengths.index(extreme(lengths))].key is True

    assert told / len(single) <= 0.40


def test_the_key_is_not_told_by_its_stored_position(single):
    places = Counter(position for question in single for position, option in enumerate(question.options) if option.key)

    assert max(places.values()) / len(single) <= 0.45
