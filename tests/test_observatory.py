"""The HTTP Observatory's scan of the site as it is deployed: with TLS, behind a proxy.

The scanner is no part of this project. EXAMSIM_OBSERVATORY names the folder that npm installed it into; without that,
these tests are skipped.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.proxy import certificate_for, proxy
from tests.test_operations import Site
from tests.test_up import Program, free_port

FOLDER = os.environ.get("EXAMSIM_OBSERVATORY", "")
SCANNER = Path(FOLDER, "node_modules", "@mdn", "mdn-http-observatory")
HOST = "localhost"  # every machine knows where that is

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="EXAMSIM_OBSERVATORY names no folder with the scanner; see CONTRIBUTING"),
    pytest.mark.skipif(not (shutil.which("node") and shutil.which("openssl")), reason="node and openssl are needed"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certificate_for(HOST, tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The port of the site, which is not the proxy's."""
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    environ = {"EXAMSIM_HTTPS": "True", "ALLOWED_HOSTS": HOST, "EMAIL_HOST": "mail.example"}
    environ |= {"EXAMSIM_DATA": str(folder / "data"), "EXAMSIM_BANK": str(folder)}
    program = Program("manage.py", "up", "--no-browser", "--port", str(port), **environ)
    program.read_until("Stop it with")
    yield port
    program.close()


def scan(certificate: Path, port: int, path: str) -> tuple[str, int, dict[str, str]]:
    """Grade, score, and what each test found."""
    done = subprocess.run(
        ["node", SCANNER / "src" / "scan.js", f"{HOST}:{port}{path}"],
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate.with_suffix(".crt"))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    found = json.loads(done.stdout)
    failed = [name for name, test in found["tests"].items() if not test["pass"]]
    assert failed == []
    return (
        found["scan"]["grade"],
        found["scan"]["score"],
        {name: test["result"] for name, test in found["tests"].items()},
    )


@pytest.mark.parametrize("path", ["/", "/sign-in/", "/sign-up/", "/admin/login/", "/about/"])
def test_the_observatory_gives_visitors_pages_a_plus_and_no_test_fails(site, certificate, path):  # reliability case 40
    with proxy(site, certificate) as port:
        grade, score, found = scan(certificate, port, path)

    assert (grade, score >= 130) == ("A+", True)
    assert found["redirection"] == "redirection-to-https"


def test_the_observatory_finds_all_scripts_of_a_taker_bound_to_their_content(site, certificate):  # reliability case 40
    enter = Site(site, HOST)
    token = "a" * 32
    headers = {"Cookie": f"__Host-csrftoken={token}", "X-CSRFToken": token, "Referer": f"https://{HOST}/"}
    set_cookies = enter.ask("/guest/", "POST", **headers)[1].get_all("Set-Cookie")
    cookie = re.search(r"__Host-sessionid=\w+", " ".join(set_cookies))[0]

    with proxy(site, certificate, Cookie=cookie) as port:
        grade, score, found = scan(certificate, port, "/")

    assert (grade, score >= 140) == ("A+", True)
    assert found["subresource-integrity"] == "sri-implemented-and-all-scripts-loaded-securely"
