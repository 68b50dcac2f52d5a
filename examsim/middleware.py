import logging
import secrets
import time
import zoneinfo
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from questions.headers import HEADERS
from questions.logs import request_id
from questions.views import operations

GetResponse = Callable[[HttpRequest], HttpResponseBase]

PROBES = {"/healthz": operations.healthz, "/readyz": operations.readyz}

log = logging.getLogger("examsim.requests")


def identified(get_response: GetResponse) -> GetResponse:
    """Each request has an id of our own making: in its reply, in the lines logged meanwhile, on the page of an error.

    The line about the request itself names the route, never the path: paths hold exam numbers and reset links.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        number = request.request_id = secrets.token_hex(8)  # type: ignore[attr-defined]
        token = request_id.set(number)
        try:
            response = get_response(request)
            response.headers["X-Request-ID"] = number
            route = request.resolver_match.route if request.resolver_match else "-"
            took = round((time.monotonic() - began) * 1000)
            log.info("%s /%s %s in %s ms", request.method, route, response.status_code, took)
        finally:
            request_id.reset(token)
        return response

    return middleware


def security_headers(get_response: GetResponse) -> GetResponse:
    """The headers Django has no setting for. Outside of all that may refuse a request, so that refusals have them too."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return middleware


def probes(get_response: GetResponse) -> GetResponse:
    """Answers those who ask whether the site works: ahead of hosts, sessions and people, whatever of them is broken."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        probe = PROBES.get(request.path_info)
        return probe(request) if probe else get_response(request)

    return middleware


def language(get_response: GetResponse) -> GetResponse:
    """Speak the language that the visitor chose, else their browser's; the thread serves others after this request.

    Instructors write English questions, so the admin is English, whole, for everybody.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        in_admin = request.path_info.startswith("/admin/")
        code = "en" if in_admin else translation.get_language_from_request(request)
        with translation.override(code):
            response = get_response(request)
        response.headers.setdefault("Content-Language", code)
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response

    return middleware


def never_stored(get_response: GetResponse) -> GetResponse:
    """No stored copies of pages that show somebody's work."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if "Cache-Control" in response.headers:  # also where the database cannot say who asks
            return response
        if request.user.is_authenticated:
            response.headers["Cache-Control"] = "no-store, private"
        return response

    return middleware


def plain_text(get_response: GetResponse) -> GetResponse:
    """Refuse with 400 what is not UTF-8 text, before any view reads it.

    A form may name its own encoding, and `hex` or `unicode_escape` would raise errors or make lone surrogates. PostgreSQL
    stores no NUL. Broken UTF-8 arrives as U+FFFD, and storing that would lose what somebody wrote.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if (request.content_params or {}).get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
            raise BadRequest("The only encoding here is UTF-8.")
        texts = [request.path_info, request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")]
        for data in (request.GET, request.POST):
            for name, values in data.lists():
                texts += [name, *values]
        if any("\0" in text or "\N{REPLACEMENT CHARACTER}" in text for text in texts):
            raise BadRequest("Not UTF-8 text, or a NUL in it.")
        return get_response(request)

    return middleware


class SignInRequired(LoginRequiredMiddleware):
    """Signed-out visitors reach the sign-in page; scripts and htmx get 401, never a page swapped into a fragment."""

    def handle_no_permission(  # type: ignore[override]
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseBase:
        sign_in = super().handle_no_permission(request, view_func)
        if request.accepts("text/html") and not request.htmx:  # type: ignore[attr-defined]
            if request.method in ("GET", "HEAD"):
                return sign_in
            # The address of a form cannot be opened after signing in, but the page that it stood on.
            site, page = f"{request.scheme}://{request.get_host()}", request.headers.get("Referer", "")
            if not page.startswith(f"{site}/"):
                return redirect(self.get_login_url(view_func))
            return redirect_to_login(page.removeprefix(site), self.get_login_url(view_func))
        if request.htmx:  # type: ignore[attr-defined]
            return HttpResponse(status=401, headers={"HX-Redirect": sign_in.headers["Location"]})
        return JsonResponse({"reason": "signed-out"}, status=401)


class StaffSecondFactor:
    """The admin opens only to sessions that proved a second factor, where the site asks for one."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: object) -> HttpResponseBase | None:
        in_admin = request.resolver_match is not None and "admin" in request.resolver_match.app_names
        if not (settings.STAFF_NEED_SECOND_FACTOR and in_admin and request.user.is_staff):
            return None
        return None if request.session.get("second_factor") else redirect("questions:second_factor")


def time_zone(get_response: GetResponse) -> GetResponse:
    """Show times in the zone that the taker chose."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        name = request.user.time_zone if request.user.is_authenticated else ""
        with timezone.override(zoneinfo.ZoneInfo(name) if name else None):
            return get_response(request)

    return middleware
