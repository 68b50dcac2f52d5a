"""What the start says about a machine that cannot keep the promise of never losing an answer."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from questions import checks
from tests import postgresql

MOUNTS = r"""
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 21 0:25 / /dev/shm rw - tmpfs tmpfs rw
41 21 0:44 / /srv/exams rw,relatime shared:7 - nfs4 files:/exams rw
42 41 254:1 / /srv/exams/local rw shared:8 - xfs /dev/vdb rw
43 21 0:45 / /mnt/two\040words rw - fuse.sshfs host:/ rw
44 21 0:46 / /twice rw - nfs files:/old rw
45 21 254:2 / /twice rw master:3 - ext4 /dev/vdc rw
""".strip()


def found(messages) -> list[tuple[str, str]]:
    return [(type(message).__name__, message.id) for message in messages]


# reliability case 24
@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 40, 1), [("Warning", "examsim.W001")]),
        ((3, 51, 2), [("Warning", "examsim.W001")]),
        ((3, 51, 3), []),
        ((3, 53, 0), []),
        ((4, 0, 0), []),
    ],
)
def test_an_sqlite_with_the_fault_in_its_log_is_warned_of(version, expected):
    assert found(checks.sqlite_version(version)) == expected


# reliability case 24
@pytest.mark.parametrize(
    ("init_command", "expected"),
    [
        ("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", []),
        ("PRAGMA journal_mode=WAL; PRAGMA synchronous=EXTRA", []),
        ("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL", [("Warning", "examsim.W002")]),
        ("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", [("Error", "examsim.E001")]),
        (
            "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF",
            [("Warning", "examsim.W002"), ("Error", "examsim.E001")],
        ),
    ],
)
def test_settings_that_may_lose_a_save_or_hold_it_up_are_found(tmp_path, init_command, expected):
    with closing(sqlite3.connect(tmp_path / "x.sqlite3")) as database:
        database.executescript(init_command)

        assert found(checks.sqlite_settings(database.cursor())) == expected


# reliability case 24
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ada/var/examsim.sqlite3", "ext4"),
        ("/dev/shm/examsim.sqlite3", "tmpfs"),
        ("/srv/exams/examsim.sqlite3", "nfs4"),
        ("/srv/exams/local/examsim.sqlite3", "xfs"),
        ("/srv/examsim/examsim.sqlite3", "ext4"),  # beside /srv/exams, not in it
        ("/mnt/two words/examsim.sqlite3", "fuse.sshfs"),
        ("/twice/examsim.sqlite3", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path, kind):
    expected = [("Warning", "examsim.W003")] if kind in {"nfs4", "fuse.sshfs"} else []

    assert checks.file_system(Path(path), MOUNTS) == kind
    assert found(checks.network_file_system(Path(path), MOUNTS)) == expected


def test_where_the_system_lists_no_mounts_nothing_is_said():
    assert checks.network_file_system(Path("/srv/examsim.sqlite3"), "") == []


@pytest.mark.skipif(not checks.MOUNTS.exists(), reason="only Linux lists its mounts there")
def test_the_list_of_this_machine_can_be_read():
    assert checks.file_system(Path("/proc/version"), checks.mounts()) == "proc"


@pytest.mark.django_db
def test_only_checks_that_name_the_database_look_at_the_machine():
    ours = {"examsim.W001"} if sqlite3.sqlite_version_info < (3, 51, 3) and connection.vendor == "sqlite" else set()

    def ids(**options):
        return {message.id for message in run_checks(**options) if (message.id or "").startswith("examsim.")}

    assert ids(include_deployment_checks=True) == set()
    assert ids(databases=["default"], tags=[Tags.database]) >= ours


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")
def test_the_site_does_not_start_where_a_power_cut_loses_saves():
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=NORMAL")

    with pytest.raises(SystemCheckError, match=r"examsim\.E001.*a power cut loses answers"):
        call_command("up", "--no-browser")

    connection.close()  # the next one has the site's settings again


def test_a_postgresql_that_may_lose_saves_is_found():
    if reason := postgresql.missing():
        pytest.skip(reason)
    psycopg = pytest.importorskip("psycopg")

    with postgresql.cluster() as url, psycopg.connect(url) as database:  # the tests' own one runs without fsync
        before = found(checks.postgresql_settings(database.cursor()))
        database.execute("SET synchronous_commit = off")
        after = found(checks.postgresql_settings(database.cursor()))

    assert before == [("Error", "examsim.E002")]
    assert after == [("Error", "examsim.E002"), ("Error", "examsim.E003")]
