"""What a pull of a name would bring, found out without bringing it: for the page, before somebody decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final

from llmsite.registry.config import HUB_HOSTS, RegistryConfig
from llmsite.registry.huggingface import list_repository
from llmsite.registry.ollama import Registry
from llmsite.registry.outbound import Outbound
from llmsite.registry.partial import recorded_bytes
from llmsite.registry.quantization import choices, choose
from llmsite.registry.steps import Check, as_registry_errors, attended, installed_manifest
from llmsite.registry.transfer import is_stored
from llmsite.store import manifest as media
from llmsite.store.manifest import check_manifest, manifest_digest
from llmsite.store.model import ModelStore
from llmsite.types.errors import Forbidden, LlmsiteError
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName

_WEIGHTS: Final = frozenset({media.MODEL, media.PROJECTOR, media.ADAPTER, media.DRAFT})


class Standing(StrEnum):
    """What is installed under the name now: nothing, exactly this, or something that this replaces."""

    NEW = "new"
    SAME = "same"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Offer:
    """One quantization of a repository, under the tag that means it."""

    tag: str
    size_bytes: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """`present_bytes` of `size_bytes` lie here already, in whole layers or parts; `room_bytes` more must fit on the disk."""

    size_bytes: int
    weights_bytes: int
    present_bytes: int
    room_bytes: int
    num_layers: int
    num_present: int
    standing: Standing
    offers: tuple[Offer, ...] = ()

    @property
    def missing_bytes(self) -> int:
        """What still has to come."""
        return self.size_bytes - self.present_bytes


def preview(store: ModelStore, name: ModelName, *, insecure: bool, check: Check, config: RegistryConfig) -> Preview:
    """Ask the registry what the name means. Blocks, for `limits.preview_seconds` at most between answers; one try.

    `check` is called some times a second and may raise to leave. Raises `RegistryError`, `Forbidden`, `InvalidModelFile`.
    """
    if not config.may_ask(name.host):
        raise Forbidden("registry host not allowed")
    config = replace(config, limits=_hurried(config.limits))
    look = _look_at_hub if name.host.casefold() in HUB_HOSTS else partial(_look_at_registry, insecure=insecure)
    with as_registry_errors(), Outbound(config) as outbound:
        return look(store, name, outbound, check)


def _hurried(limits: Limits) -> Limits:
    """Somebody is looking at the page: what takes longer is of no use."""
    most = limits.preview_seconds
    return replace(
        limits,
        pull_connect_seconds=min(limits.pull_connect_seconds, most),
        pull_first_byte_seconds=min(limits.pull_first_byte_seconds, most),
        pull_idle_seconds=min(limits.pull_idle_seconds, most),
        registry_reply_seconds=min(limits.registry_reply_seconds, most),
    )


def _look_at_registry(store: ModelStore, name: ModelName, outbound: Outbound, check: Check, *, insecure: bool) -> Preview:
    data = attended(Registry(outbound, name, is_insecure=insecure).manifest, outbound, check)
    manifest = check_manifest(data, outbound.config.limits)
    layers = {layer.digest: layer.size_bytes for layer in (*manifest.layers, manifest.config)}
    weights = sum(layer.size_bytes for layer in manifest.layers if layer.media_type in _WEIGHTS)
    installed = installed_manifest(store, name)
    is_same = installed is not None and manifest_digest(installed) == manifest_digest(data)
    return _preview(store, layers, weights, _standing(is_installed=installed is not None, is_same=is_same))


def _look_at_hub(store: ModelStore, name: ModelName, outbound: Outbound, check: Check) -> Preview:
    ask = partial(list_repository, f"{name.namespace}/{name.model}", outbound)
    files = attended(ask, outbound, check).files
    chosen = choose(files, name.tag)
    layers = {files[each].digest or each: files[each].size_bytes for each in (*chosen.weights, *filter(None, [chosen.projector]))}
    offers = tuple(
        Offer(tag, sum(files[each].size_bytes for each in choice.weights), choice == chosen)
        for tag, choice in choices(files).items()
    )
    found = _preview(store, layers, sum(layers.values()), _hub_standing(store, name, layers))
    if len(chosen.weights) > 1:  # the parts are put together in a file of their own
        found = replace(found, room_bytes=found.room_bytes + sum(files[each].size_bytes for each in chosen.weights))
    return replace(found, offers=offers)


def _preview(store: ModelStore, layers: Mapping[str, int], weights_bytes: int, standing: Standing) -> Preview:
    size = sum(layers.values())
    here = {each: _present(store, each, layers[each]) for each in layers}
    present = sum(here.values())
    num_present = sum(here[each] == layers[each] for each in layers)
    return Preview(size, weights_bytes, present, size - present, len(layers), num_present, standing)


def _present(store: ModelStore, digest: str, size_bytes: int) -> int:
    """Bytes of a layer that are here: all of it, what a pull that stopped left, or none."""
    if not digest.startswith("sha256:"):  # a small file that the hub keeps in git
        return 0
    return size_bytes if is_stored(store.blobs, digest, size_bytes) else min(recorded_bytes(store.blobs, digest), size_bytes)


def _hub_standing(store: ModelStore, name: ModelName, layers: Mapping[str, int]) -> Standing:
    """Our manifest of a repository is made here, so its weights are compared; those of split files have another digest."""
    try:
        model = store.find(name)
    except LlmsiteError:  # not there, or not to be used: a pull repairs it
        return Standing.NEW
    return _standing(is_installed=True, is_same=model.model_digest in layers)


def _standing(*, is_installed: bool, is_same: bool) -> Standing:
    return Standing.SAME if is_same else Standing.OTHER if is_installed else Standing.NEW
