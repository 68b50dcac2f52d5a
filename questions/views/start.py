import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from questions import draw
from questions.forms import StartForm
from questions.models import Guide
from questions.models.attempts import time_limit
from questions.models.bank import in_words
from questions.requests import TakerRequest
from questions.views.people import too_many_tries

MANY_STARTS = _("You started many exams within an hour.")


@require_http_methods(["GET", "HEAD", "POST"])
def start(request: TakerRequest) -> HttpResponse:
    """What to know before an exam; then draw it and go to its first question. A running exam is resumed."""
    now = timezone.now()
    guides = Guide.objects.offered()
    if request.method == "POST":
        return _draw(request, guides, now)
    if not guides:
        return redirect("questions:home")  # which says why
    if running := request.user.attempts.running(now):
        return redirect("questions:question", running.pk, 1)
    return render(request, "sitting/start.html", _context(request, guides))


def _context(request: TakerRequest, guides: list[Guide]) -> dict[str, Any]:
    def limit(guide: Guide) -> timedelta:
        return time_limit(guide.record.exam.minutes, request.user.time_factor)

    editions = [(guide, guide.record.exam, limit(guide) / timedelta(minutes=1)) for guide in guides]
    _guide, exam, minutes = editions[0]
    return {
        "editions": editions,
        "exam": exam,
        "minutes": minutes,
        "same_size": len({(exam.questions, exam.minutes) for _, exam, _ in editions}) == 1,
        "warm_up_over": request.GET.get("warm-up") == "over",
    }


def _draw(request: TakerRequest, guides: list[Guide], now: datetime) -> HttpResponse:
    if not guides:
        messages.error(request, gettext("There are no questions yet. An instructor needs to load the bank first."))
        return redirect("questions:home")
    form = StartForm(request.POST, guides=guides)
    if not form.is_valid():
        messages.error(request, str(form.errors["edition"][0]))
        return redirect("questions:start")
    wait = request.user.attempts.wait_to_start(now)
    if wait > timedelta(0) and not request.user.attempts.running(now):
        return too_many_tries(request, "sitting/start.html", _context(request, guides), wait, MANY_STARTS)
    guide = form.cleaned_data["edition"]
    try:
        attempt = request.user.attempts.start(request.user, guide, secrets.randbits(62), now)
    except draw.BankTooSmall as shortage:
        words = gettext("The bank cannot fill this exam yet (%(shortage)s). An instructor needs to add questions.")
        messages.error(request, words % {"shortage": in_words(shortage)})
        return redirect("questions:start")
    except ObjectDoesNotExist:  # the taker was deleted at this moment
        return redirect(settings.LOGIN_URL)
    return redirect("questions:question", attempt.pk, 1)
