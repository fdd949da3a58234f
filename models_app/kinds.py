"""What kinds of jobs there are: one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.conf import settings

from llmsite.types.chunk import Progress
from models_app import creation, transfers
from models_app.job_run import JobRun

_LIMITS = settings.LLMSITE_LIMITS


@dataclass(frozen=True, slots=True)
class Kind:
    """How a job of this kind is done and how many there may be. `run` blocks; it is called in a thread of the worker.

    `is_shared`: who asks for the same thing again gets the job that runs already. `discard` removes what a job that did not
    finish left behind, as its frames tell.
    """

    run: Callable[[JobRun], None]
    at_once: int
    max_queued: int
    is_shared: bool = False
    changes_store: bool = False
    discard: Callable[[Iterable[Progress]], None] | None = None


KINDS: dict[str, Kind] = {
    "pull": Kind(
        transfers.run_pull,
        at_once=_LIMITS.pulls,
        max_queued=_LIMITS.pulls_queued,
        is_shared=True,
        changes_store=True,
        discard=transfers.discard,
    ),
    "push": Kind(transfers.run_push, at_once=_LIMITS.pulls, max_queued=_LIMITS.pulls_queued),
    "create": Kind(creation.run, at_once=_LIMITS.creates, max_queued=_LIMITS.creates_queued, changes_store=True),
}


def at_once() -> dict[str, int]:
    """How many of each kind may run at the same time."""
    return {name: kind.at_once for name, kind in KINDS.items()}
