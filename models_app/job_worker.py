"""The worker's side of jobs: runs them, and one thread that writes what they tell, keeps their leases and sweeps.

The sweep finds what a lost message or a dead worker left behind; with it no message has to arrive.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection

from llmsite.types.errors import EngineError, LlmsiteError
from models_app import job_rows, watching
from models_app.job_run import JobRun, JobStopped
from models_app.kinds import KINDS, at_once
from models_app.models import Job, JobState

logger = logging.getLogger(__name__)

_COUNT_SECONDS: Final = 0.25
"""Byte counts are written at most so often."""

Wake = Callable[[int], None]


class JobWorker:
    """All jobs that run in this process.

    `wake` sends a message that brings a job id to some worker's `run`. `refresh` is called when a job has changed the store.
    """

    def __init__(self, wake: Wake, refresh: Callable[[], None]) -> None:
        self._wake_job = wake
        self._refresh = refresh
        self._runs: dict[int, JobRun] = {}
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to sweep, at once and then every few seconds."""
        self._thread = threading.Thread(target=self._keep, name="job-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The worker leaves: every job ends at its next check and waits for another worker. Safe in a signal handler."""
        self._stopping.set()
        for run in list(self._runs.values()):
            run.stop()
        self._news.set()

    def run(self, job_id: int) -> None:
        """Run a job if it is to be had, to its end. Blocks. Whatever it raises becomes the job's error."""
        if self._stopping.is_set():
            return
        claim = job_rows.claim(job_id, at_once())
        if claim is None:
            return
        run = JobRun(claim, self._news.set, look)
        with self._lock:
            self._runs[job_id] = run
        if self._stopping.is_set():
            run.stop()
        try:
            with watching.watch_job(job_id, lambda view: _obey(run, view)):
                self._work(run)
        finally:
            with self._lock:
                del self._runs[job_id]
        for waiting in job_rows.startable(at_once()):
            self._wake_job(waiting)

    def _work(self, run: JobRun) -> None:
        error: LlmsiteError | None = None
        kind = KINDS[run.claim.kind]
        try:
            run.check()
            kind.run(run)
            if kind.changes_store:
                self._tell_catalogue()
        except JobStopped:
            job_rows.give_back(run.claim, run.log.snapshot())
            return
        except Exception as failure:  # noqa: BLE001 - the outermost turn of a job: logged, and whoever watches is told
            error = _error_of(run, failure)
        job_rows.finish(run.claim, run.log.snapshot(), error)

    def _tell_catalogue(self) -> None:
        """A job that has done its work stays done: who lists models next looks at the disk again."""
        try:
            self._refresh()
        except Exception:
            logger.exception("the catalogue could not be made current after a job")

    # the one thread beside the jobs

    def _keep(self) -> None:
        limits = settings.LLMSITE_LIMITS
        next_sweep = next_beat = next_count = 0.0
        while not self._stopping.is_set() or self._runs:
            now = time.monotonic()
            try:
                if now >= next_sweep and not self._stopping.is_set():
                    next_sweep = now + limits.job_sweep_seconds
                    self._sweep()
                if now >= next_beat:
                    next_beat = now + limits.job_beat_seconds
                    self._beat()
                next_count = self._write(now, next_count)
            except Exception:
                logger.exception("jobs could not be looked after; trying again")
            self._news.wait(_COUNT_SECONDS if self._runs else max(0.0, next_sweep - time.monotonic()))
            self._news.clear()
        connection.close()

    def _sweep(self) -> None:
        job_rows.recover()
        for job_id in job_rows.startable(at_once()):
            self._wake_job(job_id)

    def _beat(self) -> None:
        for run in self._running():
            if not job_rows.beat(run.claim):
                run.stop()

    def _write(self, now: float, next_count: float) -> float:
        """Write lines at once and counts when their time has come; returns when that is next."""
        is_time = now >= next_count
        for run in self._running():
            if run.has_lines or (is_time and run.has_counts):
                run.has_lines = run.has_counts = False
                try:
                    is_mine = job_rows.save(run.claim, run.log.snapshot(), has_progressed=run.log.has_progressed)
                except DatabaseError:
                    run.has_lines = True  # still to be written
                    raise
                if not is_mine:
                    run.stop()
                run.log.has_progressed = False
        return now + _COUNT_SECONDS if is_time else next_count

    def _running(self) -> list[JobRun]:
        with self._lock:
            return list(self._runs.values())


def look(run: JobRun) -> None:
    """Look at the row of a running job now; the watching thread does it a moment later."""
    job = Job.objects.filter(pk=run.claim.job_id).first()
    _obey(run, watching.view_of(job) if job else None)


def _obey(run: JobRun, view: watching.JobView | None) -> None:
    """What others wrote into the row of a running job."""
    if view is None or view.fence != run.claim.fence or view.state is not JobState.RUNNING:
        run.stop()
    elif view.is_cancel_requested:
        run.cancel(job_rows.reason_of(view.kind, view.error_class, view.error))


def _error_of(run: JobRun, failure: Exception) -> LlmsiteError:
    """What a job ends with: why somebody ended it, before what failed because of that."""
    run.look()
    if run.reason is not None:
        return run.reason
    return failure if isinstance(failure, LlmsiteError) else _internal_error(failure)


def _internal_error(failure: Exception) -> EngineError:
    """A sentence that leads to the line in the log; nothing else of it reaches anybody."""
    number = secrets.token_hex(4)
    logger.error("internal error %s in a job", number, exc_info=failure)
    return EngineError(f"internal error (id {number})")
