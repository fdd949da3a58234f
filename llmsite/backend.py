"""This process's one way to models: store, inspector, supervisor and the client in front of them.

`start` belongs on the event loop that serves, `stop` before that loop ends. Whoever asks a model calls `get_client`.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from llmsite import env
from llmsite.engine.supervisor import Supervisor, SupervisorConfig
from llmsite.inference.client import Client
from llmsite.inference.local import LocalTransport
from llmsite.inference.pipeline import Pipeline
from llmsite.inference.resolver import Resolver
from llmsite.inspector.pool import InspectorPool
from llmsite.store.model import ModelStore
from llmsite.store.verified import VerifiedBlobs
from llmsite.types.errors import EngineError


@dataclass(frozen=True, slots=True)
class _Engine:
    """What runs between `start` and `stop`."""

    inspector: InspectorPool
    supervisor: Supervisor
    pipeline: Pipeline


_engine: _Engine | None = None
_client: Client | None = None
_store: ModelStore | None = None


async def start() -> None:
    """Start inspector and supervisor. A second call does nothing."""
    global _engine
    if _engine is not None:
        return
    limits = settings.LLMSITE_LIMITS
    inspector = InspectorPool(limits, env.scrubbed())
    supervisor = Supervisor(_supervisor_config())
    await inspector.start()
    await supervisor.start()
    pipeline = Pipeline(get_store(), supervisor, inspector, limits, env.read("OLLAMA_GO_TEMPLATE"))
    _engine = _Engine(inspector, supervisor, pipeline)


async def stop() -> None:
    """End all runners and children; requests that still run end with an error."""
    global _engine
    engine, _engine = _engine, None
    if engine is None:
        return
    await engine.supervisor.stop()
    await engine.inspector.stop()


def get_client() -> Client:
    """The client for every request of this process. Raises `EngineError` before `start`."""
    return _client or Client(LocalTransport(_running().pipeline))


def set_client(client: Client | None) -> None:
    """Put another client in its place (tests); None takes it out again."""
    global _client
    _client = client


def get_store() -> ModelStore:
    """The models of this machine; usable without `start`."""
    global _store
    if _store is None or _store.root != settings.LLMSITE_MODELS:
        verified = VerifiedBlobs(settings.LLMSITE_HOME / "verified")
        prunes = not env.read("OLLAMA_NOPRUNE")
        _store = ModelStore(settings.LLMSITE_MODELS, settings.LLMSITE_LIMITS, prunes=prunes, verified=verified)
    return _store


def get_inspector() -> InspectorPool:
    """The warm children. Raises `EngineError` before `start`; code without a loop uses `BlockingInspector`."""
    return _running().inspector


def get_resolver() -> Resolver:
    """What models can do, remembered. Raises `EngineError` before `start`."""
    return _running().pipeline.resolver


def _running() -> _Engine:
    if _engine is None:
        raise EngineError("the engine is not running yet; please retry in a moment")
    return _engine


def _supervisor_config() -> SupervisorConfig:
    return SupervisorConfig(
        environ=env.scrubbed(),
        limits=settings.LLMSITE_LIMITS,
        keep_alive_seconds=env.read("OLLAMA_KEEP_ALIVE"),
        load_timeout_seconds=env.read("OLLAMA_LOAD_TIMEOUT"),
        context_length=env.read("OLLAMA_CONTEXT_LENGTH"),
        num_parallel=env.read("OLLAMA_NUM_PARALLEL"),
        max_loaded_models=env.read("OLLAMA_MAX_LOADED_MODELS"),
        max_queue=env.read("OLLAMA_MAX_QUEUE"),
        kv_cache_type=env.read("OLLAMA_KV_CACHE_TYPE"),
        flash_attention=env.read("OLLAMA_FLASH_ATTENTION"),
        gpu_overhead_bytes=env.read("OLLAMA_GPU_OVERHEAD"),
        is_spread=env.read("OLLAMA_SCHED_SPREAD"),
        prefix_sharing=env.read("LLMSITE_PREFIX_SHARING"),
    )
