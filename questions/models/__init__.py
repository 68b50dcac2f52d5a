from questions.models.attempts import Attempt, SaveEvent, Slot
from questions.models.bank import Guide, Option, Question, Reference, Revision
from questions.models.counters import Counter
from questions.models.people import User

__all__ = ["Attempt", "Counter", "Guide", "Option", "Question", "Reference", "Revision", "SaveEvent", "Slot", "User"]
