"""Verbs that need the database are management commands: this process becomes Django, so the other verbs need not load it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def exec_django(command: str, words: Sequence[str]) -> int:
    """Replace this process by `django COMMAND WORDS…`. Does not return.

    `-P`: a folder named `chat` or `api` where the user stands must not be imported in place of ours.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmsite.settings")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "django", command, *words])  # noqa: S606
