from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from questions import privacy
from questions.account_forms import DeleteForm
from questions.models import Throttle
from questions.requests import TakerRequest
from questions.views.people import few_at_once, too_many_tries


@require_safe
def my_data(request: TakerRequest) -> HttpResponse:
    """One file with everything that the site keeps about the person who asks."""
    data = privacy.own_data(request.user, timezone.now())
    headers = {"Content-Disposition": 'attachment; filename="examsim-my-data.json"'}
    return JsonResponse(data, json_dumps_params={"indent": 1, "ensure_ascii": False}, headers=headers)


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@few_at_once()
def delete_account(request: TakerRequest) -> HttpResponse:
    """Forget the person who asks, after their password."""
    now = timezone.now()
    form = DeleteForm(request.POST or None, user=request.user)
    page = "registration/delete_account.html"
    context = {"form": form, "running": request.user.attempts.running(now)}
    subject = f"password {request.user.pk}"
    if request.method == "POST":
        if wait := Throttle.objects.note_try(subject, now):
            unasked = DeleteForm(user=request.user)  # showing the one that was sent would say whether it is right
            return too_many_tries(request, page, context | {"form": unasked}, wait)
        if form.is_valid():
            Throttle.objects.forget(subject)
            privacy.forget(request.user, now)
            return gone(request)
    return render(request, page, context, status=422 if form.errors else 200)


def gone(request: HttpRequest) -> HttpResponse:
    logout(request)
    messages.success(request, gettext("Your account and your data are deleted."))
    return redirect("questions:home")
