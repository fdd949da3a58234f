"""What kinds of jobs there are: one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models_app.job_run import JobRun


@dataclass(frozen=True, slots=True)
class Kind:
    """How a job of this kind is done and how many there may be. `run` blocks; it is called in a thread of the worker.

    `is_shared`: who asks for the same thing again gets the job that runs already. `discard` removes what a job that did not
    finish left behind, given its name and request.
    """

    run: Callable[[JobRun], None]
    at_once: int
    max_queued: int
    is_shared: bool = False
    changes_store: bool = False
    discard: Callable[[str, dict[str, Any]], None] | None = None


KINDS: dict[str, Kind] = {}


def at_once() -> dict[str, int]:
    """How many of each kind may run at the same time."""
    return {name: kind.at_once for name, kind in KINDS.items()}
