"""The site's settings with what only tests need: a data folder of their own, quick hashing, plain static names."""

import os
import tempfile

os.environ["EXAMSIM_DATA"] = tempfile.mkdtemp(prefix="examsim-tests-")
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright keeps an event loop in the test's thread

from examsim.settings import *  # noqa: F403
from examsim.settings import DATA_DIR, DATABASES, STORAGES

# The live server gives 404 for hashed names, and pages would silently run without script.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_AUTOREFRESH = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# A file, as in production: threads of a live server cannot share a database in memory without locking each other out.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}
