"""What was refused because it was too much: a figure for operators, instead of a line in the log for each.

Refusing must stay cheap, so each process counts for itself and adds to the common figure now and then. What it counted
last is written with the next refusal or the next look at its figures; a process that ends loses that.
"""

import threading

from django.http import HttpResponseBase

from questions.logs import Seldom
from questions.models import Counter


class Refusals:
    """Those of this process that the figure does not have yet."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.unwritten = 0
        self.due = Seldom(seconds=10)

    def note[R: HttpResponseBase](self, response: R) -> R:
        """Count this answer, and keep Django from logging it as a warning or an error."""
        response._has_been_logged = True  # type: ignore[attr-defined]
        with self.guard:
            self.unwritten += 1
        if self.due():
            self.write()
        return response

    def write(self) -> None:
        with self.guard:
            number, self.unwritten = self.unwritten, 0
        if number:
            Counter.objects.add("refused", number)


refusals = Refusals()
