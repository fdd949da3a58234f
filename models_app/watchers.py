"""Who waits for the end of a job that leaves with its watchers: entries in its row, one for each, by process.

`jobs.start` enters the first one together with the row, so that the job cannot end before it is watched. This process remembers
how many of them have not begun to watch yet.
"""

from __future__ import annotations

import threading
from collections import Counter

from django.db import transaction

from llmsite.types.errors import NotFound
from models_app import job_rows, owners, watching
from models_app.models import Job

_expected: Counter[int] = Counter()
_lock = threading.Lock()


def expect(job_id: int) -> None:
    """Somebody stands in the row, and is about to watch."""
    with _lock:
        _expected[job_id] += 1


def take_expected(job_id: int) -> bool:
    """Whether somebody was expected; it is whoever asks, and no longer expected."""
    with _lock:
        if not _expected[job_id]:
            del _expected[job_id]
            return False
        _expected[job_id] -= 1
        if not _expected[job_id]:
            del _expected[job_id]
        return True


def enter(job_id: int) -> int:
    """Write one more watcher into the row; returns the job. Blocks. Raises `NotFound`."""
    with transaction.atomic():
        job = Job.objects.select_for_update().filter(pk=job_id).first()
        if job is None:
            raise NotFound("there is no such job")
        if job.leaves_with_watchers and job.is_open:
            Job.objects.filter(pk=job_id).update(watchers=[*job.watchers, owners.this_process()])
    return job_id


def leave(job_id: int) -> None:
    """Take one watcher out of the row, and those whose process died; the last one may take the job along. Blocks."""
    with transaction.atomic():
        job = Job.objects.select_for_update().filter(pk=job_id).first()
        if job is None or not job.leaves_with_watchers or not job.is_open:
            return
        if owners.this_process() in job.watchers:
            job.watchers.remove(owners.this_process())
        job.watchers = [each for each in job.watchers if not owners.is_dead(each)]
        Job.objects.filter(pk=job_id).update(watchers=job.watchers)
        if not job.watchers:
            job_rows.cancel(job)
    watching.look_now()
