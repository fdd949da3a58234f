"""A job while it runs: what it may ask and tell. Its function gets a `JobRun`; who writes rows is `job_worker.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from llmsite.types.chunk import Progress
from llmsite.types.errors import LlmsiteError
from models_app.frames import FrameLog, News
from models_app.job_rows import Claim


class JobStopped(Exception):
    """The worker leaves, or another one has taken this job over: end now, and leave everything as it is."""


class JobRun:
    """Handed to the function of a kind, which may use it from several threads."""

    def __init__(self, claim: Claim, on_news: Callable[[], None], look: Callable[[JobRun], None] = lambda run: None) -> None:
        self.claim = claim
        self.name = claim.name
        self.request: dict[str, Any] = dict(claim.request)
        self.log = FrameLog(claim.frames)
        self.is_stopping = threading.Event()
        """Set when `check` would raise; for whoever waits for something else meanwhile."""
        self.has_lines = False
        """Whether a status line waits to be written; it does not wait like a byte count."""
        self.has_counts = False
        self.reason: LlmsiteError | None = None
        """Why somebody wants it to end."""
        self._on_news = on_news
        self._look = look

    def report(self, progress: Progress) -> None:
        """Tell how far the job is. Status lines are all kept; byte counts are written a few times a second."""
        match self.log.add(progress):
            case News.LINE:
                self.has_lines = True
                self._on_news()
            case News.COUNT:
                self.has_counts = True
            case News.NOTHING:
                pass

    def check(self) -> None:
        """Raises `Canceled` or another reason when somebody ended the job, `JobStopped` when it has to be continued later."""
        if self.reason is not None:
            raise self.reason
        if self.is_stopping.is_set():
            raise JobStopped

    def look(self) -> None:
        """Hear what others wrote into the row, at once."""
        self._look(self)

    def confirm(self) -> None:
        """`check` after such a look: before a step that nobody can take back."""
        self.look()
        self.check()

    def cancel(self, reason: LlmsiteError) -> None:
        self.reason = reason
        self.is_stopping.set()

    def stop(self) -> None:
        self.is_stopping.set()
