from django.db import migrations, models


class Migration(migrations.Migration):
    """One table a migration: it never holds one lock while it waits for another, so no save in between is a deadlock."""

    dependencies = [
        ("questions", "0006_operations"),
    ]

    operations = [
        migrations.AddField(
            model_name="slot",
            name="confidence",
            field=models.PositiveSmallIntegerField(
                choices=[(0, "not said"), (1, "guess"), (2, "unsure"), (3, "sure")], db_default=0, default=0
            ),
        ),
        migrations.AddField(
            model_name="slot",
            name="marks",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="What is highlighted in the stem: 12-40,55-60 in characters of its text.",
                max_length=500,
            ),
        ),
        migrations.AddField(
            model_name="slot",
            name="note",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="The taker's own.", max_length=2000
            ),
        ),
        migrations.AddField(
            model_name="slot",
            name="struck",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The letters struck out, in alphabetical order.",
                max_length=10,
            ),
        ),
    ]
