import zoneinfo
from collections.abc import Callable

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone

GetResponse = Callable[[HttpRequest], HttpResponseBase]

HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
}


def security_headers(get_response: GetResponse) -> GetResponse:
    """The headers Django has no setting for, and no stored copies of pages that show somebody's work."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated:
            response.headers.setdefault("Cache-Control", "no-store, private")
        return response

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


def time_zone(get_response: GetResponse) -> GetResponse:
    """Show times in the zone that the taker chose."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        name = request.user.time_zone if request.user.is_authenticated else ""
        with timezone.override(zoneinfo.ZoneInfo(name) if name else None):
            return get_response(request)

    return middleware
