import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import IntegrityError, models, transaction
from django.db.models import Case, F, Max, Q, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Least
from django.utils.translation import gettext_lazy as _

from questions import draw, scoring
from questions.models.bank import Guide, Question, Revision
from questions.models.people import User

logger = logging.getLogger(__name__)

MOST_EXTRA = 240  # minutes of extra time for one exam, in all
MOST_SPENT = 24 * 60 * 60  # spent on one question, in all; longer than any exam
MOST_STARTS = 30  # in an hour, by one taker; to draw an exam is the dearest thing that a taker can ask for


def grace() -> timedelta:
    """How long after the deadline a save that was already under way still counts."""
    return timedelta(seconds=settings.GRACE_SECONDS)


def time_limit(minutes: int, factor: int) -> timedelta:
    """An exam's time for a taker with this time factor, in per cent; without extra time."""
    return timedelta(minutes=minutes) * factor / 100


def more_seconds(seconds: int) -> Combinable:
    """A slot's seconds with these added, up to the most; a column that never overflows, however often they are sent."""
    return Least(F("seconds"), Value(MOST_SPENT - seconds)) + seconds


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def unfinished(self) -> Self:
        return self.filter(finished_at=None)

    def finished(self) -> Self:
        return self.filter(finished_at__isnull=False)

    def with_label(self) -> Self:
        """With what the edition is called, but without the whole guide."""
        return self.select_related("guide").defer("guide__document", "guide__quality")

    def with_guide_of_first(self) -> list["Attempt"]:
        """With what the editions are called, and the whole guide of the first one only; in one query."""
        first = Case(When(pk__in=self.values("pk")[:1], then="guide__document"))
        attempts: list[Attempt] = list(self.with_label().annotate(document=first))
        for attempt in attempts:
            if attempt.document:  # type: ignore[attr-defined]
                attempt.guide.document = attempt.document  # type: ignore[attr-defined]
        return attempts

    def overdue(self, now: datetime) -> Self:
        return self.unfinished().filter(deadline__lt=now - grace())

    def taking_saves(self, now: datetime) -> Self:
        return self.unfinished().filter(deadline__gte=now - grace())

    def settle_overdue(self, now: datetime) -> tuple[int, list[int]]:
        """Finish what has run out, each in a transaction of its own; it costs one query when nothing has.

        Every list of attempts calls this first. One that is broken is logged and skipped, so that it blocks no other.
        Returns how many this call finished, and the ids of the broken ones.
        """
        settled, broken = 0, []
        for pk in list(self.overdue(now).order_by("pk").values_list("pk", flat=True)):
            try:
                settled += self.model(pk=pk).settle(now, overdue_only=True)
            except Exception:
                logger.exception("Exam %s cannot be settled", pk)
                broken.append(pk)
        return settled, broken

    def readable(self) -> tuple[list["Attempt"], list[int]]:
        """The attempts, and the ids of those that no program can read: one that is broken hides no other.

        It costs one query when none is broken, and else one for each attempt. For a page of them, not for all.
        """
        try:
            return list(self), []
        except Exception:  # databases fail in ways of their own
            sound, broken = [], []
        for pk in list(self.values_list("pk", flat=True)):
            try:
                sound.append(self.model.objects.get(pk=pk))
            except Exception:
                logger.exception("Exam %s cannot be read", pk)
                broken.append(pk)
        return sound, broken

    def running(self, now: datetime) -> "Attempt | None":
        """The one unfinished attempt, after settling it if it has run out."""
        attempt = self.unfinished().select_related("guide").first()
        if attempt:
            attempt.expire(now)
        return None if attempt is None or attempt.is_finished else attempt

    def wait_to_start(self, now: datetime) -> timedelta:
        """How long until the one taker of these may start another; zero for who started few in the last hour."""
        limiting = self.order_by("-started_at").values_list("started_at", flat=True)[MOST_STARTS - 1 : MOST_STARTS]
        return max((at + timedelta(hours=1) - now for at in limiting), default=timedelta(0))

    def start(self, user: User, guide: Guide, seed: int, now: datetime) -> "Attempt":
        """Draw an exam and start its clock; the attempt already running, if there is one.

        Raises draw.BankTooSmall, with nothing written, when the bank cannot fill the blueprint.
        """
        if running := user.attempts.running(now):
            return running
        history = dict(
            Slot.objects.filter(attempt__user=user).values_list("question").annotate(Max("attempt")).order_by()
        )
        chosen = draw.draw(guide.record.cells(), guide.candidates(), history, seed)
        attempt = self.model(
            user=user,
            guide=guide,
            seed=seed,
            started_at=now,
            last_event_at=now,
            minutes=guide.record.exam.minutes,
            asked=len(chosen),
            target=user.target or guide.record.exam.target,
        )
        slots = [
            Slot.of(attempt, position, candidate, candidate.question not in history)
            for position, candidate in enumerate(chosen, start=1)
        ]
        try:
            with transaction.atomic():
                # Locked, so that a factor changed at this moment either counts here or finds this exam running.
                factor = (
                    User.objects.select_for_update(no_key=True).values_list("time_factor", flat=True).get(pk=user.pk)
                )
                attempt.deadline = now + attempt.limit(factor)
                attempt.save(force_insert=True)
                Slot.objects.bulk_create(slots)
        except IntegrityError:
            newest = user.attempts.order_by("pk").last()
            if newest is None or (newest.is_finished and newest.pk in history.values()):  # no exam but those of before
                raise
            return newest  # a second click won the race: one running exam per taker, or submitted just now
        return attempt

    def apply_time_factor(self, factor: int, by: User, now: datetime) -> "Attempt | None":
        """Move the deadline of the taker's running exam to what their new time factor gives; the exam, if one runs."""
        attempt = self.running(now)
        return attempt if attempt and attempt.apply_time_factor(factor, by, now) else None


