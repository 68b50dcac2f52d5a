"""The bank's measured quality as a record: `lint_bank --report` writes it, the report page and the site show it."""

import datetime
from typing import Annotated

from pydantic import Field

from questions.records import Record, Short, Slug


class GateRecord(Record):
    """One measure of the bank, as `gates` found it."""

    code: Short
    title: Short
    passed: bool
    figure: Short


class ShareRecord(Record):
    """How often something was so: `count` of `total`."""

    name: Short
    count: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]


class QualityRecord(Record):
    """What was counted and measured on one day."""

    measured: datetime.date
    questions: int  # published ones
    full: int  # how many a full bank has
    exams: int  # whole exams without a question in common
    sections: list[ShareRecord]
    objectives: list[ShareRecord]
    kinds: dict[Slug, list[ShareRecord]]  # type, level, difficulty, moment, traits
    references: list[ShareRecord]
    first_answers: list[ShareRecord]  # per section: the first two blind answers to each question that matched its key
    ratings: list[ShareRecord]  # questions by what their readers said of them
    options_only: list[ShareRecord]  # per size of the bank: right without the stem
    gates: list[GateRecord]

    @property
    def first_share(self) -> float | None:
        """Share of the first blind answers that matched the key; None where nobody has answered."""
        total = sum(share.total for share in self.first_answers)
        return sum(share.count for share in self.first_answers) / total if total else None
