"""A made-up bank as files: what `load_bank` reads."""

from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command

from questions import bank_file, records
from questions.models import Guide, Question, Reference
from tests.factories import guide_document, question_data

CODES = [f"tiny-{section}.1-000{number}" for section in (1, 2, 3) for number in (1, 2)]


def reference_data(code: str = "page-one", **changes: Any) -> dict[str, Any]:
    return {
        "id": code,
        "url": f"https://docs.cloud.google.com/{code}",
        "title": f"The title of {code}",
        "checked": date(2026, 11, 21),
        "seen": "page",
        "facts": "It says so.",
        **changes,
    }


def write_bank(folder: Path) -> Path:
    """The tiny guide, two references, and the six questions of one exam."""
    folder.mkdir(parents=True, exist_ok=True)
    write_guide(folder / "guide.yaml", guide_document())
    write_references(folder, reference_data("page-one"), reference_data("page-two"))
    for code in CODES:
        write_question(folder, code)
    return folder


def write_guide(path: Path, document: dict[str, Any]) -> None:
    path.write_text(bank_file.dump(records.GuideRecord.model_validate(document)), "utf-8")


def write_references(folder: Path, *references: dict[str, Any]) -> None:
    ledger = [records.ReferenceRecord.model_validate(reference) for reference in references]
    (folder / "references.yaml").write_text(bank_file.dump(ledger), "utf-8")


def question_path(folder: Path, code: str) -> Path:
    return folder / code.split("-")[1] / f"{code}.yaml"


def write_question(folder: Path, code: str, **changes: Any) -> None:
    path = question_path(folder, code)
    path.parent.mkdir(exist_ok=True)
    record = records.QuestionRecord.model_validate(question_data(code, **changes))
    path.write_text(bank_file.dump(record), "utf-8")


def load(*folder: Path, **options: Any) -> tuple[str, str]:
    """What `load_bank` says on its output and on its error output."""
    out, err = StringIO(), StringIO()
    call_command("load_bank", *folder, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def texts(folder: Path) -> dict[str, str]:
    """Every file of a folder: path inside it -> text."""
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in sorted(folder.rglob("*.yaml"))}


def rows() -> list[list[tuple[Any, ...]]]:
    """Everything that the database holds of the bank."""
    return [
        list(Guide.objects.order_by("pk").values_list("pk", "edition", "is_home", "label", "document", "bank_version")),
        list(Reference.objects.order_by("pk").values_list()),
        list(Question.objects.order_by("pk").values_list()),
        list(Question.objects.order_by("pk", "options__position").values_list("code", "options__pk", "options__text")),
        list(Question.objects.order_by("pk", "revisions__number").values_list("code", "revisions__pk")),
    ]
