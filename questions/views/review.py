from collections.abc import Callable

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from questions.models import Reference, Slot
from questions.models.attempts import Confidence
from questions.requests import TakerRequest
from questions.views.report import finished_or_refusal

SHOW: dict[str, tuple[str | Promise, Callable[[Slot], bool]]] = {
    "missed": (_("Missed"), lambda slot: not slot.is_right),
    "wrong": (_("Wrong"), lambda slot: bool(slot.letters) and not slot.is_right),
    "unanswered": (_("Unanswered"), lambda slot: not slot.letters),
    "sure": (_("Sure, but wrong"), lambda slot: slot.confidence == Confidence.SURE and not slot.is_right),
    "flagged": (_("Flagged"), lambda slot: slot.flagged),
    "all": (_("All"), lambda slot: True),
}


def _filters(request: TakerRequest, default: str) -> tuple[str, int | None, str]:
    """What is shown, of which section, and both as a query string; anything unknown means the default."""
    show = request.GET.get("show", default)
    show = show if show in SHOW else default
    section = request.GET.get("section", "")
    number = int(section) if section.isascii() and section.isdigit() and len(section) < 4 else None
    return show, number, f"show={show}" + (f"&section={number}" if number is not None else "")


@require_safe
def index(request: TakerRequest, attempt_id: int) -> HttpResponse:
    """The questions of a finished exam, by result and section."""
    attempt, refusal = finished_or_refusal(request, attempt_id)
    if refusal:
        return refusal
    show, section, query = _filters(request, "missed")
    everything = list(attempt.slots.select_related("revision"))
    inside = [slot for slot in everything if section in (None, slot.section)]
    context = {
        "attempt": attempt,
        "slots": [slot for slot in inside if SHOW[show][1](slot)],
        "show": show,
        "section": section,
        "query": query,
        "filters": [(name, title, sum(map(test, inside))) for name, (title, test) in SHOW.items()],
        "sections": attempt.guide.record.sections,
    }
    return render(request, "review/index.html", context)


@require_safe
def question(request: TakerRequest, attempt_id: int, position: int) -> HttpResponse:
    """One question as it was shown, with the key, every rationale, the explanation and the references."""
    attempt, refusal = finished_or_refusal(request, attempt_id)
    if refusal:
        return refusal
    slot = get_object_or_404(attempt.slots.select_related("revision", "question"), position=position)
    show, section, query = _filters(request, "all")
    others = list(attempt.slots.only("position", "letters", "flagged", "confidence", "is_right", "section", "attempt"))
    shown = [o.position for o in others if section in (None, o.section) and SHOW[show][1](o)]
    missed = [o.position for o in others if not o.is_right]
    codes = slot.revision.content["references"]
    references = {r.code: r for r in Reference.objects.filter(bank=attempt.guide.code, code__in=codes)}
    titles = {s.code: s.title for s in attempt.guide.record.sections}
    context = {
        "attempt": attempt,
        "slot": slot,
        "content": slot.revision.content,
        "references": [references[code] for code in codes if code in references],
        "section_title": titles.get(slot.section, ""),
        "query": query,
        "count": len(others),
        "previous": max((p for p in shown if p < position), default=None),
        "next": min((p for p in shown if p > position), default=None),
        "previous_missed": max((p for p in missed if p < position), default=None),
        "next_missed": min((p for p in missed if p > position), default=None),
    }
    return render(request, "review/question.html", context)
