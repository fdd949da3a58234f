"""Pulling a model: manifest, blobs, and last the name (catalogue 2.16). Each step reports `Progress`; all of it resumes."""

from __future__ import annotations

from functools import partial
from typing import Final

from llmsite.registry.config import HUB_HOSTS, RegistryConfig
from llmsite.registry.huggingface import pull_from_hub
from llmsite.registry.ollama import Registry, registry_blob
from llmsite.registry.outbound import Outbound
from llmsite.registry.steps import Check, Report, as_registry_errors, fetch_blob, replacing, waited
from llmsite.store.manifest import check_manifest
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Progress
from llmsite.types.errors import Forbidden, NotFound
from llmsite.types.name import ModelName

_ROUNDS: Final = 3
"""How often blobs are fetched again that somebody removed between their arrival and the name."""


def pull(store: ModelStore, name: ModelName, *, insecure: bool, report: Report, check: Check, config: RegistryConfig) -> None:
    """Install the model of that name from where it says. Blocks; what is on disk when it fails is used by the next pull.

    `report` gets every frame of the stream; `check` is called some times a second and may raise to leave. Both are called from
    this thread. Raises `RegistryError`, `Forbidden`, `InvalidModelFile`, `StorageFull`, and what `check` raises.
    """
    if not config.may_ask(name.host):
        raise Forbidden("registry host not allowed")
    report(Progress("pulling manifest"))
    if name.host.casefold() in HUB_HOSTS:
        pull_from_hub(store, name, report=report, check=check, config=config)
    else:
        _pull_from_registry(store, name, insecure=insecure, report=report, check=check, config=config)
    report(Progress("success"))


def _pull_from_registry(
    store: ModelStore, name: ModelName, *, insecure: bool, report: Report, check: Check, config: RegistryConfig
) -> None:
    with as_registry_errors("pull model manifest: "):
        data = _fetch_manifest(name, insecure=insecure, report=report, check=check, config=config)
    manifest = check_manifest(data, config.limits)
    with replacing(store, name, data, report):
        for left in reversed(range(_ROUNDS)):
            for layer in (*manifest.layers, manifest.config):
                source = partial(registry_blob, config, name, layer.digest, is_insecure=insecure)
                with as_registry_errors():
                    fetch_blob(store, layer.digest, layer.size_bytes, source, report, check)
            report(Progress("verifying sha256 digest"))
            report(Progress("writing manifest"))
            try:
                store.write(name, data)
                break
            except NotFound:
                if not left:
                    raise


def _fetch_manifest(name: ModelName, *, insecure: bool, report: Report, check: Check, config: RegistryConfig) -> bytes:
    """The manifest's bytes."""
    with Outbound(config) as outbound:
        return waited(Registry(outbound, name, is_insecure=insecure).manifest, outbound, report, check)
