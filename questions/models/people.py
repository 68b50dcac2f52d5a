import secrets
import zoneinfo
from functools import cache
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


@cache
def time_zones() -> list[str]:
    """Names of the world's time zones; collecting them reads hundreds of files."""
    return sorted(zoneinfo.available_timezones())


def validate_time_zone(name: str) -> None:
    if name not in time_zones():
        raise ValidationError(f"{name!r} is not a time zone. Use a name such as Europe/Berlin.")


class PeopleQuerySet(models.QuerySet["User"]):
    def lock(self) -> None:
        """Let nobody delete them until the transaction ends. Before any exam is locked, so that no two wait for each other."""
        list(self.select_for_update(no_key=True).order_by("pk").values_list("pk"))

    def lock_with_exams(self) -> None:
        """Wait for starts and saves under way, and let further ones wait: until the transaction ends, nothing comes up."""
        for person in self.model.objects.select_for_update().filter(pk__in=self.order_by().values("pk")).order_by("pk"):
            list(person.attempts.select_for_update())

    @transaction.atomic
    def delete(self) -> tuple[int, dict[str, int]]:
        """With all exams; what is started or saved at the same moment is deleted too, or finds nothing."""
        self.lock_with_exams()
        return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class PeopleManager(UserManager.from_queryset(PeopleQuerySet)):  # type: ignore[misc]
    def create_guest(self) -> "User":
        """Somebody who tries the exam without an account; signing up later turns the same row into an account."""
        return self.create_user(username=f"guest-{secrets.token_hex(8)}", is_guest=True)


class User(AbstractUser):
    """A taker, an instructor or an operator."""

    is_guest = models.BooleanField(default=False)
    time_factor = models.PositiveSmallIntegerField(
        default=100,
        validators=[MinValueValidator(100), MaxValueValidator(400)],
        help_text="Per cent of the exam's time: 125 gives a quarter more. A change moves the deadline of a running exam too.",
    )
    target = models.PositiveSmallIntegerField(
        _("target score"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("Per cent right that you aim for. Empty: the exam's own target."),
    )
    exam_date = models.DateField(null=True, blank=True, help_text=_("When you sit the real exam."))
    time_zone = models.CharField(max_length=64, blank=True, validators=[validate_time_zone])
    single_keys = models.BooleanField(
        _("single-key shortcuts"),
        default=True,
        db_default=True,
        help_text=_(
            "In an exam a letter or a number chooses, J and K move, ? shows all keys. Off, no key does anything by itself."
        ),
    )
    sessions_ended = models.PositiveIntegerField(default=0, editable=False, help_text="How often, all at once.")
    forgotten_at = models.DateTimeField(
        null=True, editable=False, help_text="Since then nothing but finished exams is left, for the statistics."
    )

    objects: ClassVar[PeopleManager] = PeopleManager()

    def __str__(self) -> str:
        if self.forgotten_at:
            return gettext("Forgotten")
        return gettext("Guest") if self.is_guest else self.username

    def end_sessions(self) -> None:
        """Sign out everywhere: whoever may stay signed in needs a new session."""
        User.objects.filter(pk=self.pk).update(sessions_ended=F("sessions_ended") + 1)
        self.refresh_from_db(fields=["sessions_ended"])

    def store(self, *fields: str) -> None:
        """Write these columns alone, as they are here: what was changed meanwhile in others stays.

        Nobody comes back by it: User.DoesNotExist for who was deleted or forgotten meanwhile.
        """
        values = {name: getattr(self, name) for name in fields}
        if not User.objects.filter(pk=self.pk, forgotten_at=None).update(**values):
            raise User.DoesNotExist

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session must know to be this user's, beside the password: so it ends when rights are given or taken.

        Overridden in this place because Django makes the digests for older secret keys from it, too.
        """
        digest: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        more = "s" * self.is_staff + "o" * self.is_superuser + str(self.sessions_ended or "")
        return f"{digest}-{more}" if more else digest

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        User.objects.filter(pk=self.pk).lock_with_exams()
        return super().delete(*args, **kwargs)
