from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from questions import bank_file, bank_report, gates, lint, records


class Command(BaseCommand):
    help = "Check the questions of a bank's files for flaws of item writing, and measure the bank as a whole."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "path", nargs="?", type=Path, default=settings.BANK_DIR / "pmle", help="a bank's folder (default: pmle's)"
        )
        parser.add_argument("--report", type=Path, help="write the figures as a page, and to the bank's quality.yaml")
        parser.add_argument("--links", action="store_true", help="open every cited address too; needs the network")

    def handle(self, *, path: Path, report: Path | None, links: bool, **options: Any) -> None:
        bank = bank_file.read_bank(path)
        bank_file.read_solves(bank, path)
        if bank.policy is None and not bank.problems:
            raise CommandError(f"There is no policy.yaml in {path}. It names the official hosts and the products.")
        if bank.problems or bank.policy is None:
            count = f"{len(bank.problems)} error{'s' * (len(bank.problems) != 1)}"
            raise CommandError("\n".join([*map(str, bank.problems), f"{count}; nothing was linted."]))

        today = timezone.localdate()
        ledger = {reference.id: reference for reference in bank.references}
        held_against = lint.Bank(bank.policy, ledger, today)
        questions = [question for question in bank.questions if question.status != "retired"]
        duplicates = lint.duplicate_findings(questions)
        dead = dead_links(ledger[code] for code in sorted(_cited(questions))) if links else {}
        blocking = 0
        for question in questions:
            found = [
                *lint.lint(question, held_against),
                *duplicates.get(question.id, []),
                *(dead[code] for code in question.references if code in dead),
            ]
            for finding in found:
                answered = lint.is_answered(finding, question)
                blocking += not answered
                if not answered or options["verbosity"] > 1:
                    note = " (answered by a note)" if answered else ""
                    self.stdout.write(f"{question.objective}/{question.id}.yaml: {finding}{note}")

        measured = gates.gates(bank)
        width = max(len(gate.title) for gate in measured)
        for gate in measured:
            self.stdout.write(f"{gate.code}  {'pass' if gate.passed else 'FAIL'}  {gate.title:{width}}  {gate.figure}")
        failed = sum(not gate.passed for gate in measured)
        if report:
            quality = bank_report.quality(bank, measured, today)
            (path / "quality.yaml").write_text(bank_file.dump(quality), "utf-8")
            report.write_text(bank_report.page(quality), "utf-8")
            self.stdout.write(f"Written: {report}, {path / 'quality.yaml'}")
        if blocking or failed:
            raise CommandError(
                f"{len(questions)} questions: {blocking} open findings, {failed} gates failed. "
                "Mend errors; mend warnings or answer them by a note in the question's history that starts with the rule."
            )
        self.stdout.write(f"{len(questions)} questions: no open findings, every gate passed.")


def _cited(questions: list[records.QuestionRecord]) -> set[str]:
    return {code for question in questions for code in question.references}


def dead_links(references: Iterable[records.ReferenceRecord]) -> dict[str, lint.Finding]:
    """L15 over the network (records hold https addresses only): reference id -> finding, where the page does not answer with 200 within 20 seconds."""
    found = {}
    for reference in references:
        request = Request(reference.url, headers={"User-Agent": "ExamSim link check"})  # noqa: S310
        try:
            with urlopen(request, timeout=20) as response:  # noqa: S310
                answer = "" if response.status == 200 else str(response.status)
        except (OSError, HTTPException) as error:  # urllib's errors are OSErrors
            answer = str(error)
        if answer:
            found[reference.id] = lint.Finding(
                "L15", lint.ERROR, f"{reference.url} does not open ({answer}). Find the page."
            )
    return found
