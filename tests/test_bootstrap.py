import ast
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from examsim import bootstrap, testing

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins for programs are shell scripts")


def program(path: Path, *lines: str) -> str:
    """A stand-in for a Python or a browser."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), "utf-8")
    path.chmod(0o755)
    return str(path)


def python(path: Path, version: str) -> str:
    return program(path, f"echo {version}")


def shim(path: Path) -> str:
    """What pyenv puts on PATH: there, but it starts nothing."""
    return program(path, "echo 'pyenv: command not found' >&2", "exit 127")


@pytest.fixture
def old(tmp_path, monkeypatch):
    """The running Python is made to look like one that is too old."""
    path = python(tmp_path / "running" / "python3", "3.11.7")
    monkeypatch.setattr(sys, "_base_executable", path)
    return path


@pytest.fixture
def clone(tmp_path):
    """A fresh clone, as far as the bootstrap looks at it."""
    root = tmp_path / "clone"
    for name in ("manage.py", "examsim/__init__.py", "examsim/bootstrap.py", "examsim/testing.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bootstrap.ROOT / name, root / name)
    (root / "requirements").mkdir()
    (root / "requirements" / "run.txt").write_text("# nothing\n", "utf-8")
    (root / "requirements" / "dev.txt").write_text("# nothing for tests\n", "utf-8")
    return root


# --- A Python that fits -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manage.py", "examsim/bootstrap.py", "examsim/testing.py"])
def test_a_python_3_8_can_read_the_first_lines_that_run(name):
    ast.parse((bootstrap.ROOT / name).read_text("utf-8"), feature_version=(3, 8))


def test_the_running_python_comes_first_then_path_newest_first_then_the_usual_places(old, tmp_path):
    in_path = [python(tmp_path / "bin" / name, "3.x") for name in ("python3.14", "python3.12", "python3")]
    pyenv = python(tmp_path / "home" / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3", "3.13.0")
    by_uv = python(tmp_path / "home/.local/share/uv/python/cpython-3.12.9-linux/bin/python3.12", "3.12.9")
    environ = {"PATH": str(tmp_path / "bin")}

    found = list(bootstrap.candidates(environ, tmp_path / "home"))

    assert [path for path in found if path.startswith(str(tmp_path))] == [old, *in_path, pyenv, by_uv]


def test_a_python_that_does_not_start_or_is_too_old_or_too_new_is_passed_over(tmp_path):
    paths = [
        str(tmp_path / "missing"),
        shim(tmp_path / "shim"),
        python(tmp_path / "old", "3.11.7"),
        python(tmp_path / "new", "3.15.0"),
        python(tmp_path / "good", "3.13.0"),
    ]

    found = bootstrap.find_python(iter(paths))

    assert found == bootstrap.Python(path=paths[-1], version="3.13.0", lacks="")


def test_a_shim_on_path_does_not_hide_the_python_behind_it(old, tmp_path):
    shim(tmp_path / "pyenv" / "shims" / "python3.13")
    behind = python(tmp_path / "elsewhere" / "python3.13", "3.13.0")
    environ = {"PATH": os.pathsep.join([str(tmp_path / "pyenv" / "shims"), str(tmp_path / "elsewhere")])}

    found = bootstrap.find_python(bootstrap.candidates(environ, tmp_path))

    assert found.path == behind


def test_pyenv_is_found_by_its_shims_on_path(old, tmp_path):
    shim(tmp_path / "pyenv" / "shims" / "python3.12")
    installed = python(tmp_path / "pyenv" / "versions" / "3.12.1" / "bin" / "python3", "3.12.1")

    found = bootstrap.find_python(bootstrap.candidates({"PATH": str(tmp_path / "pyenv" / "shims")}, tmp_path))

    assert found.path == installed


def test_pyenv_is_found_by_running_an_older_one_of_its_pythons(tmp_path, monkeypatch):
    running = python(tmp_path / "pyenv" / "versions" / "3.11.7" / "bin" / "python3", "3.11.7")
    installed = python(tmp_path / "pyenv" / "versions" / "3.12.1" / "bin" / "python3", "3.12.1")
    monkeypatch.setattr(sys, "_base_executable", running)

    found = bootstrap.find_python(bootstrap.candidates({}, tmp_path))

    assert found.path == installed


def test_without_a_python_the_refusal_says_what_to_install(tmp_path):
    with pytest.raises(bootstrap.SetupError) as refusal:
        bootstrap.find_python(iter([python(tmp_path / "old", "3.11.7")]))

    assert str(refusal.value).splitlines()[0] == "ExamSim needs Python 3.12 to 3.14, and there is none here that works."
    assert "apt install python3 python3-venv" in str(refusal.value)


def test_a_python_without_venv_is_named_with_the_package_that_completes_it(tmp_path):
    path = program(tmp_path / "python3", "echo 3.12.3", "echo \"No module named 'ensurepip'\" >&2", "exit 1")

    with pytest.raises(bootstrap.SetupError) as refusal:
        bootstrap.find_python(iter([path]))

    assert f"{path} is a Python 3.12.3, but: No module named 'ensurepip'" in str(refusal.value)
    assert "apt install python3.12-venv" in str(refusal.value)


# --- The virtual environment --------------------------------------------------------------------


def finish(root: Path, name: str) -> Path:
    """An environment as it is after its setup for this lock; its Python says how it was started."""
    venv = root / ".venv"
    program(venv / "bin" / "python", 'echo "started with $@"', "exit 3")
    lines = [bootstrap.stamp_line(root / "requirements" / lock) for lock in bootstrap.CONTAINS[name]]
    (venv / bootstrap.STAMP).write_text("\n".join(lines), "utf-8")
    return venv


def test_an_environment_for_the_tests_also_serves_the_site_but_not_the_reverse(clone):
    run, dev = clone / "requirements" / "run.txt", clone / "requirements" / "dev.txt"

    venv = finish(clone, "run.txt")
    assert [bootstrap.is_current(venv, lock) for lock in (run, dev)] == [True, False]

    venv = finish(clone, "dev.txt")
    assert [bootstrap.is_current(venv, lock) for lock in (run, dev)] == [True, True]


def test_a_changed_lock_or_a_missing_python_makes_an_environment_outdated(clone):
    lock = clone / "requirements" / "run.txt"
    venv = finish(clone, "run.txt")

    lock.write_text("# another\n", "utf-8")
    assert not bootstrap.is_current(venv, lock)

    venv = finish(clone, "run.txt")
    (venv / "bin" / "python").unlink()
    assert not bootstrap.is_current(venv, lock)


def test_a_finished_environment_is_started_at_once_and_its_exit_code_is_passed_on(clone):
    finish(clone, "run.txt")

    done = subprocess.run(
        [sys._base_executable, "manage.py", "up", "--port", "1"], cwd=clone, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout, done.stderr) == (3, "started with manage.py up --port 1\n", "")


def test_an_environment_of_ones_own_is_left_alone(clone):
    program_text = "from examsim import bootstrap; bootstrap.enter(['manage.py', 'up']); print('went on')"

    done = subprocess.run([sys.executable, "-c", program_text], cwd=clone, capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")
    assert not (clone / ".venv").exists()


def test_an_interrupted_setup_is_built_anew(clone, capsys):
    lock, venv = clone / "requirements" / "run.txt", clone / ".venv"
    (venv / "lib").mkdir(parents=True)
    (venv / "lib" / "half-written").touch()
    (venv / bootstrap.STAMP).touch()

    bootstrap.prepare(venv, lock)

    assert bootstrap.is_current(venv, lock)
    assert not (venv / "lib" / "half-written").exists()
    assert capsys.readouterr().err.startswith("Setting up .venv with Python 3.1")


def test_a_failed_setup_shows_why_and_is_built_anew_next_time(clone):
    lock = clone / "requirements" / "run.txt"
    venv = finish(clone, "run.txt")
    program(venv / "bin" / "python", '[ "$2" = pip ] && echo "no network" && exit 1', "echo 3.13.0")

    with pytest.raises(bootstrap.SetupError) as refusal:
        bootstrap.prepare(venv, lock)

    assert str(refusal.value).startswith("no network\n")
    assert str(refusal.value).endswith("then run the same command again.")
    assert not bootstrap.is_current(venv, lock)
    assert not bootstrap.is_usable(venv)


def test_a_second_setup_waits_for_the_first_and_says_so(tmp_path, capsys):
    order = []

    def second() -> None:
        with bootstrap.one_at_a_time(tmp_path):
            order.append("second")

    with bootstrap.one_at_a_time(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.5)
        order.append("first")
    thread.join(5)

    assert order == ["first", "second"]
    assert capsys.readouterr().err == "Another command is setting up .venv; waiting for it ...\n"


# --- Tests --------------------------------------------------------------------------------------


def test_a_browser_that_does_not_start_is_passed_over(tmp_path):
    shim(tmp_path / "chromium")
    chrome = program(tmp_path / "google-chrome")

    assert testing.find_browser({"PATH": str(tmp_path)}, tmp_path) == chrome


def test_the_browser_named_by_the_environment_comes_first(tmp_path):
    program(tmp_path / "bin" / "chromium")
    own = program(tmp_path / "own-browser")

    assert testing.find_browser({"PATH": str(tmp_path / "bin"), "EXAMSIM_BROWSER": own}, tmp_path) == own


def test_a_named_browser_that_does_not_start_is_refused(tmp_path):
    program(tmp_path / "chromium")

    with pytest.raises(bootstrap.SetupError) as refusal:
        testing.find_browser({"PATH": str(tmp_path), "EXAMSIM_BROWSER": "/no/such"}, tmp_path)

    assert str(refusal.value) == "EXAMSIM_BROWSER is /no/such, which does not start. Correct it or unset it."


def test_the_usual_place_on_windows_and_macos_is_known(tmp_path):
    found = list(testing.browsers({"ProgramFiles": "C:/Programs"}, tmp_path))

    assert "C:/Programs/Google/Chrome/Application/chrome.exe" in found
    assert "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" in found


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ([], True),
        (["-k", "draw", "-x"], True),
        (["-m", "browser"], True),
        (["-k", "not browser"], True),
        (["-m", "not browser"], False),
        (["-mnot browser", "tests"], False),
        (["-q", "-m", "not browser and not slow"], False),
        (["--version"], False),
    ],
)
def test_a_browser_is_needed_unless_its_tests_are_left_out(arguments, needed):
    assert testing.needs_browser(arguments) is needed


def test_pytest_gets_the_arguments_and_its_exit_code_is_passed_on(clone):
    (clone / "test_two.py").write_text("def test_one(): pass\n\ndef test_two(): assert False\n", "utf-8")

    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # quicker

    def run(*arguments: str) -> int:
        command = [sys.executable, "manage.py", "test", "-m", "not browser", *arguments]
        return subprocess.run(command, cwd=clone, env=environ, capture_output=True).returncode

    assert [run(), run("-k", "one")] == [1, 0]
