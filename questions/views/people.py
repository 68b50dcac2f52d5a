import math
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate

from django.conf import settings as site
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from questions import devices, hashing
from questions.account_forms import ChangePasswordForm, ResetForm
from questions.forms import SettingsForm, SignInForm, SignUpForm
from questions.models import SecondFactor, Throttle, User
from questions.models.sign_in import GUESTS, RESETS, SIGN_UPS, WRONG_SIGN_INS
from questions.refusals import refusals
from questions.requests import TakerRequest, network_of
from questions.views import errors

BACKEND = "django.contrib.auth.backends.ModelBackend"
TIME_FOR_CODE = timedelta(minutes=10)  # between the password and the code
TOO_OFTEN = _("Too many tries.")
TOO_MANY = _("Too many people did this from your network.")


def enter(request: HttpRequest, user: User, *, proven: bool = False) -> None:
    """Sign in under a new session key, whoever was here before; `proven` with a second factor."""
    request.session.flush()  # Django keeps the key when the same person signs in again
    login(request, user, BACKEND)
    if proven:
        request.session["second_factor"] = True
    if user.is_staff:
        request.session.set_expiry(site.STAFF_SESSION_AGE)


def enter_and_go(request: HttpRequest, user: User, page: str, *, proven: bool = False) -> HttpResponse:
    """Sign in, go on to that page, and know this browser again at the next time."""
    enter(request, user, proven=proven)
    response = redirect(page)
    devices.remember(request, response, user.username)
    return response


def wanted_page(request: HttpRequest) -> str:
    """What was asked for before signing in."""
    return request.POST.get("next", request.GET.get("next", ""))


def page_after(request: HttpRequest, wanted: str) -> str:
    """The page that was asked for before signing in, if it is one of this site, else the home page."""
    safe = wanted.startswith("/") and url_has_allowed_host_and_scheme(
        wanted, allowed_hosts=None, require_https=request.is_secure()
    )
    return wanted if safe else resolve_url(site.LOGIN_REDIRECT_URL)


def too_many_tries(
    request: HttpRequest,
    page: str,
    context: dict[str, Any],
    wait: timedelta,
    what: str | Promise = TOO_OFTEN,
) -> HttpResponse:
    seconds = math.ceil(wait.total_seconds())
    minutes = math.ceil(seconds / 60)
    if seconds < 60:
        wait_for = ngettext(
            "Wait %(count)s second, then try again.", "Wait %(count)s seconds, then try again.", seconds
        )
    else:
        wait_for = ngettext(
            "Wait %(count)s minute, then try again.", "Wait %(count)s minutes, then try again.", minutes
        )
    told = wait_for % {"count": seconds if seconds < 60 else minutes}
    context |= {"problem": f"{what} {told}"}
    response = render(request, page, context, status=429)
    response.headers["Retry-After"] = str(seconds)
    return refusals.note(response)


type View[R: HttpRequest, **P] = Callable[Concatenate[R, P], HttpResponseBase]


