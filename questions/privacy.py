"""What is kept about one person: given to them as a whole, and taken away again."""

import secrets
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Q

from questions.models import Attempt, SaveEvent, SecondFactor, Slot, User

PROFILE = (
    "email",
    "first_name",
    "last_name",
    "is_guest",
    "time_factor",
    "target",
    "exam_date",
    "time_zone",
    "single_keys",
)


def own_data(user: User, now: datetime) -> dict[str, Any]:
    """Everything that the site keeps about somebody, ready for JSON; instants are datetimes in UTC. Six queries.

    What would tell the key of an exam still running comes with the next download after its end.
    """
    user.attempts.settle_overdue(now)
    slots: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    events: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for event in SaveEvent.objects.filter(slot__attempt__user=user):
        events[event.slot_id].append(
            {"at": event.at, "letters": event.letters, "flagged": event.flagged, "late": event.late}
        )
    of_user = Slot.objects.filter(attempt__user=user).select_related("attempt", "question", "revision")
    for slot in of_user.defer("revision__content").order_by("attempt", "position"):
        slots[slot.attempt_id].append(_slot_data(slot) | {"saves": events[slot.pk]})
    return {
        "name": "" if user.is_guest else user.username,
        **{field: getattr(user, field) for field in PROFILE},
        "joined": user.date_joined,
        "last_sign_in": user.last_login,
        "second_factor": SecondFactor.objects.filter(user=user).exists(),
        "changes_to_the_bank": list(
            LogEntry.objects.filter(user=user).values("action_time", "object_repr", "change_message")
        ),
        "exams": [_attempt_data(attempt) | {"questions": slots[attempt.pk]} for attempt in user.attempts.with_label()],
    }


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    return {
        "guide": f"{attempt.guide.code}/{attempt.guide.edition}",
        "started": attempt.started_at,
        "deadline": attempt.deadline,
        "finished": attempt.finished_at,
        "target": attempt.target,
        "asked": attempt.asked,
        "right": attempt.right,
    }


def _slot_data(slot: Slot) -> dict[str, Any]:
    data = {"position": slot.position, **slot.parts, "seconds": slot.seconds}
    if slot.attempt.is_finished:
        data |= {
            "question": slot.question.code,
            "revision": slot.revision.number,
            "section": slot.section,
            "objective": slot.objective,
            "key": slot.key,
            "is_right": slot.is_right,
        }
    return data


def forget(user: User, now: datetime) -> None:
    """Take away who somebody is. Finished exams stay, without the saves in them, under a name that says nothing.

    So the statistics of questions stay as they are. A running exam goes; who has no finished one goes entirely, unless
    the history of the bank names them as the author of a change.
    """
    user.attempts.settle_overdue(now)
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)
        running = user.attempts.unfinished().select_for_update()
        Attempt.objects.filter(pk__in=[attempt.pk for attempt in running]).delete()
        if not (user.attempts.exists() or LogEntry.objects.filter(user=user).exists()):
            user.delete()
            return
        SaveEvent.objects.filter(slot__attempt__user=user).delete()
        Slot.objects.filter(attempt__user=user).exclude(note="").update(note="")
        SecondFactor.objects.filter(user=user).delete()
        user.groups.clear()
        user.user_permissions.clear()
        user.set_unusable_password()
        nobody = User(username=f"forgotten-{secrets.token_hex(8)}", is_active=False, date_joined=now, forgotten_at=now)
        for field in User._meta.concrete_fields:
            if field.name not in ("id", "password", "is_guest"):
                setattr(user, field.name, getattr(nobody, field.name))
        user.save()


def old_guests(now: datetime, age: timedelta) -> list[User]:
    """Guests who came, and started their last exam, longer ago than `age`."""
    before = now - age
    recent = Attempt.objects.filter(Q(started_at__gte=before) | Q(deadline__gte=now, finished_at=None)).values("user")
    guests = User.objects.filter(is_guest=True, forgotten_at=None, date_joined__lt=before)
    return list(guests.exclude(pk__in=recent).order_by("pk"))
