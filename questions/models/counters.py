import logging
from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from django.db import DatabaseError, models, transaction
from django.db.models import F

log = logging.getLogger("examsim.operations")

# What no other table tells afterwards. Saves themselves are not counted here: one row that all savers write would
# make them wait for each other.
COUNTED = {
    "stale_saves": "Saves refused because somebody had saved in between.",
    "late_saves": "Saves refused because the exam was over.",
    "reused_operations": "Saves refused because their operation was used for something else.",
    "repeated_operations": "Saves that came again after they had been stored: the outbox's retries.",
    "refused": "Requests refused because there were too many: 429, and 503 where passwords are hashed.",
}


class CounterQuerySet(models.QuerySet["Counter"]):
    def count_one(self, name: str) -> None:
        self.add(name, 1)

    def add(self, name: str, number: int) -> None:
        """A figure that cannot be kept must not spoil the reply that it is about."""
        try:
            with transaction.atomic():
                if not self._add(name, number):
                    self.get_or_create(name=name)
                    self._add(name, number)
        except DatabaseError as error:
            log.warning("%s was not counted: %s", name, error)

    def _add(self, name: str, number: int) -> int:
        return self.filter(name=name).update(value=F("value") + number)

    def figures(self) -> Iterator[tuple[str, str, int]]:
        """Name, meaning and value of each, also of those never counted yet."""
        stored = dict(self.values_list("name", "value"))
        return ((name, text, stored.get(name, 0)) for name, text in COUNTED.items())


class Counter(models.Model):
    """A figure for operators that several processes count together."""

    name = models.CharField(max_length=40, primary_key=True)
    value = models.PositiveBigIntegerField(default=0)

    objects: ClassVar[models.Manager["Counter"]] = CounterQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"


class LastRunQuerySet(models.QuerySet["LastRun"]):
    def note(self, command: str, at: datetime, skipped: int = 0) -> None:
        """Keep that a command did its work, which is done even if this cannot be kept."""
        try:
            self.update_or_create(command=command, defaults={"at": at, "skipped": skipped})
        except DatabaseError as error:
            log.warning("That %s has run was not kept: %s", command, error)


class LastRun(models.Model):
    """When an operators' command last did its work, so that one that does so no more is seen."""

    command = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField(help_text="When it began.")
    skipped = models.PositiveIntegerField(default=0, help_text="What it could not do, and reported.")

    objects: ClassVar[models.Manager["LastRun"]] = LastRunQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.command}: {self.at:%Y-%m-%d %H:%M} UTC"
