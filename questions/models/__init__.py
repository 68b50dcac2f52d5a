from questions.models.attempts import Attempt, DeadlineChange, SaveEvent, Slot
from questions.models.bank import Guide, Option, Question, Reference, Revision
from questions.models.counters import Counter, LastRun
from questions.models.people import User
from questions.models.sign_in import SecondFactor, Throttle

__all__ = [
    "Attempt",
    "Counter",
    "DeadlineChange",
    "Guide",
    "LastRun",
    "Option",
    "Question",
    "Reference",
    "Revision",
    "SaveEvent",
    "SecondFactor",
    "Slot",
    "Throttle",
    "User",
]
