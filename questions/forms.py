import logging
from datetime import datetime
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib.auth.forms import AuthenticationForm, UserCreationForm
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from questions.models import Guide, Slot, User
from questions.models.attempts import LONGEST_NOTE, Confidence, Save
from questions.models.people import time_zones
from questions.warm_up import WarmUpSlot

MARKS = r"\A[0-9]{1,5}-[0-9]{1,5}(,[0-9]{1,5}-[0-9]{1,5})*\Z"  # as Slot.marks
MOST_SECONDS = 3600  # between two saves of one slot; more was not spent reading

log = logging.getLogger("examsim.forms")


class StrangeFieldsLogged(forms.BaseForm):
    """Fields that a form does not have change nothing; who sends them tries something, so the log tells their names."""

    def full_clean(self) -> None:
        super().full_clean()
        if strange := sorted({*self.data} - {*self.fields, "csrfmiddlewaretoken"}):
            names = ", ".join(ascii(name[:40]) for name in strange[:10])
            more = f" and {len(strange) - 10} more" if len(strange) > 10 else ""
            log.warning("Ignored by %s: %s%s", type(self).__name__, names, more)


class StartForm(StrangeFieldsLogged, forms.Form):
    """Which edition of the guide the exam follows; without a choice, the first of those offered."""

    edition = forms.CharField(required=False, max_length=80)

    def __init__(self, data: Any = None, *, guides: list[Guide]) -> None:
        super().__init__(data)
        self.guides = guides

    def clean_edition(self) -> Guide:
        edition = self.cleaned_data["edition"]
        for guide in self.guides:
            if edition in ("", guide.edition):
                return guide
        raise forms.ValidationError(gettext("There is no such edition of the exam. Choose one of those below."))


class AnswerForm(StrangeFieldsLogged, forms.Form):
    """What a browser may send for one slot: the parts that its taker decides about, the version it saw, where to go next.

    The script names its operation and counts seconds itself; a plain form has neither, so the page's own time of
    making, `since` (milliseconds), stands in. A plain form strikes an option out, or takes that back, by `strike`.
    """

    letters = forms.MultipleChoiceField(required=False)
    version = forms.IntegerField(min_value=0, max_value=2**31 - 1)
    op = forms.UUIDField(required=False)
    flagged = forms.TypedChoiceField(
        choices=[("1", "on"), ("0", "off")], coerce=lambda value: value == "1", required=False, empty_value=None
    )
    confidence = forms.TypedChoiceField(choices=Confidence.choices, coerce=int, required=False, empty_value=None)
    struck = forms.CharField(required=False, max_length=10)
    strike = forms.CharField(required=False, max_length=1)
    marks = forms.RegexField(MARKS, required=False, max_length=500)
    note = forms.CharField(required=False)
    seconds = forms.IntegerField(required=False, min_value=0)
    since = forms.IntegerField(required=False, min_value=0)
    clear = forms.BooleanField(required=False)
    go = forms.CharField(required=False, max_length=6)

    def __init__(self, data: Any = None, *, slot: Slot | WarmUpSlot, now: datetime) -> None:
        super().__init__(data)
        self.slot, self.now = slot, now
        letters = self.fields["letters"]
        assert isinstance(letters, forms.MultipleChoiceField)
        letters.choices = [(letter, letter) for letter in slot.shown_letters]
        letters.error_messages["invalid_choice"] = gettext(
            "This question has no option %(value)s. Choose one that is shown."
        )

    def clean_letters(self) -> str:
        chosen = "".join(sorted(set(self.cleaned_data["letters"])))
        if len(chosen) > self.slot.choose:
            words = {
                1: gettext("Choose one option only. Untick one first."),
                2: gettext("Choose two options only. Untick one first."),
            }
            more = gettext("Choose %(count)s options only. Untick one first.") % {"count": self.slot.choose}
            raise forms.ValidationError(words.get(self.slot.choose, more))
        return chosen

    def _clean_struck(self, name: str) -> str:
        letters = "".join(sorted(set(self.cleaned_data[name])))
        if not set(letters) <= set(self.slot.shown_letters):
            raise forms.ValidationError(
                gettext("This question has no such option to strike out. Choose one that is shown.")
            )
        return letters

    def clean_struck(self) -> str:
        return self._clean_struck("struck")

    def clean_strike(self) -> str:
        return self._clean_struck("strike")

    def clean_note(self) -> str:
        note: str = self.cleaned_data["note"].replace("\r\n", "\n")  # browsers count a line's end as one character
        if len(note) > LONGEST_NOTE:
            words = gettext("A note holds %(most)s characters. Shorten it by %(over)s.")
            raise forms.ValidationError(words % {"most": LONGEST_NOTE, "over": len(note) - LONGEST_NOTE})
        return note

    def clean_go(self) -> str:
        go = self.cleaned_data["go"]
        if go not in ("", "finish") and not (go.isascii() and go.isdigit()):
            raise forms.ValidationError(gettext("There is no such page."))
        return go

    def clean(self) -> dict[str, Any]:
        sent: Any = self.data
        for name in self.fields:
            if name != "letters" and len(sent.getlist(name)) > 1:
                words = gettext("%(name)s was sent twice. Reload the page and choose again.")
                raise forms.ValidationError(words % {"name": name})
        return self.cleaned_data

    def to_save(self) -> Save:
        data = self.cleaned_data
        seconds = data["seconds"] or 0
        if data["since"]:
            seconds = int(self.now.timestamp()) - data["since"] // 1000
        letters, struck = "" if data["clear"] else data["letters"], set(data["struck"])
        if data["strike"]:
            struck ^= {data["strike"]}
            letters = letters.replace(data["strike"], "")
        return Save(
            op=data["op"] or uuid4(),
            base=data["version"],
            letters=letters,
            flagged=data["flagged"],
            confidence=Confidence.UNSAID if data["clear"] else data["confidence"],
            struck="".join(sorted(struck)) if "struck" in self.data or struck else None,
            marks=data["marks"] if "marks" in self.data else None,
            note=data["note"] if "note" in self.data else None,
            seconds=min(max(seconds, 0), MOST_SECONDS),
        )


