"""`manage.py backup`: one checked file while the site runs, and the way back from it; on PostgreSQL, too."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from questions.management.commands import backup
from questions.models import LastRun, SaveEvent, Slot
from questions.models.attempts import SAVED, Save
from tests import postgresql
from tests.factories import NOW, make_attempt

pytestmark = pytest.mark.django_db(transaction=True)

ON_POSTGRESQL = connection.vendor == "postgresql"
ROOT = Path(__file__).resolve().parent.parent

# Answered by a process of its own, with the site's settings, on the database that was restored.
ASK = """
import django, json
django.setup()
from django.core.management import call_command
call_command("migrate", check_unapplied=True, verbosity=0)
from questions.models import LastRun, SaveEvent, Slot
print(json.dumps({
    "events": list(SaveEvent.objects.order_by("slot", "version").values_list("slot", "version", "letters")),
    "slots": list(Slot.objects.filter(version__gt=0).order_by("pk").values_list("pk", "version", "letters")),
}))
"""


def back_up(to: Path) -> str:
    said = StringIO()
    call_command("backup", str(to), stdout=said)
    return said.getvalue()


def restore(file: Path, folder: Path) -> str:
    """As the README says; returns the DATABASE_URL of what was restored."""
    if not ON_POSTGRESQL:
        shutil.copy(file, folder / "examsim.sqlite3")
        return f"sqlite:///{folder / 'examsim.sqlite3'}"
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS restored")
        cursor.execute("CREATE DATABASE restored")
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + "/restored"
    subprocess.run(["pg_restore", "--no-owner", f"--dbname={url}", file], check=True)
    return url


def ask(url: str, folder: Path) -> dict[str, list[Any]]:
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "examsim.settings"}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=ROOT,
        env={**environ, "DATABASE_URL": url, "EXAMSIM_DATA": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def save(slot: Slot, letters: str) -> None:
    assert slot.save_answer(Save(op=uuid4(), base=slot.version, letters=letters), timezone.now()) == SAVED


class Savers:
    """Takers who save without a pause, each in a thread, until told to stop; `done` holds what was acknowledged."""

    def __init__(self, slots: list[Slot]) -> None:
        self.done: list[list[Any]] = []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=[slot]) for slot in slots]

    def run(self, slot: Slot) -> None:
        while not self.stop.is_set():
            save(slot, "ABCD"[slot.version % 4])
            self.done.append([slot.pk, slot.version, slot.letters])
        connection.close()

    def __enter__(self) -> "Savers":
        for thread in self.threads:
            thread.start()
        while len(self.done) < 20:
            self.stop.wait(0.01)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def test_a_backup_under_load_holds_every_save_acknowledged_before_it_and_can_be_restored(bank, tmp_path):
    slots = [make_attempt(now=timezone.now()).slots.get(position=1) for _ in range(3)]
    file = tmp_path / "copy"

    with Savers(slots) as savers:
        before = list(savers.done)
        said = back_up(file)
        after = len(savers.done)
    restored = ask(restore(file, tmp_path), tmp_path)

    assert after > len(before)  # nobody had to wait for it to end
    assert re.fullmatch(rf"{re.escape(str(file))}: [\d.]+\s[KM]B in \d+\.\d s, checked\.\n", said)
    assert [event for event in sorted(before) if event not in restored["events"]] == []
    assert [event for event in restored["events"] if event not in savers.done] == []
    # From one moment: every slot is as its last save left it, and no save is missing in between.
    last = {pk: [pk, version, letters] for pk, version, letters in restored["events"]}
    assert restored["slots"] == list(last.values())
    assert len(restored["events"]) == sum(version for _, version, _ in restored["slots"])
    assert SaveEvent.objects.count() == len(savers.done)


def test_an_exam_goes_on_where_the_backup_was_made(bank, tmp_path):
    slot = make_attempt(now=timezone.now()).slots.get(position=2)
    save(slot, "B")

    back_up(tmp_path / "copy")
    save(slot, "C")

    assert ask(restore(tmp_path / "copy", tmp_path), tmp_path)["slots"] == [[slot.pk, 1, "B"]]


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    file = tmp_path / "copy"
    file.write_text("last week's", "utf-8")

    with pytest.raises(CommandError, match=f"^{file} is there already and is not overwritten"):
        back_up(file)

    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == {"copy": "last week's"}


# reliability case 49
def test_the_newest_backup_is_known_and_one_that_failed_is_none(time_machine, tmp_path):
    time_machine.move_to(NOW, tick=False)
    back_up(tmp_path / "one")
    time_machine.move_to(NOW + timedelta(days=1), tick=False)
    with pytest.raises(CommandError):
        back_up(tmp_path / "one")
    after_failing = LastRun.objects.get().at
    back_up(tmp_path / "two")

    assert after_failing == NOW
    assert list(LastRun.objects.values_list()) == [("backup", NOW + timedelta(days=1), 0)]


def test_of_two_backups_to_one_name_the_second_gives_up(tmp_path):
    (tmp_path / "copy.part").write_text("half", "utf-8")

    with pytest.raises(CommandError, match="another backup is writing it"):
        back_up(tmp_path / "copy")

    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == {"copy.part": "half"}


def test_in_a_folder_the_file_is_named_by_date_and_time_and_only_we_may_read_it(tmp_path):
    back_up(tmp_path)

    (file,) = tmp_path.iterdir()
    assert re.fullmatch(r"examsim-\d{8}-\d{6}\.(sqlite3|dump)", file.name)
    assert backup.name(datetime(2026, 11, 21, 7, 5, 9, tzinfo=UTC)).startswith("examsim-20261121-070509.")
    assert os.name != "posix" or oct(file.stat().st_mode & 0o777) == "0o600"


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(CommandError, match=r"^No backup was made: .*No such file or directory.*nowhere"):
        back_up(tmp_path / "nowhere" / "copy")


def backup_process(to: Path, url: str, *before: str) -> subprocess.CompletedProcess:
    """The command in a process of its own; `before` starts it, such as with less room for files."""
    return subprocess.run(
        [*before, sys.executable, "manage.py", "backup", str(to)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "examsim.settings", "DATABASE_URL": url},
        capture_output=True,
        text=True,
    )


def this_database() -> str:
    name = connection.settings_dict["NAME"]
    return f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}" if ON_POSTGRESQL else f"sqlite:///{name}"


@pytest.mark.skipif(os.name != "posix", reason="needs ulimit")
def test_where_the_disk_is_full_it_says_so_and_leaves_nothing_behind(bank, tmp_path):
    little_room = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh"]

    done = backup_process(tmp_path / "copy", this_database(), *little_room)

    assert (done.returncode, done.stdout) == (1, "")
    assert "No backup was made: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(ON_POSTGRESQL, reason="about SQLite's files")
def test_of_a_damaged_database_no_backup_is_made_and_the_damage_is_told(tmp_path):
    damaged, backups = tmp_path / "damaged.sqlite3", tmp_path / "backups"
    backups.mkdir()
    with closing(sqlite3.connect(damaged)) as database, database:
        database.execute("CREATE TABLE django_migrations (name TEXT UNIQUE)")
        database.execute("INSERT INTO django_migrations VALUES ('0001_initial')")
    pages = damaged.read_bytes()
    damaged.write_bytes(pages[::-1].replace(b"0001_initial"[::-1], b"0002_initial"[::-1], 1)[::-1])  # in the index only

    done = backup_process(backups, f"sqlite:///{damaged}")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "CommandError: No backup was made: the database is damaged.\nrow 1 missing from index"
    )
    assert list(backups.iterdir()) == []


@pytest.mark.skipif(ON_POSTGRESQL, reason="about SQLite's files")
def test_where_there_is_no_site_yet_nothing_is_backed_up(tmp_path):
    database, backups = tmp_path / "none.sqlite3", tmp_path / "backups"
    backups.mkdir()

    done = backup_process(backups, f"sqlite:///{database}")

    assert (done.returncode, done.stderr) == (1, f"CommandError: There is nothing in the database {database} yet.\n")
    assert list(backups.iterdir()) == []


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
def test_the_same_holds_on_postgresql():
    postgresql.passes(__file__, "8 passed, 3 skipped")
