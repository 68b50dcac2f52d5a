import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import batched
from typing import Any

import environ
from django.apps import apps
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import DatabaseError, connection, connections, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import ConnectionHandler
from django.utils import timezone

from questions.models import SaveEvent

COPY = "copy"  # the name of the connection to the new database
BATCH = 500  # rows
ENGINES = {"django.db.backends.sqlite3", "django.db.backends.postgresql"}
MADE_BY_MIGRATE = {"django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}


class Command(BaseCommand):
    help = (
        "Copy everything into another database, from SQLite to PostgreSQL or back, and compare every row. "
        "The new one must be empty but for what migrate makes. Stop the site first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "to",
            help="as in DATABASE_URL: postgres://user@host/name, sqlite:////folder/examsim.sqlite3; "
            "without a password, PostgreSQL's own ways to give one hold, such as PGPASSWORD",
        )

    def handle(self, *, to: str, **options: Any) -> None:
        began = f"{timezone.now():%Y-%m-%d %H:%M:%S} UTC"
        with connected(to):
            try:
                found = copy()
            except DatabaseError as error:
                raise CommandError(f"Nothing was copied: {str(error).strip()}") from error
            left_behind = SaveEvent.objects.newest() != SaveEvent.objects.using(COPY).newest()
        if left_behind:
            raise CommandError(
                f"The site still runs: what was saved after {began} is only in the old database. "
                "Stop the site, and copy again into another new one."
            )
        for table, count, checksum in found:
            self.stdout.write(f"{table}: {count}, {checksum[:16]}")
        total = sum(count for _, count, _ in found)
        self.stdout.write(f"{total} rows copied and compared. Let DATABASE_URL name the new database now.")
        self.stdout.write(f"Whatever is saved after {began} is only in the old one.")


@contextmanager
def connected(url: str) -> Iterator[None]:
    """Make the database of this address known as COPY meanwhile."""
    if environ.Env.DB_SCHEMES.get(url.partition(":")[0]) not in ENGINES:
        raise CommandError("Name the new database like postgres://user@host/name or sqlite:////folder/file.")
    config = environ.Env.db_url_config(url)
    connections[COPY] = ConnectionHandler({"default": {}, COPY: config})[COPY]
    try:
        yield
    finally:
        connections[COPY].close()
        del connections[COPY]


def copy() -> list[tuple[str, int, str]]:
    """Copy and compare in one transaction of each database; returns table, count and checksum of every table.

    What is copied is of one moment. On SQLite nobody writes meanwhile; PostgreSQL shows what was there at the start.
    Raises CommandError or DatabaseError, with nothing copied.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            execute("default", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with transaction.atomic(using=COPY):
            refuse_unless_migrated()
            tables = list(apps.get_models(include_auto_created=True))
            refuse_unless_empty(tables)
            ContentType.objects.using(COPY).all().delete()  # with the permissions
            Group.objects.using(COPY).all().delete()
            sums = [copy_table(model) for model in tables]
            for statement in connections[COPY].ops.sequence_reset_sql(no_style(), tables):
                execute(COPY, statement)
            connections[COPY].check_constraints()
            for model, expected in zip(tables, sums, strict=True):
                if (found := checksum(rows(model, COPY))) != expected:
                    raise CommandError(
                        f"Nothing was copied: {model._meta.db_table} came out differently. "
                        f"{expected[0]} rows, {expected[1][:16]} became {found[0]} rows, {found[1][:16]}."
                    )
    return [(model._meta.db_table, *found) for model, found in zip(tables, sums, strict=True)]


def execute(alias: str, statement: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)


def refuse_unless_migrated() -> None:
    for alias, name in (("default", "This database"), (COPY, "The new database")):
        executor = MigrationExecutor(connections[alias])
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError(f"{name} is not up to date. Run migrate with its DATABASE_URL first.")


def refuse_unless_empty(tables: Iterable[type[models.Model]]) -> None:
    for model in tables:
        table = model._meta.db_table
        if table not in MADE_BY_MIGRATE and model._base_manager.using(COPY).exists():
            raise CommandError(
                f"The new database is not empty: {table} has rows. Take a new one, and run only migrate."
            )


def rows(model: type[models.Model], alias: str) -> Iterator[models.Model]:
    """All of a table; only a batch of them is in memory at a time."""
    return model._base_manager.using(alias).iterator(chunk_size=BATCH)


def copy_table(model: type[models.Model]) -> tuple[int, str]:
    """Returns the count and the checksum of what was read."""
    count, total, last = 0, 0, None
    try:
        for batch in batched(rows(model, "default"), BATCH):
            count, total = count + len(batch), total + sum(map(digest, batch))
            model._base_manager.using(COPY).bulk_create(batch)
            last = batch[-1].pk
    except (DatabaseError, ValueError, TypeError, AttributeError) as error:  # what one of the two cannot read or hold
        place = f"{model._meta.db_table}, in the {BATCH} rows after {last or 'the start'}"
        raise CommandError(f"Nothing was copied. {place}: {str(error).strip()}") from error
    return count, hexadecimal(total)


def checksum(found: Iterable[models.Model]) -> tuple[int, str]:
    """How many rows, and the sum of their digests: databases disagree about the order of texts."""
    count, total = 0, 0
    for row in found:
        count, total = count + 1, total + digest(row)
    return count, hexadecimal(total)


def digest(row: models.Model) -> int:
    """Of a row in a form that does not depend on the database: instants in UTC, the keys of JSON in order."""
    values = [getattr(row, field.attname) for field in row._meta.concrete_fields]
    return int.from_bytes(hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).digest())


def hexadecimal(total: int) -> str:
    return f"{total % 2**256:064x}"
