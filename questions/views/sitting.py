from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh, push_url

from questions.forms import AnswerForm, TimeForm
from questions.models import Attempt, Counter, Slot
from questions.models.attempts import LATE, REUSED, SAVED, STALE, Confidence, more_seconds
from questions.requests import TakerRequest
from questions.warm_up import WarmUp, WarmUpSlot

STATUS = {SAVED: 200, STALE: 409, LATE: 410, REUSED: 422}
COUNTERS = {STALE: "stale_saves", LATE: "late_saves", REUSED: "reused_operations"}
WORDS = {
    STALE: _(
        "This question was changed in another window or on another device. What is stored is shown below; choose again if you want something else."
    ),
    REUSED: _("This save was already used for something else. Choose again."),
}


def _slot(request: TakerRequest, attempt_id: int, position: int, *related: str) -> Slot:
    """The taker's slot, read with its attempt and what else is named."""
    slots = Slot.objects.filter(attempt__user=request.user).select_related("attempt", *related)
    return get_object_or_404(slots, attempt__pk=attempt_id, position=position)


@require_safe
def question(request: TakerRequest, attempt_id: int, position: int) -> HttpResponse:
    """One question on screen; the palette of all."""
    now = timezone.now()
    slot = _slot(request, attempt_id, position, "revision")
    if elsewhere := ended(request, slot.attempt, now):
        return HttpResponseClientRefresh() if request.htmx else elsewhere  # never swapped into the question
    return show(request, slot, now)


def time_up(request: TakerRequest, attempt: Attempt) -> HttpResponse:
    """A page that waits until saves already under way have arrived, then goes on to the report."""
    answered = attempt.slots.exclude(letters="").count()
    response = render(request, "sitting/time_up.html", {"attempt": attempt, "answered": answered})
    response.headers["Refresh"] = f"{settings.GRACE_SECONDS + 1}; url={reverse('questions:report', args=[attempt.pk])}"
    return response


def ended(request: TakerRequest, attempt: Attempt, now: datetime) -> HttpResponse | None:
    """Where to go instead when the exam is over: the report, or a short wait until the last saves are in."""
    attempt.expire(now)
    if attempt.is_finished:
        return redirect("questions:report", attempt.pk)
    return time_up(request, attempt) if attempt.time_is_up(now) else None


def show(
    request: TakerRequest,
    slot: Slot | WarmUpSlot,
    now: datetime,
    *,
    status: int = 200,
    problem: str = "",
    chosen: str | None = None,
) -> HttpResponse:
    palette = slot.attempt.palette()
    context = {
        "attempt": slot.attempt,
        "slot": slot,
        "chosen": slot.letters if chosen is None else chosen,
        "confidences": Confidence.choices[1:],
        "palette": palette,
        "answered": sum(bool(each.letters) for each in palette),
        "count": len(palette),
        "previous": slot.position - 1,
        "next": slot.position + 1 if slot.position < len(palette) else None,
        **clock(slot.attempt, now),
        "problem": problem,
    }
    if not request.htmx:
        return render(request, "sitting/question.html", context, status=status)
    response = render(request, "sitting/question.html#sitting", context, status=status)
    return push_url(response, reverse("questions:question", args=[slot.attempt_id, slot.position]))


def clock(attempt: Attempt | WarmUp, now: datetime) -> dict[str, Any]:
    """What sitting/_bar.html shows; instants in milliseconds."""
    return {
        "now_ms": _ms(attempt.moment(now)),
        "start_ms": _ms(attempt.started_at),
        "deadline_ms": _ms(attempt.deadline),
        "left": attempt.time_left(now),
    }


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def by_script(request: TakerRequest) -> bool:
    return not request.accepts("text/html")


@require_POST
def answer(request: TakerRequest, attempt_id: int, position: int) -> HttpResponse:
    """Save one slot. Scripts get JSON; a plain form gets the page it asked for."""
    now = timezone.now()
    slot = _slot(request, attempt_id, position)
    form = AnswerForm(request.POST, slot=slot, now=now)
    if not form.is_valid():
        elsewhere = None if by_script(request) else ended(request, slot.attempt, now)
        return elsewhere or refuse(request, slot, form, now)

    save, before = form.to_save(), slot.version
    try:
        result = slot.save_answer(save, now)
    except ObjectDoesNotExist as gone:  # the exam was deleted after it was found above
        raise Http404 from gone
    if count := COUNTERS.get(result) or ("repeated_operations" if before > save.base else ""):
        Counter.objects.count_one(count)
    if result == LATE and not by_script(request):
        return render(request, "sitting/late.html", {"attempt": slot.attempt}, status=410)
    return reply(request, slot, form, result, now)


def refuse(request: TakerRequest, slot: Slot | WarmUpSlot, form: AnswerForm, now: datetime) -> HttpResponse:
    """What is wrong with what was sent; a page keeps what was ticked and written."""
    problems = [str(message) for field in form.errors.values() for message in field]
    if by_script(request):
        return JsonResponse({"problems": problems}, status=422)
    chosen = "".join(letter for letter in request.POST.getlist("letters") if letter in slot.shown_letters)
    slot.note = request.POST.get("note", slot.note)
    slot.confidence = form.cleaned_data.get("confidence") or slot.confidence
    return show(request, slot, now, status=422, problem=" ".join(problems), chosen=chosen)


def reply(request: TakerRequest, slot: Slot | WarmUpSlot, form: AnswerForm, result: str, now: datetime) -> HttpResponse:
    """What became of a save, and what is stored now; a plain form that was saved goes on to the page it asked for."""
    if by_script(request):
        return JsonResponse(
            {
                "result": result,
                "version": slot.version,
                **slot.parts,
                "now": _ms(slot.attempt.moment(now)),
                "deadline": _ms(slot.attempt.deadline),
                **({"op": slot.last_op()} if result == STALE else {}),
            },
            status=STATUS[result],
        )
    if result != SAVED:
        note = form.cleaned_data["note"]
        slot.note = slot.note if note in slot.note else f"{slot.note}\n{note}".strip()  # neither text is lost
        return show(request, slot, now, status=STATUS[result], problem=str(WORDS[result]))
    go = form.cleaned_data["go"]
    if go == "finish":
        return redirect("questions:finish", slot.attempt_id)
    return redirect("questions:question", slot.attempt_id, int(go or slot.position))


@require_POST
def time(request: TakerRequest, attempt_id: int, position: int) -> HttpResponse:
    """Add the seconds that a question was looked at without a change."""
    form = TimeForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"problems": form.errors}, status=422)
    slots = Slot.objects.filter(attempt__in=request.user.attempts.taking_saves(timezone.now()))
    changed = slots.filter(attempt__pk=attempt_id, position=position).update(
        seconds=more_seconds(form.cleaned_data["seconds"])
    )
    return HttpResponse(status=204 if changed else 404)