class Attempt(models.Model):
    """One taker's sitting of a drawn exam, from start to submission. Once finished it never changes."""

    user = models.ForeignKey(User, models.CASCADE, related_name="attempts")
    guide = models.ForeignKey(Guide, models.PROTECT, related_name="attempts")
    seed = models.BigIntegerField()
    started_at = models.DateTimeField()
    minutes = models.PositiveSmallIntegerField(help_text="The exam's own time, as the guide had it at the start.")
    deadline = models.DateTimeField(help_text="Fixed at the start; only extra time and a new time factor move it.")
    last_event_at = models.DateTimeField(help_text="Start, last save or last change of the deadline.")
    finished_at = models.DateTimeField(null=True, blank=True, help_text="The deadline, where time ran out.")
    target = models.PositiveSmallIntegerField(help_text="Per cent right that counts as reached.")
    asked = models.PositiveSmallIntegerField()
    right = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Known once finished.")

    objects = AttemptQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(finished_at=None), name="one_running_exam"),
        ]

    def __str__(self) -> str:
        return f"Exam {self.pk}"

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None

    def moment(self, now: datetime) -> datetime:
        """The time that counts here: never before the last event, should the server's clock step back."""
        return max(now, self.last_event_at)

    def is_overdue(self, now: datetime) -> bool:
        return not self.is_finished and self.moment(now) > self.deadline + grace()

    def takes_saves(self, now: datetime) -> bool:
        return not self.is_finished and self.moment(now) <= self.deadline + grace()

    def time_is_up(self, now: datetime) -> bool:
        return self.moment(now) >= self.deadline

    def time_left(self, now: datetime) -> timedelta:
        """Time until the deadline, never below zero."""
        return max(self.deadline - self.moment(now), timedelta(0))

    def limit(self, factor: int) -> timedelta:
        return time_limit(self.minutes, factor)

    @property
    def time_used(self) -> timedelta:
        assert self.finished_at is not None
        return self.finished_at - self.started_at

    @property
    def percent(self) -> int:
        assert self.right is not None
        return scoring.Tally(self.right, self.asked).percent

    @property
    def interval(self) -> tuple[float, float]:
        """What the score leaves open: the 95% interval of the share right, both ends in 0..1."""
        assert self.right is not None
        return scoring.wilson(self.right, self.asked)

    @property
    def target_reached(self) -> bool:
        assert self.right is not None
        return 100 * self.right >= self.target * self.asked

    def palette(self) -> "list[Slot]":
        """The slots with what the numbers beside a question show."""
        return list(self.slots.only("position", "letters", "flagged", "seconds", "version", "attempt"))

    def expire(self, now: datetime) -> bool:
        """Finish it if its time has run out, as every reader must first. True for the one caller who did it."""
        return self.is_overdue(now) and self.settle(now, overdue_only=True)

    @transaction.atomic
    def settle(self, now: datetime, *, overdue_only: bool = False) -> bool:
        """Score and finish, at the deadline at the latest. True for the one caller who did it; False if it was deleted.

        The attempt's row is locked first, so a save either commits before and is counted, or finds it finished; and
        with `overdue_only`, extra time granted since the caller looked lets the exam go on.
        """
        locked = Attempt.objects.select_for_update().filter(pk=self.pk).first()
        if locked is None:
            return False
        first = locked.is_overdue(now) if overdue_only else not locked.is_finished
        if first:
            slots = list(self.slots.only("pk", "letters", "key"))
            right = [slot.pk for slot in slots if scoring.is_right(frozenset(slot.key), frozenset(slot.letters))]
            self.slots.update(is_right=Case(When(pk__in=right, then=Value(True)), default=Value(False)))
            locked.right, locked.finished_at = len(right), min(locked.moment(now), locked.deadline)
            locked.save(update_fields=["right", "finished_at"])
        self.right, self.finished_at, self.deadline = locked.right, locked.finished_at, locked.deadline
        return first

    # --- The deadline moves: extra time, a new time factor ---

    @transaction.atomic
    def add_time(self, minutes: int, by: User, reason: str, now: datetime) -> "DeadlineChange":
        """Grant extra time; with minutes below zero, take some of it back, though never so much that it ends before now.

        Raises ValidationError, with nothing changed, when the exam is over, or when its extra time would
        come to less than nothing or to more than MOST_EXTRA.
        """
        if not self._lock_running(by, now):
            raise ValidationError("This exam is over. Its time cannot be changed any more.")
        if minutes == 0:
            raise ValidationError("Give at least one minute, or take one back.")
        granted = self.extra_time() // timedelta(minutes=1)
        if granted + minutes < 0:
            raise ValidationError(f"Only extra time can be taken back, here at most {granted} minutes.")
        if granted + minutes > MOST_EXTRA:
            raise ValidationError(
                f"One exam gets at most {MOST_EXTRA} minutes of extra time, here at most {MOST_EXTRA - granted} more."
            )
        deadline = self.deadline + timedelta(minutes=minutes)
        return self._move_deadline(deadline, now, by=by, minutes=minutes, reason=reason)

    @transaction.atomic
    def apply_time_factor(self, factor: int, by: User, now: datetime) -> "DeadlineChange | None":
        """Start + the limit that the factor gives + the extra time granted so far; None when the exam is over."""
        if not self._lock_running(by, now):
            return None
        deadline = self.started_at + self.limit(factor) + self.extra_time()
        return self._move_deadline(deadline, now, by=by, time_factor=factor)

    def extra_time(self) -> timedelta:
        """What extra time has moved the deadline by: less than was taken back, where that would have ended before now."""
        return sum((c.after - c.before for c in self.deadline_changes.filter(time_factor=None)), timedelta(0))

    def _lock_running(self, by: User, now: datetime) -> bool:
        """Lock who moves the deadline, whom the log will name, and the row, and read it again; False when the exam is over."""
        User.objects.filter(pk=by.pk).lock()
        self.refresh_from_db(from_queryset=Attempt.objects.select_for_update())
        return self.takes_saves(now)

    def _move_deadline(self, deadline: datetime, now: datetime, **why: Any) -> "DeadlineChange":
        now, before = self.moment(now), self.deadline
        self.deadline = max(deadline, min(before, now))  # one that has passed already is not moved on to now
        self.last_event_at = now
        self.save(update_fields=["deadline", "last_event_at"])
        return self.deadline_changes.create(at=now, before=before, after=self.deadline, **why)


