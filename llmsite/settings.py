"""Django settings. The environment is read through `env.py` only."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from llmsite import __version__, env
from llmsite.accounts.trust import TrustConfig
from llmsite.logs import configuration

try:
    env.check()
except env.BadVariable as error:
    sys.exit(f"llmsite: {error}")

BASE_DIR = Path(__file__).resolve().parent.parent
PACKAGE_DIR = Path(__file__).resolve().parent
# a wheel carries templates/ and static/ inside the package, a checkout beside it
SHARED_DIR = BASE_DIR if (BASE_DIR / "manage.py").exists() else PACKAGE_DIR

LLMSITE_HOME: Path = env.read("LLMSITE_HOME")
LLMSITE_MODELS: Path = env.models_folder()
LLMSITE_LIMITS = env.read_limits()
LLMSITE_PRUNES: bool = not env.read("OLLAMA_NOPRUNE")
LLMSITE_GO_TEMPLATE: bool | None = env.read("OLLAMA_GO_TEMPLATE")

DEBUG: bool = env.read("LLMSITE_DEBUG")
SECRET_KEY = env.secret_key(LLMSITE_HOME)
ALLOWED_HOSTS = ["*"]  # accounts/trust.py checks Host, Origin and Sec-Fetch-Site for every scope, static files and sockets too
ROOT_URLCONF = "llmsite.urls"
ASGI_APPLICATION = "llmsite.asgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.admin",
    "django_htmx",
    "axes",
    "channels",
    "llmsite.accounts",
    "models_app",
    "chat",
    "api",
]

MIDDLEWARE = [
    "llmsite.accounts.middleware.SecurityHeaders",
    "servestatic.middleware.ServeStaticMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "llmsite.accounts.middleware.Sessions",
    "llmsite.accounts.middleware.Common",
    "llmsite.accounts.middleware.Csrf",
    "llmsite.accounts.middleware.Authentication",
    "llmsite.accounts.middleware.Identity",
    "llmsite.accounts.middleware.Messages",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [SHARED_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "llmsite.accounts.context.site",
            ],
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": LLMSITE_HOME / "db.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 10,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }
}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [PACKAGE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = LLMSITE_HOME / "run" / f"static-{__version__}"
STATICFILES_DIRS = [SHARED_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "llmsite.staticfiles.Storage"},
}
SERVESTATIC_ALLOW_ALL_ORIGINS = False
MEDIA_ROOT = LLMSITE_HOME / "media"
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

# serving/ answers 413; a view that gets a body gets all of it
DATA_UPLOAD_MAX_MEMORY_SIZE = None
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1_000

# who may come in: accounts/
LLMSITE_ADDRESS = env.server_address()
LLMSITE_API_AUTH: str = env.read("LLMSITE_API_AUTH")
LLMSITE_REGISTRY_PUBLIC: bool = env.read("LLMSITE_REGISTRY_PUBLIC")
LLMSITE_REGISTRY_PUSH: str = env.read("LLMSITE_REGISTRY_PUSH")
LLMSITE_TRUST = TrustConfig(
    bound=(LLMSITE_ADDRESS.bind_host,),
    allowed_hosts=env.read("LLMSITE_ALLOWED_HOSTS"),
    origins=env.read("OLLAMA_ORIGINS"),
)
_needs_tls = not LLMSITE_TRUST.is_loopback and not env.read("LLMSITE_INSECURE_HTTP")

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
LOGIN_URL = "accounts:sign_in"

# cookies are not kept apart by port, so their names say whose they are
SESSION_COOKIE_NAME = "llmsite_session"
SESSION_COOKIE_SECURE = _needs_tls
CSRF_COOKIE_NAME = "llmsite_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SECURE = _needs_tls
CSRF_FAILURE_VIEW = "llmsite.accounts.refusals.csrf_failure"
# a proxy that speaks TLS hands on plain http; a listed host may therefore be the https origin of our own forms
CSRF_TRUSTED_ORIGINS = [f"https://{'*' if host.startswith('.') else ''}{host}" for host in LLMSITE_TRUST.allowed_hosts]
LANGUAGE_COOKIE_NAME = "llmsite_language"

AXES_FAILURE_LIMIT = LLMSITE_LIMITS.sign_in_tries
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = ["username"]
AXES_LOCKOUT_CALLABLE = "llmsite.accounts.views.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

LOGGING = configuration(is_verbose=env.read("OLLAMA_DEBUG"))
LLMSITE_BROKER_URL: str = env.read("LLMSITE_BROKER_URL")
