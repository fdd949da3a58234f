"""`llmsite serve`: see llmsite/serve.py."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from llmsite import serve


class Command(BaseCommand):
    help = "Serve the site and the API until a signal comes."
    requires_system_checks = ()
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(serve.main(self._say))

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
