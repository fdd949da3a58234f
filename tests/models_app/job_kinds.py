"""Kinds of jobs that only tests have, added to the table of the process that imports this: work that a test can hold and count.

A job's steps are files in the folder of its request: it waits for `<n>.go`, appends n to `done`, and tells so. `done` is what
it leaves behind, so a step that was done twice stands there twice.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from llmsite.types.chunk import Progress
from llmsite.types.errors import InvalidRequest, ModelNotFound
from models_app.job_run import JobRun, JobStopped
from models_app.kinds import KINDS, Kind

DIGEST = "sha256:" + "0" * 64


def steps(run: JobRun) -> None:
    """Go on behind the last step that was done."""
    folder, total = Path(run.request["folder"]), int(run.request["total"])
    run.report(Progress("begin"))
    done = folder / "done"
    (folder / "starts").open("a").write(f"{os.getpid()}\n")
    first = len(done.read_text().split()) if done.exists() else 0
    run.report(Progress("steps", DIGEST, total, first))
    for number in range(first, total):
        try:
            wait_for(folder / f"{number}.go", run)
        except JobStopped:
            (folder / "stopped").touch()
            raise
        with done.open("a") as file:
            file.write(f"{number}\n")
        run.report(Progress("steps", DIGEST, total, number + 1))
        run.report(Progress(f"step {number}"))
    run.report(Progress("success"))


def wait_for(path: Path, run: JobRun) -> None:
    while not path.exists():
        run.is_stopping.wait(0.01)
        run.check()


def fails(run: JobRun) -> None:
    run.report(Progress("begin"))
    if run.request.get("how") == "fault":
        raise ZeroDivisionError("a fault of ours")
    raise {"name": ModelNotFound, "bad": InvalidRequest}[run.request["how"]]("what a person should know")


def floods(run: JobRun) -> None:
    """Tell a thousand counts as fast as possible for a second, and lines between them."""
    end = time.monotonic() + 1
    number = 0
    while time.monotonic() < end:
        number += 1
        run.report(Progress("flood", DIGEST, 10**9, number))
        if number % 1000 == 0 and number <= 20_000:
            run.report(Progress(f"line {number // 1000}"))
    (Path(run.request["folder"]) / "lines").write_text(str(min(number // 1000, 20)))


def kills(run: JobRun) -> None:
    """Work that takes its worker down before it gets anywhere."""
    (Path(run.request["folder"]) / "starts").open("a").write(f"{os.getpid()}\n")
    os.kill(os.getpid(), signal.SIGKILL)


KINDS["steps"] = Kind(steps, at_once=2, max_queued=3, is_shared=True)
KINDS["fails"] = Kind(fails, at_once=2, max_queued=3)
KINDS["floods"] = Kind(floods, at_once=2, max_queued=3)
KINDS["kills"] = Kind(kills, at_once=2, max_queued=3)
