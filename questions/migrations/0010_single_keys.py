from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("questions", "0009_operation_digest"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="single_keys",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="In an exam a letter or a number chooses, J and K move, ? shows all keys. Off, no key does anything by itself.",
                verbose_name="single-key shortcuts",
            ),
        ),
    ]
