from datetime import datetime

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from questions import hashing, privacy
from questions.account_forms import DeleteForm
from questions.models import Throttle
from questions.refusals import refusals
from questions.requests import TakerRequest, network_of
from questions.views import errors
from questions.views.people import gone_means_sign_in, too_many_tries


@require_safe
def my_data(request: TakerRequest) -> HttpResponse:
    """One file with everything that the site keeps about the person who asks."""
    data = privacy.own_data(request.user, timezone.now())
    headers = {"Content-Disposition": 'attachment; filename="examsim-my-data.json"'}
    return JsonResponse(data, json_dumps_params={"indent": 1, "ensure_ascii": False}, headers=headers)


PAGE = "registration/delete_account.html"


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@gone_means_sign_in
def delete_account(request: TakerRequest) -> HttpResponseBase:
    """Forget the person who asks, after their password; a guest has none."""
    now = timezone.now()
    form = DeleteForm(request.POST or None, user=request.user)
    if request.method == "POST":
        if not request.user.is_guest and (refusal := check_password(request, form, now)):
            return refusal
        if form.is_valid():
            privacy.forget(request.user, now)
            return gone(request)
    context = {"form": form, "running": request.user.attempts.running(now)}
    return render(request, PAGE, context, status=422 if form.errors else 200)


def check_password(request: TakerRequest, form: DeleteForm, now: datetime) -> HttpResponseBase | None:
    """Let the form hash what was sent, with a place for that alone: forgetting somebody may take long. The refusal, if any."""
    subject = f"password {request.user.pk}"
    with hashing.place(network_of(request)) as found:
        if not found:
            return refusals.note(errors.busy(request))
        if wait := Throttle.objects.note_try(subject, now):
            unasked = DeleteForm(user=request.user)  # showing the one that was sent would say whether it is right
            context = {"form": unasked, "running": request.user.attempts.running(now)}
            return too_many_tries(request, PAGE, context, wait)
        if form.is_valid():
            Throttle.objects.forget(subject)
    return None


def gone(request: HttpRequest) -> HttpResponse:
    logout(request)
    messages.success(request, gettext("Your account and your data are deleted."))
    return redirect("questions:home")
