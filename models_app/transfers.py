"""Pull and push as jobs: what the worker does for them, on the registry library."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.conf import settings

from llmsite import backend, env
from llmsite.engine.quantize import merge
from llmsite.inspector.pool import read_gguf_sync
from llmsite.registry.config import RegistryConfig
from llmsite.registry.partial import discard_partial
from llmsite.registry.pull import pull
from llmsite.registry.push import push
from llmsite.registry.steps import Report
from llmsite.types.chunk import Progress
from llmsite.types.name import ModelName
from models_app.job_run import JobRun


def run_pull(run: JobRun) -> None:
    """Kind `pull`: install the model of that name from its registry, in the spelling of what is installed."""
    name = backend.get_store().canonical(ModelName.parse(run.name))
    _transfer(pull, run, name, run.report, insecure=_is_insecure(run))


def run_push(run: JobRun) -> None:
    """Kind `push`: send an installed model to its registry. A name that is none is an error of the stream, as Ollama's is."""
    _transfer(push, run, ModelName.parse_loosely(run.name), run.report, insecure=_is_insecure(run))


def pull_into(run: JobRun, name: ModelName, insecure: bool) -> None:
    """Pull a model within another job: with its frames but for the last, which would say that all is done."""

    def report(progress: Progress) -> None:
        if progress.status != "success":
            run.report(progress)

    _transfer(pull, run, name, report, insecure=insecure)


def discard(frames: Iterable[Progress]) -> None:
    """Remove what a pull that stopped has of blobs that are not whole. Blobs that somebody loads now are left alone.

    Raises `StorageFailed`, `LoadFailed`.
    """
    blobs = backend.get_store().blobs
    for each in frames:
        if each.digest and each.completed < each.total:
            discard_partial(blobs, each.digest)


def _transfer(act: Callable[..., None], run: JobRun, name: ModelName, report: Report, *, insecure: bool) -> None:
    store = backend.get_store().guarded(run.confirm)
    act(
        store,
        name,
        insecure=insecure,
        report=report,
        check=run.check,
        config=registry_config(is_restricted=bool(run.request.get("is_restricted"))),
    )


def _is_insecure(run: JobRun) -> bool:
    return bool(run.request.get("insecure"))


def registry_config(*, is_restricted: bool) -> RegistryConfig:
    """What the registry client has to know of this site, for a caller who may use any registry or the known ones only."""
    http_proxy, https_proxy, unproxied_hosts = env.registry_proxies()
    return RegistryConfig(
        home=settings.LLMSITE_HOME,
        is_exposed=not settings.LLMSITE_TRUST.is_loopback,
        is_restricted=is_restricted,
        allowed_hosts=env.read("LLMSITE_REGISTRY_ALLOW"),
        http_proxy=http_proxy,
        https_proxy=https_proxy,
        unproxied_hosts=unproxied_hosts,
        hub_token=env.read("HF_TOKEN"),
        hub_url=env.read("HF_ENDPOINT").rstrip("/"),
        read_gguf=read_gguf_sync,
        merge_gguf=merge,
        limits=settings.LLMSITE_LIMITS,
    )
