from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from questions.views.people import page_after, wanted_page


@login_not_required
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep in a cookie which language a visitor reads, and go back to the page where they chose it.

    Not by Django's own view: that trusts the request's Host about where one may be sent.
    """
    code = request.POST.get("language")
    if code not in dict(settings.LANGUAGES):
        raise BadRequest("This site does not speak that language.")
    response = redirect(page_after(request, wanted_page(request)))
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        code,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response
