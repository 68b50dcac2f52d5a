"""Further databases of either kind, made by `migrate`, and `manage.py` in a process of its own on any of them."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

import psycopg

ROOT = Path(__file__).parent.parent


def manage(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With the site's settings on the database at `url`."""
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "examsim.settings"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def manage_well(url: str, *arguments: str) -> str:
    done = manage(url, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass
class Databases:
    """New ones, empty but for what `migrate` makes. `migrate` itself runs once for each kind."""

    folder: Path
    server: str  # the DATABASE_URL of a PostgreSQL
    numbers = count(1)

    def sqlite(self) -> str:
        return f"sqlite:///{shutil.copy(self.migrated_file, self.folder / f'{next(self.numbers)}.sqlite3')}"

    def postgresql(self) -> str:
        return self.create(f"copy{next(self.numbers)}", self.migrated_database)

    def create(self, name: str, template: str = "template1") -> str:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return f"{self.server.rpartition('/')[0]}/{name}"

    @cached_property
    def migrated_file(self) -> Path:
        manage_well(f"sqlite:///{self.folder / 'migrated.sqlite3'}", "migrate", "--skip-checks", "-v0")
        return self.folder / "migrated.sqlite3"

    @cached_property
    def migrated_database(self) -> str:
        manage_well(self.create("migrated"), "migrate", "--skip-checks", "-v0")
        return "migrated"
