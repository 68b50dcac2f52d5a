import errno
import hashlib
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from types import FrameType
from typing import Any
from wsgiref.types import WSGIApplication

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.staticfiles.finders import get_finders
from django.core.checks import Tags
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.module_loading import import_string
from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, Task, WSGITask

from questions.headers import headers_of_a_refusal
from questions.models import Question, User

PATIENCE = 10  # seconds that requests under way may still take when the server is stopped
# What only the proxy in front knows: the visitor's address, by which tries to sign in are counted, and whether the
# visitor came by TLS; waitress keeps from the site what is not named here.
FROM_PROXY = {"trusted_proxy": "*", "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto"}
BODY_BYTES = 4 * 1024 * 1024  # more than that is refused with 413 while it arrives; Django itself takes less
ECHO = 1  # second; programs such as `timeout` pass a signal on twice


class Protected(Task):
    """Waitress refuses what is no HTTP, too big or forged before the site sees it; those replies are protected too."""

    def build_response_header(self) -> bytes:
        if not any(name.lower() == "content-security-policy" for name, _ in self.response_headers):
            self.response_headers.extend(headers_of_a_refusal().items())
        return super().build_response_header()


class ProtectedWSGITask(Protected, WSGITask):
    pass


class ProtectedErrorTask(Protected, ErrorTask):
    pass


class Connection(HTTPChannel):
    task_class = ProtectedWSGITask
    error_task_class = ProtectedErrorTask


class Command(BaseCommand):
    help = "Run the site: bring the database, the bank and the static files up to date, then serve until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=8000, help="the port; when it is taken, a free one")
        parser.add_argument("--no-browser", action="store_true", help="do not open a browser")

    def handle(self, *, host: str, port: int, no_browser: bool, **options: Any) -> None:
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        self.check(tags=[Tags.database], databases=["default"])  # prints warnings; an error ends it
        call_command("migrate", verbosity=0, interactive=False)
        self.load_bank()
        if password := create_instructor():
            self.say(
                f"First start: the instructor's account is `instructor`, its password {password}\n"
                "(shown only now; change it: python3 manage.py changepassword instructor)"
            )
        collect_static()
        application = import_string(settings.WSGI_APPLICATION)  # only now: it reads the list of static files
        listener = self.listen(host, port)
        address = url_of(listener)

        def started() -> None:
            self.say(f"ExamSim is running at {address}\nIts data is in {settings.DATA_DIR}\nStop it with Ctrl-C.")
            if not no_browser and has_display():
                threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

        def stopping() -> None:
            self.say("Stopping ...")

        cut_off = serve(application, listener, started, stopping)
        self.say(f"Stopped; {cut_off} unfinished requests were cut off." if cut_off else "Stopped.")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()  # at once, also into a pipe

    def load_bank(self) -> None:
        """A bank with mistakes must not stop a site that has one already."""
        try:
            call_command("load_bank", if_changed=True, verbosity=1, stdout=self.stdout, stderr=self.stderr)
        except CommandError as error:
            if not Question.objects.published().exists():
                raise
            self.stderr.write(f"{error}\nGoing on with the questions that were loaded before.")

    def listen(self, host: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            if not isinstance(error, OSError) or error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise CommandError(f"Cannot listen on {host}, port {port}: {error}") from error
            self.say(f"Port {port} is not free ({os.strerror(error.errno)}); taking another one.")
            return socket.create_server((host, 0), family=family)


def create_instructor() -> str:
    """Make the first account that may enter the admin; returns its password, or nothing if there is such an account."""
    with transaction.atomic():
        if User.objects.filter(is_staff=True).exists():
            return ""
        password = secrets.token_urlsafe(12)
        instructor = User.objects.create_user(username="instructor", password=password, is_staff=True)
        instructor.groups.add(Group.objects.get_or_create(name="Instructors")[0])
        return password


def collect_static() -> None:
    """Collect the static files if any has changed since the last time."""
    lines = [repr(settings.STORAGES["staticfiles"])]
    for finder in get_finders():
        for name, storage in finder.list([]):
            status = os.stat(storage.path(name))
            lines.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    stamp = settings.STATIC_ROOT.with_suffix(".digest")
    if settings.STATIC_ROOT.exists() and stamp.exists() and stamp.read_text("utf-8") == digest:
        return
    # Cleared first, because it would keep a file that is newer than a changed one with an older date.
    call_command("collectstatic", clear=True, interactive=False, verbosity=0)
    stamp.write_text(digest, "utf-8")


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if ip_address(host).is_unspecified:  # listening everywhere, so also here
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def has_display() -> bool:
    return sys.platform in {"win32", "darwin"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def serve(
    application: WSGIApplication,
    listener: socket.socket,
    started: Callable[[], None],
    stopping: Callable[[], None],
    patience: float = PATIENCE,
) -> int:
    """Answer requests until SIGINT or SIGTERM; then take no new ones, and finish those under way.

    A second signal ends the process at once, unless it is an echo of the first.
    Returns how many requests were still unfinished after `patience` seconds.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # else a line for every request that waits its turn
    sockets: dict[int, Any] = {}
    server = create_server(
        application,
        map=sockets,
        sockets=[listener],
        threads=8,
        connection_limit=900,  # browsers keep idle ones open; many systems allow a process 1024 files
        asyncore_use_poll=True,
        max_request_body_size=BODY_BYTES,
        **(FROM_PROXY if settings.HTTPS else {}),
    )
    server.channel_class = Connection
    asked_to_stop_at: float | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked_to_stop_at
        if asked_to_stop_at is None:
            asked_to_stop_at = time.monotonic()
            server.pull_trigger()  # wakes the loop
        elif time.monotonic() - asked_to_stop_at > ECHO:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    started()
    while asked_to_stop_at is None:
        wasyncore.loop(timeout=1, use_poll=True, map=sockets, count=1)

    # Connections that the system has taken for us already are under way too: take them over, read what they sent.
    known = -1
    while known < len(server.active_channels):
        known = len(server.active_channels)
        server.handle_accept()
    wasyncore.dispatcher.close(server)  # the listening socket alone; server.close() would end the loop's trigger too
    wasyncore.loop(timeout=0, use_poll=True, map=sockets, count=1)
    stopping()

    deadline = time.monotonic() + patience
    while (unfinished := wind_up(server.active_channels.values())) and time.monotonic() < deadline:
        wasyncore.loop(timeout=0.1, use_poll=True, map=sockets, count=1)
    server.task_dispatcher.shutdown(timeout=1)
    wasyncore.close_all(sockets, ignore_all=True)
    return unfinished


def wind_up(connections: Iterable[HTTPChannel]) -> int:
    """Let each connection end with the answer it waits for, and an idle one now; returns how many still wait."""
    waiting = 0
    for connection in connections:
        for request in list(connection.requests):
            request.headers["CONNECTION"] = "close"  # as if the client had asked for it; the answer says so
        if connection.request or connection.requests or connection.total_outbufs_len or connection.close_when_flushed:
            waiting += 1
        else:
            connection.will_close = True
    return waiting
