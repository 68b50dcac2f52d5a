"""Log lines that may leave the machine: one line each, with the request's id and without what is nobody's business."""

import json
import logging
import math
import re
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="-")

LONGEST = 10_000  # characters of a message; what is longer was sent to fill the disk

REDACTED = [  # all with bounds, so that no text takes long to look through
    (re.compile(r"[\w.+%-]{1,64}@[\w.-]{1,255}"), "[e-mail]"),
    (re.compile(r"(/password/reset/)[^/\s]+/[^/\s]+"), r"\1[link]"),
]
# All that could break the line, colour a terminal or turn the reading direction.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Seldom:
    """Says yes when called, but in so many seconds only once: for what may happen often and matters now and then."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.clock = seconds, clock
        self.guard = threading.Lock()
        self.again = -math.inf

    def __call__(self) -> bool:
        now = self.clock()
        with self.guard:
            if now < self.again:
                return False
            self.again = now + self.seconds
            return True


def redact(text: str) -> str:
    for pattern, instead in REDACTED:
        text = pattern.sub(instead, text)
    return text


def escape(text: str) -> str:
    """Control characters written out, such as \\n."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def request_of(record: logging.LogRecord) -> str:
    """The id of the request that a line is about; Django's own lines come after it and bring the request with them."""
    return getattr(getattr(record, "request", None), "request_id", request_id.get())


def message_of(record: logging.LogRecord) -> str:
    return escape(redact(record.getMessage()[:LONGEST]))


class Plain(logging.Formatter):
    """Time, level, logger, request id and message in one line; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = f"{at} {record.levelname} {record.name} [{request_of(record)}] {message_of(record)}"
        if record.exc_info:
            trace = redact(self.formatException(record.exc_info))
            line += "".join(f"\n    {escape(each)}" for each in trace.splitlines())
        return line


class Json(logging.Formatter):
    """One JSON object a line: time, level, logger, request, message and, after an exception, trace."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request": request_of(record),
            "message": message_of(record),
        }
        if record.exc_info:
            entry["trace"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry)
