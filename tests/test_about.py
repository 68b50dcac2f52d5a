"""The page that says how good the bank is."""

import json
import re

import pytest

from questions import bank_file
from questions.quality import QualityRecord
from tests.bank_folder import load, write_bank

pytestmark = pytest.mark.django_db

QUALITY = {
    "measured": "2026-11-25",
    "questions": 6,
    "full": 60,
    "exams": 1,
    "sections": [{"name": "1. Section 1", "count": 2, "total": 20}],
    "objectives": [],
    "kinds": {},
    "references": [],
    "first_answers": [
        {"name": "1. Section 1", "count": 9, "total": 10},
        {"name": "2. Section 2", "count": 9, "total": 10},
    ],
    "ratings": [],
    "options_only": [],
    "gates": [
        {"code": "G1", "title": "key uniquely longest", "passed": True, "figure": "24%"},
        {"code": "G7", "title": "stems that are nearly alike", "passed": False, "figure": "1 pairs (wanted 0)"},
    ],
}


def cells(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [
        [" ".join(re.sub(r"<[^>]+>", " ", c).split()) for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


@pytest.fixture
def folder(tmp_path):
    return write_bank(tmp_path / "tiny")


def test_before_a_bank_is_loaded_and_before_it_is_measured_the_page_says_so(client, folder):
    assert "This bank has not been measured yet." in client.get("/about/").text

    load(folder)

    assert "This bank has not been measured yet." in client.get("/about/").text


def test_anyone_reads_what_was_measured_and_what_did_not_pass(client, folder):
    (folder / "quality.yaml").write_text(
        bank_file.dump(QualityRecord.model_validate_json(json.dumps(QUALITY))), "utf-8"
    )
    load(folder)

    page = client.get("/about/").text

    assert cells(page) == [
        ["What is measured", "Figure", "Passed"],
        ["Key uniquely longest", "24%", "yes"],
        ["Stems that are nearly alike", "1 pairs (wanted 0)", "no"],
        ["Section", "Questions", "Of a full bank"],
        ["1. Section 1", "2", "2 of 20"],
    ]
    assert "<strong>90%</strong> of first blind answers matched the key" in page
    assert "Measured on 25 November 2026" in page


def test_every_page_leads_there(client, folder):
    load(folder)

    assert '<a href="/about/">About the bank</a>' in client.get("/").text
