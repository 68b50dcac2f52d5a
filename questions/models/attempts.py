from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Case, F, Max, Q, Value, When

from questions import draw, scoring
from questions.models.bank import Guide, Question, Revision
from questions.models.people import User


def grace() -> timedelta:
    """How long after the deadline a save that was already under way still counts."""
    return timedelta(seconds=settings.GRACE_SECONDS)


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def unfinished(self) -> Self:
        return self.filter(finished_at=None)

    def finished(self) -> Self:
        return self.filter(finished_at__isnull=False)

    def with_label(self) -> Self:
        """With what the edition is called, but without the whole guide."""
        return self.select_related("guide").defer("guide__document", "guide__quality")

    def overdue(self, now: datetime) -> Self:
        return self.unfinished().filter(deadline__lt=now - grace())

    def settle_overdue(self, now: datetime) -> None:
        """Finish what has run out. Every read of a taker's attempts calls this first; it costs one query when none has."""
        for attempt in self.overdue(now):
            attempt.settle(now)

    def running(self, now: datetime) -> "Attempt | None":
        """The one unfinished attempt, after settling it if it has run out."""
        attempt = self.unfinished().select_related("guide").first()
        if attempt and attempt.is_overdue(now):
            attempt.settle(now)
            return None
        return attempt

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
        limit = timedelta(minutes=guide.record.exam.minutes) * user.time_factor / 100
        attempt = self.model(
            user=user,
            guide=guide,
            seed=seed,
            started_at=now,
            deadline=now + limit,
            asked=len(chosen),
            target=user.target or guide.record.exam.target,
        )
        slots = [
            Slot.of(attempt, position, candidate, candidate.question not in history)
            for position, candidate in enumerate(chosen, start=1)
        ]
        try:
            with transaction.atomic():
                attempt.save(force_insert=True)
                Slot.objects.bulk_create(slots)
        except IntegrityError:  # a second click won the race: one running exam per taker
            return user.attempts.unfinished().get()
        return attempt


class Attempt(models.Model):
    """One taker's sitting of a drawn exam, from start to submission. Once finished it never changes."""

    user = models.ForeignKey(User, models.CASCADE, related_name="attempts")
    guide = models.ForeignKey(Guide, models.PROTECT, related_name="attempts")
    seed = models.BigIntegerField()
    started_at = models.DateTimeField()
    deadline = models.DateTimeField(help_text="Fixed at the start; extra time alone moves it.")
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

    def is_overdue(self, now: datetime) -> bool:
        return not self.is_finished and now > self.deadline + grace()

    def takes_saves(self, now: datetime) -> bool:
        return not self.is_finished and now <= self.deadline + grace()

    def time_is_up(self, now: datetime) -> bool:
        return now >= self.deadline

    def time_left(self, now: datetime) -> timedelta:
        """Time until the deadline, never below zero."""
        return max(self.deadline - now, timedelta(0))

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

    @transaction.atomic
    def settle(self, now: datetime) -> bool:
        """Score and finish, at the deadline at the latest. True for the one caller who did it.

        The attempt's row is locked first, so a save either commits before and is counted, or finds it finished.
        """
        locked = Attempt.objects.select_for_update().get(pk=self.pk)
        first = not locked.is_finished
        if first:
            slots = list(self.slots.only("pk", "letters", "key"))
            right = [slot.pk for slot in slots if scoring.is_right(frozenset(slot.key), frozenset(slot.letters))]
            self.slots.update(is_right=Case(When(pk__in=right, then=Value(True)), default=Value(False)))
            locked.right, locked.finished_at = len(right), min(now, locked.deadline)
            locked.save(update_fields=["right", "finished_at"])
        self.right, self.finished_at = locked.right, locked.finished_at
        return first


@dataclass(frozen=True, slots=True)
class Save:
    """What a taker's browser sends for one slot; None leaves a part as it is."""

    op: UUID
    base: int  # the version of the slot that the browser last saw
    letters: str | None = None
    flagged: bool | None = None
    seconds: int = 0  # spent on the question since the last save


SAVED, STALE, LATE, REUSED = "saved", "stale", "late", "reused"


class Slot(models.Model):
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

    def save_answer(self, save: Save, now: datetime) -> str:
        """Store a choice or a flag: SAVED, STALE (somebody saved in between), LATE (not scored) or REUSED.

        `self` is read outside any transaction. The one short transaction updates the slot only if the attempt still
        takes saves and the version is the one the browser saw; the attempt's row is locked by the same statement, so
        that a submission at the same moment waits or comes first. Repeating an operation changes nothing and succeeds;
        reusing its id for something else is refused. What asks for what is stored already only adds its seconds.
        """
        letters = self.letters if save.letters is None else save.letters
        flagged = self.flagged if save.flagged is None else save.flagged
        if self.attempt.takes_saves(now):
            if (letters, flagged) == (self.letters, self.flagged):
                if self.version != save.base:  # a repeated operation, or the same choice made elsewhere
                    return SAVED
                Slot.objects.filter(pk=self.pk).update(seconds=F("seconds") + save.seconds)
                return SAVED
            if self.version == save.base and self._write(save, letters, flagged, now):
                self.letters, self.flagged, self.version = letters, flagged, save.base + 1
                return SAVED
        return self._save_refused(save, now)

    def _write(self, save: Save, letters: str, flagged: bool, now: datetime) -> bool:
        try:
            with transaction.atomic():
                attempt = Attempt.objects.select_for_update().filter(
                    pk=self.attempt_id, finished_at=None, deadline__gte=now - grace()
                )
                changed = Slot.objects.filter(pk=self.pk, version=save.base, attempt__in=attempt).update(
                    letters=letters, flagged=flagged, version=F("version") + 1, seconds=F("seconds") + save.seconds
                )
                if changed:
                    SaveEvent.objects.create(
                        slot=self, op=save.op, at=now, letters=letters, flagged=flagged, version=save.base + 1
                    )
        except IntegrityError:  # the operation's id was used before
            return False
        return bool(changed)

    def _save_refused(self, save: Save, now: datetime) -> str:
        """Look again, and say why the save did not go through."""
        self.refresh_from_db(fields=["letters", "flagged", "version"])
        event = SaveEvent.objects.filter(slot=self, op=save.op).first()
        if event:
            same = save.letters in (None, event.letters) and save.flagged in (None, event.flagged)
            return (LATE if event.late else SAVED) if same else REUSED
        self.attempt.refresh_from_db(fields=["finished_at", "deadline"])
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
    late = models.BooleanField(default=False)

    objects = SaveEventQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["slot", "op"], name="one_event_per_operation")]

    def __str__(self) -> str:
        return f"{self.slot} at {self.at:%H:%M:%S}"
