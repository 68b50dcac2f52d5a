from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from questions import bank_file, records
from questions.models import Guide, Question, Reference


class Command(BaseCommand):
    help = "Write the database's questions, references and guides to files that load_bank reads back exactly."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="made if it is not there; files of the same name are replaced")
        parser.add_argument("--bank", default="pmle", help="the code of the guide (default: pmle)")

    def handle(self, *, folder: Path, bank: str, **options: Any) -> None:
        for guide in Guide.objects.filter(code=bank):
            name = "guide.yaml" if guide.is_home else f"guide-{guide.edition}.yaml"
            self.write(folder / name, bank_file.dump(guide.record))
        references = [
            records.ReferenceRecord.model_validate(reference.to_record())
            for reference in sorted(Reference.objects.filter(bank=bank), key=lambda reference: reference.code)
        ]
        self.write(folder / "references.yaml", bank_file.dump(references))
        questions = Question.objects.filter(guide__code=bank).prefetch_related("options")
        count = 0
        for question in questions.iterator(chunk_size=500):
            record = records.QuestionRecord.model_validate(question.to_record())
            self.write(folder / question.objective / f"{question.code}.yaml", bank_file.dump(record))
            count += 1
        self.stdout.write(f"{count} questions written to {folder}")

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
