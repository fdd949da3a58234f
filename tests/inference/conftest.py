"""A pipeline over the real store, inspector and runner, shared by the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from llmsite.engine.supervisor import Supervisor, SupervisorConfig
from llmsite.inference.client import Client
from llmsite.inference.local import LocalTransport
from llmsite.inference.pipeline import Pipeline
from llmsite.inspector.pool import InspectorPool
from llmsite.store.model import ModelStore
from llmsite.types.limits import Limits
from tests.inference.stock import make_store


@dataclass
class Machine:
    """Everything between a request and the weights."""

    store: ModelStore
    inspector: InspectorPool
    supervisor: Supervisor
    pipeline: Pipeline
    client: Client


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    root: Path = tmp_path_factory.mktemp("models")
    return make_store(root)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def inspector() -> AsyncIterator[InspectorPool]:
    pool = InspectorPool(Limits(template_seconds=20))
    await pool.start()
    yield pool
    await pool.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def machine(store: ModelStore, inspector: InspectorPool) -> AsyncIterator[Machine]:
    supervisor = Supervisor(SupervisorConfig(environ={"PATH": os.environ["PATH"]}))
    await supervisor.start()
    pipeline = Pipeline(store, supervisor, inspector, Limits())
    yield Machine(store, inspector, supervisor, pipeline, Client(LocalTransport(pipeline)))
    await supervisor.stop()
