"""Pages, as tests read and open them."""

import re

from django.test import Client
from playwright.sync_api import BrowserContext

from questions.models import User


def unisolated(page: str) -> str:
    """Without the marks that keep an author's right-to-left text from spilling over; tests/test_hostile.py looks after those."""
    return re.sub(r'</?bdi>| dir="auto"', "", page)


def sign_in(context: BrowserContext, address: str, user: User) -> None:
    client = Client()
    client.force_login(user)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": address}])