class TimeForm(StrangeFieldsLogged, forms.Form):
    seconds = forms.IntegerField(min_value=1, max_value=MOST_SECONDS)


class SignUpForm(StrangeFieldsLogged, UserCreationForm):
    """A new account, or the account that a guest turns into."""

    email = forms.EmailField(
        label=_("Email"),
        required=False,
        help_text=_("Optional. Only used to send you a link when you forget your password."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )

    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username", "email")

    def clean_username(self) -> str:
        """Whether the name is taken is looked up last of all, in `full_clean`."""
        return self.cleaned_data["username"]

    def validate_unique(self) -> None:
        """The same."""

    def full_clean(self) -> None:
        """Say that a name is taken only to who would have got it: looking for names leaves accounts behind."""
        super().full_clean()
        if not self.is_bound or self.errors:
            return
        others = User.objects.exclude(pk=self.instance.pk)
        if others.filter(username__iexact=self.cleaned_data["username"]).exists():
            make_password(self.cleaned_data["password1"])  # takes the time that the password of a free name takes
            self.add_taken()

    def add_taken(self) -> None:
        self.add_error("username", self.instance.unique_error_message(User, ["username"]))

    def save_if_free(self) -> User | None:
        """None, with the error in the form, when somebody else took the name at this moment.

        User.DoesNotExist when the guest was deleted meanwhile. The password is hashed before the transaction begins: on SQLite all saves would wait for it.
        """
        user = self.save(commit=False)
        try:
            with transaction.atomic():
                if user.pk is None:
                    user.save()
                else:
                    user.store("username", "email", "password", "is_guest")
            return user
        except IntegrityError:
            self.add_taken()
            return None

    def save(self, commit: bool = True) -> User:
        user = super().save(commit=False)
        user.is_guest = False
        if commit:
            user.save()
        return user


class SignInForm(AuthenticationForm):
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": _("This name and password do not match. Check both; capitals matter in the password."),
    }


class SettingsForm(StrangeFieldsLogged, forms.ModelForm):
    """What a taker may change about themselves; where links for a new password go, only with the password.

    A guest has neither password nor mail address.
    """

    time_zone = forms.ChoiceField(label=_("Time zone"), required=False, help_text=_("Times are shown in this zone."))
    password = forms.CharField(
        label=_("Your password"),
        required=False,
        strip=False,
        max_length=1024,
        help_text=_("Only needed to change the mail address, where links to set a new password are sent."),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ["email", "password"]

    class Meta:
        model = User
        fields = ("email", "target", "exam_date", "time_zone", "single_keys")
        labels = {"exam_date": _("Exam date")}
        widgets = {
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
            "exam_date": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = self.fields["time_zone"]
        assert isinstance(zone, forms.ChoiceField)
        zone.choices = [("", "UTC"), *((name, name) for name in time_zones())]
        if self.instance.is_guest:
            del self.fields["email"], self.fields["password"]

    @property
    def changes_address(self) -> bool:
        return self.is_bound and "email" in self.changed_data

    def clean(self) -> dict[str, Any]:
        if self.changes_address and not self.errors:
            password = self.cleaned_data["password"]
            if not password:
                self.add_error("password", gettext("Enter your password to change the mail address."))
            elif not self.instance.check_password(password):
                self.add_error("password", gettext("This is not your password. Nothing was changed."))
        return self.cleaned_data

    def save(self, commit: bool = True) -> User:
        """Store what was changed and nothing else; User.DoesNotExist for who was deleted meanwhile."""
        user: User = self.instance
        if commit and (changed := [name for name in self.changed_data if name in self.Meta.fields]):
            user.store(*changed)
        return user
