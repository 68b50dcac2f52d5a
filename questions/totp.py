"""Time-based one-time codes: RFC 6238 with SHA-1, six digits and steps of 30 seconds, which every authenticator app knows."""

import base64
import hmac
import secrets
from datetime import datetime
from urllib.parse import quote, urlencode

SECONDS = 30  # that one code stands for
DIGITS = 6
DRIFT = 1  # steps that the clock of a phone may be off, either way


def new_secret() -> str:
    """160 random bits, the length that RFC 4226 recommends, in base32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def step_at(now: datetime) -> int:
    return int(now.timestamp()) // SECONDS


def code(secret: str, step: int) -> str:
    """The code of one step. Source: RFC 4226, section 5.3 (dynamic truncation)."""
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8), "sha1")
    start = digest[-1] & 0x0F
    number = int.from_bytes(digest[start : start + 4]) & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def matching_step(secret: str, given: str, now: datetime) -> int | None:
    """The latest step around `now` whose code was given; None when there is none."""
    here = step_at(now)
    for step in range(here + DRIFT, here - DRIFT - 1, -1):
        if hmac.compare_digest(code(secret, step).encode(), given.encode("utf-8", "replace")):
            return step
    return None


def address(secret: str, name: str) -> str:
    """What authenticator apps read: otpauth://totp/ExamSim:ada?secret=..."""
    query = urlencode({"secret": secret, "issuer": "ExamSim", "digits": DIGITS, "period": SECONDS})
    return f"otpauth://totp/{quote(f'ExamSim:{name}', safe=':')}?{query}"
