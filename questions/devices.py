"""A browser in which somebody signed in is known again by a cookie, so that a stranger's tries do not hold it up.

As OWASP describes device cookies ("Slow Down Online Guessing Attacks with Device Cookies"). The cookie opens nothing: it
only has wrong passwords for that name counted by themselves. It holds a random number, signed together with the name.
"""

import secrets
import unicodedata
from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse

KEPT = timedelta(days=180)


def plain_name(name: str) -> str:
    """One way to write it for all that people type."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _cookie() -> str:
    return "__Host-device" if settings.HTTPS else "device"


def _salt(name: str) -> str:
    return f"questions.devices {plain_name(name)}"


def known(request: HttpRequest, name: str) -> str | None:
    """The number of this browser, if that name signed in here last; None for what is forged, old or somebody else's."""
    return request.get_signed_cookie(_cookie(), default=None, salt=_salt(name), max_age=KEPT)


def remember(request: HttpRequest, response: HttpResponse, name: str) -> None:
    """That name signed in here: know this browser again. It keeps its number as long as it is the same name's."""
    response.set_signed_cookie(
        _cookie(),
        known(request, name) or secrets.token_hex(16),
        salt=_salt(name),
        max_age=KEPT,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )
