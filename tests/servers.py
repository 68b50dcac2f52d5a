"""Real server processes of the site on the tests' database, made to be killed."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection
from django.test import Client

from questions.models import User

# Loads the site once; then each line of input forks a server, so that another one is there in no time.
SITE = """
import os, signal, socket, sys, django
django.setup()
from django.conf import settings
from django.urls import get_resolver
from django.utils.module_loading import import_string
from questions.management.commands.up import collect_static, serve

if os.environ["PAGES"]:
    collect_static()
application = import_string(settings.WSGI_APPLICATION)
get_resolver().url_patterns
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries them
for _ in sys.stdin:
    if os.fork() == 0:
        listener = socket.create_server(("127.0.0.1", 0))
        started = f"{os.getpid()} {listener.getsockname()[1]}"
        cut_off = serve(application, listener, lambda: print(started, flush=True), lambda: None)
        print("stopped", cut_off, flush=True)
        os._exit(0)
"""

NAME = "servers"  # of their connections, in PostgreSQL's list


def database_url() -> str:
    """The tests' database as another process may open it."""
    if connection.vendor == "sqlite":
        return f"sqlite:///{connection.settings_dict['NAME']}"
    address = os.environ["DATABASE_URL"].rpartition("/")[0]
    return f"{address}/{connection.settings_dict['NAME']}?application_name={NAME}"


class Server:
    def __init__(self, site: "Site", pid: int, port: int) -> None:
        self.site, self.pid, self.port = site, pid, port

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> str:
        """SIGTERM; returns its last words."""
        os.kill(self.pid, signal.SIGTERM)
        return self.site.process.stdout.readline()


class Site:
    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def start(self) -> Server:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        pid, port = self.process.stdout.readline().split()
        return Server(self, int(pid), int(port))


@contextmanager
def site(data: Path, *, pages: bool = False, seconds: float = 120) -> Iterator[Site]:
    """The site, able to start servers; all of them end with it, or after so many seconds.

    data: a folder of its own. pages: whether replies may be whole pages, which name static files.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", SITE],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "examsim.settings",
            "DATABASE_URL": database_url(),
            "EXAMSIM_DATA": str(data),
            "PAGES": "1" if pages else "",
            "EXAMSIM_GUIDE": settings.GUIDE,
            "SECRET_KEY": settings.SECRET_KEY,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    killer = threading.Timer(seconds, os.killpg, [process.pid, signal.SIGKILL])
    killer.start()
    try:
        yield Site(process)
    finally:
        killer.cancel()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Browser:
    """A signed-in taker's browser, which talks to servers over the network as the script does."""

    def __init__(self, user: User) -> None:
        client = Client()
        client.force_login(user)
        token = "a" * 32
        self.headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"sessionid={client.cookies['sessionid'].value}; csrftoken={token}",
            "X-CSRFToken": token,
        }

    def post(self, port: int, path: str, data: dict[str, Any]) -> tuple[int, Any]:
        """Status, and the JSON or the address of the redirect. Raises OSError or HTTPException without a reply."""
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            line.request("POST", path, urlencode(data), self.headers)
            reply = line.getresponse()
            body = reply.read()
        finally:
            line.close()
        return reply.status, reply.headers["Location"] or json.loads(body)
