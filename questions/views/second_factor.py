from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from questions import totp
from questions.account_forms import CodeForm, SecondFactorForm
from questions.models import SecondFactor, Throttle
from questions.models.sign_in import digest_of_code, new_recovery_codes
from questions.requests import TakerRequest
from questions.views.people import enter, enter_and_go, few_at_once, page_after, too_many_tries, who_is_signing_in


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """The second half of a sign-in: the password was right, now the code."""
    now = timezone.now()
    user = who_is_signing_in(request, now)
    factor = SecondFactor.objects.filter(user=user).first() if user else None
    if user is None or factor is None:
        return redirect("login")
    page, form = "registration/sign_in_code.html", CodeForm(request.POST or None)
    if request.method == "POST":
        # By person alone, not by address: who comes this far knows the password, and six digits are few.
        if wait := Throttle.objects.note_try(f"code {user.pk}", now):
            return too_many_tries(request, page, {"form": form}, wait)
        if is_right(form, factor, now):
            after = page_after(request, request.session["signing_in"]["next"])
            return enter_and_go(request, user, after, proven=True)
    return render(request, page, {"form": form}, status=422 if form.errors else 200)


def is_right(form: CodeForm, factor: SecondFactor, now: datetime) -> bool:
    """Use up the code that was sent, and forget the tries before it; the form says so if it does not fit."""
    if not form.is_valid():
        return False
    if not factor.accept(form.cleaned_data["code"], now):
        form.add_error(
            "code", gettext("This code does not fit or was used before. Wait for the next one, then enter it.")
        )
        return False
    Throttle.objects.forget(f"code {factor.user_id}")
    return True


@never_cache
@sensitive_post_parameters("password", "token", "code")
@require_http_methods(["GET", "HEAD", "POST"])
@few_at_once()
def second_factor(request: TakerRequest) -> HttpResponse:
    """Set one up with an authenticator app; who has one sees that, and can turn it off."""
    if request.user.is_guest:
        raise PermissionDenied
    factor = SecondFactor.objects.filter(user=request.user).first()
    if factor:
        context = {"factor": factor, "form": CodeForm()}
        return render(request, "registration/second_factor.html", context, status=409 if request.POST else 200)
    now = timezone.now()
    page, form = "registration/second_factor.html", SecondFactorForm(request.POST or None, user=request.user, now=now)
    if request.method == "POST":
        if wait := Throttle.objects.note_try(f"password {request.user.pk}", now):
            unasked = SecondFactorForm(
                user=request.user, now=now
            )  # the one that was sent would say whether it is right
            return too_many_tries(request, page, to_set_up(unasked), wait)
        if form.is_valid():
            Throttle.objects.forget(f"password {request.user.pk}")
            return set_up(request, form)
        if form.has_error("token"):
            messages.error(request, gettext("The page was too old. Here is a new secret."))
            return redirect("questions:second_factor")
    return render(request, page, to_set_up(form), status=422 if form.errors else 200)


def to_set_up(form: SecondFactorForm) -> dict[str, Any]:
    assert form.secret is not None
    return {"form": form, "secret": form.secret, "address": totp.address(form.secret, form.user.username)}


def set_up(request: TakerRequest, form: SecondFactorForm) -> HttpResponse:
    """Store it, end all other sessions, which did not prove it, and show the recovery codes this once."""
    codes = new_recovery_codes()
    with transaction.atomic():
        form.to_factor([digest_of_code(code) for code in codes]).save()
        request.user.end_sessions()
    enter(request, request.user, proven=True)
    return render(request, "registration/recovery_codes.html", {"codes": codes})


@require_POST
def second_factor_off(request: TakerRequest) -> HttpResponse:
    """Turn it off, with a code of it or a recovery code."""
    now = timezone.now()
    factor = SecondFactor.objects.filter(user=request.user).first()
    if factor is None:
        return redirect("questions:second_factor")
    page, form = "registration/second_factor.html", CodeForm(request.POST)
    context = {"factor": factor, "form": form}
    if wait := Throttle.objects.note_try(f"code {request.user.pk}", now):
        return too_many_tries(request, page, context, wait)
    if is_right(form, factor, now):
        factor.delete()
        request.session.pop("second_factor", None)
        messages.success(request, gettext("Your second factor is off."))
        return redirect("questions:second_factor")
    return render(request, page, context, status=422)
