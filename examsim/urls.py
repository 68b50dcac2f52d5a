from collections.abc import Callable

from django.contrib import admin
from django.contrib.auth import views as auth
from django.http import HttpResponseBase
from django.urls import include, path
from django.views.generic import RedirectView

from questions.views import operations, password_reset, people, second_factor

admin.site.site_header = admin.site.site_title = "ExamSim"
admin.site.index_title = "Question bank"

set_password: Callable[..., HttpResponseBase] = people.few_at_once()(
    people.gone_means_sign_in(password_reset.ResetConfirm.as_view())
)

# The names are those that Django's own views and mails look for.
account_urls = [
    path("sign-in/", people.sign_in, name="login"),
    path("sign-in/code/", second_factor.sign_in_code, name="sign_in_code"),
    path("sign-out/", people.sign_out, name="logout"),
    path("password/", people.change_password, name="password_change"),
    path("password/done/", auth.PasswordChangeDoneView.as_view(), name="password_change_done"),
    path("password/reset/", people.reset_password, name="password_reset"),
    path("password/reset/sent/", auth.PasswordResetDoneView.as_view(), name="password_reset_done"),
    path("password/reset/<uidb64>/<token>/", set_password, name="password_reset_confirm"),
    path("password/reset/done/", auth.PasswordResetCompleteView.as_view(), name="password_reset_complete"),
]

handler500 = "questions.views.errors.server_error"

# For machines; /healthz and /readyz are answered by examsim.middleware.probes.
operations_urls = [
    path("metrics", operations.metrics, name="metrics"),
    path("csp-report", operations.csp_report, name="csp_report"),
]

urlpatterns = [
    path("admin/login/", people.admin_sign_in, name="admin_sign_in"),
    # There is one page for that as well, where the old password cannot be guessed as often as one likes.
    path("admin/password_change/", RedirectView.as_view(pattern_name="password_change"), name="admin_password_change"),
    path("admin/", admin.site.urls),
    *account_urls,
    *operations_urls,
    path("", include("questions.urls")),
]