class DeadlineChange(models.Model):
    """The log of a deadline that moved: when, by whom, why, from where to where. Rows are never changed."""

    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="deadline_changes")
    at = models.DateTimeField()
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    minutes = models.SmallIntegerField(
        null=True,
        validators=[MinValueValidator(-MOST_EXTRA), MaxValueValidator(MOST_EXTRA)],
        help_text="Extra time. Below zero takes some of it back.",
    )
    time_factor = models.PositiveSmallIntegerField(null=True, help_text="The taker's new time factor, in per cent.")
    reason = models.CharField(max_length=200, blank=True)
    before = models.DateTimeField()
    after = models.DateTimeField()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(minutes__isnull=True, time_factor__isnull=False)
                | Q(minutes__isnull=False, time_factor__isnull=True),
                name="either_minutes_or_factor",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.attempt}, {f'{self.minutes:+} min' if self.minutes else f'{self.time_factor}%'}"


class Confidence(models.IntegerChoices):
    """How sure a taker is of an answer; for themselves, never scored."""

    UNSAID = 0, _("not said")
    GUESS = 1, _("guess")
    UNSURE = 2, _("unsure")
    SURE = 3, _("sure")


LONGEST_NOTE = 2000  # characters
# The parts of a slot that its taker decides about; a save names new values for them.
PARTS = ("letters", "flagged", "confidence", "struck", "marks", "note")


