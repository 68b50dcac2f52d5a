from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from questions.forms import AnswerForm, TimeForm
from questions.requests import TakerRequest
from questions.views import sitting
from questions.warm_up import QUESTIONS, WarmUp, WarmUpSlot, tried

KEY = "warm_up"  # in the session


@require_POST
def start(request: TakerRequest) -> HttpResponse:
    """Begin anew, with the clock."""
    request.session[KEY] = WarmUp(timezone.now()).to_keep()
    return redirect("questions:question", WarmUp.pk, 1)


def _kept(session: SessionBase) -> WarmUp | None:
    kept = session.get(KEY)
    return WarmUp.of(kept) if kept and len(kept["slots"]) == len(QUESTIONS) else None  # else of an older version


def _running(request: TakerRequest, now: datetime) -> WarmUp | None:
    warm_up = _kept(request.session)
    return None if warm_up is None or warm_up.time_is_up(now) else warm_up


@contextmanager
def _locked(request: TakerRequest) -> Iterator[WarmUp]:
    """The warm-up of this session, for one request after the other; what the block changes is kept.

    A browser sends what waits for several questions at once, and a session is stored as a whole: without the lock one
    request would undo what another one has just said is saved. When the time is up it still takes what is under way.
    """
    with transaction.atomic():
        row = get_object_or_404(Session.objects.select_for_update(), pk=request.session.session_key)
        session = SessionStore(row.session_key)
        warm_up = _kept(session)
        if warm_up is None:
            raise Http404
        yield warm_up
        session[KEY] = warm_up.to_keep()
        session.save()


def _slot(warm_up: WarmUp, position: int) -> WarmUpSlot:
    if not 1 <= position <= len(warm_up.slots):
        raise Http404
    return warm_up.slots[position - 1]


def _over(request: TakerRequest) -> HttpResponse:
    return redirect(f"{reverse('questions:start')}{'?warm-up=over' if KEY in request.session else ''}")


@require_safe
def question(request: TakerRequest, attempt_id: str, position: int) -> HttpResponse:
    """One of the three on the screen of the exam."""
    now = timezone.now()
    if not 1 <= position <= len(QUESTIONS):
        raise Http404
    warm_up = _running(request, now)
    if warm_up is None:
        return HttpResponseClientRefresh() if request.htmx else _over(request)
    return sitting.show(request, _slot(warm_up, position), now)


@require_POST
def answer(request: TakerRequest, attempt_id: str, position: int) -> HttpResponse:
    """Keep what was decided, answered as the exam answers it."""
    now = timezone.now()
    with _locked(request) as warm_up:
        slot = _slot(warm_up, position)
        form = AnswerForm(request.POST, slot=slot, now=now)
        result = slot.save_answer(form.to_save()) if form.is_valid() else ""
    if warm_up.time_is_up(now) and not sitting.by_script(request):
        return _over(request)
    return sitting.reply(request, slot, form, result, now) if result else sitting.refuse(request, slot, form, now)


@require_POST
def time(request: TakerRequest, attempt_id: str, position: int) -> HttpResponse:
    """Add the seconds that a question was looked at without a change."""
    form = TimeForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"problems": form.errors}, status=422)
    with _locked(request) as warm_up:
        _slot(warm_up, position).seconds += form.cleaned_data["seconds"]
    return HttpResponse(status=204)


@require_safe
def finish(request: TakerRequest, attempt_id: str) -> HttpResponse:
    """What was tried, and what not yet."""
    now = timezone.now()
    warm_up = _running(request, now)
    if warm_up is None:
        return _over(request)
    context = {"attempt": warm_up, "tried": tried(warm_up.slots), **sitting.clock(warm_up, now)}
    return render(request, "warm_up/finish.html", context)
