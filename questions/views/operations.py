"""What operators and their machines ask for: is it alive, is it ready, how does it do."""

import json
import logging
import math
import secrets
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from questions.logs import Seldom
from questions.models import Attempt, Counter, LastRun, SaveEvent, Throttle
from questions.models.sign_in import REPORTS
from questions.refusals import refusals
from questions.requests import network_of

log = logging.getLogger("examsim.operations")

low_disk_is_told = Seldom(seconds=60)  # readiness may be asked for every second
BACKUP_IS_OLD = timedelta(days=2)  # one a day is asked for; the next may take its time


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Asks neither database nor session, so that a restart is not the answer to their faults."""
    return HttpResponse("alive\n", content_type="text/plain", headers={"Cache-Control": "no-store"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The site can save: a row is written and rolled back. 503 if not.

    Room on the disk, the age of the backup and what the sweeper skipped are told, and never a reason.
    """
    database = "ok"
    try:
        with transaction.atomic():
            Session.objects.create(session_key=secrets.token_hex(16), session_data="", expire_date=timezone.now())
            transaction.set_rollback(True)
    except DatabaseError as error:
        log.error("The database takes no writes: %s", error)
        database = "failed"
    disk, free = "ok", free_bytes()
    if free < settings.LOW_DISK:
        disk = "low"
        if low_disk_is_told():
            log.error("The disk of EXAMSIM_DATA is nearly full: %s bytes are free", free)
    return JsonResponse(
        {"database": database, "disk": disk, **last_runs(timezone.now())},
        status=200 if database == "ok" else 503,
        headers={"Cache-Control": "no-store"},
    )


def last_runs(now: datetime) -> dict[str, str]:
    """In a word each: how the newest backup and the last sweep are."""
    try:
        runs = LastRun.objects.in_bulk()
    except DatabaseError:
        return {"backup": "unknown", "sweep": "unknown"}
    backup, sweep = runs.get("backup"), runs.get("settle_overdue")
    return {
        "backup": "none" if backup is None else "old" if now - backup.at > BACKUP_IS_OLD else "ok",
        "sweep": "none" if sweep is None else "skipped" if sweep.skipped else "ok",
    }


def age(run: LastRun | None, now: datetime) -> int | str:
    """Seconds since a run; without any, what is more than every threshold of an alert."""
    return "+Inf" if run is None else max(int((now - run.at).total_seconds()), 0)


def free_bytes() -> int:
    """What is free on the disk that holds the data."""
    return shutil.disk_usage(settings.DATA_DIR).free


def never_in_the_clear(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A machine that forgot TLS is refused where a page would send it on, or nobody would notice what it sent."""

    @wraps(view)
    def refusing(request: HttpRequest) -> HttpResponse:
        if settings.HTTPS and not request.is_secure():
            raise PermissionDenied
        return view(request)

    return refusing


@login_not_required
@require_safe
@never_in_the_clear
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures in Prometheus' text format, for staff and for whoever has the token from the environment."""
    if not request.user.is_staff and not has_token(request):
        raise PermissionDenied
    now = timezone.now()
    refusals.write()
    started, running = Attempt.objects.count(), Attempt.objects.unfinished().count()
    runs = LastRun.objects.in_bulk()
    backup, sweep = runs.get("backup"), runs.get("settle_overdue")
    figures = [
        ("attempts_started_total", "counter", "Exams started.", started),
        ("attempts_finished_total", "counter", "Exams submitted or run out.", started - running),
        ("attempts_running", "gauge", "Exams not finished.", running),
        (
            "attempts_overdue",
            "gauge",
            "Exams that ran out and that nobody has settled.",
            Attempt.objects.overdue(now).count(),
        ),
        ("saves_total", "counter", "Saves stored, by the newest event's number.", SaveEvent.objects.newest()),
        *((f"{name}_total", "counter", text, value) for name, text, value in Counter.objects.figures()),
        ("backup_age_seconds", "gauge", "Since the newest backup began; +Inf without any.", age(backup, now)),
        # Left out where nobody sweeps, which is fine, or the rule for a sweeper that stopped would always fire.
        *([("sweep_age_seconds", "gauge", "Since settle_overdue last began.", age(sweep, now))] if sweep else []),
        (
            "sweep_skipped",
            "gauge",
            "Exams that the last settle_overdue could not settle.",
            sweep.skipped if sweep else 0,
        ),
        ("data_free_bytes", "gauge", "Free on the disk that holds the data.", free_bytes()),
    ]
    lines = []
    for name, kind, text, value in figures:
        lines += [f"# HELP examsim_{name} {text}", f"# TYPE examsim_{name} {kind}", f"examsim_{name} {value}"]
    return HttpResponse(
        "\n".join(lines) + "\n",
        content_type="text/plain; version=0.0.4; charset=utf-8",
        headers={"Cache-Control": "no-store"},
    )


def has_token(request: HttpRequest) -> bool:
    expected = f"Bearer {settings.METRICS_TOKEN}".encode()
    sent = request.headers.get("Authorization", "").encode("utf-8", "replace")
    return bool(settings.METRICS_TOKEN) and secrets.compare_digest(sent, expected)


@login_not_required
@csrf_exempt
@require_POST
@never_in_the_clear
def csp_report(request: HttpRequest) -> HttpResponse:
    """A browser says that a page tried what our policy forbids. Logged without the page's address, which names exams."""
    if wait := Throttle.objects.note_request(f"reports {network_of(request)}", REPORTS, timezone.now()):
        return refusals.note(HttpResponse(status=429, headers={"Retry-After": str(math.ceil(wait.total_seconds()))}))
    try:
        report = json.loads(request.body)["csp-report"]
        directive, blocked = str(report["violated-directive"]), str(report["blocked-uri"])
    except (ValueError, KeyError, TypeError, RecursionError, RequestDataTooBig, RawPostDataException):
        return HttpResponse(status=400)
    log.warning("Policy violated: %s by %s", directive[:60], blocked.partition("?")[0][:200])
    return HttpResponse(status=204)
