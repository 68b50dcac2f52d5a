from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from questions import reporting
from questions.models import Attempt, SaveEvent
from questions.requests import TakerRequest
from questions.views.home import SHOWN_ATTEMPTS
from questions.views.sitting import time_up


def finished_or_refusal(request: TakerRequest, attempt_id: int) -> tuple[Attempt, HttpResponse | None]:
    """The taker's attempt, settled if it has run out; and the page to answer with while it still runs."""
    now = timezone.now()
    attempt = get_object_or_404(request.user.attempts.select_related("guide"), pk=attempt_id)
    attempt.expire(now)
    if attempt.is_finished:
        return attempt, None
    if attempt.time_is_up(now):
        return attempt, time_up(request, attempt)
    return attempt, render(request, "sitting/still_running.html", {"attempt": attempt}, status=403)


@require_safe
def attempt(request: TakerRequest, attempt_id: int) -> HttpResponse:
    """Score, weak and strong sections with their uncertainty, what to study first."""
    attempt, refusal = finished_or_refusal(request, attempt_id)
    if refusal:
        return refusal
    context = {
        **reporting.sections(attempt),
        "attempt": attempt,
        "late": SaveEvent.objects.filter(slot__attempt=attempt, late=True).values("slot").distinct().count(),
    }
    return render(request, "report/attempt.html", context)


@require_safe
def progress(request: TakerRequest) -> HttpResponse:
    """Scores over time, and what all exams together say about each section."""
    request.user.attempts.settle_overdue(timezone.now())
    newest = request.user.attempts.finished()[:SHOWN_ATTEMPTS].with_guide_of_first()
    if not newest:
        return render(request, "report/progress.html")
    context = {
        **reporting.sections(newest[0]),
        "newest": newest[0],
        "attempts": newest[::-1],
        "trend": reporting.trend_chart(newest[::-1], newest[0].target),
    }
    return render(request, "report/progress.html", context)
