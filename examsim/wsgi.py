import os
import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examsim.settings")

django_application = get_wsgi_application()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Django's; an encoding that is not UTF-8 gets a name that Django does not know.

    `hex`, which Python knows as no encoding of text, would end Django before any middleware. What is sent so is refused by
    `examsim.middleware.plain_text`.
    """
    kind = environ.get("CONTENT_TYPE", "")
    environ["CONTENT_TYPE"] = re.sub(r'(?i)(charset\s*=\s*"?)(?!utf-?8\b)[^;"]*', r"\1refused", kind)
    return django_application(environ, start_response)
