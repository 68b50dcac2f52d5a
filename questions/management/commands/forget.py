from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from questions import privacy
from questions.models import Throttle


class Command(BaseCommand):
    help = "Forget guests who have not been here for so many days, and sessions and tries to sign in that ran out. Finished exams stay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--guests-older-than", type=int, required=True, metavar="DAYS", help="at least 1")
        parser.add_argument("--dry-run", action="store_true", help="count them, change nothing")

    def handle(self, *, guests_older_than: int, dry_run: bool, **options: Any) -> None:
        if not 1 <= guests_older_than <= 36500:
            raise CommandError("--guests-older-than takes a number of days from 1 to 36500.")
        now = timezone.now()
        guests = privacy.old_guests(now, timedelta(days=guests_older_than))
        if not dry_run:
            for guest in guests:
                privacy.forget(guest, now)
            Throttle.objects.forget_old(now)
            call_command("clearsessions")
        self.stdout.write(f"{len(guests)} guests {'would be forgotten' if dry_run else 'forgotten'}.")
