"""Forms around signing in: what proves who somebody is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib.auth.forms import PasswordChangeForm, PasswordResetForm, SetPasswordForm
from django.core import signing
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from questions import totp
from questions.models import SecondFactor, Throttle, User

MAIL = ThreadPoolExecutor(1, "mail")  # one letter after the other; what waits is sent before the process ends
SETTING_UP = 60 * 60  # seconds that a page with a new secret is good for


class ResetForm(PasswordResetForm):
    """A mail takes time to send; the answer does not wait for it, or its time would tell whether there is an account."""

    def send_mail(self, *args: Any, **options: Any) -> None:
        with_language = translation.override(translation.get_language())  # the thread that sends has none
        MAIL.submit(with_language(super().send_mail), *args, **options)

    def save(self, *, request: HttpRequest, **options: Any) -> None:  # type: ignore[override]
        """Send the link, with the site's address as the settings have it: the request's Host may be anybody's.

        Nobody's mail box is flooded: what comes too soon after too many is not sent, and the answer is the same.
        """
        email = self.cleaned_data["email"].casefold()
        if Throttle.objects.note_try(f"reset {email}", timezone.now()):
            return
        address = urlsplit(settings.ADDRESS or f"http://{settings.ALLOWED_HOSTS[0]}:{request.get_port()}")
        options |= {"domain_override": address.netloc, "use_https": address.scheme == "https"}
        super().save(request=request, **options)


class NewPasswordForm(SetPasswordForm):
    """Stores the password alone; User.DoesNotExist for who was deleted meanwhile."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)
        if commit:
            user.store("password")
        return user


class ChangePasswordForm(NewPasswordForm, PasswordChangeForm):
    """The same, after the old one."""


class CodeForm(forms.Form):
    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        help_text=_("The six digits that your authenticator app shows now."),
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autocapitalize": "off", "spellcheck": "false"}),
    )


class PasswordForm(forms.Form):
    """Asks for the password once more, before something that cannot be undone or opens another way in."""

    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, data: Any = None, *, user: User) -> None:
        super().__init__(data)
        self.user = user

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError(gettext("This is not your password."))
        return password


class DeleteForm(PasswordForm):
    """A guest has no password; ticking the box is enough."""

    def __init__(self, data: Any = None, *, user: User) -> None:
        super().__init__(data, user=user)
        if user.is_guest:
            self.fields = {"sure": forms.BooleanField(label=_("Delete everything about me, for good"))}


class SecondFactorForm(PasswordForm, CodeForm):
    """A new secret, signed so that nothing need be stored before a code shows that the app has it."""

    token = forms.CharField(max_length=300, widget=forms.HiddenInput)
    field_order = ["token", "code", "password"]

    def __init__(self, data: Any = None, *, user: User, now: datetime) -> None:
        super().__init__(data, user=user)
        self.now = now
        self.salt = f"second-factor-{user.pk}"
        self.secret = self._secret_sent() if data else None
        if self.secret is None:
            self.secret = totp.new_secret()
            self.fields["token"].initial = signing.dumps(self.secret, salt=self.salt)

    def _secret_sent(self) -> str | None:
        try:
            secret: str = signing.loads(self.data.get("token", ""), salt=self.salt, max_age=SETTING_UP)
        except signing.BadSignature:
            return None
        return secret

    def clean_token(self) -> str:
        token: str = self.cleaned_data["token"]
        if self.secret != self._secret_sent():
            raise forms.ValidationError(gettext("This page is too old. Open it again for a new secret."))
        return token

    def clean_code(self) -> int:
        """The step of the code, which is used up by this."""
        assert self.secret is not None
        step = totp.matching_step(self.secret, "".join(self.cleaned_data["code"].split()), self.now)
        if step is None:
            raise forms.ValidationError(
                gettext("This code does not fit. Enter the one shown now; check your phone's clock.")
            )
        return step

    def to_factor(self, recovery: list[str]) -> SecondFactor:
        assert self.secret is not None
        return SecondFactor(user=self.user, secret=self.secret, last_step=self.cleaned_data["code"], recovery=recovery)