@dataclass(frozen=True, slots=True)
class Save:
    """What a taker's browser sends for one slot; None leaves a part as it is."""

    op: UUID
    base: int  # the version of the slot that the browser last saw
    letters: str | None = None
    flagged: bool | None = None
    confidence: int | None = None
    struck: str | None = None
    marks: str | None = None
    note: str | None = None
    seconds: int = 0  # spent on the question since the last save

    @property
    def digest(self) -> str:
        """Of what is asked for, so that an operation's id cannot be used again for something else."""
        asked = json.dumps([getattr(self, part) for part in PARTS])
        return hashlib.blake2s(asked.encode(), digest_size=16).hexdigest()

    def wanted(self, stored: dict[str, Any]) -> dict[str, Any]:
        """All parts as they shall be. An option is chosen or struck out, not both: the choice counts."""
        parts = stored | {part: value for part in PARTS if (value := getattr(self, part)) is not None}
        parts["struck"] = "".join(letter for letter in parts["struck"] if letter not in parts["letters"])
        return parts


SAVED, STALE, LATE, REUSED = "saved", "stale", "late", "reused"


class Decided:
    """What a slot, or one of the warm-up, holds of its taker's decisions."""

    seconds: Any
    version: Any

    @property
    def is_seen(self) -> bool:
        """Looked at for a second, or worked on."""
        return bool(self.seconds > 0 or self.version > 0)

    @property
    def parts(self) -> dict[str, Any]:
        return {part: getattr(self, part) for part in PARTS}


