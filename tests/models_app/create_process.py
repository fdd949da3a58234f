"""A process in which models are made by children that die on purpose: at the n-th touch of the store, or the n-th report.

Reads a JSON command a line (`request`, and `at_touch` or `at_report`) and answers with a line: how the child ended, and the error
that the job would have had. Each child is a fork, so that it is at work at once; the store is touched where Python opens,
renames, removes or makes a file in it. What a dead child had started becomes a child of this process.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from llmsite.types.chunk import Progress  # noqa: E402
from llmsite.types.errors import LlmsiteError, to_wire  # noqa: E402
from models_app import catalogue, creation, starter  # noqa: E402
from models_app.job_rows import Claim  # noqa: E402
from models_app.job_run import JobRun  # noqa: E402

TOUCHES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.utime", "os.chmod"})
_CHILD_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


def die_at(number: int) -> None:
    """Die before the touch of that number."""
    store, left = os.fspath(settings.LLMSITE_MODELS), number

    def count(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event in TOUCHES and (str(args[0]).startswith(store) or isinstance(args[0], int)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


class MortalRun(JobRun):
    """A job that dies at its n-th report, if a number is given."""

    def __init__(self, claim: Claim, at_report: int | None) -> None:
        super().__init__(claim, lambda: None)
        self._left = at_report

    def report(self, progress: Progress) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        super().report(progress)


def make(command: dict[str, Any], errors: int) -> None:
    """The child's work. Ends the process."""
    request = command["request"]
    run = MortalRun(Claim(1, "", 1, "create", request["model"], request, ()), command.get("at_report"))
    if "at_touch" in command:
        die_at(command["at_touch"])
    try:
        creation.run(run)
    except LlmsiteError as error:
        os.write(errors, json.dumps(to_wire(error)).encode())
        os._exit(1)
    os._exit(0)


def attempt(command: dict[str, Any]) -> dict[str, Any]:
    """How a child ended: 0, 1 with an error, or the signal as a negative number."""
    connections.close_all()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        make(command, writing)
    os.close(writing)
    with open(reading, "rb") as errors:
        _, status = os.waitpid(child, 0)
        return {"end": os.waitstatus_to_exitcode(status), "error": json.loads(errors.read() or b"null")}


def main() -> None:
    assert ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    call_command("migrate", verbosity=0)
    starter.install_once()
    catalogue.sync()  # what the inspector finds in the starter is known from here on, so that an attempt is quick
    for line in sys.stdin:
        sys.stdout.write(json.dumps(attempt(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
