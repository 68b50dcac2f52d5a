from typing import Any

from django.contrib.auth.views import PasswordResetConfirmView
from django.http import HttpResponse

from questions.account_forms import NewPasswordForm


class ResetConfirm(PasswordResetConfirmView):
    """Django's view behind the link of a mail; it refuses as all other forms here do."""

    form_class = NewPasswordForm
    http_method_names = ["get", "head", "post"]  # Django takes PUT for POST

    def form_invalid(self, form: Any) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 422
        return response
