"""Each step of a job's row: who may write, who is lost, and how many finished ones are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from llmsite import backend
from llmsite.registry.partial import PartialBlob, partial_path
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Progress
from llmsite.types.errors import Busy, Conflict, InvalidRequest, LoadFailed, StorageFull
from models_app import job_rows, jobs, owners, transfers
from models_app.models import Job, JobState

pytestmark = pytest.mark.django_db
ONE = {"pull": 1}
DONE = (Progress("success"),)


def make(**more: Any) -> Job:
    return Job.objects.create(**({"kind": "pull", "name": "h/n/m:t"} | more))


def running(**more: Any) -> Job:
    lease = timezone.now() + timedelta(seconds=more.pop("lease", 60))
    return make(**({"state": JobState.RUNNING, "owner": owners.this_process(), "fence": 1, "lease_until": lease} | more))


def claim(job: Job) -> job_rows.Claim:
    found = job_rows.claim(job.pk, ONE)
    assert found is not None
    return found


def test_a_job_is_claimed_once_and_only_its_holder_writes() -> None:
    job = make()
    held = claim(job)
    assert job_rows.claim(job.pk, ONE) is None
    for other in (replace(held, fence=held.fence - 1), replace(held, owner="elsewhere|1|0")):
        assert not job_rows.save(other, DONE, has_progressed=True)
        assert not job_rows.beat(other)
        assert not job_rows.give_back(other, DONE)
        assert not job_rows.finish(other, DONE, None)
    assert job_rows.finish(held, DONE, InvalidRequest("why"))
    job.refresh_from_db()
    assert (job.state, job.error_class, job.error, job.owner) == ("failed", "InvalidRequest", "why", "")
    assert not job_rows.save(held, DONE, has_progressed=True), "it has ended"


def test_seats_and_names_are_taken() -> None:
    first, second, same = make(), make(name="h/n/other:t"), make(name="H/N/M:T")
    claim(first)
    assert job_rows.claim(second.pk, ONE) is None
    assert job_rows.claim(same.pk, {"pull": 5}) is None, "the same name is at work"
    assert job_rows.claim(second.pk, {"pull": 5}) is not None
    assert job_rows.startable({"pull": 3}) == [], "and who is woken for it wakes in vain"
    twice, again = make(name="h/n/twice:t"), make(name="h/n/TWICE:t")
    assert job_rows.startable({"pull": 5}) == [twice.pk]
    assert job_rows.startable({}) == []
    assert job_rows.claim(twice.pk, {"pull": 5}) is not None
    assert again.pk not in job_rows.startable({"pull": 5})


def test_starts_count_until_something_new_is_told_and_giving_back_is_none() -> None:
    job = make()
    held = claim(job)
    job_rows.give_back(held, ())
    job.refresh_from_db()
    assert (job.state, job.num_starts) == ("queued", 0)
    held = claim(job)
    job_rows.save(held, DONE, has_progressed=False)
    job.refresh_from_db()
    assert job.num_starts == 1
    job_rows.save(held, DONE, has_progressed=True)
    job.refresh_from_db()
    assert job.num_starts == 0


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "running"),
        ({"lease": -1}, "queued"),
        ({"owner": "elsewhere|1|0"}, "running"),
        ({"owner": "elsewhere|1|0", "lease": -1}, "queued"),
        ({"owner": owners.this_process() + "0"}, "queued"),
        ({"lease": -1, "is_cancel_requested": True}, "canceled"),
        ({"lease": -1, "num_starts": 2}, "queued"),
        ({"lease": -1, "num_starts": 3}, "failed"),
    ],
)
def test_a_job_without_a_living_owner_waits_again(more: dict[str, Any], state: str) -> None:
    job = running(**more)
    job_rows.recover()
    job.refresh_from_db()
    assert job.state == state
    assert ("given up" in job.error) == (state == "failed")


def test_finished_jobs_are_kept_up_to_a_number(settings: Any) -> None:
    settings.LLMSITE_LIMITS = replace(settings.LLMSITE_LIMITS, jobs_kept=2)
    old = [make(state="done", finished_at=timezone.now() - timedelta(hours=hours)) for hours in (3, 2, 1)]
    waiting = make(name="h/n/waiting:t")
    job_rows.finish(claim(make(name="h/n/new:t")), DONE, None)
    left = list(Job.objects.order_by("pk").values_list("pk", flat=True))
    assert left == [old[2].pk, waiting.pk, waiting.pk + 1]


def test_a_job_that_is_being_cancelled_is_not_joined() -> None:
    first = jobs.start("pull", "h/n/m:t", {})
    assert jobs.start("pull", "H/n/m:t", {}) == first
    assert jobs.start("pull", "h/n/m:t", {"insecure": True}) != first, "asked in another way"
    Job.objects.filter(pk=first).update(state="running")
    jobs.cancel(first)
    assert jobs.start("pull", "h/n/m:t", {}) != first


def test_what_runs_is_not_resumed_and_what_waits_is_bounded(settings: Any) -> None:
    stopped = make(state="canceled")
    jobs.resume(stopped.pk)
    with pytest.raises(Conflict, match="did not stop"):
        jobs.resume(stopped.pk)
    with pytest.raises(Conflict, match="at it already"):
        jobs.resume(make(state="failed").pk)
    for number in range(21):
        make(name=f"h/n/{number}:t")
    with pytest.raises(Busy, match="20 jobs"):
        jobs.start("pull", "h/n/more:t", {})


def test_discarding_a_pull_removes_what_is_half_there(store: ModelStore, home: Path) -> None:
    digest = "sha256:" + "a" * 64
    partial = PartialBlob.take(store.blobs, digest, 1000)
    assert partial is not None
    with partial:
        partial.write(partial.parts[0], b"x" * 400)
    frames = [{"status": "pulling", "digest": digest, "total": 1000, "completed": 400}]
    job = make(state="canceled", frames=frames)
    assert list(store.blobs.folder.iterdir())
    jobs.discard(job.pk)
    assert not list(store.blobs.folder.iterdir())
    assert not Job.objects.exists()
    transfers.discard([Progress("pulling", digest, 1000, 400)])
    assert not list(backend.get_store().blobs.folder.iterdir()), "and again"


LARGE = 1 << 50
"""No disk has room for such a blob."""


def test_F10_a_download_is_discarded_on_a_full_disk_and_what_found_no_room_can_be_tried_again(
    store: ModelStore, home: Path
) -> None:
    digest = "sha256:" + "b" * 64
    for _ in range(2):
        with pytest.raises(StorageFull):
            PartialBlob.take(store.blobs, digest, LARGE)
    job = make(state="failed", frames=[{"status": "pulling", "digest": digest, "total": LARGE, "completed": 0}])
    assert list(store.blobs.folder.iterdir())
    jobs.discard(job.pk)
    assert not list(store.blobs.folder.iterdir())
    assert not Job.objects.exists()


def test_a_job_outlives_what_cannot_be_removed_and_leaves_what_is_at_work_alone(store: ModelStore, home: Path) -> None:
    digest = "sha256:" + "c" * 64
    frames = [{"status": "pulling", "digest": digest, "total": 1000, "completed": 400}]
    job = make(state="canceled", frames=frames)
    path = partial_path(store.blobs, digest)
    path.mkdir(parents=True)
    with pytest.raises(LoadFailed, match="something else than a file"):
        jobs.discard(job.pk)
    assert Job.objects.filter(pk=job.pk).exists()
    path.rmdir()
    partial = PartialBlob.take(store.blobs, digest, 1000)
    assert partial is not None
    with partial:
        jobs.discard(job.pk)
        assert path.exists(), "another download has it"
    assert not Job.objects.exists()
