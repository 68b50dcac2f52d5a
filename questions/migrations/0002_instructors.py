from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# What instructors may do, by model.
GRANTS = {
    "question": ["view", "add", "change", "delete"],
    "option": ["view", "add", "change", "delete"],
    "reference": ["view", "add", "change"],
    "guide": ["view"],
    "attempt": ["view"],
    "slot": ["view"],
}


def make_group(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    config = apps.get_app_config("questions")
    module = getattr(config, "models_module", None)
    config.models_module = True  # type: ignore[assignment]  # permissions are otherwise made only after all migrations
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = module
    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name="Instructors")
    permission = apps.get_model("auth", "Permission").objects
    for model, actions in GRANTS.items():
        codenames = [f"{action}_{model}" for action in actions]
        group.permissions.add(*permission.filter(content_type__app_label="questions", codename__in=codenames))


def drop_group(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("auth", "Group").objects.filter(name="Instructors").delete()


class Migration(migrations.Migration):
    dependencies = [("questions", "0001_initial"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(make_group, drop_group)]
