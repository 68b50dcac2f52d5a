import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models, transaction
from django.utils.crypto import salted_hmac

from questions import totp
from questions.models.people import User

FREE_TRIES = 5  # before anybody has to wait
FIRST_WAIT = timedelta(seconds=30)  # doubled by every further try
LONGEST_WAIT = timedelta(minutes=15)
QUIET = timedelta(hours=1)  # without a try, and all is forgotten
RECOVERY_CODES = 10


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and as many again over the time that follows; at most `QUIET`, after which rows are forgotten."""

    allowed: int
    per: timedelta


# From one place, what anybody may send without an account. A class of 60 behind one address comes nowhere near.
GUESTS = SIGN_UPS = Rate(240, timedelta(hours=1))
RESETS = Rate(60, timedelta(hours=1))
REPORTS = Rate(120, timedelta(hours=1))
WRONG_SIGN_INS = Rate(600, timedelta(hours=1))  # of all names together; those that succeed are not counted


def digest_of(subject: str) -> str:
    """Who tried what, unreadable: names and network addresses are not stored."""
    return salted_hmac("questions.Throttle", subject.encode("utf-8", "replace"), algorithm="sha256").hexdigest()


class ThrottleManager(models.Manager["Throttle"]):
    def note_try(self, subject: str, now: datetime) -> timedelta:
        """Count a try before it is made; the time to wait if it must not be made now, else zero.

        Counted first, so that many tries at once get no further than one after the other.
        A refused try does not make the wait longer.
        """

        def after(row: Throttle) -> datetime | None:
            if row.tries < FREE_TRIES:
                return row.refused_until
            doublings = min(row.tries - FREE_TRIES, 10)  # far beyond the longest wait
            return now + min(FIRST_WAIT * 2**doublings, LONGEST_WAIT)

        return self._note(subject, now, after)

    def note_request(self, subject: str, rate: Rate, now: datetime) -> timedelta:
        """The same for what may be sent at a rate, right or wrong.

        The generic cell rate algorithm (ITU-T I.371): each request moves the moment before which all are refused on by
        its share of the time; it starts so far back that `rate.allowed` requests at once just reach now.
        """
        share = rate.per / rate.allowed

        def after(row: Throttle) -> datetime:
            full_room = now - rate.per + share
            return max(row.refused_until or full_room, full_room) + share

        return self._note(subject, now, after)

    def wait(self, subject: str, now: datetime) -> timedelta:
        """How long further ones are refused, without counting one: a plain read, without a lock."""
        refused_until = self.filter(key=digest_of(subject)).values_list("refused_until", flat=True).first()
        return max(refused_until - now, timedelta(0)) if refused_until else timedelta(0)

    def _note(self, subject: str, now: datetime, after: "Callable[[Throttle], datetime | None]") -> timedelta:
        """after: until when further ones are refused, once this one is counted in the row."""
        key = digest_of(subject)
        # Read without a lock first: a flood of what is refused must not hold up those who write.
        if wait := self.wait(subject, now):
            return wait
        with transaction.atomic():
            self.forget_old(now)
            row, _ = self.select_for_update().get_or_create(key=key, defaults={"last_try": now})
            if row.refused_until and now < row.refused_until:
                return row.refused_until - now
            row.tries, row.last_try = row.tries + 1, now
            row.refused_until = after(row)
            row.save()
        return timedelta(0)

    def forget(self, subject: str) -> None:
        """The try succeeded. The row stays for now: others may be about to count in it at this moment."""
        self.filter(key=digest_of(subject)).update(tries=0, refused_until=None)

    def forget_old(self, now: datetime) -> None:
        self.filter(last_try__lt=now - QUIET).delete()


class Throttle(models.Model):
    """Tries of one kind by one person or place since the last that succeeded, or requests of one kind by one place.

    In the database: all processes agree.
    """

    key = models.CharField(max_length=64, unique=True, help_text="A digest of who tried what.")
    tries = models.PositiveIntegerField(default=0)
    last_try = models.DateTimeField(db_index=True)
    refused_until = models.DateTimeField(null=True)

    objects: ClassVar[ThrottleManager] = ThrottleManager()

    def __str__(self) -> str:
        return f"{self.tries} tries"


def plain(code: str) -> str:
    """A code as stored: people type spaces, dashes and capitals."""
    return "".join(code.split()).replace("-", "").lower()


def digest_of_code(code: str) -> str:
    """Recovery codes are 64 random bits, so a quick hash will do."""
    return hashlib.sha256(plain(code).encode("utf-8", "replace")).hexdigest()


def new_recovery_codes() -> list[str]:
    """Such as 3f9a-b71c-04de-88a1."""
    codes = [secrets.token_hex(8) for _ in range(RECOVERY_CODES)]
    return ["-".join(code[i : i + 4] for i in range(0, 16, 4)) for code in codes]


class SecondFactor(models.Model):
    """What somebody has beside their password: an authenticator app, and recovery codes for the day it is lost."""

    user = models.OneToOneField(User, models.CASCADE, related_name="second_factor")
    secret = models.CharField(max_length=32)
    last_step = models.BigIntegerField(help_text="Of the last code used; a code works once.")
    recovery = models.JSONField(default=list, help_text="Digests of the recovery codes that are left.")

    def __str__(self) -> str:
        return f"Second factor of {self.user}"

    def accept(self, given: str, now: datetime) -> bool:
        """Use up a code of the app or a recovery code; False when it is neither, or was used before."""
        step = totp.matching_step(self.secret, plain(given), now)
        if step is not None:
            unused = SecondFactor.objects.filter(pk=self.pk, last_step__lt=step)
            return bool(unused.update(last_step=step))
        return self._accept_recovery(digest_of_code(given))

    @transaction.atomic
    def _accept_recovery(self, digest: str) -> bool:
        locked = SecondFactor.objects.select_for_update().filter(pk=self.pk).first()
        if locked is None or digest not in locked.recovery:
            return False
        locked.recovery.remove(digest)
        locked.save(update_fields=["recovery"])
        return True
