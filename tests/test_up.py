import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from questions.management.commands import up

ROOT = Path(__file__).resolve().parent.parent

# Serves an application that answers /slow after a second, /endless much later, and anything else at once.
SLOW_SITE = """
import sys, time, django
django.setup()
from questions.management.commands.up import serve
import socket

def application(environ, start_response):
    if wait := {"/slow": 1, "/endless": 20}.get(environ["PATH_INFO"]):
        print("asked", flush=True)
        time.sleep(wait)
    headers = [("Content-Type", "text/plain"), ("Content-Length", "7"), ("From", environ["REMOTE_ADDR"])]
    start_response("200 OK", headers)
    return [b"the end"]

def say(text):
    return lambda: print(text, flush=True)

listener = socket.create_server(("127.0.0.1", 0))
started, stopping = say(f"port {listener.getsockname()[1]}"), say("stopping")
print("cut off:", serve(application, listener, started, stopping, patience=float(sys.argv[1])), flush=True)
"""


class Program:
    """A process whose output is read up to the lines that a test waits for. Its database is in its own data folder."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**inherited, "DJANGO_SETTINGS_MODULE": "examsim.settings", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.killer = threading.Timer(60, self.process.kill)
        self.killer.start()

    def read_until(self, end: str) -> str:
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if end in line:
                return "".join(lines)
        raise AssertionError(f"No line with {end!r} in:\n{''.join(lines)}")

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and the rest of the output."""
        self.process.send_signal(number)
        rest = self.process.stdout.read()
        return self.process.wait(), rest

    def close(self) -> None:
        self.killer.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def start():
    programs = []

    def start(*arguments: str, **environ: str) -> Program:
        programs.append(Program(*arguments, **environ))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


@pytest.fixture
def site(start, tmp_path):
    """Starts the site with an empty bank; its data stays in the same place."""

    def site(port: int) -> tuple[Program, str]:
        environ = {"EXAMSIM_DATA": str(tmp_path / "data"), "EXAMSIM_BANK": str(tmp_path)}
        program = start("manage.py", "up", "--no-browser", "--port", str(port), **environ)
        return program, program.read_until("Stop it with")

    return site


@pytest.fixture
def slow_site(start, tmp_path):
    """Starts a small site with one slow page; gives its port too."""

    def slow_site(patience: float = 10, **environ: str) -> tuple[Program, int]:
        program = start("-c", SLOW_SITE, str(patience), EXAMSIM_DATA=str(tmp_path), **environ)
        return program, int(program.read_until("port").split()[1])

    return slow_site


def ask(port: int, path: str = "/") -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    return connection


def broken_bank(folder: Path) -> Path:
    (folder / "pmle").mkdir()
    (folder / "pmle" / "guide.yaml").write_text("code: [", "utf-8")
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# --- The command --------------------------------------------------------------------------------


def test_it_serves_says_where_the_data_is_and_shows_the_instructors_password_only_once(site, tmp_path):
    port = free_port()

    program, first = site(port)
    response = ask(port, "/sign-in/").getresponse()
    end = program.stop()
    _, second = site(port)

    assert response.status == 200
    assert re.search(r"account is `instructor`, its password \S{16}\n", first)
    assert f"running at http://127.0.0.1:{port}/\nIts data is in {tmp_path / 'data'}\n" in first
    assert end == (0, "Stopping ...\nStopped.\n")
    assert "password" not in second


def test_when_the_port_is_taken_it_takes_another_and_says_so(site):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]

        _, said = site(taken)

    assert f"Port {taken} is not free (Address already in use); taking another one.\n" in said
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", said)[1])
    assert port != taken
    assert ask(port, "/sign-in/").getresponse().status == 200


def test_an_address_that_is_not_ours_is_refused():
    with pytest.raises(CommandError, match=r"^Cannot listen on 192\.0\.2\.1, port 8000: "):
        up.Command().listen("192.0.2.1", 8000)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://localhost:")],
)
def test_the_address_shown_can_be_opened(host, url):
    with up.Command().listen(host, 0) as listener:
        assert up.url_of(listener).startswith(url)


