"""What may happen to a job's row, each step one transaction: claim, save, beat, finish, give back, find what has no living owner.

Only the holder of a claim writes about a running job; who lost it (a lease ran out, another worker took over) hears `False`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from llmsite.types.chunk import Progress
from llmsite.types.codec import from_builtins, to_builtins
from llmsite.types.errors import Canceled, EngineError, LlmsiteError, from_wire, to_wire
from models_app import owners
from models_app.models import OPEN_STATES, Job, JobState


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a job, and what it is about. `fence` tells it from earlier and later claims."""

    job_id: int
    owner: str
    fence: int
    kind: str
    name: str
    request: Mapping[str, Any]
    frames: tuple[Progress, ...]


def frames_of(job: Job) -> tuple[Progress, ...]:
    return tuple(from_builtins(each, Progress) for each in job.frames)


def claim(job_id: int, at_once: Mapping[str, int]) -> Claim | None:
    """Take a waiting job, unless as many of its kind run as may, or one of the same name does. None when it is not to be had."""
    with transaction.atomic():
        job = Job.objects.select_for_update().filter(pk=job_id, state=JobState.QUEUED).first()
        if job is None or job.kind not in at_once:
            return None
        running = list(Job.objects.select_for_update().filter(kind=job.kind, state=JobState.RUNNING))
        if len(running) >= at_once[job.kind] or any(each.name.casefold() == job.name.casefold() for each in running):
            return None
        job.state, job.owner = JobState.RUNNING, owners.this_process()
        job.fence += 1
        job.num_starts += 1
        job.seq += 1
        job.lease_until = _lease()
        job.save()
    return Claim(job.pk, job.owner, job.fence, job.kind, job.name, job.request, frames_of(job))


def save(held: Claim, frames: Iterable[Progress], *, has_progressed: bool) -> bool:
    """Write what the job told. Progress makes earlier starts forgotten."""
    more = {"num_starts": 0} if has_progressed else {}
    return _update(held, frames=to_builtins(tuple(frames)), lease_until=_lease(), **more)


def finish(held: Claim, frames: Iterable[Progress], error: LlmsiteError | None) -> bool:
    """The end of a job; nothing about it changes afterwards unless somebody resumes it."""
    ended = _update(held, frames=to_builtins(tuple(frames)), **end_of(error))
    if ended:
        prune()
    return ended


def give_back(held: Claim, frames: Iterable[Progress]) -> bool:
    """The worker leaves: the job waits for the next one, and this start counts for nothing."""
    return _update(
        held,
        frames=to_builtins(tuple(frames)),
        state=JobState.QUEUED,
        owner="",
        lease_until=None,
        num_starts=Greatest(F("num_starts"), 1) - 1,
    )


def _update(held: Claim, **changes: Any) -> bool:
    mine = Job.objects.filter(pk=held.job_id, state=JobState.RUNNING, owner=held.owner, fence=held.fence)
    return mine.update(seq=F("seq") + 1, **changes) == 1


def beat(held: Claim) -> bool:
    """Keep the lease of a job that has nothing to tell."""
    mine = Job.objects.filter(pk=held.job_id, state=JobState.RUNNING, owner=held.owner, fence=held.fence)
    return mine.update(lease_until=_lease()) == 1


def recover() -> None:
    """Let jobs whose owner died wait again. One that was started too often without progress fails, with the reason."""
    lost = [job for job in Job.objects.filter(state=JobState.RUNNING) if _is_lost(job)]
    for job in lost:
        same = Job.objects.filter(pk=job.pk, state=JobState.RUNNING, fence=job.fence, owner=job.owner)
        same.update(seq=F("seq") + 1, **_after_loss(job))


def _is_lost(job: Job) -> bool:
    return owners.is_dead(job.owner) or job.lease_until is None or job.lease_until < timezone.now()


def _after_loss(job: Job) -> dict[str, Any]:
    if job.is_cancel_requested:
        return end_of(_reason(job))
    if job.num_starts >= settings.LLMSITE_LIMITS.job_starts:
        text = f"the {job.kind} of {job.name} was given up: its worker ended {job.num_starts} times before it got any further"
        return end_of(EngineError(text))
    return {"state": JobState.QUEUED, "owner": "", "lease_until": None}


def startable(at_once: Mapping[str, int]) -> list[int]:
    """Waiting jobs that `claim` would give now, if each of them were taken: oldest first."""
    running = [(kind, name.casefold()) for kind, name in _of_state(JobState.RUNNING).values_list("kind", "name")]
    num_running, names = Counter(kind for kind, _ in running), set(running)
    found: list[int] = []
    for job_id, kind, name in _of_state(JobState.QUEUED).values_list("pk", "kind", "name"):
        if num_running[kind] < at_once.get(kind, 0) and (kind, name.casefold()) not in names:
            num_running[kind] += 1
            names.add((kind, name.casefold()))
            found.append(job_id)
    return found


def _of_state(state: JobState) -> QuerySet[Job]:
    return Job.objects.filter(state=state).order_by("pk")


def needed_digests() -> set[str]:
    """Blobs that no model names yet and that jobs go on with: those that wait or run, and pulls that stopped."""
    is_stopped_pull = Q(kind="pull", state__in=(JobState.FAILED, JobState.CANCELED))
    jobs = Job.objects.filter(Q(state__in=OPEN_STATES) | is_stopped_pull)
    found: set[str] = set()
    for request, frames in jobs.values_list("request", "frames"):
        found.update(each["digest"] for each in frames if each.get("digest"))
        found.update(digest for key in _FILES for digest in (request.get(key) or {}).values())
    return found


_FILES: Final = ("files", "adapters", "draft_files")


def prune() -> None:
    """Forget the oldest finished jobs beyond `jobs_kept`."""
    finished = Job.objects.exclude(state__in=(JobState.QUEUED, JobState.RUNNING)).order_by("-finished_at", "-pk")
    oldest = list(finished.values_list("pk", flat=True)[settings.LLMSITE_LIMITS.jobs_kept :])
    Job.objects.filter(pk__in=oldest).delete()


def cancel(job: Job, reason: LlmsiteError | None = None) -> None:
    """Ask the job of a locked row to end; a waiting one ends at once, a finished one stays as it is.

    With a `reason` that is the error it ends with. It stands in the row from now on.
    """
    if not job.is_open:
        return
    job.is_cancel_requested = True
    job.seq += 1
    if reason is not None:
        job.error_class, job.error = to_wire(reason)
    if job.state == JobState.QUEUED:
        for name, value in end_of(_reason(job)).items():
            setattr(job, name, value)
    job.save()


def _reason(job: Job) -> LlmsiteError:
    return reason_of(job.kind, job.error_class, job.error)


def reason_of(kind: str, error_class: str, error: str) -> LlmsiteError:
    """What an open job that was asked to end ends with, as its row says."""
    return from_wire(error_class, error) if error_class else canceled(kind)


def canceled(kind: str) -> Canceled:
    return Canceled(f"the {kind} was cancelled")


def end_of(error: LlmsiteError | None) -> dict[str, Any]:
    """The fields of a row whose job ended with this."""
    name, text = to_wire(error) if error else ("", "")
    state = JobState.CANCELED if isinstance(error, Canceled) else JobState.FAILED if error else JobState.DONE
    return {"state": state, "error_class": name, "error": text, "finished_at": timezone.now(), "owner": "", "lease_until": None}


def _lease() -> Any:
    return timezone.now() + timedelta(seconds=settings.LLMSITE_LIMITS.job_lease_seconds)
