"""What the documents for operators and reviewers name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


@pytest.mark.parametrize("document", ["docs/reliability.md", "docs/asvs.md", "docs/accessibility.md"])
def test_every_test_that_a_document_names_exists(document):
    named = NAMED.findall((ROOT / document).read_text("utf-8"))

    files = {file: (ROOT / "tests" / file).read_text("utf-8") for file, _ in named}
    assert len(named) > 20
    assert [f"{file}::{test}" for file, test in named if f"\ndef {test}(" not in files[file]] == []


def test_every_row_about_asvs_says_a_test_or_a_reason():
    rows = re.findall(r"^\| (\d+\.\d+\.\d+) \| (.+?) \| (.+?) \|$", (ROOT / "docs/asvs.md").read_text("utf-8"), re.M)

    assert len(rows) > 100
    assert sorted({number for number, *_ in rows}) == sorted(number for number, *_ in rows)
    assert [number for number, _, shown in rows if not (NAMED.search(shown) or len(shown) > 20)] == []
