from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from questions.models import SecondFactor, User


class Command(BaseCommand):
    help = (
        "The way back for somebody who lost both phone and recovery codes: remove their second factor, sign them out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name they sign in with")

    @transaction.atomic
    def handle(self, *, name: str, **options: Any) -> None:
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no account {name!r}.")
        removed, _ = SecondFactor.objects.filter(user=user).delete()
        if not removed:
            raise CommandError(f"{name} has no second factor.")
        user.end_sessions()
        self.stdout.write(f"{name} signs in with the password alone now, and staff set up a second factor again.")
