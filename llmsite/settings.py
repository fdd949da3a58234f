"""Django settings. The environment is read through `env.py` only."""

from __future__ import annotations

from pathlib import Path

from llmsite import env

BASE_DIR = Path(__file__).resolve().parent.parent
PACKAGE_DIR = Path(__file__).resolve().parent
# a wheel carries templates/ and static/ inside the package, a checkout beside it
SHARED_DIR = BASE_DIR if (BASE_DIR / "manage.py").exists() else PACKAGE_DIR

LLMSITE_HOME: Path = env.read("LLMSITE_HOME")
LLMSITE_MODELS: Path = env.models_folder()
LLMSITE_LIMITS = env.read_limits()

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
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
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
STATIC_ROOT = LLMSITE_HOME / "run" / "static"
STATICFILES_DIRS = [SHARED_DIR / "static"]
MEDIA_ROOT = LLMSITE_HOME / "media"
