"""Pushing a model: blobs that the registry lacks, then the manifest (catalogue 2.17). Each step reports `Progress`."""

from __future__ import annotations

from llmsite.registry.config import RegistryConfig
from llmsite.registry.ollama import Registry
from llmsite.registry.outbound import Outbound
from llmsite.registry.steps import Check, Report, as_registry_errors, attended, retried
from llmsite.registry.upload import upload
from llmsite.store.manifest import Layer, decode_manifest
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Progress
from llmsite.types.errors import Forbidden, RegistryError
from llmsite.types.name import ModelName


def push(store: ModelStore, name: ModelName, *, insecure: bool, report: Report, check: Check, config: RegistryConfig) -> None:
    """Send the installed model of that name to where it says. Blocks; layers that arrived are skipped the next time.

    `name` may be invalid (`ModelName.parse_loosely`): the answer is an error of the stream. `report` and `check` as in `pull`.
    Raises `RegistryError`, `Forbidden`, `NotFound` when a blob is missing, and what `check` raises.
    """
    if name.is_valid and not config.may_ask(name.host):
        raise Forbidden("push to this host is not allowed")
    report(Progress("retrieving manifest"))
    data = _manifest(store, name, report)
    manifest = decode_manifest(data, config.limits)
    with Outbound(config) as outbound, as_registry_errors():
        registry = Registry(outbound, name, is_insecure=insecure)
        for layer in (*manifest.layers, manifest.config):
            _push_layer(registry, store, layer, report, check)
        report(Progress("pushing manifest"))
        retried(lambda: registry.put_manifest(data), outbound, check)
    report(Progress("success"))


def _manifest(store: ModelStore, name: ModelName, report: Report) -> bytes:
    """The manifest's bytes. Raises `RegistryError` in Ollama's words, the model's name standing where they show a path."""
    file = store.manifests.find(name) if name.is_valid else None
    if file is not None:
        return store.read_manifest(file)
    report(Progress("couldn't retrieve manifest"))
    raise RegistryError(f"open {name}: no such file or directory" if name.is_valid else f"unqualified name: {name}")


def _push_layer(registry: Registry, store: ModelStore, layer: Layer, report: Report, check: Check) -> None:
    def frame(completed: int) -> None:
        short = layer.digest.removeprefix("sha256:")[:12]
        report(Progress(f"pushing {short}", layer.digest, layer.size_bytes, completed))

    if attended(
        lambda: registry.has_blob(layer.digest), registry.outbound, check
    ):  # asked once, as Ollama does: a registry that is not there is told at once
        frame(layer.size_bytes)
        return
    upload(registry, store.blobs, layer, report=frame, check=check)