class Slot(Decided, models.Model):
    """One numbered place of an attempt: what is asked there, how it is shown, what was chosen."""

    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="slots")
    position = models.PositiveSmallIntegerField()
    question = models.ForeignKey(Question, models.PROTECT, related_name="slots")
    revision = models.ForeignKey(Revision, models.PROTECT, related_name="+")
    section = models.PositiveSmallIntegerField(help_text="As the guide had it at the draw.")
    objective = models.CharField(max_length=20, blank=True)
    order = models.CharField(max_length=10, help_text="Stored options in the order shown: 2031 shows number 2 as A.")
    key = models.CharField(max_length=10, help_text="The letters that are right, as shown here.")
    letters = models.CharField(max_length=10, blank=True, help_text="The letters chosen, in alphabetical order.")
    flagged = models.BooleanField(default=False)
    # Younger columns have a default in the database too: while a site is updated, its old version goes on inserting.
    confidence = models.PositiveSmallIntegerField(
        choices=Confidence.choices, default=Confidence.UNSAID, db_default=Confidence.UNSAID
    )
    struck = models.CharField(
        max_length=10, blank=True, default="", db_default="", help_text="The letters struck out, in alphabetical order."
    )
    marks = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="What is highlighted in the stem: 12-40,55-60 in characters of its text.",
    )
    note = models.TextField(
        max_length=LONGEST_NOTE, blank=True, default="", db_default="", help_text="The taker's own."
    )
    seconds = models.PositiveIntegerField(default=0, help_text="Time spent on the question.")
    version = models.PositiveIntegerField(default=0, help_text="Grows with every save.")
    first_sighting = models.BooleanField(help_text="The taker had never been served this question before.")
    is_right = models.BooleanField(null=True, help_text="Known once the attempt is finished.")

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["attempt", "position"], name="one_slot_per_position")]

    def __str__(self) -> str:
        return f"{self.attempt}, question {self.position}"

    @classmethod
    def of(cls, attempt: Attempt, position: int, candidate: draw.Candidate, first_sighting: bool) -> "Slot":
        order = draw.option_order(candidate.options, attempt.seed, position)
        return cls(
            attempt=attempt,
            position=position,
            question_id=candidate.question,
            revision_id=candidate.revision,
            section=candidate.section,
            objective=candidate.objective,
            order=order,
            key=draw.shown_key(order, candidate.key),
            first_sighting=first_sighting,
        )

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The options in the order shown, each with its letter: letter, text, key, why."""
        options = self.revision.content["options"]
        return [
            {"letter": letter, **options[int(index)]} for letter, index in zip(draw.LETTERS, self.order, strict=False)
        ]

    @property
    def shown_letters(self) -> str:
        return draw.LETTERS[: len(self.order)]

    @property
    def choose(self) -> int:
        return len(self.key)

    def last_op(self) -> str:
        """The operation that stored what it holds, so that a browser knows an earlier save of its own; "" for none."""
        op = self.events.filter(late=False).order_by("pk").values_list("op", flat=True).last()
        return op.hex if op else ""

    def save_answer(self, save: Save, now: datetime) -> str:
        """Store what the taker decided: SAVED, STALE (somebody saved in between), LATE (not scored) or REUSED.

        Raises ObjectDoesNotExist if the exam was deleted since it was read.

        `self` is read outside any transaction. The one short transaction updates the slot only if the attempt still
        takes saves and the version is the one the browser saw; the attempt's row is locked by the same statement, so
        that a submission at the same moment waits or comes first. Repeating an operation changes nothing and succeeds;
        reusing its id for something else is refused. What asks for what is stored already only adds its seconds.
        """
        if not self.attempt.takes_saves(now):  # unless extra time was granted since it was read
            self.attempt.refresh_from_db(fields=["finished_at", "deadline"])
        now = self.attempt.moment(now)
        wanted = save.wanted(self.parts)
        if self.attempt.takes_saves(now):
            if wanted == self.parts:
                if self.version != save.base:  # a repeated operation, or the same choice made elsewhere
                    return SAVED
                Slot.objects.filter(pk=self.pk).update(seconds=more_seconds(save.seconds))
                return SAVED
            if self.version == save.base and self._write(save, wanted, now):
                for part, value in wanted.items():
                    setattr(self, part, value)
                self.version = save.base + 1
                return SAVED
        return self._save_refused(save, now)

    def _write(self, save: Save, wanted: dict[str, Any], now: datetime) -> bool:
        try:
            with transaction.atomic():
                attempt = Attempt.objects.taking_saves(now).select_for_update().filter(pk=self.attempt_id)
                changed = Slot.objects.filter(pk=self.pk, version=save.base, attempt__in=attempt).update(
                    **wanted, version=F("version") + 1, seconds=more_seconds(save.seconds)
                )
                if changed:
                    SaveEvent.objects.create(
                        slot=self,
                        op=save.op,
                        at=now,
                        letters=wanted["letters"],
                        flagged=wanted["flagged"],
                        version=save.base + 1,
                        digest=save.digest,
                    )
                    Attempt.objects.filter(pk=self.attempt_id, last_event_at__lt=now).update(last_event_at=now)
        except IntegrityError:
            if not SaveEvent.objects.filter(slot=self, op=save.op).exists():
                raise
            return False  # the operation's id was used before
        return bool(changed)

    def _save_refused(self, save: Save, now: datetime) -> str:
        """Look again, and say why the save did not go through."""
        self.refresh_from_db(fields=[*PARTS, "version"])
        event = SaveEvent.objects.filter(slot=self, op=save.op).first()
        if event:
            return (LATE if event.late else SAVED) if event.digest in ("", save.digest) else REUSED
        self.attempt.refresh_from_db(fields=["finished_at", "deadline"])
        self.attempt.expire(now)
        if self.attempt.takes_saves(now):
            return STALE
        if save.letters is not None and save.letters != self.letters:
            SaveEvent.objects.get_or_create(
                slot=self,
                op=save.op,
                defaults={
                    "at": now,
                    "letters": save.letters,
                    "flagged": self.flagged,
                    "version": self.version,
                    "digest": save.digest,
                    "late": True,
                },
            )
        return LATE


class SaveEventQuerySet(models.QuerySet["SaveEvent"]):
    def newest(self) -> int:
        """The newest event's number: how many there were, without reading them all. PostgreSQL may leave numbers out."""
        return self.aggregate(Max("pk"))["pk__max"] or 0


class SaveEvent(models.Model):
    """One save as it happened; `late` ones came after the end and are kept, not scored."""

    slot = models.ForeignKey(Slot, models.CASCADE, related_name="events")
    op = models.UUIDField(help_text="The browser's random id of this save.")
    at = models.DateTimeField()
    letters = models.CharField(max_length=10, blank=True)
    flagged = models.BooleanField()
    version = models.PositiveIntegerField(help_text="The slot's version after it.")
    digest = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="Of what the operation asked for; old ones have none.",
    )
    late = models.BooleanField(default=False)

    objects = SaveEventQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["slot", "op"], name="one_event_per_operation")]

    def __str__(self) -> str:
        return f"{self.slot} at {self.at:%H:%M:%S}"
