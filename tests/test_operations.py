"""What operators rely on: a site that refuses to start unsafely, tells how it is, and keeps secrets out of its log."""

import http.client
import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
from datetime import timedelta
from http.client import HTTPMessage

import pytest
from django.contrib.auth.decorators import login_not_required
from django.core import mail
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from examsim import urls
from questions.logs import Json, Plain, Seldom
from questions.models import Counter, LastRun
from questions.refusals import refusals
from questions.views import operations
from tests.factories import NOW, UserFactory, finish, mail_is_sent, make_attempt
from tests.test_headers import CSP, HEADERS, integrity_of, loaded, policy
from tests.test_up import ROOT, Program, free_port

HOST = "exams.example"
TOKEN = "a token of at least 32 characters"
SAFE = {"EXAMSIM_HTTPS": "True", "ALLOWED_HOSTS": HOST, "EMAIL_HOST": "mail.example"}
NO_RUNS = {"backup": "none", "sweep": "none"}
READ_ONLY = {"sqlite": "PRAGMA query_only = ON", "postgresql": "SET TRANSACTION READ ONLY"}


@login_not_required
def faulty(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("for ada@school.example\n2026-01-01T00:00:00 ERROR forged")


# The site's addresses and one with a fault of ours.
urlpatterns = [path("faulty/", faulty), *urls.urlpatterns]
handler500 = urls.handler500


# --- Settings -----------------------------------------------------------------------------------


def run(*arguments: str, timeout: float | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Another process with these settings and none of ours."""
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "EXAMSIM_DATA"}}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**clean, **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"DEBUG": "True"}, "DEBUG is on"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY can be guessed"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY can be guessed"),
        ({"SECRET_KEY": "django-insecure-" + "0123456789" * 5}, "SECRET_KEY can be guessed"),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS must name"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS must name"),
        ({"ALLOWED_HOSTS": f"{HOST},*.example"}, "ALLOWED_HOSTS must name"),
        ({"ALLOWED_HOSTS": "."}, "ALLOWED_HOSTS must name"),
        ({"EXAMSIM_METRICS_TOKEN": "guess"}, "EXAMSIM_METRICS_TOKEN can be guessed"),
        ({"EXAMSIM_LOG": "xml"}, "EXAMSIM_LOG must be plain or json"),
    ],
)
def test_unsafe_settings_refuse_to_start(environ, said):  # reliability case 48
    done = run("-c", "import examsim.settings", **{**SAFE, **environ})

    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    ("environ", "trusted"),
    [
        ({}, ["https://exams.example"]),
        ({"ALLOWED_HOSTS": ".example.org,a.b"}, ["https://example.org", "https://*.example.org", "https://a.b"]),
        ({"EXAMSIM_ADDRESS": "https://exams.example:8443/"}, ["https://exams.example", "https://exams.example:8443"]),
        ({"EXAMSIM_ADDRESS": "https://exams.example"}, ["https://exams.example"]),
        ({"EXAMSIM_HTTPS": "False"}, []),
        ({"EXAMSIM_HTTPS": "False", "EXAMSIM_ADDRESS": "http://lab:8000"}, ["http://lab:8000"]),
    ],
)
def test_forms_are_taken_from_pages_of_the_sites_own_hosts(environ, trusted):
    done = run("-c", "from examsim import settings; print(settings.CSRF_TRUSTED_ORIGINS)", **{**SAFE, **environ})

    assert (done.stderr, done.stdout) == ("", f"{trusted}\n")


def test_without_the_names_of_its_hosts_a_public_site_does_not_start(tmp_path):  # reliability case 48
    done = run("manage.py", "up", EXAMSIM_HTTPS="True", EXAMSIM_DATA=str(tmp_path))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ExamSim does not start with EXAMSIM_HTTPS like this:\n"
        "ALLOWED_HOSTS must name the site's hosts, without *: ALLOWED_HOSTS=exams.example.org\n"
    )


def test_each_thread_of_a_process_finds_a_connection_to_postgresql():
    script = "from examsim import settings; print(settings.DATABASES['default']['OPTIONS']['pool'])"

    done = run("-c", script, **SAFE, DATABASE_URL="postgres://user@host/name")

    assert (done.stderr, done.stdout) == ("", "{'min_size': 1, 'max_size': 16, 'timeout': 5}\n")


def test_a_mail_server_that_never_answers_is_given_up_so_that_the_process_can_end(tmp_path):
    script = (
        "import django; django.setup()\n"
        "from django.core.mail import send_mail\n"
        "from questions.account_forms import MAIL\n"
        "MAIL.submit(send_mail, 'A link', 'The link.', None, ['ada@school.example'])"
        ".add_done_callback(lambda letter: print(type(letter.exception()).__name__))"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system takes the call, and nobody says a word
        port = str(silent.getsockname()[1])
        environ = {**SAFE, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port, "EXAMSIM_DATA": str(tmp_path)}
        done = run("-c", script, **environ, DJANGO_SETTINGS_MODULE="examsim.settings", timeout=30)

    assert (done.returncode, done.stdout) == (0, "SMTPServerDisconnected\n")  # by us, after ten seconds


def test_a_domain_is_offered_to_the_browsers_lists_only_when_its_owner_says_so():
    script = "from examsim import settings; print(settings.SECURE_HSTS_PRELOAD)"

    said = [run("-c", script, **SAFE, **more).stdout for more in ({}, {"EXAMSIM_HSTS_PRELOAD": "True"})]

    assert said == ["False\n", "True\n"]


def test_the_deployment_check_has_no_warning(tmp_path):  # reliability case 48
    done = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **SAFE, EXAMSIM_DATA=str(tmp_path))

    assert (done.returncode, done.stdout) == (0, "System check identified no issues (1 silenced).\n")


# --- A site in production -----------------------------------------------------------------------


class Site:
    """The site as it is deployed, in a process of its own, seen from the proxy in front of it, where visitors use TLS."""

    def __init__(self, port: int, host: str = HOST) -> None:
        self.port, self.host = port, host

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str | None
    ) -> tuple[int, HTTPMessage, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Host": self.host, "X-Forwarded-Proto": "https", **headers}
        connection.request(
            method, path, body, headers={name: value for name, value in headers.items() if value is not None}
        )
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
        connection.close()
        return response.status, response.headers, body


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    port = free_port()
    environ = {**SAFE, "EXAMSIM_DATA": str(folder / "data"), "EXAMSIM_BANK": str(folder), "EXAMSIM_LOG": "json"}
    environ["EXAMSIM_METRICS_TOKEN"] = TOKEN
    program = Program("manage.py", "up", "--no-browser", "--port", str(port), **environ)
    program.read_until("Stop it with")
    yield Site(port)
    program.close()


def hashed_style(site: Site) -> str:
    return re.search(r'href="(/static/site\.\w+\.css)"', site.ask("/sign-in/")[2])[1]


def test_every_reply_of_a_deployed_site_carries_all_headers(site):  # reliability case 38
    style = hashed_style(site)
    modified = site.ask(style)[1]["Last-Modified"]
    replies = {
        "page": site.ask("/sign-in/"),
        "redirect": site.ask("/progress/"),
        "slash": site.ask("/about"),
        "signed out": site.ask("/exams/1/1/answer/", "POST", Accept="application/json"),
        "forged form": site.ask("/guest/", "POST"),
        "not found": site.ask("/no/such/address/"),
        "wrong method": site.ask("/exams/start/", "PUT"),
        "bad host": site.ask("/", Host="evil.example"),
        "style": site.ask(style),
        "style not changed": site.ask(style, **{"If-Modified-Since": modified}),
        "style not hashed": site.ask("/static/site.css"),
        "picture": site.ask("/static/favicon.svg"),
        "no such file": site.ask("/static/none.css"),
        "admin": site.ask("/admin/"),
        "admin's style": site.ask("/static/admin/css/base.css"),
        "alive": site.ask("/healthz"),
        "ready": site.ask("/readyz"),
        "metrics": site.ask("/metrics"),
    }

    assert {kind: reply[0] for kind, reply in replies.items()} == {
        "page": 200,
        "redirect": 302,
        "slash": 301,
        "signed out": 403,
        "forged form": 403,
        "not found": 404,
        "wrong method": 403,
        "bad host": 400,
        "style": 200,
        "style not changed": 304,
        "style not hashed": 200,
        "picture": 200,
        "no such file": 404,
        "admin": 302,
        "admin's style": 200,
        "alive": 200,
        "ready": 200,
        "metrics": 403,
    }
    strict = {**HEADERS, "Strict-Transport-Security": "max-age=63072000; includeSubDomains"}
    for kind, (_, headers, _) in replies.items():
        expected = HEADERS if kind == "bad host" else strict  # who refuses a host says nothing about it
        assert {name: headers.get(name) for name in expected} == expected, kind
        assert policy(headers) == CSP, kind
        assert re.fullmatch("[0-9a-f]{16}", headers["X-Request-ID"]), kind
        assert "Access-Control-Allow-Origin" not in headers, kind
    assert len({headers["X-Request-ID"] for _, headers, _ in replies.values()}) == len(replies)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no request at all\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: two\r\n\r\n", 400),
        (b'GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: "\r\nX-Forwarded-Proto: gopher\r\n\r\n', 400),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 300_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
    ids=["no HTTP", "no length", "no proxy", "long header", "long body", "unknown encoding"],
)
def test_what_the_server_refuses_before_the_site_sees_it_is_protected_too(site, sent, status):  # reliability case 38
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as line:
        line.sendall(sent)
        reply = http.client.HTTPResponse(line)
        reply.begin()
        reply.read()

    expected = {**HEADERS, "Cache-Control": "no-store", "Content-Type": "text/plain; charset=utf-8"}
    assert (reply.status, {name: reply.headers.get(name) for name in expected}) == (status, expected)
    assert policy(reply.headers) == CSP


def test_only_files_with_a_hash_in_their_name_are_kept_for_good(site):  # reliability case 38
    kept = {name: site.ask(name)[1]["Cache-Control"] for name in (hashed_style(site), "/static/site.css")}

    assert list(kept.values()) == ["max-age=315360000, public, immutable", "max-age=60, public"]


def test_scripts_and_styles_of_a_deployed_site_are_bound_to_what_it_serves(site):  # reliability case 51
    token = "a" * 32
    headers = {"Cookie": f"__Host-csrftoken={token}", "X-CSRFToken": token, "Referer": f"https://{HOST}/"}
    cookies = " ".join(site.ask("/guest/", "POST", **headers)[1].get_all("Set-Cookie"))
    page = site.ask("/", Cookie=re.search(r"__Host-sessionid=\w+", cookies)[0])[2]

    files = loaded(page)

    names = [re.sub(r"\.\w{12}\.", ".", address) for address in files]
    assert names == ["/static/vendor/pico.min.css", "/static/site.css", "/static/outbox.js"]
    assert files == {address: integrity_of(site.ask(address)[2].encode()) for address in files}


def test_cookies_of_a_deployed_site_are_bound_to_its_host(site):
    cookie = site.ask("/sign-in/")[1]["Set-Cookie"]

    assert re.fullmatch(
        r"__Host-csrftoken=\w+; expires=[^;]+; HttpOnly; Max-Age=\d+; Path=/; SameSite=Lax; Secure", cookie
    )


def test_the_language_that_somebody_chose_is_bound_to_the_host_too(site):
    token = "a" * 32
    headers = {
        "Cookie": f"__Host-csrftoken={token}",
        "Referer": f"https://{HOST}/",
        "Content-Type": "application/x-www-form-urlencoded",
    }

    chosen = site.ask(
        "/language/", "POST", f"csrfmiddlewaretoken={token}&language=ja&next=/about/".encode(), **headers
    )[1]

    cookies = [cookie for cookie in chosen.get_all("Set-Cookie") if "language" in cookie]
    assert chosen["Location"] == "/about/"
    assert len(cookies) == 1
    assert re.fullmatch(
        r"__Host-language=ja; expires=[^;]+; HttpOnly; Max-Age=31536000; Path=/; SameSite=Lax; Secure", cookies[0]
    )
    assert '<html lang="ja">' in site.ask("/about/", Cookie="__Host-language=ja")[2]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"{HOST}.evil.example",
        f"{HOST}:port",
        f"{HOST}:80:80",
        f"{HOST}:443@evil.example",
        f"{HOST}/evil.example",
        f"{HOST}, evil.example",
        f"evil.example#{HOST}",
        "localhost",
        "",
    ],
)
def test_a_host_that_is_not_ours_is_refused(site, host):  # reliability case 39
    status, headers, body = site.ask("/sign-in/", Host=host)

    assert status == 400
    assert "Location" not in headers
    assert "evil" not in body


def test_a_host_that_the_proxy_did_not_name_is_ignored(site):  # reliability case 39
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Server": "evil.example", "X-Host": "evil.example"}

    for path_ in ("/sign-in/", "/progress/", "/about"):
        plain, with_forged = site.ask(path_), site.ask(path_, **forged)
        assert with_forged[0] == plain[0]
        assert with_forged[1]["Location"] == plain[1]["Location"]
        assert "evil.example" not in f"{with_forged[1]}{with_forged[2]}"


@pytest.mark.parametrize("scheme", ["http", None], ids=["told", "not told by the proxy"])
def test_who_comes_without_tls_is_sent_to_the_same_page_with_it(site, scheme):  # reliability case 40
    status, headers, _ = site.ask("/about/?a=1", **{"X-Forwarded-Proto": scheme})
    probes = [site.ask(each, **{"X-Forwarded-Proto": scheme})[0] for each in ("/healthz", "/readyz")]
    nonsense = site.ask("/about/", **{"X-Forwarded-Proto": "gopher"})[0]

    assert (status, headers["Location"]) == (301, f"https://{HOST}/about/?a=1")
    assert (probes, nonsense) == ([200, 200], 400)


@pytest.mark.parametrize("scheme", ["http", None], ids=["told", "not told by the proxy"])
def test_a_machine_that_comes_without_tls_is_refused_and_not_sent_on(site, scheme):
    clear = {"X-Forwarded-Proto": scheme}
    token = {"Authorization": f"Bearer {TOKEN}"}

    statuses = [
        site.ask("/metrics", **token)[0],
        site.ask("/metrics", **token, **clear)[0],
        site.ask("/csp-report", "POST")[0],
        site.ask("/csp-report", "POST", **clear)[0],
    ]

    assert statuses == [200, 403, 400, 403]


def test_probes_need_no_host(site):  # reliability case 49
    assert [site.ask(each, Host=f"10.0.0.7:{site.port}")[0] for each in ("/healthz", "/readyz")] == [200, 200]


# --- Alive, ready -------------------------------------------------------------------------------


def test_alive_asks_neither_database_nor_session(client):  # reliability case 49
    client.cookies["sessionid"] = "a" * 32

    response = client.get("/healthz")  # without the db fixture every query would fail

    assert (response.status_code, response.content) == (200, b"alive\n")
    assert not response.cookies


@pytest.mark.django_db
def test_ready_after_a_write_that_leaves_nothing_behind(client):  # reliability case 49
    client.cookies["sessionid"] = "a" * 32
    with connection.execute_wrapper(lambda execute, sql, *rest: (asked.append(sql.split()[0]), execute(sql, *rest))[1]):
        asked: list[str] = []
        response = client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"database": "ok", "disk": "ok", **NO_RUNS})
    assert [verb for verb in asked if verb not in {"SAVEPOINT", "ROLLBACK", "RELEASE"}] == ["INSERT", "SELECT"]
    with connection.cursor() as cursor:
        assert cursor.execute("SELECT 1 FROM django_session").fetchall() == []


@pytest.mark.django_db
def test_not_ready_when_nothing_can_be_written(client):  # reliability case 49
    with connection.cursor() as cursor:
        cursor.execute(READ_ONLY[connection.vendor])
    try:
        response = client.get("/readyz")
        alive = client.get("/healthz")
    finally:
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA query_only = OFF")

    assert (response.status_code, response.json()) == (503, {"database": "failed", "disk": "ok", **NO_RUNS})
    assert alive.status_code == 200


@pytest.mark.django_db
def test_a_disk_that_is_nearly_full_is_told(client, settings, caplog, monkeypatch):  # reliability case 49
    monkeypatch.setattr(operations, "low_disk_is_told", Seldom(seconds=60))
    settings.LOW_DISK = 2**62

    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"database": "ok", "disk": "low", **NO_RUNS})
    assert "nearly full" in caplog.text


@pytest.mark.django_db
def test_a_disk_that_stays_nearly_full_is_logged_once_a_minute(client, settings, caplog, monkeypatch):
    clock = iter([0, 1, 59, 60, 61, 119, 120])
    monkeypatch.setattr(operations, "low_disk_is_told", Seldom(60, clock.__next__))
    settings.LOW_DISK = 2**62

    lines, words = [], set()
    for _ in range(7):
        words.add(client.get("/readyz").json()["disk"])
        lines.append(caplog.text.count("nearly full"))

    assert (lines, words) == ([1, 1, 1, 2, 2, 2, 3], {"low"})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("backup", "sweep", "told"),
    [
        (timedelta(days=2), (timedelta(days=9), 0), {"backup": "ok", "sweep": "ok"}),
        (timedelta(days=2, seconds=1), (timedelta(0), 3), {"backup": "old", "sweep": "skipped"}),
        (-timedelta(minutes=1), (timedelta(0), 0), {"backup": "ok", "sweep": "ok"}),  # another machine's clock
    ],
)
@pytest.mark.time_machine(NOW, tick=False)
def test_an_old_backup_and_a_sweep_that_skipped_exams_are_told(client, metrics, backup, sweep, told):
    # reliability case 49
    LastRun.objects.note("backup", NOW - backup)
    LastRun.objects.note("settle_overdue", NOW - sweep[0], skipped=sweep[1])

    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"database": "ok", "disk": "ok", **told})
    assert {name: figure for name, figure in metrics().items() if name.startswith(("backup", "sweep"))} == {
        "backup_age_seconds": max(backup.total_seconds(), 0),
        "sweep_age_seconds": sweep[0].total_seconds(),
        "sweep_skipped": sweep[1],
    }


@pytest.mark.django_db
def test_a_site_without_any_backup_is_older_than_every_threshold(client, metrics, settings):  # reliability case 49
    text = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}).content.decode()

    assert "\nexamsim_backup_age_seconds +Inf\n" in text
    assert "examsim_sweep_age_seconds" not in text  # that nobody sweeps is no fault, and must not look like one


@pytest.mark.django_db
def test_that_nothing_can_be_told_of_runs_is_no_fault(client, caplog):
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {LastRun._meta.db_table}")

    LastRun.objects.note("backup", NOW)
    response = client.get("/readyz")

    assert "That backup has run was not kept" in caplog.text
    assert (response.status_code, response.json()) == (
        200,
        {"database": "ok", "disk": "ok", "backup": "unknown", "sweep": "unknown"},
    )


@pytest.mark.parametrize("probe", ["/healthz", "/readyz"])
def test_probes_only_answer_questions(client, probe):
    assert client.post(probe).status_code == 405


# --- Figures ------------------------------------------------------------------------------------


def figures(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"^examsim_(\w+) (\d+)$", text, re.MULTILINE)}


@pytest.fixture
def metrics(settings, monkeypatch):
    """The figures, asked for with the token."""
    monkeypatch.setattr(refusals, "unwritten", 0)  # by tests before this one
    settings.METRICS_TOKEN = TOKEN
    return lambda: figures(
        Client().get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}).content.decode()
    )


@pytest.mark.time_machine(NOW, tick=False)
def test_the_figures_count_what_happened(as_taker, taker, bank, metrics, time_machine):
    finish(make_attempt(taker, NOW - timedelta(days=1)), right=1)
    attempt = make_attempt(taker)

    def save(letters: str, version: int, op: int) -> int:
        sent = {"letters": letters, "version": version, "op": f"00000000-0000-0000-0000-{op:012}"}
        headers = {"Accept": "application/json"}
        return as_taker.post(f"/exams/{attempt.pk}/1/answer/", sent, headers=headers).status_code

    statuses = [save("A", 0, 1), save("A", 0, 1), save("B", 1, 2), save("C", 1, 3), save("C", 2, 2), save("B", 2, 9)]
    time_machine.move_to(NOW + timedelta(hours=2), tick=False)
    statuses.append(save("C", 2, 4))

    assert statuses == [200, 200, 200, 409, 422, 200, 410]
    found = metrics()
    assert found.pop("data_free_bytes") > 0
    newest = found.pop("saves_total")
    assert found == {
        "attempts_started_total": 2,
        "attempts_finished_total": 2,  # a late save settles the exam that it came too late for
        "attempts_running": 0,
        "attempts_overdue": 0,
        "sweep_skipped": 0,
        "stale_saves_total": 1,
        "late_saves_total": 1,
        "reused_operations_total": 1,
        "repeated_operations_total": 1,
        "refused_total": 0,
    }
    assert newest == attempt.slots.get(position=1).events.latest("pk").pk


@pytest.mark.django_db
def test_the_figures_are_in_the_text_format_of_prometheus(client, metrics, settings):
    response = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"})

    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.content.decode().splitlines()
    kinds = [r"# HELP (examsim_\w+) \S.*", r"# TYPE (examsim_\w+) (?:counter|gauge)", r"(examsim_\w+) (?:\d+|\+Inf)"]
    names = [re.fullmatch(kinds[number % 3], line)[1] for number, line in enumerate(lines)]
    assert names[::3] == names[1::3] == names[2::3]
    assert {name.endswith("_total") for name in names} == {True, False}


@pytest.mark.django_db
@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer wrong", "Bearer ä", "Basic a token of at least 32 characters"])
def test_the_figures_are_closed_without_the_token(client, metrics, sent):
    assert client.get("/metrics", headers={"Authorization": sent}).status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer "])
def test_no_token_set_opens_to_nobody(client, settings, sent):
    settings.METRICS_TOKEN = ""

    assert client.get("/metrics", headers={"Authorization": sent}).status_code == 403


@pytest.mark.time_machine(NOW, tick=False)
def test_a_figure_that_cannot_be_kept_does_not_spoil_the_reply(as_taker, taker, bank, caplog):
    attempt = make_attempt(taker)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {Counter._meta.db_table}")

    response = as_taker.post(
        f"/exams/{attempt.pk}/1/answer/", {"letters": "A", "version": 7}, headers={"Accept": "application/json"}
    )

    assert response.status_code == 409
    assert "stale_saves was not counted" in caplog.text


# --- Log ----------------------------------------------------------------------------------------


@pytest.fixture
def log():
    """What the site logs from INFO up, as text that grows: log(Json)."""
    handlers: list[logging.Handler] = []
    names = ["", "django", "django.request", "django.security", "examsim", "questions"]
    levels = {name: logging.getLogger(name).level for name in names}

    def log(formatter: type[logging.Formatter]) -> io.StringIO:
        stream = io.StringIO()
        handlers.append(logging.StreamHandler(stream))
        handlers[-1].setFormatter(formatter())
        logging.getLogger().addHandler(handlers[-1])
        for name in names:
            logging.getLogger(name).setLevel(logging.INFO)
        return stream

    yield log
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def busy_day() -> set[str]:
    """Everything that goes right and wrong in a day; returns what must not be logged."""
    client = Client(raise_request_exception=False)
    secrets = {"lantern-7-harbour", "wrong-7-password", "ada@school.example", "letters", "0f0f0f0f"}
    client.post("/sign-up/", {"username": "ada", "password1": "lantern-7-harbour", "password2": "lantern-7-harbour"})
    client.post("/settings/", {"email": "ada@school.example", "password": "lantern-7-harbour"})
    first = client.post("/exams/start/").url
    for letters in ("A", "Z"):
        sent = {"letters": letters, "version": "0", "op": "0f0f0f0f-0000-0000-0000-000000000001"}
        client.post(f"{first}answer/", sent)
    client.get(f"{first}?letters=A&password=wrong-7-password")
    client.get("/faulty/")
    secrets |= {client.cookies["sessionid"].value}
    client.post("/sign-out/")
    client.post("/sign-in/", {"username": "ada@school.example", "password": "wrong-7-password"})
    client.post("/password/reset/", {"email": "ada@school.example"})
    mail_is_sent()
    link = re.search(r"/password/reset/\S+", mail.outbox[-1].body)[0]
    secrets |= {link}
    client.get(link)
    client.get(f"{link}more/ada@school.example/")
    client.get("/no/2026-01-01T00:00:00 ERROR\r\n\x1b[31m\u202eforged/")
    client.get("/", headers={"Host": "evil\n2026-01-01T00:00:00 ERROR forged"})
    client.get("/exams/1/report/%ED%A0%BD%00/")
    strict = Client(enforce_csrf_checks=True)
    strict.get("/sign-in/")
    strict.post("/sign-in/", {"username": "ada", "password": "wrong-7-password", "csrfmiddlewaretoken": "f" * 64})
    return secrets | {strict.cookies["csrftoken"].value, "f" * 64}


@pytest.mark.urls("tests.test_operations")
def test_plain_log_lines_hold_no_secret_and_cannot_be_forged(bank, log):  # reliability case 44
    stream = log(Plain)

    secrets = busy_day()

    text = stream.getvalue()
    for told in ("Internal Server Error: /faulty/", "Not Found", "Forbidden", "Invalid HTTP_HOST header"):
        assert told in text
    assert [secret for secret in secrets if secret in text] == []
    assert " [-] " not in text
    begins = r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00 [A-Z]+ [\w.]+ \[[0-9a-f]{16}\] |    "
    assert [line for line in text.split("\n") if line and not re.match(begins, line)] == []
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text) is None


@pytest.mark.urls("tests.test_operations")
def test_json_log_lines_are_one_object_each(bank, log):  # reliability case 44
    stream = log(Json)

    secrets = busy_day()

    text = stream.getvalue()
    entries = [json.loads(line) for line in text.split("\n") if line]
    assert {frozenset(entry) - {"trace"} for entry in entries} == {
        frozenset({"time", "level", "logger", "request", "message"})
    }
    assert [secret for secret in secrets if secret in text] == []
    messages = {re.sub(r"\d+ ms", "ms", entry["message"]) for entry in entries if entry["logger"] == "examsim.requests"}
    assert {
        "POST /exams/<int:attempt_id>/<int:position>/answer/ 302 in ms",
        "GET /faulty/ 500 in ms",
        "GET /password/reset/[link]/ 302 in ms",
        "GET /- 404 in ms",
    } <= messages


@pytest.mark.urls("tests.test_operations")
@pytest.mark.django_db
def test_the_page_of_an_error_names_the_request_that_the_log_tells_about(log):
    stream = log(Json)
    client = Client(raise_request_exception=False)

    response = client.get("/faulty/", headers={"X-Request-ID": "chosen-by-the-visitor"})

    number = response.headers["X-Request-ID"]
    page = response.content.decode()
    assert re.fullmatch("[0-9a-f]{16}", number)
    assert f"<code>{number}</code>" in page
    assert "RuntimeError" not in page
    assert "forged" not in page
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {entry["request"] for entry in entries} == {number}
    assert "RuntimeError" in next(entry["trace"] for entry in entries if "trace" in entry)
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert policy(response.headers) == CSP


@pytest.mark.django_db
def test_signing_in_and_out_is_logged_by_the_accounts_number(client, log):
    user = UserFactory(username="ada")
    stream = log(Json)

    for password in ("wrong-7-password", "lantern-7-harbour"):
        client.post("/sign-in/", {"username": "ada", "password": password})
    client.post("/sign-out/")

    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    requests = {entry["request"] for entry in entries if entry["logger"] == "examsim.requests"}
    ours = [entry for entry in entries if entry["logger"] == "examsim.accounts"]
    assert [entry["message"] for entry in ours] == [
        "A sign-in was refused",
        f"Account {user.pk} signed in",
        f"Account {user.pk} signed out",
    ]
    assert {entry["request"] for entry in ours} == requests
    assert "ada" not in stream.getvalue()


def test_outside_of_a_request_a_line_has_no_number(log):
    stream = log(Plain)

    logging.getLogger("questions").warning("by hand, for %s", "ada@school.example")

    assert re.fullmatch(r"\S+ WARNING questions \[-\] by hand, for \[e-mail\]\n", stream.getvalue())


def test_a_line_of_one_megabyte_is_looked_through_in_time():
    began = time.monotonic()
    for evil in ("a" * 1_000_000, "a@" * 500_000, "@a." * 300_000, "/password/reset/" * 60_000):
        Plain().format(logging.LogRecord("x", logging.INFO, "", 0, evil, None, None))

    assert time.monotonic() - began < 3


# --- Reports about our policy -------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"csp-report": {"violated-directive": "img-src", "blocked-uri": "https://evil.example/a?who=ada"}}, 204),
        ({"csp-report": {"violated-directive": "img-src"}}, 400),
        ({"csp-report": "img-src"}, 400),
        ([], 400),
        ("{", 400),
        ("[" * 100_000, 400),
        ("x" * 2_000_000, 400),
    ],
    ids=["whole", "half", "text", "list", "broken", "deep", "long"],
)
def test_a_report_about_our_policy_is_logged_without_addresses_of_exams(caplog, body, status):
    client = Client(enforce_csrf_checks=True)  # browsers send it without a token
    if isinstance(body, dict) and isinstance(body["csp-report"], dict):
        body["csp-report"]["document-uri"] = "https://exams.example/exams/7/3/"

    sent = body if isinstance(body, str) else json.dumps(body)
    response = client.post("/csp-report", sent, content_type="application/csp-report")

    assert response.status_code == status
    ours = [record.getMessage() for record in caplog.records if record.name == "examsim.operations"]
    assert ours == (["Policy violated: img-src by https://evil.example/a"] if status == 204 else [])
