from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from questions.models import Attempt, LastRun


class Command(BaseCommand):
    help = "Finish every exam whose time ran out. Whoever reads one does that too, so this only tidies up."

    def handle(self, **options: Any) -> None:
        now = timezone.now()
        settled, broken = Attempt.objects.settle_overdue(now)
        LastRun.objects.note("settle_overdue", now, skipped=len(broken))
        self.stdout.write(f"Exams settled: {settled}")
        if broken:
            raise CommandError(
                f"{len(broken)} could not be settled: {', '.join(map(str, broken))}. The log above says why; "
                "the other exams are not affected."
            )