def few_at_once[R: HttpRequest, **P](
    sent_away: Callable[[HttpRequest], HttpResponseBase] = errors.busy,
) -> Callable[[View[R, P]], View[R, P]]:
    """For views that hash a password when something is sent to them: few at a time, the others are sent away.

    Ahead of all that the view does: who is sent away has not tried anything, and no account was looked up.
    """

    def decorate(view: View[R, P]) -> View[R, P]:
        @wraps(view)
        def wrapper(request: R, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if request.method != "POST":
                return view(request, *args, **kwargs)
            with hashing.place(network_of(request)) as found:
                return view(request, *args, **kwargs) if found else refusals.note(sent_away(request))

        return wrapper

    return decorate


def gone_means_sign_in[R: HttpRequest, **P](view: View[R, P]) -> View[R, P]:
    """For views that write about a person, who may be deleted from elsewhere at that moment."""

    @wraps(view)
    def wrapper(request: R, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except User.DoesNotExist:
            return redirect(site.LOGIN_URL)

    return wrapper


def ask_again(request: HttpRequest, page: str, context: dict[str, Any]) -> HttpResponse:
    """The form as it was sent, without the passwords, to be sent once more."""
    context |= {"problem": gettext("Many people are signing in just now. Try again in a few seconds.")}
    response = render(request, page, context, status=503)
    response.headers["Retry-After"] = str(errors.RETRY_AFTER)
    return response


def sign_up_again(request: HttpRequest) -> HttpResponse:
    return ask_again(request, "registration/sign_up.html", {"form": SignUpForm(initial=request.POST.dict())})


def sign_in_again(request: HttpRequest) -> HttpResponse:
    form = SignInForm(request, initial=request.POST.dict())
    return ask_again(request, "registration/login.html", {"form": form, "next": wanted_page(request)})


@login_not_required
@require_POST
def guest(request: HttpRequest) -> HttpResponse:
    """Try it without an account: a guest is a taker whose name is not known yet."""
    if not request.user.is_authenticated:
        if wait := Throttle.objects.note_request(f"guests {network_of(request)}", GUESTS, timezone.now()):
            return too_many_tries(request, "429.html", {}, wait, TOO_MANY)
        enter(request, User.objects.create_guest())
    return redirect("questions:start")


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@few_at_once(sign_up_again)
@gone_means_sign_in
def sign_up(request: HttpRequest) -> HttpResponse:
    """A new account. A guest's exams and results stay with the account that the guest turns into."""
    if request.user.is_authenticated and not request.user.is_guest:
        return redirect("questions:home")
    here = request.user if request.user.is_authenticated else None
    if request.method == "POST" and (
        wait := Throttle.objects.note_request(f"sign-ups {network_of(request)}", SIGN_UPS, timezone.now())
    ):
        form = SignUpForm(initial=request.POST.dict())
        return too_many_tries(request, "registration/sign_up.html", {"form": form}, wait, TOO_MANY)
    form = SignUpForm(request.POST or None, instance=here)
    if request.method == "POST" and form.is_valid() and (user := form.save_if_free()):
        words = (
            gettext("Your account is ready. Your results are kept in it.")
            if here
            else gettext("Your account is ready.")
        )
        response = enter_and_go(request, user, "questions:home")
        messages.success(request, words)
        return response
    if here:
        form.initial["username"] = ""  # not the name that stands in for a guest's
    return render(request, "registration/sign_up.html", {"form": form}, status=422 if form.errors else 200)


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """Name and password; then the code of a second factor, for those who have one.

    Tries are counted by name and network together, or by name and browser where that name signed in last; failures
    of a network also for all names together. So nobody's tries from another network hold up a sign-in, those of a
    classmate behind the same address not where somebody usually sits, and sessions under way notice nothing.
    """
    now = timezone.now()
    context = {"next": wanted_page(request), "form": SignInForm(request)}
    if request.method != "POST":
        return render(request, "registration/login.html", context)
    if wait := Throttle.objects.wait(f"wrong sign-ins {network_of(request)}", now):
        return too_many_tries(request, "registration/login.html", context, wait, TOO_MANY)
    return try_to_sign_in(request, now)


@few_at_once(sign_in_again)
def try_to_sign_in(request: HttpRequest, now: datetime) -> HttpResponse:
    wanted = wanted_page(request)
    page, context = "registration/login.html", {"next": wanted}
    name = devices.plain_name(request.POST.get("username", ""))
    subject = f"sign-in {devices.known(request, name) or network_of(request)} {name}"
    if wait := Throttle.objects.note_try(subject, now):
        return too_many_tries(request, page, context | {"form": SignInForm(request)}, wait)
    form = SignInForm(request, request.POST)
    if not form.is_valid():
        Throttle.objects.note_request(f"wrong sign-ins {network_of(request)}", WRONG_SIGN_INS, now)
        return render(request, page, context | {"form": form}, status=422)
    Throttle.objects.forget(subject)
    user = form.get_user()
    assert isinstance(user, User)
    if SecondFactor.objects.filter(user=user).exists():
        ask_for_code(request, user, wanted, now)
        return redirect("sign_in_code")
    return enter_and_go(request, user, page_after(request, wanted))


def ask_for_code(request: HttpRequest, user: User, wanted: str, now: datetime) -> None:
    """Keep in the session whose password was right; nobody is signed in by that."""
    request.session["signing_in"] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "until": (now + TIME_FOR_CODE).timestamp(),
        "next": wanted,
    }


def who_is_signing_in(request: HttpRequest, now: datetime) -> User | None:
    """Whose password was right just now, unless it was changed or the account closed in between."""
    kept = request.session.get("signing_in")
    if kept is None or kept["until"] < now.timestamp():
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True).first()
    if user is None or not constant_time_compare(user.get_session_auth_hash(), kept["hash"]):
        return None
    return user


