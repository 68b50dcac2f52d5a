"""What the exam weighs on the wire and in the page, measured on the site as it is deployed."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from playwright.sync_api import Page, expect

from questions import bank_file
from questions.loading import load
from questions.models import Attempt, Guide
from tests.factories import UserFactory
from tests.pages import sign_in
from tests.servers import site
from tests.test_journey import choose, on_question

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def address(tmp_path: Path, transactional_db, settings, real_bank) -> Iterator[str]:
    """The site with its files collected and compressed, and the real bank."""
    settings.GUIDE = "pmle/seed"
    load(bank_file.read_bank(real_bank), timezone.now())
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "examsim.settings", "EXAMSIM_DATA": str(tmp_path)}
    subprocess.run(collect, cwd=django_settings.BASE_DIR, env=environment, check=True)
    with site(tmp_path) as started:
        yield f"http://127.0.0.1:{started.start().port}"


class Wire:
    """Counts what a page transfers: compressed bodies, and the same with the headers of replies."""

    def __init__(self, page: Page) -> None:
        self.requests: dict[str, str] = {}
        self.bodies: Counter[str] = Counter()
        self.all: Counter[str] = Counter()
        line = page.context.new_cdp_session(page)
        line.send("Network.enable")
        line.on("Network.requestWillBeSent", self._asked)
        line.on("Network.responseReceived", self._came)
        line.on("Network.loadingFinished", self._ended)

    def _asked(self, event: dict[str, Any]) -> None:
        self.requests[event["requestId"]] = event["request"]["url"]

    def _came(self, event: dict[str, Any]) -> None:
        self.bodies[event["requestId"]] = -event["response"]["encodedDataLength"]  # so far only the headers came

    def _ended(self, event: dict[str, Any]) -> None:
        self.all[event["requestId"]] = event["encodedDataLength"]
        self.bodies[event["requestId"]] += event["encodedDataLength"]

    def clear(self) -> None:
        self.requests.clear()

    @property
    def addresses(self) -> list[str]:
        return [url for url in self.requests.values() if not url.startswith("data:")]

    def total(self, part: str = "", *, headers: bool = False) -> int:
        counted = self.all if headers else self.bodies
        return sum(counted[number] for number, url in self.requests.items() if part in url)


def test_the_exam_is_light(address, page: Page):
    """At most 45 KB in 6 requests for the first page with everything, 4 KB for a later question, 1.5 KB for a save, headers
    of its reply included; and 400 elements.
    """
    taker = UserFactory()
    attempt: Attempt = Attempt.objects.start(taker, Guide.objects.offered()[0], 7, timezone.now())
    sign_in(page.context, address, taker)
    wire = Wire(page)

    page.goto(f"{address}/exams/{attempt.pk}/1/", wait_until="load")
    page.wait_for_timeout(200)
    ahead = [url for url in wire.addresses if url.endswith("/2/")]  # fetched when the page stands already
    first, all_first = (wire.total(headers=on) - wire.total("/2/", headers=on) for on in (False, True))
    assert len(wire.addresses) - len(ahead) <= 6, wire.addresses
    assert first <= 45_000, {url: wire.total(url) for url in wire.addresses}

    elements = []
    for number in range(1, 61):
        on_question(page, number)
        elements.append(page.evaluate("document.querySelectorAll('*').length"))
        if number < 60:
            page.keyboard.press("j")
    questions = re.compile(rf"/exams/{attempt.pk}/\d+/(\?.*)?$")
    later = [wire.bodies[number] for number, url in list(wire.requests.items())[1:] if questions.search(url)]
    assert len(later) >= 59
    assert max(later) <= 4000, max(later)
    assert max(elements) <= 400, max(elements)

    wire.clear()
    choose(page, "A")
    expect(page.locator("#save-state")).to_have_text("Saved")
    page.wait_for_timeout(100)
    save = wire.total("/answer/", headers=True)
    assert 0 < save <= 1500, save
    print(
        f"\nfirst page {first} B ({all_first} B with headers), later ones up to {max(later)} B, a save {save} B, {max(elements)} elements"
    )
