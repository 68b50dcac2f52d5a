"""Every setting, read from the environment. Without any, a safe site for one machine: SQLite, local mail, no TLS."""

import secrets
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Everything that the site writes lives here: the database, the secret key, collected static files.
DATA_DIR = Path(env.str("EXAMSIM_DATA", default=str(BASE_DIR / "var"))).resolve()


def secret_key() -> str:
    """The key from the environment, or the one generated into DATA_DIR at the first start."""
    if key := env.str("SECRET_KEY", default=""):
        return key
    path = DATA_DIR / "secret_key"
    if not path.exists():
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(64), "utf-8")
        try:
            path.hardlink_to(fresh)  # of two first starts at once, one wins and both read the same key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text("utf-8")


DEBUG = env.bool("DEBUG", default=False)
HTTPS = env.bool("EXAMSIM_HTTPS", default=False)  # True where a proxy in front speaks TLS
SECRET_KEY = secret_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if HTTPS else ["localhost", "127.0.0.1", "[::1]"])
LOW_DISK = env.int("EXAMSIM_LOW_DISK_MB", default=200) * 1024 * 1024  # bytes; below that somebody should make room
METRICS_TOKEN = env.str("EXAMSIM_METRICS_TOKEN", default="")  # opens /metrics to those who send it


def unsafe() -> list[str]:
    """What a site on the internet must not run with, and what to do instead."""
    found = []
    if DEBUG:
        found.append("DEBUG is on and would show settings and code to strangers. Unset DEBUG.")
    if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5 or SECRET_KEY.startswith("django-insecure-"):
        found.append("SECRET_KEY can be guessed. Unset it, and a good one is generated, or set 50 random characters.")
    if not ALLOWED_HOSTS or any("*" in host or not host.strip(".") for host in ALLOWED_HOSTS):
        found.append("ALLOWED_HOSTS must name the site's hosts, without *: ALLOWED_HOSTS=exams.example.org")
    if 0 < len(METRICS_TOKEN) < 32:
        found.append("EXAMSIM_METRICS_TOKEN can be guessed. Set 32 random characters or more, or unset it.")
    return found


if HTTPS and (problems := unsafe()):
    raise ImproperlyConfigured("ExamSim does not start with EXAMSIM_HTTPS like this:\n" + "\n".join(problems))

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "questions",
]

MIDDLEWARE = [
    "examsim.middleware.identified",
    "examsim.middleware.security_headers",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "examsim.middleware.probes",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Sizes of packed pages tell what is in them to who has them say something else as well (BREACH). So no page of the
    # signed-in repeats a request's query, and tokens are masked anew in each; the random padding only slows guessing.
    "django.middleware.gzip.GZipMiddleware",
    "examsim.middleware.language",  # outside of all that may refuse in words
    "examsim.middleware.plain_text",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "examsim.middleware.never_stored",
    "django_htmx.middleware.HtmxMiddleware",
    "examsim.middleware.SignInRequired",
    "examsim.middleware.StaffSecondFactor",
    "examsim.middleware.time_zone",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "examsim.urls"
WSGI_APPLICATION = "examsim.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["django.templatetags.i18n", "questions.templatetags.exam"],
        },
    }
]

