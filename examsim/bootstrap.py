"""Runs every manage.py command inside a `.venv` that it builds itself.

Standard library only and Python 3.8 syntax, because it starts under whatever `python3` a machine has.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PRIVATE = ROOT / ".venv-setup"  # the lock file; uv and its Python where the machine has none that fits
VERSIONS = ("3.14", "3.13", "3.12")  # as in pyproject.toml, the first choice first
STAMP = "examsim-locks.txt"  # in .venv: a line for each lock installed; empty while that is under way
CONTAINS = {"run.txt": ["run.txt"], "dev.txt": ["run.txt", "dev.txt"]}  # lock -> the locks it satisfies
DEVELOPMENT = (["test"], ["lint_bank"])  # commands that need the tools in dev.txt
PIP_INSTALL = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
WINDOWS = os.name == "nt"


class SetupError(Exception):
    """Something is missing that only a person can mend; the text says what to do."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(command: Sequence[str], advice: str, **environ: str) -> None:
    """Run a command quietly; when it fails, show the end of what it said, and the advice."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            close_fds=False,  # see one_at_a_time
            env={**os.environ, **environ},
        )
    except OSError as error:
        raise SetupError(f"{command[0]} does not start: {error}\n{advice}") from error
    if done.returncode:
        last_words = "\n".join(done.stdout.decode("utf-8", "replace").splitlines()[-15:])
        raise SetupError(f"{last_words}\n\nFailed: {' '.join(command)}\n{advice}")


def hand_over(command: list[str]) -> NoReturn:
    """Become another program; on Windows wait for it and pass on its exit code."""
    if not WINDOWS:
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # the program gets Ctrl-C as well and ends in its own time
            sys.exit(process.wait())


# --- A Python that fits -------------------------------------------------------------------------


class Python(NamedTuple):
    path: str
    version: str  # such as 3.13.0
    lacks: str  # what it said instead of starting properly; empty when all is well


def try_python(path: str) -> Python | None:
    """Start a Python to be sure: pyenv's shims and the Windows Store's aliases are there and do not work.

    None unless it starts and has a version we support.
    """
    probe = "import sys; print(sys.version.split()[0], flush=True); import ensurepip, sqlite3, ssl, venv"
    try:
        done = subprocess.run(
            [path, "-I", "-c", probe], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    version = done.stdout.strip()
    if ".".join(version.split(".")[:2]) not in VERSIONS:
        return None
    return Python(path, version, (done.stderr.strip() or "it ended").splitlines()[-1] if done.returncode else "")


def candidates(environ: Mapping[str, str], home: Path) -> Iterator[str]:
    """Paths where a Python may be, the likeliest first, each once."""
    seen = set()
    for path in possible_paths(environ, home):
        real = os.path.realpath(path)
        if real not in seen and os.path.isfile(real):
            seen.add(real)
            yield path


def possible_paths(environ: Mapping[str, str], home: Path) -> Iterator[str]:
    # From inside a virtual environment, the Python it was made with: the environment itself may have to go.
    current = getattr(sys, "_base_executable", None) or sys.executable
    yield current
    path = [folder for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    for name in [f"python{version}" for version in VERSIONS] + ["python3", "python"]:
        for folder in path:  # all of them, because a shim that does not work may hide one that does
            yield os.path.join(folder, name + ".exe" if WINDOWS else name)
    folders = {
        # pyenv's root may be known only from its shims on PATH, or from running one of its versions.
        "pyenv": [
            environ.get("PYENV_ROOT", ""),
            environ.get("PYENV", ""),
            *[str(Path(folder).parent) for folder in path if Path(folder).name == "shims"],
            *[str(parent.parent) for parent in Path(current).parents if parent.name == "versions"],
            str(home / ".pyenv"),
            str(home / ".pyenv" / "pyenv-win"),
        ],
        "brew": [
            environ.get("HOMEBREW_PREFIX", ""),
            "/opt/homebrew",
            "/usr/local",
            "/home/linuxbrew/.linuxbrew",
        ],
        "uv": [
            environ.get("UV_PYTHON_INSTALL_DIR", ""),
            os.path.join(environ.get("XDG_DATA_HOME", "") or str(home / ".local" / "share"), "uv", "python"),
            os.path.join(environ.get("APPDATA", "") or str(home), "uv", "python"),
            str(PRIVATE / "python"),
        ],
        "framework": ["/Library/Frameworks/Python.framework"],
        "local": [environ.get("LOCALAPPDATA", "")],
        "programs": [environ.get("ProgramFiles", ""), environ.get("SystemDrive", "") and environ["SystemDrive"] + "\\"],
    }
    patterns = [
        ("pyenv", "versions/{version}*/bin/python3"),
        ("pyenv", "versions/{version}*/python.exe"),
        ("brew", "opt/python@{version}/bin/python{version}"),
        ("framework", "Versions/{version}/bin/python{version}"),
        ("uv", "cpython-{version}.*/bin/python{version}"),
        ("uv", "cpython-{version}.*/python.exe"),
        ("local", "Programs/Python/Python{digits}/python.exe"),
        ("local", "Python/pythoncore-{version}-*/python.exe"),
        ("programs", "Python{digits}/python.exe"),
    ]
    for version in VERSIONS:
        for owner, pattern in patterns:
            below = pattern.format(version=version, digits=version.replace(".", ""))
            for folder in filter(None, folders[owner]):
                yield from sorted(glob.glob(os.path.join(glob.escape(folder), below)), reverse=True)


def find_python(paths: Iterator[str]) -> Python:
    """The first that starts and is complete. Raises SetupError, naming those that only lack a part."""
    incomplete = []
    for path in paths:
        python = try_python(path)
        if python and not python.lacks:
            return python
        if python:
            incomplete.append(python)
    raise SetupError(no_python(incomplete))


def no_python(incomplete: Sequence[Python]) -> str:
    lines = [f"ExamSim needs Python {VERSIONS[-1]} to {VERSIONS[0]}, and there is none here that works."]
    for path, version, lacks in incomplete:
        minor = ".".join(version.split(".")[:2])
        lines += [f"{path} is a Python {version}, but: {lacks}", f"    Debian, Ubuntu:  apt install python{minor}-venv"]
    lines += [
        "Install one, then run the same command again:",
        "    Debian, Ubuntu:  apt install python3 python3-venv   (from Debian 13 and Ubuntu 24.04 on)",
        "    macOS:           brew install python@3.13",
        "    Windows:         winget install Python.Python.3.13",
        "    any system:      https://www.python.org/downloads/ or, with uv, `uv run manage.py up`",
    ]
    return "\n".join(lines)


def fetch_python() -> None:
    """Let uv bring a Python into our private folder; uv itself comes from the machine or by pip."""
    uv = shutil.which("uv") or str(PRIVATE / "uv" / "bin" / ("uv.exe" if WINDOWS else "uv"))
    advice = "A Python could not be fetched either."
    if not os.path.isfile(uv):
        run([sys.executable, *PIP_INSTALL, "--upgrade", "--target", str(PRIVATE / "uv"), "uv"], advice)
    environ = {"UV_PYTHON_INSTALL_DIR": str(PRIVATE / "python"), "UV_PYTHON_INSTALL_BIN": "0"}
    run([uv, "python", "install", "3.13"], advice, **environ, UV_PYTHON_INSTALL_REGISTRY="0")


def find_or_fetch_python() -> Python:
    try:
        return find_python(candidates(os.environ, Path.home()))
    except SetupError as nothing_found:
        say(f"No Python {VERSIONS[-1]} to {VERSIONS[0]} found; fetching one into {PRIVATE.name} (once) ...")
        try:
            fetch_python()
            return find_python(candidates(os.environ, Path.home()))
        except SetupError as fetch_failed:
            raise SetupError(f"{fetch_failed}\n\n{nothing_found}") from None


# --- The virtual environment --------------------------------------------------------------------


def python_in(venv: Path) -> Path:
    return venv / "Scripts" / "python.exe" if WINDOWS else venv / "bin" / "python"


def stamp_line(lock: Path) -> str:
    return f"{lock.name} {hashlib.sha256(lock.read_bytes()).hexdigest()}"


def is_current(venv: Path, lock: Path) -> bool:
    """Whether the environment was finished with this very lock, or one that contains it."""
    stamp = venv / STAMP
    return python_in(venv).exists() and stamp.exists() and stamp_line(lock) in stamp.read_text("utf-8").splitlines()


def is_usable(venv: Path) -> bool:
    """Whether it can be brought up to date; an interrupted one, or one whose Python went away, cannot."""
    stamp = venv / STAMP
    interrupted = stamp.exists() and not stamp.read_text("utf-8")
    python = None if interrupted else try_python(str(python_in(venv)))
    return python is not None and not python.lacks


def prepare(venv: Path, lock: Path) -> None:
    """Build the environment, or bring it up to date. The stamp is emptied first and filled last."""
    if is_usable(venv):
        say(f"Bringing {venv.name} up to date with requirements/{lock.name} ...")
        make = []
    else:
        python = find_or_fetch_python()
        say(f"Setting up {venv.name} with Python {python.version} (once, about 20 s) ...")
        make = [python.path, "-m", "venv", str(venv)]
        if venv.exists():
            shutil.rmtree(venv)
    venv.mkdir(exist_ok=True)
    (venv / STAMP).write_text("", "utf-8")
    if make:
        run(make, f"The virtual environment {venv} could not be made.")
    inner = str(python_in(venv))
    if subprocess.call([inner, "-c", "import pip"], stderr=subprocess.DEVNULL):  # uv's environments have none
        run([inner, "-m", "ensurepip"], f"Remove {venv} and run the same command again.")
    advice = "Check the connection to the internet (a proxy: HTTPS_PROXY), then run the same command again."
    # Without compiling: Python compiles what it needs at the first start, which is far less than all.
    run([inner, *PIP_INSTALL, "--no-compile", "--require-hashes", "-r", str(lock)], advice, PIP_USER="0")
    locks = [stamp_line(lock.with_name(name)) for name in CONTAINS[lock.name]]
    (venv / STAMP).write_text("\n".join(locks) + "\n", "utf-8")


def grab(file: IO[str]) -> bool:
    """Take the lock on an open file if nobody has it. The system frees it when its holders end, however they end."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as file:
        os.set_inheritable(file.fileno(), True)  # when we are killed, a pip that we started still holds the lock
        if not grab(file):
            say(f"Another command is setting up {VENV.name}; waiting for it ...")
            while not grab(file):
                time.sleep(0.2)
        yield


def enter(arguments: Sequence[str]) -> None:
    """Return inside a virtual environment that has what the command needs; else make it and start again there.

    arguments: the command as in sys.argv.

    An environment of the caller's own, such as that of `uv run`, is left alone if it has Django.
    Raises SetupError.
    """
    lock = ROOT / "requirements" / ("dev.txt" if arguments[1:2] in DEVELOPMENT else "run.txt")
    inside = sys.prefix != sys.base_prefix
    try:
        ours = inside and VENV.exists() and os.path.samefile(sys.prefix, VENV) and (VENV / STAMP).exists()
        if inside and not ours and importlib.util.find_spec("django"):
            return
        current = is_current(VENV, lock)
        if ours and current:
            return
        if not current:
            with one_at_a_time(PRIVATE):
                if not is_current(VENV, lock):  # another command may have done it while we waited
                    prepare(VENV, lock)
    except OSError as error:
        raise SetupError(f"{VENV} could not be set up: {error}") from error
    # By its path inside .venv, not the file behind that: from this Python knows that it is in an environment.
    hand_over([str(python_in(VENV)), *arguments])
