"""The exam's minutes as they were at its start, its last event, and the log of moved deadlines."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models
from django.db.models import F, Max, Q
from django.utils import timezone


def fill_attempts(apps, schema_editor):
    Attempt = apps.get_model("questions", "Attempt")
    for guide in apps.get_model("questions", "Guide").objects.all():
        Attempt.objects.filter(guide=guide).update(minutes=guide.document["exam"]["minutes"])
    Attempt.objects.update(last_event_at=F("started_at"))
    running = Attempt.objects.filter(finished_at=None).annotate(last=Max("slots__events__at")).exclude(last=None)
    for attempt in running:
        Attempt.objects.filter(pk=attempt.pk).update(last_event_at=attempt.last)


def grant(apps, schema_editor):
    """Instructors may give extra time, and see what was given."""
    config = apps.get_app_config("questions")
    module = getattr(config, "models_module", None)
    config.models_module = True  # permissions are otherwise made only after all migrations
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = module
    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name="Instructors")
    codenames = ["view_deadlinechange", "add_deadlinechange"]
    permission = apps.get_model("auth", "Permission").objects
    group.permissions.add(*permission.filter(content_type__app_label="questions", codename__in=codenames))


class Migration(migrations.Migration):
    dependencies = [("questions", "0003_label_and_quality")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="minutes",
            field=models.PositiveSmallIntegerField(
                default=120, help_text="The exam's own time, as the guide had it at the start."
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="attempt",
            name="last_event_at",
            field=models.DateTimeField(
                default=timezone.now, help_text="Start, last save or last change of the deadline."
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="attempt",
            name="deadline",
            field=models.DateTimeField(help_text="Fixed at the start; only extra time and a new time factor move it."),
        ),
        migrations.AlterField(
            model_name="user",
            name="time_factor",
            field=models.PositiveSmallIntegerField(
                default=100,
                help_text="Per cent of the exam's time: 125 gives a quarter more. A change moves the deadline of a running exam too.",
                validators=[
                    django.core.validators.MinValueValidator(100),
                    django.core.validators.MaxValueValidator(400),
                ],
            ),
        ),
        migrations.CreateModel(
            name="DeadlineChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                (
                    "minutes",
                    models.SmallIntegerField(
                        help_text="Extra time. Below zero takes some of it back.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(-240),
                            django.core.validators.MaxValueValidator(240),
                        ],
                    ),
                ),
                (
                    "time_factor",
                    models.PositiveSmallIntegerField(help_text="The taker's new time factor, in per cent.", null=True),
                ),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("before", models.DateTimeField()),
                ("after", models.DateTimeField()),
                (
                    "attempt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deadline_changes",
                        to="questions.attempt",
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(minutes__isnull=True, time_factor__isnull=False)
                        | Q(minutes__isnull=False, time_factor__isnull=True),
                        name="either_minutes_or_factor",
                    ),
                ],
            },
        ),
        migrations.RunPython(fill_attempts, migrations.RunPython.noop),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
