import sqlite3
import sys

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from questions.logs import request_id

RETRY_AFTER = 5  # seconds


def server_error(request: HttpRequest) -> HttpResponse:
    """What an error that nothing caught looks like: 503 if the database cannot be had now, else 500, with the id under which the log tells more.

    As handler500 and not as middleware, because Django calls it within the handling of the exception wherever that was
    raised: in a view, or in the middleware that reads the session and writes it back.
    """
    if not is_passing(sys.exception()):
        return HttpResponse(render_to_string("500.html", {"request_id": request_id.get()}), status=500)
    return busy(request)


def busy(request: HttpRequest) -> HttpResponse:
    """The site cannot do this now, and can in a moment; sending it again is safe."""
    if request.accepts("text/html"):
        response = render(request, "503.html", status=503)
    else:
        response = JsonResponse({"reason": "busy"}, status=503)  # the browser's outbox keeps the answer and tries again
    response.headers["Retry-After"] = str(RETRY_AFTER)
    response.headers["Cache-Control"] = "no-store"
    return response


def is_passing(error: BaseException | None) -> bool:
    """Whether the database failed for a reason that may pass: locked, disk full, out of connections, restarting.

    PostgreSQL's OperationalErrors are all of that sort. SQLite calls mistakes in a statement so, too; they have the
    code SQLITE_ERROR.
    """
    cause = getattr(error, "__cause__", None)
    return isinstance(error, OperationalError) and getattr(cause, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR
