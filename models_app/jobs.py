"""Jobs for those who ask: start, watch, cancel, resume, discard. The work is done by the job worker, in another process.

A job's row is the truth and there from the moment its id is returned; a message to the worker follows the commit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import F

from llmsite.types.chunk import Progress
from llmsite.types.errors import Busy, Conflict, EngineError, InvalidRequest, NotFound, from_wire
from llmsite.types.name import ModelName, strip_source
from models_app import job_rows, owners, tasks, watchers, watching
from models_app.frames import news_since
from models_app.job_rows import frames_of
from models_app.kinds import KINDS
from models_app.models import OPEN_STATES, Job, JobState
from models_app.watching import JobView


def start(
    kind: str, name: str, request: dict[str, Any], *, user_id: int | None = None, leaves_with_watchers: bool = False
) -> int:
    """Write a job and wake a worker once it is committed; returns its id, which may be that of a shared job that runs already.

    With `leaves_with_watchers` the job is cancelled when the last one who watches it leaves, so the caller has to `watch` it;
    a job that somebody started without is never cancelled that way. Raises `Busy` when too many wait.
    """
    job_id = _start(kind, name, request, user_id, leaves_with_watchers)
    if leaves_with_watchers:
        watchers.expect(job_id)
    return job_id


async def astart(
    kind: str, name: str, request: dict[str, Any], *, user_id: int | None = None, leaves_with_watchers: bool = False
) -> int:
    """`start` for coroutines. Who is cancelled meanwhile leaves the job, as one who watches it does."""
    starting = asyncio.ensure_future(sync_to_async(_start)(kind, name, request, user_id, leaves_with_watchers))
    try:
        job_id = await asyncio.shield(starting)
    except asyncio.CancelledError:
        if leaves_with_watchers:
            await _leave(starting)
        raise
    if leaves_with_watchers:
        watchers.expect(job_id)
    return job_id


def _start(kind: str, name: str, request: dict[str, Any], user_id: int | None, leaves_with_watchers: bool) -> int:
    with transaction.atomic():
        job = _shared(kind, name, request) or _new(kind, name, request, user_id, leaves_with_watchers)
        job.leaves_with_watchers = job.leaves_with_watchers and leaves_with_watchers
        if leaves_with_watchers:
            job.watchers = [*job.watchers, owners.this_process()]
        job.save()
        transaction.on_commit(lambda: _after_start(job.pk))
    return job.pk


def _shared(kind: str, name: str, request: dict[str, Any]) -> Job | None:
    """The job that does this already."""
    if not KINDS[kind].is_shared:
        return None
    same = Job.objects.select_for_update().filter(kind=kind, name__iexact=name, state__in=OPEN_STATES, is_cancel_requested=False)
    return next((each for each in same if each.request == request), None)


def _new(kind: str, name: str, request: dict[str, Any], user_id: int | None, leaves_with_watchers: bool) -> Job:
    most = KINDS[kind].max_queued
    if Job.objects.filter(kind=kind, state__in=OPEN_STATES).count() >= most + KINDS[kind].at_once:
        raise Busy(f"server busy: {most} jobs of this kind are waiting already; please try again later")
    return Job(kind=kind, name=name, request=request, user_id=user_id, leaves_with_watchers=leaves_with_watchers)


def _after_start(job_id: int) -> None:
    watching.look_now()
    tasks.wake(job_id)


def cancel(job_id: int) -> None:
    """Ask a job to end; a waiting one ends at once, a finished one stays as it is. Raises `NotFound`."""
    with transaction.atomic():
        job_rows.cancel(_locked(job_id))
    watching.look_now()


def end_for_removal(name: ModelName) -> None:
    """Ask the jobs that make, send or start from a model to end, for it is being removed (fault F20).

    Whoever removes it calls this first: a job that has not written its model by then writes none.
    """
    with transaction.atomic():
        for job in Job.objects.select_for_update().filter(state__in=OPEN_STATES):
            if any(_means(text, name) for text in (job.name, job.request.get("source"))):
                job_rows.cancel(job, Conflict("conflict: model is being removed"))
    watching.look_now()


def _means(text: str | None, name: ModelName) -> bool:
    """Whether a text that somebody sent is that name."""
    try:
        return text is not None and ModelName.parse_loosely(strip_source(text)).folded == name.folded
    except InvalidRequest:  # it names nothing
        return False


def resume(job_id: int) -> None:
    """Let a job that failed or was cancelled go on where it stopped. Raises `NotFound`, `Conflict`, `Busy`."""
    with transaction.atomic():
        job = _locked(job_id)
        if job.state not in (JobState.FAILED, JobState.CANCELED):
            raise Conflict("this job did not stop")
        if _shared(job.kind, job.name, job.request):
            raise Conflict(f"another {job.kind} of {job.name} is at it already")
        _new(job.kind, job.name, job.request, None, leaves_with_watchers=False)
        again = {"state": JobState.QUEUED, "error": "", "error_class": "", "finished_at": None, "num_starts": 0}
        keeps = {"is_cancel_requested": False, "leaves_with_watchers": False, "watchers": []}
        Job.objects.filter(pk=job_id).update(seq=F("seq") + 1, **again, **keeps)
        transaction.on_commit(lambda: _after_start(job_id))


def discard(job_id: int) -> None:
    """Forget a job that ended, and remove what it left behind half done. Blocks.

    The row outlives what it left: if that cannot be removed, one may try again. Raises `NotFound`, `Conflict`, `StorageFailed`,
    `LoadFailed`.
    """
    with transaction.atomic():
        job = _locked(job_id)
        if job.is_open:
            raise Conflict("this job has not ended; cancel it first")
        remove = KINDS[job.kind].discard if job.kind in KINDS else None
        if remove and job.state != JobState.DONE and not _shared(job.kind, job.name, job.request):
            remove(frames_of(job))
        job.delete()
    watching.look_now()


def _locked(job_id: int) -> Job:
    job = Job.objects.select_for_update().filter(pk=job_id).first()
    if job is None:
        raise NotFound("there is no such job")
    return job


# watching


def watch(job_id: int) -> AsyncGenerator[Progress, None]:
    """Every status frame from the first on and byte counts as they change, until the job is done; then its error is raised.

    Who started the job to watch it calls this at once. Closing it says that this watcher left. Raises `NotFound`, and
    `EngineError` when this server stops: the job does not.
    """
    return _watch(job_id, is_entered=watchers.take_expected(job_id))


async def _watch(job_id: int, *, is_entered: bool) -> AsyncGenerator[Progress, None]:
    inbox = _Inbox()
    told: tuple[Progress, ...] = ()
    entering = asyncio.ensure_future(_same(job_id) if is_entered else sync_to_async(watchers.enter)(job_id))
    _inboxes.add(inbox)
    try:
        await asyncio.shield(entering)
        with watching.watch_job(job_id, inbox.put):
            while True:
                view = await inbox.get()
                for progress in news_since(told, view.frames):
                    yield progress
                told = view.frames
                if not view.is_open:
                    break
        if view.error_class:
            raise from_wire(view.error_class, view.error)
    finally:
        _inboxes.discard(inbox)
        await _leave(entering)


async def _same(job_id: int) -> int:
    return job_id


async def _leave(entering: asyncio.Future[int]) -> None:
    """Take a watcher out of the row who may not stand there yet; one who could not enter does not leave."""
    await asyncio.wait([entering])
    if entering.exception() is None and not _closing.is_set():
        await sync_to_async(watchers.leave)(entering.result())


_closing = threading.Event()
_inboxes: set[_Inbox] = set()


def close_watches() -> None:
    """The server stops: whoever watches is told so, and no job is cancelled for it. To be called on the event loop."""
    _closing.set()
    for each in list(_inboxes):
        each.wake()


class _Inbox:
    """The newest state of a job, handed from the watching thread to a coroutine; older ones are dropped."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._view: JobView | None = None

    def put(self, view: JobView | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, view)

    def _put(self, view: JobView | None) -> None:
        self._view = view
        self._event.set()

    def wake(self) -> None:
        self._event.set()

    async def get(self) -> JobView:
        await self._event.wait()
        self._event.clear()
        if _closing.is_set():
            raise EngineError("the server is stopping; this goes on by itself when it is back")
        if self._view is None:
            raise NotFound("the job was removed")
        return self._view
