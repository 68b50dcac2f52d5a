from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from questions import bank_file
from questions.loading import files_digest, is_loaded, load


class Command(BaseCommand):
    help = "Load banks of question files (YAML): new ids are added, changed files make new revisions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="?", type=Path, help="a bank's folder; by default every bank that is shipped")
        parser.add_argument(
            "--if-changed", action="store_true", help="leave banks alone whose files were loaded before"
        )
        parser.add_argument("--check", action="store_true", help="read and check, write nothing")
        parser.add_argument(
            "--prefer-files", action="store_true", help="where file and database were both changed, take the file"
        )

    def handle(self, *, path: Path | None, if_changed: bool, check: bool, prefer_files: bool, **options: Any) -> None:
        folders = [path] if path else sorted(guide.parent for guide in settings.BANK_DIR.glob("*/guide.yaml"))
        if if_changed:
            folders = [folder for folder in folders if not is_loaded(folder)]
        # Before reading, so that a change in between is loaded next time.
        digests = [files_digest(folder) for folder in folders]
        banks = [bank_file.read_bank(folder) for folder in folders]
        problems = [str(problem) for bank in banks for problem in bank.problems]
        if problems:
            count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
            raise CommandError("\n".join([*problems, f"{count}; nothing was loaded."]))
        for bank, digest in zip(banks, digests, strict=True):
            name = bank.guides[0].code
            if check:
                self.stdout.write(f"Bank {name}: {len(bank.questions)} questions, no problems.")
                continue
            report = load(bank, timezone.now(), source=digest, prefer_files=prefer_files)
            if options["verbosity"]:
                self.stdout.write(f"Bank {name}: {report}.")
            for code in report.conflicts:
                self.stderr.write(
                    f"{code}: its file and the database were both changed; the database's text stays. "
                    "Merge with export_bank, or load again with --prefer-files."
                )
