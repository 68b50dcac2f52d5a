from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from questions.forms import SettingsForm, SignUpForm
from questions.models import User
from questions.requests import TakerRequest

BACKEND = "django.contrib.auth.backends.ModelBackend"


@login_not_required
@require_POST
def guest(request: HttpRequest) -> HttpResponse:
    """Try it without an account: a guest is a taker whose name is not known yet."""
    if not request.user.is_authenticated:
        login(request, User.objects.create_guest(), BACKEND)
    return redirect("questions:home")


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """A new account. A guest's exams and results stay with the account that the guest turns into."""
    if request.user.is_authenticated and not request.user.is_guest:
        return redirect("questions:home")
    here = request.user if request.user.is_authenticated else None
    form = SignUpForm(request.POST or None, instance=here)
    if request.method == "POST" and form.is_valid():
        login(request, form.save(), BACKEND)
        messages.success(request, "Your account is ready." + (" Your results are kept in it." if here else ""))
        return redirect("questions:home")
    if here:
        form.initial["username"] = ""  # not the name that stands in for a guest's
    return render(request, "registration/sign_up.html", {"form": form}, status=422 if form.errors else 200)


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


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: TakerRequest) -> HttpResponse:
    """What a taker may change about themselves."""
    form = SettingsForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your settings are saved.")
        return redirect("questions:settings")
    return render(request, "registration/settings.html", {"form": form}, status=422 if form.errors else 200)
