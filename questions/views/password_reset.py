"""Django's views for a forgotten password, which refuse as all other forms here do."""

from django.contrib.auth import views as auth
from django.forms import BaseForm
from django.http import HttpResponse
from django.views.generic.edit import FormView

from questions.account_forms import ResetForm


class Refusing(FormView):
    http_method_names = ["get", "head", "post"]  # Django takes PUT for POST

    def form_invalid(self, form: BaseForm) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 422
        return response


class Reset(Refusing, auth.PasswordResetView):
    form_class = ResetForm


class ResetConfirm(Refusing, auth.PasswordResetConfirmView):
    pass
