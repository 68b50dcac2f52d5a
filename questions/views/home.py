from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from questions.models import Guide

SHOWN_ATTEMPTS = 100


def offered_guide() -> Guide | None:
    """The guide whose exam the site offers; None before a bank is loaded."""
    code, _, edition = settings.GUIDE.partition("/")
    return Guide.objects.filter(code=code, edition=edition).first()


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What this is and what to do next; past attempts."""
    context: dict[str, Any] = {"guide": offered_guide()}
    if request.user.is_authenticated:
        now = timezone.now()
        context["running"] = request.user.attempts.running(now)
        context["attempts"] = request.user.attempts.finished()[:SHOWN_ATTEMPTS]
    return render(request, "home.html", context)
