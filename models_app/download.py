"""What a page shows of one transfer: phase, bytes, speed, what may be done. Made from a job's row and a memory of speeds."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from llmsite.types.chunk import Progress
from llmsite.types.name import ModelName
from models_app.failures import Failure, explain_wire
from models_app.models import JobState
from models_app.watching import JobView

KINDS: Final = ("pull", "push")
_WINDOW_SECONDS: Final = 8.0
_DOCK_SECONDS: Final = 3600.0
"""So long a transfer that stopped stays in the dock; the page keeps it until it is discarded."""
_DONE_SECONDS: Final = 60.0
_BLOB: Final = re.compile(r"(?:pulling|pushing) [0-9a-f]{12}")
_MARKS: Final = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "loading",
    JobState.DONE: "done",
    JobState.FAILED: "failed",
    JobState.CANCELED: "stopped",
}


@dataclass(frozen=True, slots=True)
class Download:
    """One transfer on a page. `mark` is how the thread shows it, `eighths` (0 to 8) how full; `kept` bytes wait for a resume."""

    id: int
    is_push: bool
    name: str
    mark: str
    phase: str
    failure: Failure | None
    percent: int
    completed: int
    total: int
    speed: float
    seconds_left: float
    layers: tuple[Progress, ...]
    is_open: bool
    is_stopped: bool
    is_stopping: bool
    kept: int
    age_seconds: float

    @property
    def eighths(self) -> int:
        return self.percent * 8 // 100

    @property
    def is_in_dock(self) -> bool:
        return self.is_open or self.age_seconds < (_DOCK_SECONDS if self.is_stopped else _DONE_SECONDS)


def downloads_of(views: Iterable[JobView]) -> list[Download]:
    """The newest transfer of each name, open ones first, then the latest."""
    newest: dict[tuple[str, str], JobView] = {}
    for view in sorted(views, key=lambda each: each.id):
        if view.kind in KINDS:
            newest[view.kind, view.name.casefold()] = view
    waiting: dict[str, int] = {}
    found = []
    for view in sorted(newest.values(), key=lambda each: each.id):
        place = waiting.get(view.kind, 0)
        waiting[view.kind] = place + (view.state == JobState.QUEUED)
        found.append(_download(view, place))
    return sorted(found, key=lambda each: (not each.is_open, -each.id))


def _download(view: JobView, num_ahead: int) -> Download:
    layers = tuple(each for each in view.frames if each.digest)
    total, completed = sum(each.total for each in layers), sum(each.completed for each in layers)
    speed = _speed_of(view, completed)
    name = ModelName.parse_loosely(view.name)
    is_stopped = view.state in (JobState.FAILED, JobState.CANCELED)
    is_stopping = view.is_open and view.is_cancel_requested
    return Download(
        id=view.id,
        is_push=view.kind == "push",
        name=name.shortest,
        mark="stopping" if is_stopping else _MARKS[view.state],
        phase=_phase(view, num_ahead, len(layers)),
        failure=explain_wire(view.error_class, view.error, name.host) if view.state == JobState.FAILED else None,
        percent=100 if view.state == JobState.DONE else completed * 100 // total if total else 0,
        completed=completed,
        total=total,
        speed=speed,
        seconds_left=(total - completed) / speed if speed else 0,
        layers=layers,
        is_open=view.is_open,
        is_stopped=is_stopped,
        is_stopping=is_stopping,
        kept=sum(each.completed for each in layers if each.completed < each.total) if is_stopped and view.kind == "pull" else 0,
        age_seconds=max(0.0, time.time() - view.finished_at.timestamp()) if view.finished_at else 0.0,
    )


def _phase(view: JobView, num_ahead: int, num_layers: int) -> str:
    """What it does now, in the reader's language."""
    if view.is_open and view.is_cancel_requested:
        return _("Stopping")
    match view.state:
        case JobState.QUEUED if view.fence:
            return _("Paused by a restart, goes on by itself")
        case JobState.QUEUED if num_ahead:
            return ngettext("Waiting, %(count)d ahead", "Waiting, %(count)d ahead", num_ahead) % {"count": num_ahead}
        case JobState.QUEUED:
            return _("Waiting")
        case JobState.DONE:
            return _("Done")
        case JobState.CANCELED:
            return _("Stopped")
        case JobState.FAILED:
            return _("Failed")
    status = view.frames[-1].status if view.frames else ""
    if _BLOB.fullmatch(status):
        return _("Layer %(number)d") % {"number": num_layers}
    return _PHASES[status]() if status in _PHASES else status


_PHASES: Final = {
    "": lambda: _("Starting"),
    "pulling manifest": lambda: _("Reading the manifest"),
    "retrieving manifest": lambda: _("Reading the manifest"),
    "verifying sha256 digest": lambda: _("Verifying"),
    "writing manifest": lambda: _("Writing the manifest"),
    "pushing manifest": lambda: _("Writing the manifest"),
    "removing unused layers": lambda: _("Removing unused layers"),
    "success": lambda: _("Finishing"),
}

# speed: bytes of the last seconds, by job

_samples: dict[int, deque[tuple[float, int]]] = {}
_lock = threading.Lock()


def _speed_of(view: JobView, completed: int) -> float:
    """Bytes a second, 0 while unknown. Remembers what it was asked for each job that runs."""
    now = time.monotonic()
    with _lock:
        if view.state != JobState.RUNNING:
            _samples.pop(view.id, None)
            return 0.0
        samples = _samples.setdefault(view.id, deque())
        if not samples or samples[-1][1] != completed:
            samples.append((now, completed))
        while len(samples) > 2 and now - samples[0][0] > _WINDOW_SECONDS:
            samples.popleft()
        seconds = now - samples[0][0]
        return max(0.0, (completed - samples[0][1]) / seconds) if seconds > 1 else 0.0