@login_not_required
@require_safe
def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """There is one sign-in page; who is signed in already and is sent here may not enter the admin."""
    if request.user.is_staff:
        return redirect("admin:index")
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


@require_POST
def sign_out(request: TakerRequest) -> HttpResponse:
    """Sign out; a guest with exams is asked first, because nobody can sign in as a guest again."""
    if request.user.is_guest and "anyway" not in request.POST and request.user.attempts.exists():
        return render(request, "registration/sign_out.html")
    logout(request)
    response = redirect("questions:home")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'  # nothing for the next person at this browser
    return response


@require_POST
def sign_out_everywhere(request: TakerRequest) -> HttpResponse:
    """End all sessions of the person but this one."""
    proven = bool(request.session.get("second_factor"))
    request.user.end_sessions()
    enter(request, request.user, proven=proven)
    messages.success(request, gettext("You are signed out everywhere else."))
    return redirect("questions:settings")


@never_cache
@sensitive_post_parameters("old_password", "new_password1", "new_password2")
@require_http_methods(["GET", "HEAD", "POST"])
@few_at_once()
@gone_means_sign_in
def change_password(request: TakerRequest) -> HttpResponse:
    """A new password ends all other sessions; the old one cannot be guessed here either."""
    page, subject = "registration/password_change_form.html", f"password {request.user.pk}"
    form = ChangePasswordForm(request.user, request.POST or None)
    if request.method == "POST":
        if wait := Throttle.objects.note_try(subject, timezone.now()):
            return too_many_tries(request, page, {"form": ChangePasswordForm(request.user)}, wait)
        if form.is_valid():
            Throttle.objects.forget(subject)
            update_session_auth_hash(request, form.save())
            return redirect("password_change_done")
        if not form.has_error("old_password"):  # a new password that is too weak is no guess
            Throttle.objects.forget(subject)
    return render(request, page, {"form": form}, status=422 if form.errors else 200)


@require_POST
def keys(request: TakerRequest) -> HttpResponse:
    """Single-key shortcuts on or off, from the exam screen itself."""
    User.objects.filter(pk=request.user.pk).update(single_keys=request.POST.get("on") == "1")
    return HttpResponse(status=204)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def reset_password(request: HttpRequest) -> HttpResponse:
    """Ask for a link to set a new password; the answer is the same whether there is an account or not."""
    page, form = "registration/password_reset_form.html", ResetForm(request.POST or None)
    if request.method == "POST":
        if wait := Throttle.objects.note_request(f"resets {network_of(request)}", RESETS, timezone.now()):
            return too_many_tries(request, page, {"form": ResetForm(initial=request.POST.dict())}, wait, TOO_MANY)
        if form.is_valid():
            form.save(request=request)
            return redirect("password_reset_done")
    return render(request, page, {"form": form}, status=422 if form.errors else 200)


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@gone_means_sign_in
def settings(request: TakerRequest) -> HttpResponseBase:
    """What a taker may change about themselves."""
    form = SettingsForm(request.POST or None, instance=request.user)
    return change_address(request, form) if form.changes_address else store_settings(request, form)


@few_at_once()
def change_address(request: TakerRequest, form: SettingsForm) -> HttpResponse:
    """Store the settings if the password is right; it cannot be guessed here either."""
    subject = f"password {request.user.pk}"
    if wait := Throttle.objects.note_try(subject, timezone.now()):
        form = SettingsForm(initial=request.POST.dict(), instance=request.user)
        return too_many_tries(request, "registration/settings.html", {"form": form}, wait)
    if form.is_valid():
        Throttle.objects.forget(subject)
    return store_settings(request, form)


def store_settings(request: TakerRequest, form: SettingsForm) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, gettext("Your settings are saved."))
        return redirect("questions:settings")
    return render(request, "registration/settings.html", {"form": form}, status=422 if form.errors else 200)
