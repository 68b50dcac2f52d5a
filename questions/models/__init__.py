from questions.models.attempts import Attempt, DeadlineChange, SaveEvent, Slot
from questions.models.bank import Guide, Option, Question, Reference, Revision
from questions.models.people import User

__all__ = [
    "Attempt",
    "DeadlineChange",
    "Guide",
    "Option",
    "Question",
    "Reference",
    "Revision",
    "SaveEvent",
    "Slot",
    "User",
]
