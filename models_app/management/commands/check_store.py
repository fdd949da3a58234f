"""`llmsite check`: is every model whole, do the rows say what the disk says, are the libraries new enough. Serving may go on.

Exit codes: 0 all is well, 1 something is damaged or too old, 2 it could not be checked.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from typing import Any, Final, Self

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from llmsite import backend, startup
from llmsite.store.check import StoreReport, check_store
from llmsite.types.errors import LlmsiteError
from llmsite.types.limits import GIB
from llmsite.versions import Version, list_versions
from models_app import catalogue, job_rows

_CANNOT: Final = 2
_STOPPED: Final = 130
_SHOW_SECONDS: Final = 0.2


class Command(BaseCommand):
    help = "Check the model store and repair what can be repaired."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quick", action="store_true", help="read only blobs that changed since they were found right")

    def handle(self, *args: Any, **options: Any) -> None:
        versions = list_versions()
        self._show_versions(versions)
        try:
            startup.migrate()
            store = backend.get_store()
            store.blobs.adopt()
            with _Progress(self.stderr) as progress:
                report = check_store(store, progress.show, is_quick=options["quick"])
            catalogue.rebuild((*report.put_aside, *report.unreadable))
            num_swept = store.sweep(time.time(), job_rows.needed_digests()) if settings.LLMSITE_PRUNES else 0
        except (startup.Refused, LlmsiteError, OSError) as error:
            raise CommandError(f"the store cannot be checked: {error}", returncode=_CANNOT) from error
        except KeyboardInterrupt as error:
            raise CommandError("stopped; llmsite check --quick goes on from here", returncode=_STOPPED) from error
        self._show(report, num_swept)
        if not report.is_whole or any(each.is_old and each.is_demanded for each in versions):
            sys.exit(1)

    def _show_versions(self, versions: list[Version]) -> None:
        for each in versions:
            verdict = "" if not each.is_old else "  too old" if each.is_demanded else "  older than it should be"
            self.stdout.write(f"{each.name:<18}{each.found:<12}at least {each.floor}{verdict}")

    def _show(self, report: StoreReport, num_swept: int) -> None:
        self.stdout.write(f"{report.num_models} models, {report.num_blobs} blobs, {report.num_read} of them read")
        if num_swept:
            self.stdout.write(f"{num_swept} files that no model uses were removed")
        if report.put_aside:
            folder = settings.LLMSITE_MODELS / "damaged"
            self.stdout.write(f"{len(report.put_aside)} damaged blobs were set aside in {folder}; nothing is served from there")
        for digest in report.unreadable:
            self.stdout.write(f"blob {digest} cannot be read; look after the disk or its permissions")
        for model in report.damaged:
            self.stdout.write(f"{model.name.shortest} is damaged ({model.problem}): {model.remedy}")
        self.stdout.write("everything is whole" if report.is_whole else "not everything is whole")


class _Progress:
    """One line that grows on a terminal, and nothing elsewhere."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._next = 0.0
        self._is_shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            self._stream.write("\r\033[K", ending="")

    def show(self, done: int, total: int) -> None:
        """Bytes read so far, of how many."""
        now = time.monotonic()
        if now < self._next or not self._stream.isatty():
            return
        self._next, self._is_shown = now + _SHOW_SECONDS, True
        self._stream.write(f"\rreading {done / GIB:.1f} of {total / GIB:.1f} GiB", ending="")
        self._stream.flush()
