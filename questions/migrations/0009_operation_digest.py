from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("questions", "0008_operations_seen"),
    ]

    operations = [
        migrations.AddField(
            model_name="saveevent",
            name="digest",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Of what the operation asked for; old ones have none.",
                max_length=32,
            ),
        ),
    ]
