import secrets
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh, push_url

from questions import draw
from questions.forms import AnswerForm, StartForm, TimeForm
from questions.models import Attempt, Counter, Guide, Slot
from questions.models.attempts import LATE, REUSED, SAVED, STALE, Confidence, more_seconds
from questions.requests import TakerRequest

STATUS = {SAVED: 200, STALE: 409, LATE: 410, REUSED: 422}
COUNTERS = {STALE: "stale_saves", LATE: "late_saves", REUSED: "reused_operations"}
WORDS = {
    STALE: "This question was changed in another window or on another device. What is stored is shown below; choose again if you want something else.",
    REUSED: "This save was already used for something else. Choose again.",
}


@require_POST
def start(request: TakerRequest) -> HttpResponse:
    """Draw an exam and go to its first question; a running exam is resumed."""
    now = timezone.now()
    guides = Guide.objects.offered()
    if not guides:
        messages.error(request, "There are no questions yet. An instructor needs to load the bank first.")
        return redirect("questions:home")
    form = StartForm(request.POST, guides=guides)
    if not form.is_valid():
        messages.error(request, str(form.errors["edition"][0]))
        return redirect("questions:home")
    guide = form.cleaned_data["edition"]
    try:
        attempt = request.user.attempts.start(request.user, guide, secrets.randbits(62), now)
    except draw.BankTooSmall as shortage:
        messages.error(
            request, f"The bank cannot fill this exam yet ({shortage}). An instructor needs to add questions."
        )
        return redirect("questions:home")
    except ObjectDoesNotExist:  # the taker was deleted at this moment
        return redirect(settings.LOGIN_URL)
    return redirect("questions:question", attempt.pk, 1)


def _slot(request: TakerRequest, attempt_id: int, position: int, *related: str) -> Slot:
    """The taker's slot, read with its attempt and what else is named."""
    slots = Slot.objects.filter(attempt__user=request.user).select_related("attempt", *related)
    return get_object_or_404(slots, attempt__pk=attempt_id, position=position)


@require_safe
def question(request: TakerRequest, attempt_id: int, position: int) -> HttpResponse:
    """One question on screen; the palette of all."""
    now = timezone.now()
    slot = _slot(request, attempt_id, position, "revision")
    if ended := _ended(request, slot.attempt, now):
        return HttpResponseClientRefresh() if request.htmx else ended  # never swapped into the question
    return _show(request, slot, now)


def time_up(request: TakerRequest, attempt: Attempt) -> HttpResponse:
    """A page that waits until saves already under way have arrived, then goes on to the report."""
    answered = attempt.slots.exclude(letters="").count()
    response = render(request, "sitting/time_up.html", {"attempt": attempt, "answered": answered})
    response.headers["Refresh"] = f"{settings.GRACE_SECONDS + 1}; url={reverse('questions:report', args=[attempt.pk])}"
    return response


def _ended(request: TakerRequest, attempt: Attempt, now: datetime) -> HttpResponse | None:
    """Where to go instead when the exam is over: the report, or a short wait until the last saves are in."""
    attempt.expire(now)
    if attempt.is_finished:
        return redirect("questions:report", attempt.pk)
    return time_up(request, attempt) if attempt.time_is_up(now) else None


def _show(
    request: TakerRequest, slot: Slot, now: datetime, *, status: int = 200, problem: str = "", chosen: str | None = None
) -> HttpResponse:
    palette = list(slot.attempt.slots.only("position", "letters", "flagged", "seconds", "version", "attempt"))
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
        **_clock(slot.attempt, now),
        "problem": problem,
    }
    if not request.htmx:
        return render(request, "sitting/question.html", context, status=status)
    response = render(request, "sitting/question.html#sitting", context, status=status)
    return push_url(response, reverse("questions:question", args=[slot.attempt_id, slot.position]))


def _clock(attempt: Attempt, now: datetime) -> dict[str, Any]:
    """What sitting/_bar.html shows; instants in milliseconds."""
    return {
        "now_ms": _ms(attempt.moment(now)),
        "start_ms": _ms(attempt.started_at),
        "deadline_ms": _ms(attempt.deadline),
        "left": attempt.time_left(now),
    }


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


@require_POST
def answer(request: TakerRequest, attempt_id: int, position: int) -> HttpResponse:
    """Save one slot. Scripts get JSON; a plain form gets the page it asked for."""
    now = timezone.now()
    slot = _slot(request, attempt_id, position)
    form = AnswerForm(request.POST, slot=slot, now=now)
    script = not request.accepts("text/html")
    if not form.is_valid():
        problems = [str(message) for field in form.errors.values() for message in field]
        if script:
            return JsonResponse({"problems": problems}, status=422)
        if ended := _ended(request, slot.attempt, now):
            return ended
        chosen = "".join(letter for letter in request.POST.getlist("letters") if letter in slot.shown_letters)
        return _show(request, slot, now, status=422, problem=" ".join(problems), chosen=chosen)

    save, before = form.to_save(), slot.version
    try:
        result = slot.save_answer(save, now)
    except ObjectDoesNotExist as gone:  # the exam was deleted after it was found above
        raise Http404 from gone
    if count := COUNTERS.get(result) or ("repeated_operations" if before > save.base else ""):
        Counter.objects.count_one(count)
    if script:
        return JsonResponse(
            {
                "result": result,
                "version": slot.version,
                **slot.parts,
                "now": _ms(slot.attempt.moment(now)),
                "deadline": _ms(slot.attempt.deadline),
                **({"op": _last_op(slot)} if result == STALE else {}),
            },
            status=STATUS[result],
        )
    if result == LATE:
        return render(request, "sitting/late.html", {"attempt": slot.attempt}, status=410)
    if result != SAVED:
        return _show(request, slot, now, status=STATUS[result], problem=WORDS[result])
    go = form.cleaned_data["go"]
    if go == "finish":
        return redirect("questions:finish", attempt_id)
    return redirect("questions:question", attempt_id, int(go or position))


def _last_op(slot: Slot) -> str:
    """The operation that stored what a slot holds, so that a browser knows an earlier save of its own; "" for none."""
    op = slot.events.filter(late=False).order_by("pk").values_list("op", flat=True).last()
    return op.hex if op else ""


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


@require_safe
def finish(request: TakerRequest, attempt_id: int) -> HttpResponse:
    """The review screen before submission: what is unanswered, what is flagged."""
    now = timezone.now()
    attempt = get_object_or_404(request.user.attempts, pk=attempt_id)
    if ended := _ended(request, attempt, now):
        return ended
    slots = list(attempt.slots.only("position", "letters", "flagged", "key", "attempt"))
    context = {
        "attempt": attempt,
        "slots": slots,
        "unanswered": [slot for slot in slots if not slot.letters],
        "incomplete": [slot for slot in slots if 0 < len(slot.letters) < slot.choose],
        "flagged": [slot for slot in slots if slot.flagged],
        **_clock(attempt, now),
    }
    return render(request, "sitting/finish.html", context)


@require_POST
def submit(request: TakerRequest, attempt_id: int) -> HttpResponse:
    """End the exam and go to its report; a second click changes nothing."""
    now = timezone.now()
    attempt = get_object_or_404(request.user.attempts, pk=attempt_id)
    attempt.settle(now)
    return redirect("questions:report", attempt.pk)
