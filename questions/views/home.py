from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from questions import reporting
from questions.models import Guide
from questions.quality import QualityRecord

SHOWN_ATTEMPTS = 100


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What this is and what to do next; past attempts."""
    guides = Guide.objects.offered()
    context: dict[str, Any] = {"guides": guides, "guide": guides[0] if guides else None}
    if request.user.is_authenticated:
        now = timezone.now()
        context["running"] = request.user.attempts.running(now)
        context["attempts"] = request.user.attempts.finished().with_label()[:SHOWN_ATTEMPTS]
    elif guides:
        context |= {"rows": reporting.example(guides[0].record), "target": guides[0].record.exam.target}
    return render(request, "home.html", context)


@login_not_required
@require_safe
def about(request: HttpRequest) -> HttpResponse:
    """How good the bank is, as measured."""
    code = settings.GUIDE.partition("/")[0]
    guide = Guide.objects.filter(code=code, is_home=True).first()
    quality = QualityRecord.model_validate(guide.quality, strict=False) if guide and guide.quality else None
    return render(request, "about.html", {"quality": quality})
