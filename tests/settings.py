"""Settings of the tests: a home of their own, made anew for each run, and cheap password hashes."""

import os
import tempfile

_home = tempfile.mkdtemp(prefix="llmsite-test-")
os.environ["LLMSITE_HOME"] = _home
for name in [name for name in os.environ if name.startswith("OLLAMA_")]:
    del os.environ[name]

from llmsite.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
SERVESTATIC_USE_FINDERS = True
