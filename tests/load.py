"""Requests that arrive at a fixed rate, whether or not those before were answered; late answers cannot hide.

Each is timed from the moment that it was due to be sent.
"""

import http.client
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlencode

MOST_AT_ONCE = 200  # far more than are ever under way, unless the server stands still
TOKEN = "a" * 32


@dataclass(frozen=True, slots=True)
class Reply:
    status: int  # 0 for none
    took: float  # seconds since it was due


def at_rate(per_second: float, seconds: float, send: Callable[[int], int]) -> list[Reply]:
    """Call `send`, which returns a status, with 0, 1, 2 ... at that rate; all replies in the order they were due."""
    begin = time.monotonic() + 0.1

    def run(number: int, due: float) -> Reply:
        try:
            status = send(number)
        except (OSError, http.client.HTTPException):
            status = 0
        return Reply(status, time.monotonic() - due)

    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        waiting = []
        for number in range(int(per_second * seconds)):
            due = begin + number / per_second
            time.sleep(max(due - time.monotonic(), 0))
            waiting.append(pool.submit(run, number, due))
        return [reply.result() for reply in waiting]


def percentile(replies: Sequence[Reply], share: float) -> float:
    """Seconds within which that share of the replies came; nearest rank."""
    times = sorted(reply.took for reply in replies)
    return times[max(math.ceil(share * len(times)), 1) - 1]


def sign_in(port: int, name: str, password: str) -> int:
    """As a browser without JavaScript sends it; the status."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrftoken={TOKEN}"}
    body = urlencode({"csrfmiddlewaretoken": TOKEN, "username": name, "password": password})
    try:
        line.request("POST", "/sign-in/", body, headers)
        reply = line.getresponse()
        reply.read()
    finally:
        line.close()
    return reply.status
