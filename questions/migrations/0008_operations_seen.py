from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("questions", "0007_tools"),
    ]

    operations = [
        migrations.CreateModel(
            name="LastRun",
            fields=[
                ("command", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("at", models.DateTimeField(help_text="When it began.")),
                ("skipped", models.PositiveIntegerField(default=0, help_text="What it could not do, and reported.")),
            ],
        ),
    ]
