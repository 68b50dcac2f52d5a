"""Three made-up questions to try the exam's screen on. Nothing of them is scored, or kept for longer than the session.

To views and templates a WarmUp looks like an Attempt, and what it holds like Slots.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.utils.translation import gettext, gettext_noop

from questions import draw
from questions.models.attempts import PARTS, REUSED, SAVED, STALE, Decided, Save

LIMIT = timedelta(minutes=10)

CODE = """\
```python
for question in exam:
    if not sure(question):
        flag(question)
```"""

# What Revision.content says of a question, as far as it is shown; a stem in paragraphs.
QUESTIONS: tuple[dict[str, Any], ...] = (
    {
        "type": "single",
        "stem": [
            gettext_noop(
                "This is how a question looks: first the situation, then what is asked, in the last sentence. "
                "Choose an option, then change your mind as often as you like. **Saved** appears when your choice is kept."
            ),
            gettext_noop("Which option do you choose?"),
        ],
        "options": [
            {"text": gettext_noop("This one, to begin with.")},
            {"text": gettext_noop("This one, after a change of mind.")},
            {"text": gettext_noop("None in the end: *Clear answer* takes a choice back.")},
            {"text": gettext_noop("Whichever; the numbers of the questions show what is answered.")},
        ],
    },
    {
        "type": "multiple",
        "stem": [
            gettext_noop(
                "Some questions ask for two options. It helps to strike out first what you have ruled out; "
                "choosing an option takes its line away again."
            ),
            gettext_noop("Which two options do you choose? (Choose two.)"),
        ],
        "options": [
            {"text": gettext_noop("This one.")},
            {"text": gettext_noop("Not this one: strike it out.")},
            {"text": gettext_noop("This one, too.")},
            {"text": gettext_noop("Strike this one out, then take that back.")},
            {"text": gettext_noop("This one as a third, which is refused until you untick another.")},
        ],
    },
    {
        "type": "single",
        "stem": [
            gettext_noop("Some questions show code, or a table."),
            CODE,
            gettext_noop(
                "Select some words of this text and highlight them. Flag the question, and write yourself a note about it."
            ),
            gettext_noop("What do you do next?"),
        ],
        "options": [
            {"text": gettext_noop("Say how sure you are of an answer.")},
            {"text": gettext_noop("Go back to an earlier question by its number.")},
            {"text": gettext_noop("Open the list of keys.")},
            {"text": gettext_noop("Finish the warm-up, and see what you have not tried yet.")},
        ],
    },
)
KEPT = (*PARTS, "seconds", "version", "op", "digest")


@dataclass
class WarmUp:
    started_at: datetime
    slots: list["WarmUpSlot"] = field(default_factory=list)

    pk: ClassVar[str] = "warm-up"
    is_warm_up: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.slots = self.slots or [WarmUpSlot(self, position) for position in range(1, len(QUESTIONS) + 1)]

    @classmethod
    def of(cls, kept: dict[str, Any]) -> "WarmUp":
        """What `to_keep` gave."""
        warm_up = cls(datetime.fromtimestamp(kept["started_at"], UTC))
        for slot, values in zip(warm_up.slots, kept["slots"], strict=True):
            vars(slot).update(values)
        return warm_up

    def to_keep(self) -> dict[str, Any]:
        slots = [{name: getattr(slot, name) for name in KEPT} for slot in self.slots]
        return {"started_at": self.started_at.timestamp(), "slots": slots}

    @property
    def deadline(self) -> datetime:
        return self.started_at + LIMIT

    def moment(self, now: datetime) -> datetime:
        return now

    def time_is_up(self, now: datetime) -> bool:
        return now >= self.deadline

    def time_left(self, now: datetime) -> timedelta:
        return max(self.deadline - now, timedelta(0))

    def palette(self) -> list["WarmUpSlot"]:
        return self.slots


@dataclass
class WarmUpSlot(Decided):
    attempt: WarmUp = field(repr=False)
    position: int
    letters: str = ""
    flagged: bool = False
    confidence: int = 0
    struck: str = ""
    marks: str = ""
    note: str = ""
    seconds: int = 0
    version: int = 0
    op: str = ""  # the last one that changed something
    digest: str = ""  # of what it asked for

    attempt_id: ClassVar[str] = WarmUp.pk

    @property
    def revision(self) -> dict[str, Any]:
        question = QUESTIONS[self.position - 1]
        return {"content": {"type": question["type"], "stem": "\n\n".join(map(gettext, question["stem"]))}}

    @property
    def shown(self) -> list[dict[str, str]]:
        options = QUESTIONS[self.position - 1]["options"]
        return [
            {"letter": letter, "text": gettext(option["text"])}
            for letter, option in zip(draw.LETTERS, options, strict=False)
        ]

    @property
    def shown_letters(self) -> str:
        return draw.LETTERS[: len(self.shown)]

    @property
    def choose(self) -> int:
        return 2 if QUESTIONS[self.position - 1]["type"] == "multiple" else 1

    def last_op(self) -> str:
        return self.op

    def save_answer(self, save: Save) -> str:
        """As Slot.save_answer, but it remembers only the last operation, and nothing comes too late."""
        wanted = save.wanted(self.parts)
        if wanted == self.parts:
            self.seconds += save.seconds if self.version == save.base else 0
            return SAVED
        if save.op.hex == self.op:
            return SAVED if save.digest == self.digest else REUSED
        if save.base != self.version:
            return STALE
        vars(self).update(wanted, op=save.op.hex, digest=save.digest)
        self.version += 1
        self.seconds += save.seconds
        return SAVED


def tried(slots: list[WarmUpSlot]) -> list[tuple[bool, str, str, str]]:
    """For each thing to try: whether it was, what it is, how it is done by pointer, and by which key."""
    two = any(s.choose == len(s.letters) == 2 for s in slots)
    return [
        (
            any(s.letters for s in slots),
            gettext("chosen an option"),
            gettext("click on one"),
            gettext("its letter or its number"),
        ),
        (
            two,
            gettext("chosen two options where two are asked for"),
            gettext("click on both, in question 2"),
            gettext("their letters"),
        ),
        (
            any(s.struck for s in slots),
            gettext("struck out an option"),
            gettext("use the button beside it"),
            gettext("S, then its letter"),
        ),
        (any(s.flagged for s in slots), gettext("flagged a question"), gettext("use Flag for review"), "F"),
        (any(s.confidence for s in slots), gettext("said how sure you are"), gettext("say it below the options"), "U"),
        (any(s.marks for s in slots), gettext("highlighted words"), gettext("select some, then use Highlight"), "H"),
        (any(s.note for s in slots), gettext("written a note"), gettext("open Note below the options"), "N"),
    ]
