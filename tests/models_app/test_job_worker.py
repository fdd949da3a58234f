"""The thread that writes what jobs tell, where the database fails it for a moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from django.db import OperationalError

from llmsite.types.chunk import Progress
from models_app import job_rows
from models_app.job_rows import Claim
from models_app.job_run import JobRun
from models_app.job_worker import JobWorker

pytestmark = pytest.mark.django_db


def test_a_line_that_could_not_be_written_is_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    failures, written = [OperationalError("database is locked")], []

    def save(_: Claim, frames: Iterable[Progress], **more: Any) -> bool:
        if failures:
            raise failures.pop()
        written.extend(frames)
        return True

    monkeypatch.setattr(job_rows, "save", save)
    worker = JobWorker(lambda job_id: None, lambda: None)
    run = JobRun(Claim(1, "o", 1, "pull", "n", {}, ()), lambda: None)
    worker._runs[1] = run
    run.report(Progress("verifying sha256 digest"))
    with pytest.raises(OperationalError):
        worker._write(0, 0)
    worker._write(0, 0)
    assert written == [Progress("verifying sha256 digest")]
