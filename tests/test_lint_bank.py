"""`manage.py lint_bank`: what it says, when it fails, what it writes."""

from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from questions import bank_file
from questions.management.commands.lint_bank import dead_links
from questions.records import PolicyRecord, ReferenceRecord, SolveRecord
from tests.bank_folder import load, question_path, reference_data, write_bank, write_question

POLICY = "hosts:\n- docs.cloud.google.com\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = write_bank(tmp_path / "tiny")
    (folder / "policy.yaml").write_text(POLICY, "utf-8")
    return folder


def lint_bank(*arguments, **options) -> tuple[list[str], str]:
    """The lines that the command says, and the error that it ends with."""
    out = StringIO()
    try:
        call_command("lint_bank", *arguments, stdout=out, **options)
    except CommandError as error:
        return out.getvalue().splitlines(), str(error)
    return out.getvalue().splitlines(), ""


def test_every_finding_names_file_rule_and_remedy_and_the_gates_follow(folder):
    said, error = lint_bank(folder)

    assert "1.1/tiny-1.1-0001.yaml: L12 error: The stem has 10 words; use 35 to 130." in said
    assert [line.split()[0] for line in said[-13:]] == [
        "G1",
        "G1",
        "G2",
        "G3",
        "G4",
        "G4",
        "G4",
        "G5",
        "G6",
        "G7",
        "G8",
        "G9",
        "G9",
    ]
    assert "G8  FAIL  two blind readers matched the key                 0 of 6" in said
    assert error.startswith(f"6 questions: {len(said) - 13} open findings, ")


def test_a_warning_that_a_note_answers_is_told_only_on_request(folder):
    before, _ = lint_bank(folder)
    warnings = [line for line in before if "tiny-1.1-0001.yaml: L14 warning" in line]
    write_question(folder, "tiny-1.1-0001", history=[{"date": date(2026, 11, 25), "note": "L14: short on purpose."}])

    after, _ = lint_bank(folder)
    everything, _ = lint_bank(folder, verbosity=2)

    assert warnings
    assert [line for line in after if line in warnings] == []
    assert [line for line in everything if "tiny-1.1-0001.yaml: L14" in line] == [
        f"{line} (answered by a note)" for line in warnings
    ]


def test_files_that_cannot_be_read_are_told_as_load_bank_tells_them(folder):
    path = question_path(folder, "tiny-1.1-0001")
    path.write_text(path.read_text("utf-8").replace("choose: 1", "choose: 2"), "utf-8")

    said, error = lint_bank(folder)

    assert said == []
    assert error.splitlines() == [
        "1.1/tiny-1.1-0001.yaml:10: tiny-1.1-0001: A single-choice question has `choose: 1`.",
        "1 error; nothing was linted.",
    ]


def test_a_bank_without_a_policy_is_refused(folder):
    (folder / "policy.yaml").unlink()

    assert lint_bank(folder) == (
        [],
        f"There is no policy.yaml in {folder}. It names the official hosts and the products.",
    )


def test_a_blind_answer_stands_in_the_file_of_its_question(folder):
    solve = SolveRecord(
        question="tiny-1.1-0002", face="0" * 64, reader="one", answer=["A."], confidence=3, date=date(2026, 11, 25)
    )
    (folder / "solves").mkdir()
    (folder / "solves" / "tiny-1.1-0001.yaml").write_text(bank_file.dump([solve]), "utf-8")

    _, error = lint_bank(folder)

    assert error.splitlines()[0] == "solves/tiny-1.1-0001.yaml:1: tiny-1.1-0001: Name this question alone."


def test_the_report_is_a_page_and_the_same_figures_for_the_site(folder, tmp_path, db):
    said, _ = lint_bank(folder, report=tmp_path / "report.md")

    page = (tmp_path / "report.md").read_text("utf-8")
    assert said[-1] == f"Written: {tmp_path / 'report.md'}, {folder / 'quality.yaml'}"
    assert "6 of 60 questions are published" in page
    assert "| 1. Section 1 | 2 of 20 | `██░░░░░░░░░░░░░░░░░░` 10% |" in page
    quality = bank_file.read_bank(folder).quality
    assert quality is not None
    assert (quality.questions, quality.full, quality.exams) == (6, 60, 1)
    assert [(gate.code, gate.passed) for gate in quality.gates if gate.code in ("G5", "G9")] == [
        ("G5", False),
        ("G9", True),
        ("G9", False),  # all three objectives are there, on too few topics
    ]
    assert load(folder) == ("Bank tiny: 6 added.\n".replace("added", "added, 0 unchanged"), "")


def test_the_policy_is_written_as_it_is_read(real_bank):
    text = (real_bank / "policy.yaml").read_text("utf-8")

    assert bank_file.dump(PolicyRecord.model_validate(bank_file.plain(bank_file.read_bank(real_bank).policy))) == text


# --- Links ----------------------------------------------------------------------------------------


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/there" else 404)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def test_a_page_that_does_not_open_is_an_error():
    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        there, gone = (
            ReferenceRecord.model_validate(reference_data(code)).model_copy(update={"url": f"{base}/{code}"})
            for code in ("there", "gone")
        )

        dead = dead_links([there, gone])
        server.shutdown()

    assert {code: (f.rule, f.severity) for code, f in dead.items()} == {"gone": ("L15", "error")}
    assert "404" in dead["gone"].message