# --- Its steps ----------------------------------------------------------------------------------


def test_the_instructor_is_made_when_nobody_may_enter_the_admin(db, django_user_model):
    password = up.create_instructor()
    again = up.create_instructor()

    instructor = django_user_model.objects.get()
    assert again == ""
    assert (instructor.username, instructor.is_staff, instructor.is_superuser) == ("instructor", True, False)
    assert instructor.check_password(password)
    assert [group.name for group in instructor.groups.all()] == ["Instructors"]


def test_a_bank_with_mistakes_stops_the_first_start(db, settings, tmp_path):
    settings.BANK_DIR = broken_bank(tmp_path)

    with pytest.raises(CommandError, match="nothing was loaded"):
        up.Command().load_bank()


def test_a_bank_with_mistakes_does_not_stop_a_site_that_has_questions(bank, settings, tmp_path):
    settings.BANK_DIR = broken_bank(tmp_path)
    errors = StringIO()

    up.Command(stderr=errors).load_bank()

    assert "nothing was loaded" in errors.getvalue()
    assert errors.getvalue().endswith("Going on with the questions that were loaded before.\n")


def test_static_files_are_collected_only_when_one_changed(settings, tmp_path):
    settings.STATICFILES_DIRS = [tmp_path / "source"]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = tmp_path / "collected"
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "site.css").write_text("a {}", "utf-8")
    collected = tmp_path / "collected" / "site.css"

    up.collect_static()
    assert collected.read_text("utf-8") == "a {}"

    collected.write_text("untouched", "utf-8")
    up.collect_static()
    assert collected.read_text("utf-8") == "untouched"

    (tmp_path / "source" / "site.css").write_text("a { color: red }", "utf-8")
    up.collect_static()
    assert collected.read_text("utf-8") == "a { color: red }"


# --- Stopping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_finished_before_the_server_stops(slow_site, number):
    program, port = slow_site()
    connection = ask(port, "/slow")
    program.read_until("asked")

    program.process.send_signal(number)
    program.read_until("stopping")
    with pytest.raises(ConnectionRefusedError):
        ask(port)
    answer = connection.getresponse().read()

    assert answer == b"the end"
    assert program.process.stdout.read() == "cut off: 0\n"
    assert program.process.wait() == 0


def test_an_open_connection_without_a_request_does_not_hold_up_the_stop(slow_site):
    program, port = slow_site()
    connection = ask(port)
    connection.getresponse().read()  # the connection stays open

    before = time.monotonic()
    end = program.stop()

    assert end == (0, "stopping\ncut off: 0\n")
    assert time.monotonic() - before < 1


def test_a_request_that_takes_longer_than_the_patience_is_cut_off(slow_site):
    program, port = slow_site(patience=0.1)
    ask(port, "/endless")
    program.read_until("asked")

    code, said = program.stop()

    assert code == 0
    assert said.startswith("stopping\n")
    assert "cut off: 1\n" in said


def test_a_signal_that_comes_twice_is_one(slow_site):
    program, port = slow_site()
    ask(port, "/slow")
    program.read_until("asked")

    program.process.send_signal(signal.SIGTERM)
    program.read_until("stopping")

    code, said = program.stop()
    assert (code, said) == (0, "cut off: 0\n")


def test_a_second_signal_ends_it_at_once(slow_site):
    program, port = slow_site()
    ask(port, "/endless")
    program.read_until("asked")

    program.process.send_signal(signal.SIGINT)
    program.read_until("stopping")
    time.sleep(1.1)

    assert program.stop(signal.SIGINT) == (-signal.SIGINT, "")


@pytest.mark.parametrize(("https", "found"), [("False", "127.0.0.1"), ("True", "203.0.113.9")])
def test_the_visitors_address_is_taken_from_the_proxy_where_there_is_one_and_from_its_own_entry(
    slow_site, https, found
):
    _, port = slow_site(EXAMSIM_HTTPS=https, ALLOWED_HOSTS="exams.example")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    connection.request("GET", "/", headers={"X-Forwarded-For": "192.0.2.1, 203.0.113.9"})

    assert connection.getresponse().headers["From"] == found
    connection.close()
