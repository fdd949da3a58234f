"""Who watches jobs in this process, and the one thread that looks for them: rows are the truth, anything else is a hint to look.

SQLite has no other way across processes than `PRAGMA data_version`, which costs microseconds and changes when somebody else
wrote.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection

from llmsite.types.chunk import Progress
from models_app.job_rows import frames_of
from models_app.models import OPEN_STATES, Job, JobState

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.05
_IDLE_SECONDS: Final = 0.5
"""While no job is open there is nothing to be quick for: jobs that start in this process call `look_now`."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job's row as it was at one moment. `name` is as it was asked for; `fence` counts claims."""

    id: int
    kind: str
    name: str
    request: dict[str, Any]
    state: JobState
    seq: int
    fence: int
    frames: tuple[Progress, ...]
    error_class: str
    error: str
    is_cancel_requested: bool
    finished_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


Callback = Callable[[JobView | None], None]
"""Called in the watching thread with each new state of a job; None when the row is gone."""
Changes = dict[int, JobView | None]
"""The same of several jobs."""


@contextmanager
def watch_job(job_id: int, callback: Callback) -> Iterator[None]:
    """Tell `callback` how the job stands, now and after every change, while this context is open."""
    with _subscribed(_Subscription(job_id, lambda changes: callback(changes[job_id]))):
        yield


@contextmanager
def watch_all(callback: Callable[[Changes], None]) -> Iterator[None]:
    """The same for all jobs there are and will be; first with all of them, then with those that changed."""
    with _subscribed(_Subscription(None, callback)):
        yield


def look_now() -> None:
    """This process changed a row: its watchers hear of it without waiting."""
    _poke.set()


def view_of(job: Job) -> JobView:
    return JobView(
        id=job.pk,
        kind=job.kind,
        name=job.name,
        request=job.request,
        state=JobState(job.state),
        seq=job.seq,
        fence=job.fence,
        frames=frames_of(job),
        error_class=job.error_class,
        error=job.error,
        is_cancel_requested=job.is_cancel_requested,
        finished_at=job.finished_at,
    )


@dataclass(eq=False, slots=True)
class _Subscription:
    """What one watcher wants (`job_id` None: everything) and what it has been told: id to `seq`."""

    job_id: int | None
    callback: Callable[[Changes], None]
    told: dict[int, int] = field(default_factory=dict)

    def lacks(self, seqs: dict[int, int]) -> list[int]:
        """Jobs that changed or went since the last time."""
        wanted = seqs if self.job_id is None else {self.job_id: seqs[self.job_id]} if self.job_id in seqs else {}
        gone = [job_id for job_id in self.told if job_id not in wanted]
        return [job_id for job_id, seq in wanted.items() if self.told.get(job_id) != seq] + gone


class _DataVersion:
    """Says when a look is worth it: another connection committed since the last question. Used by the watching thread only."""

    def __init__(self) -> None:
        self._version = -1

    def has_changed(self) -> bool:
        with connection.cursor() as cursor:
            (version,) = cursor.execute("PRAGMA data_version").fetchone()
        changed = bool(version != self._version)
        self._version = version
        return changed


_subscriptions: set[_Subscription] = set()
_lock = threading.Lock()
_poke = threading.Event()
_thread: threading.Thread | None = None


@contextmanager
def _subscribed(subscription: _Subscription) -> Iterator[None]:
    global _thread
    with _lock:
        _subscriptions.add(subscription)
        if _thread is None:
            _thread = threading.Thread(target=_watch, name="job-watcher", daemon=True)
            _thread.start()
    _poke.set()
    try:
        yield
    finally:
        with _lock:
            _subscriptions.discard(subscription)
        _poke.set()


def _watch() -> None:
    """The watching thread: lives while somebody watches."""
    version = _DataVersion()
    is_busy = True
    try:
        while not _is_last():
            was_poked = _poke.wait(_LOOK_SECONDS if is_busy else _IDLE_SECONDS)
            _poke.clear()
            try:
                if version.has_changed() or was_poked:
                    is_busy = _look()
            except Exception:
                logger.exception("jobs could not be looked at; trying again")
                time.sleep(_IDLE_SECONDS)
                _poke.set()  # what has changed was asked for already, and may be the last change for long
    finally:
        connection.close()


def _is_last() -> bool:
    """Whether nobody watches any more; then the next one starts a new thread."""
    global _thread
    with _lock:
        if not _subscriptions:
            _thread = None
        return not _subscriptions


def _look() -> bool:
    """Tell everybody what changed. True when a watched job is open, so that more is to come."""
    with _lock:
        subscriptions = list(_subscriptions)
    rows = Job.objects.all()
    if all(each.job_id is not None for each in subscriptions):
        rows = rows.filter(pk__in={each.job_id for each in subscriptions})
    found = list(rows.values_list("pk", "seq", "state"))
    seqs = {job_id: seq for job_id, seq, _state in found}
    lacking = {each: each.lacks(seqs) for each in subscriptions}
    changed = {job_id for ids in lacking.values() for job_id in ids if job_id in seqs}
    views = {job.pk: view_of(job) for job in Job.objects.filter(pk__in=changed)}
    for subscription, ids in lacking.items():
        if ids:
            _tell(subscription, {job_id: views.get(job_id) for job_id in ids})
    return any(state in OPEN_STATES for _id, _seq, state in found)


def _tell(subscription: _Subscription, changes: Changes) -> None:
    for job_id, view in changes.items():
        if view is None:
            subscription.told.pop(job_id, None)
        else:
            subscription.told[job_id] = view.seq
    subscription.callback(changes)
