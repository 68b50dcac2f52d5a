"""What the database must promise so that an answer called saved is never lost.

These look at the machine, not at the code, so they carry Django's tag for databases: `up` and `migrate` run and print
them, `check --database default` shows them, and plain `check`, `check --deploy` and the tests leave them out. An old
SQLite or a mounted data folder so never fails the check of a change, which may run elsewhere than the site.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

# Below it, two connections that write and tidy the write-ahead log at one moment can damage the database
# (https://sqlite.org/wal.html, "the WAL-reset bug").
SOUND_SQLITE = (3, 51, 3)
FULL = 2  # of PRAGMA synchronous: a commit waits until it is on the disk
MOUNTS = Path("/proc/self/mountinfo")
NETWORK = {
    "9p",
    "afs",
    "ceph",
    "cifs",
    "davfs",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
    "sshfs",
}


@register(Tags.database)
def storage(*, databases: Iterable[str] | None, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        with connection.cursor() as cursor:
            if connection.vendor != "sqlite":
                found += postgresql_settings(cursor)
                continue
            found += sqlite_version(sqlite3.sqlite_version_info)
            found += sqlite_settings(cursor)
            found += network_file_system(Path(connection.settings_dict["NAME"]), mounts())
    return found


def sqlite_version(version: Sequence[int]) -> list[CheckMessage]:
    if tuple(version) >= SOUND_SQLITE:
        return []
    return [
        Warning(
            f"This Python brings SQLite {'.'.join(map(str, version))}, older than {'.'.join(map(str, SOUND_SQLITE))}, "
            "which mends a rare fault that can damage a database written to by several at once.",
            hint="Take a newer Python or SQLite when your system offers one, or PostgreSQL. Back up daily until then.",
            id="examsim.W001",
        )
    ]


def sqlite_settings(cursor: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    mode, synchronous = (cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous"))
    if mode != "wal":
        found.append(
            Warning(
                f"SQLite's journal mode is {mode}, not WAL: every reader holds up every save.",
                hint="Let init_command in the settings say PRAGMA journal_mode=WAL. "
                "If it does, the data folder is on a file system that cannot: set EXAMSIM_DATA to a local disk.",
                id="examsim.W002",
            )
        )
    if synchronous < FULL:
        found.append(
            Error(
                "SQLite's synchronous is below FULL: a power cut loses answers that were called saved.",
                hint="Let init_command in the settings say PRAGMA synchronous=FULL.",
                id="examsim.E001",
            )
        )
    return found


def mounts() -> str:
    """The kernel's list of mounts; empty on systems that keep none, where nothing can be told."""
    return MOUNTS.read_text("utf-8", "replace") if MOUNTS.exists() else ""


def network_file_system(database: Path, mountinfo: str) -> list[CheckMessage]:
    kind = file_system(database, mountinfo)
    if kind.removeprefix("fuse.") not in NETWORK:
        return []
    return [
        Warning(
            f"{database.parent} is on a network file system ({kind}), where SQLite's locks cannot be relied on.",
            hint="Set EXAMSIM_DATA to a folder on a local disk, or give PostgreSQL by DATABASE_URL.",
            id="examsim.W003",
        )
    ]


def file_system(path: Path, mountinfo: str) -> str:
    """The kind of file system under a path, such as ext4, nfs4 or fuse.sshfs; empty if it is not listed.

    mountinfo: lines as in proc_pid_mountinfo(5): the mount point is the fifth field, with spaces as \\040; the kind is
    the first after the lone hyphen. Of several mounts on one place the last one counts.
    """
    depth, kind = -1, ""
    for line in mountinfo.splitlines():
        place, _, source = line.partition(" - ")
        point = Path(place.split()[4].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            depth, kind = len(point.parts), source.split()[0]
    return kind


def postgresql_settings(cursor: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for number, name in enumerate(("fsync", "synchronous_commit"), start=2):
        cursor.execute(f"SHOW {name}")
        if cursor.fetchone()[0] == "off":
            found.append(
                Error(
                    f"PostgreSQL's {name} is off: a crash loses answers that were called saved.",
                    hint=f"Set {name} = on in postgresql.conf and reload the server.",
                    id=f"examsim.E{number:03}",
                )
            )
    return found
