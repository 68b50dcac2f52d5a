from collections.abc import Callable

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from questions.models import Slot
from questions.models.attempts import Confidence
from questions.requests import TakerRequest
from questions.views.sitting import clock, ended

COLUMNS = ("position", "letters", "flagged", "confidence", "seconds", "version", "key", "attempt")

STATES = {
    "unseen": _("not seen"),
    "unanswered": _("not answered"),
    "incomplete": _("one of two"),
    "answered": _("answered"),
}


def state(slot: Slot) -> str:
    """One of STATES."""
    if slot.letters:
        return "answered" if len(slot.letters) == slot.choose else "incomplete"
    return "unanswered" if slot.is_seen else "unseen"


SHOW: dict[str, tuple[str | Promise, Callable[[Slot], bool]]] = {
    "all": (_("All"), lambda slot: True),
    "unanswered": (_("Unanswered"), lambda slot: not slot.letters),
    "incomplete": (_("One of two"), lambda slot: state(slot) == "incomplete"),
    "flagged": (_("Flagged"), lambda slot: slot.flagged),
    "unsure": (_("Unsure"), lambda slot: slot.confidence in (Confidence.GUESS, Confidence.UNSURE)),
}
# What comes first when a column is sorted by: what still needs work; of the times, the shortest.
SORT: dict[str, tuple[str | Promise, Callable[[Slot], int]]] = {
    "number": (_("Question"), lambda slot: slot.position),
    "state": (_("State"), lambda slot: list(STATES).index(state(slot))),
    "flag": (_("Flag"), lambda slot: not slot.flagged),
    "sure": (_("How sure"), lambda slot: slot.confidence),
    "time": (_("Time spent"), lambda slot: slot.seconds),
}


def _choice(request: TakerRequest) -> tuple[str, str]:
    """What is shown, and sorted by what, with "-" the other way round; anything unknown means the default."""
    show, sort = request.GET.get("show", "all"), request.GET.get("sort", "number")
    return show if show in SHOW else "all", sort if sort.removeprefix("-") in SORT else "number"


@require_safe
def finish(request: TakerRequest, attempt_id: int) -> HttpResponse:
    """All questions in one table before submission: what is open, flagged or unsure."""
    now = timezone.now()
    attempt = get_object_or_404(request.user.attempts, pk=attempt_id)
    if elsewhere := ended(request, attempt, now):
        return elsewhere
    slots = list(attempt.slots.only(*COLUMNS))
    show, sort = _choice(request)
    by, backwards = sort.removeprefix("-"), sort.startswith("-")
    shown = sorted(filter(SHOW[show][1], slots), key=SORT[by][1], reverse=backwards)
    columns = [(name, title, f"-{name}" if name == sort else name) for name, (title, key) in SORT.items()]
    context = {
        "attempt": attempt,
        "rows": [(slot, name, STATES[name]) for slot in shown if (name := state(slot))],
        "show": show,
        "sort": sort,
        "by": by,
        "direction": "descending" if backwards else "ascending",
        "filters": [(name, title, sum(map(test, slots))) for name, (title, test) in SHOW.items()],
        "columns": columns,
        **clock(attempt, now),
    }
    return render(request, "sitting/finish.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def submit(request: TakerRequest, attempt_id: int) -> HttpResponse:
    """Say what a submission would leave open; then end the exam and go to its report. A second click changes nothing."""
    now = timezone.now()
    attempt = get_object_or_404(request.user.attempts, pk=attempt_id)
    if request.method == "POST":
        attempt.settle(now)
        return redirect("questions:report", attempt.pk)
    if elsewhere := ended(request, attempt, now):
        return elsewhere
    slots = list(attempt.slots.only(*COLUMNS))
    unanswered, incomplete, flagged = (
        [slot.position for slot in slots if SHOW[name][1](slot)] for name in ("unanswered", "incomplete", "flagged")
    )
    context = {
        "attempt": attempt,
        "unanswered": unanswered,
        "incomplete": incomplete,
        "flagged": flagged,
        "back": (unanswered or incomplete or flagged or [1])[0],
        **clock(attempt, now),
    }
    return render(request, "sitting/submit.html", context)
