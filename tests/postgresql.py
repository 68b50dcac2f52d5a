"""A private PostgreSQL: in a folder of its own, reached through loopback with a password, gone afterwards."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl: on PATH, or the newest that Debian's packages put aside."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


def other_user() -> str:
    """PostgreSQL refuses to run as root; somebody harmless to run it as. Empty where this is not root."""
    import pwd  # POSIX only

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), "") if os.geteuid() == 0 else ""


def missing() -> str:
    """Why no cluster can be started here; empty if one can."""
    if os.name != "posix":
        return "a private PostgreSQL is only started on POSIX systems"
    if binaries() is None:
        return "PostgreSQL's initdb is neither on PATH nor under /usr/lib/postgresql"
    if os.geteuid() == 0 and not (other_user() and shutil.which("runuser")):
        return "PostgreSQL does not run as root, and there is no other user to run it as"
    return ""


@contextmanager
def cluster() -> Iterator[str]:
    """Start one; yields its DATABASE_URL."""
    folder = Path(tempfile.mkdtemp(prefix="examsim-postgresql-"))
    data, password = folder / "data", secrets.token_urlsafe(12)
    (folder / "password").write_text(password, "utf-8")
    user = other_user()
    if user:
        for path in (folder, folder / "password"):
            shutil.chown(path, user)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    def run(program: str, *arguments: str | Path) -> None:
        command = [*(("runuser", "-u", user, "--") if user else ()), binaries() / program, "-D", data, *arguments]
        subprocess.run(command, cwd=folder, check=True, timeout=120, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "-U", "examsim", "-A", "scram-sha-256", "--pwfile", folder / "password", "-E", "UTF8", "-N")
        listen = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
        run("pg_ctl", "-w", "-l", folder / "log", "-o", listen, "start")
        try:
            yield f"postgres://examsim:{password}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def tests(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own on the cluster at `url`."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=Path(__file__).parent.parent,
        env={**environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=600,
    )


def passes(file: str, summary: str) -> None:
    """Run a file of tests once more, on a private cluster; skips the calling test where none can be started.

    summary: what pytest must say in the end, such as "6 passed, 2 skipped", so that nothing is left out unseen.
    """
    if reason := missing():
        pytest.skip(reason)
    with cluster() as url:
        run = tests(url, "-m", "not browser", file)
    assert run.returncode == 0, run.stdout + run.stderr
    assert summary in run.stdout, run.stdout
