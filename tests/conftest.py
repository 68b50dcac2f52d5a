import os
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page

from questions.models import Attempt, Guide
from questions.models.bank import _candidates
from tests.factories import UserFactory, make_attempt, make_bank, make_instructor
from tests.pages import sign_in

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """The browser that `manage.py test` found; Playwright's own where none is named."""
    args = [*FLAGS, "--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else FLAGS
    path = os.environ.get("EXAMSIM_BROWSER")
    return {**browser_type_launch_args, "args": args, **({"executable_path": path} if path else {})}


@pytest.fixture(autouse=True)
def tiny_exam(settings):
    """Most tests offer the made-up exam of three sections; those of the real bank set it back."""
    settings.GUIDE = "tiny/one"


@pytest.fixture
def bank(db) -> Guide:
    return make_bank()


@pytest.fixture
def taker(db):
    return UserFactory()


@pytest.fixture
def as_taker(client, taker):
    """A client signed in as `taker`."""
    client.force_login(taker)
    return client


@pytest.fixture
def instructor(db):
    return make_instructor()


@pytest.fixture
def as_instructor(instructor):
    """A client of its own, signed in as `instructor`."""
    client = Client()
    client.force_login(instructor)
    return client


@pytest.fixture
def exam(taker) -> Attempt:
    """An exam of `taker` that started just now."""
    make_bank()
    return make_attempt(taker, timezone.now())


@pytest.fixture
def open_exam(page: Page, live_server, exam, taker) -> Callable[..., Page]:
    """Opens a place of the exam: on this device by default, with a new window of it, or on another one."""

    def at(place: str = "1/", on: Page | BrowserContext = page) -> Page:
        window = on if isinstance(on, Page) else on.new_page()
        if not window.context.cookies():
            sign_in(window.context, live_server.url, taker)
        window.goto(f"{live_server.url}/exams/{exam.pk}/{place}")
        return window

    return at


@pytest.fixture(scope="session")
def real_bank():
    return django_settings.BANK_DIR / "pmle"


@pytest.fixture(autouse=True)
def _no_leftover_caches() -> None:
    """Guides of different tests may share an id and a version; what a process keeps must not cross tests."""
    _candidates.cache_clear()
