"""A supervisor over fake runners: real processes without a model."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from llmsite.engine.devices import Devices
from llmsite.engine.supervisor import Supervisor, SupervisorConfig

FAKE_RUNNER = (sys.executable, str(Path(__file__).with_name("fake_runner.py")))
MakeSupervisor = Callable[..., Any]


@pytest.fixture
async def make_supervisor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeSupervisor]:
    """Starts supervisors with these settings; all are stopped at the end. No probe child: there is no GPU."""

    async def no_gpus(_: object) -> Devices:
        return Devices()

    monkeypatch.setattr("llmsite.engine.supervisor.probe", no_gpus)
    supervisors = []

    async def make(command: tuple[str, ...] = FAKE_RUNNER, **config: Any) -> Supervisor:
        supervisor = Supervisor(SupervisorConfig(**config), command=command)
        supervisors.append(supervisor)
        await supervisor.start()
        return supervisor

    yield make
    for supervisor in supervisors:
        await supervisor.stop()
