import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from questions.models import LastRun


class Command(BaseCommand):
    help = "Copy the database, while the site runs, into one new file; check the copy before it gets its name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("to", type=Path, help="a new file, or a folder: there the file is named by date and time")

    def handle(self, *, to: Path, **options: Any) -> None:
        began = time.perf_counter()
        now = timezone.now()
        file = to / name(now) if to.is_dir() else to
        try:
            size = back_up(file)
        except OSError as error:
            raise CommandError(f"No backup was made: {error}") from error
        LastRun.objects.note("backup", now)  # the copy itself does not hold it
        self.stdout.write(f"{file}: {filesizeformat(size)} in {time.perf_counter() - began:.1f} s, checked.")


def name(now: datetime) -> str:
    return f"examsim-{now:%Y%m%d-%H%M%S}.{'sqlite3' if connection.vendor == 'sqlite' else 'dump'}"


def back_up(file: Path) -> int:
    """Write the backup; returns its size in bytes. It gets its name when it is whole, checked and on the disk.

    Raises CommandError, with nothing left behind, if there is such a file, nothing to back up, or the copy is not
    sound; OSError as open() does.
    """
    if not MigrationRecorder(connection).has_table():
        raise CommandError(f"There is nothing in the database {connection.settings_dict['NAME']} yet.")
    part = file.with_name(f"{file.name}.part")
    try:
        # Only for us: it holds names and password hashes. Two backups to one name meet here, and the second gives up.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError as error:
        raise CommandError(f"{part} is there: another backup is writing it. If none is, delete it.") from error
    try:
        if file.exists():
            raise CommandError(f"{file} is there already and is not overwritten. Choose another name.")
        copy_sqlite(part) if connection.vendor == "sqlite" else dump_postgresql(part)
        sync(part)
        size = part.stat().st_size
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        sync(file.parent)
    return size


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def copy_sqlite(part: Path) -> None:
    with closing(sqlite3.connect(part)) as copy:
        try:
            # All pages in one step, so from one moment: it reads the write-ahead log and holds up no save.
            connection.connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file; the site turns the log on again
            problems = [row[0] for row in copy.execute("PRAGMA integrity_check")]
        except sqlite3.Error as error:
            raise CommandError(f"No backup was made: {error}") from error
    if problems != ["ok"]:
        raise CommandError("\n".join(["No backup was made: the database is damaged.", *problems[:10]]))


def dump_postgresql(part: Path) -> None:
    psql, environ = connection.client.settings_to_cmd_args_env(
        connection.settings_dict, ["--format=custom", f"--file={part}"]
    )
    dump = ["pg_dump", *psql[1:]]  # it takes psql's options for the connection; the password goes by the environment
    for command in (dump, ["pg_restore", f"--file={os.devnull}", str(part)]):  # the second reads all of it once
        program = shutil.which(command[0])
        if program is None:
            raise CommandError(f"{command[0]} was not found. Install PostgreSQL's client programs.")
        done = subprocess.run(  # noqa: S603
            [program, *command[1:]], env={**os.environ, **(environ or {})}, capture_output=True, text=True
        )
        if done.returncode:
            raise CommandError(f"No backup was made: {done.stderr.strip()}")