# --- Database: SQLite inside; PostgreSQL by DATABASE_URL ----------------------------------------

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'examsim.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a transaction takes the write lock at its start, so it never fails half way with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    # As on SQLite, nobody waits longer than 5 seconds: for a row, or for one of the pool's connections. A request keeps its
    # connection also while it waits for a row, so the pool has room for each of a process's threads.
    DATABASES["default"]["OPTIONS"] = {
        **DATABASES["default"].get("OPTIONS", {}),  # such as sslmode, from the address
        "pool": {"min_size": 1, "max_size": 16, "timeout": 5},
        "options": "-c lock_timeout=5s",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People -------------------------------------------------------------------------------------

AUTH_USER_MODEL = "questions.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
] + [{"NAME": "questions.passwords.NotOnlySiteWords"}]
PASSWORD_HASHERS = ["examsim.hashers.Argon2", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "questions:home"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
STAFF_SESSION_AGE = 60 * 60 * 12
STAFF_NEED_SECOND_FACTOR = HTTPS  # a site on one machine has no need of it
PASSWORD_RESET_TIMEOUT = 60 * 60
# Links in mails start with this, never with what a request says. Empty: http, the first allowed host, the server's port.
ADDRESS = env.str(
    "EXAMSIM_ADDRESS", default=f"https://{(ALLOWED_HOSTS or ['localhost'])[0].lstrip('*.')}" if HTTPS else ""
).rstrip("/")


def own_origins() -> list[str]:
    """Whose pages may send forms, besides those of the host that a request names.

    `.example.org` in ALLOWED_HOSTS stands for that host and all below. A proxy may speak TLS at a port that it does not
    pass on.
    """
    found = []
    for host in ALLOWED_HOSTS if HTTPS else []:
        found += [f"https://{host[1:]}", f"https://*{host}"] if host.startswith(".") else [f"https://{host}"]
    return list(dict.fromkeys([*found, *([ADDRESS] if ADDRESS else [])]))


CSRF_TRUSTED_ORIGINS = own_origins()
MAILERS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}
}  # mail is printed
if env.str("EMAIL_HOST", default=""):
    MAILERS["default"] = {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {
            "host": env.str("EMAIL_HOST"),
            "port": env.int("EMAIL_PORT", default=587),
            "username": env.str("EMAIL_USER", default=""),
            "password": env.str("EMAIL_PASSWORD", default=""),
            "use_tls": env.bool("EMAIL_TLS", default=True),
            "timeout": 10,  # one thread sends all mail, and the process ends only when it has
        },
    }
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="ExamSim <examsim@localhost>")

# --- The exam -----------------------------------------------------------------------------------

BANK_DIR = Path(env.str("EXAMSIM_BANK", default=str(BASE_DIR / "questions" / "bank")))
GUIDE = env.str("EXAMSIM_GUIDE", default="pmle/seed")  # code/edition of the exam offered on the home page
GRACE_SECONDS = env.int("EXAMSIM_GRACE_SECONDS", default=5)  # for saves already under way at the deadline
HALF_LIFE_DAYS = env.int("EXAMSIM_HALF_LIFE_DAYS", default=60)  # after which evidence counts half

# --- Language, time, files ----------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ja", "Japanese")]  # of the site; questions are in the language of their bank
LOCALE_PATHS = [BASE_DIR / "questions" / "locale"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 60 * 60 * 24 * 365
TIME_ZONE = env.str("TZ_NAME", default="UTC")
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_ALLOW_ALL_ORIGINS = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- Security -----------------------------------------------------------------------------------

SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "object-src": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    "report-uri": "/csp-report",
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500
if HTTPS:
    # The probes are asked from inside, past the proxy; the others refuse, so that no machine sends on in the clear unnoticed.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$", r"^csp-report$"]
    SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
    LANGUAGE_COOKIE_NAME = "__Host-language"
    SECURE_HSTS_SECONDS = 63072000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    # Browsers that have a domain in their list keep it for years. Its owner decides that, so nobody is warned without it.
    SECURE_HSTS_PRELOAD = env.bool("EXAMSIM_HSTS_PRELOAD", default=False)
    SILENCED_SYSTEM_CHECKS = ["security.W021"]

# --- Log: to standard error; json adds a line for each request ----------------------------------

LOG = env.str("EXAMSIM_LOG", default="plain")
if LOG not in {"plain", "json"}:
    raise ImproperlyConfigured(f"EXAMSIM_LOG must be plain or json, not {LOG!r}.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"()": "questions.logs.Plain"}, "json": {"()": "questions.logs.Json"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "django": {
            "handlers": [],
            "level": "WARNING",
        },  # without Django's own: no second line, no mail with a traceback
        "examsim": {"level": "INFO" if LOG == "json" else "WARNING"},
    },
}
