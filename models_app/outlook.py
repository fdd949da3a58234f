"""The look ahead of the pull form: what the name that somebody types means at its registry, and whether it fits here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

import psutil
from django.conf import settings

from llmsite import backend
from llmsite.accounts.models import User
from llmsite.registry.preview import Preview, preview
from llmsite.types.errors import Canceled, LlmsiteError, RegistryError, StorageFull
from llmsite.types.name import ModelName
from models_app.downloads import is_restricted
from models_app.failures import Failure, explain
from models_app.transfers import registry_config

_INSECURE: Final = "http"


@dataclass(frozen=True, slots=True)
class Offer:
    """One quantization to choose: `name` is what the field then says."""

    tag: str
    name: str
    size_bytes: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is shown below the field: `preview`, or the `failure` to find out. `is_refused`: the disk has no room for it."""

    name: ModelName
    preview: Preview | None = None
    offers: tuple[Offer, ...] = ()
    failure: Failure | None = None
    is_refused: bool = False
    free_bytes: int = 0
    memory_bytes: int = 0

    @property
    def is_too_large(self) -> bool:
        """Whether the weights alone exceed the machine's memory. What GPUs hold is not known before it is loaded."""
        return self.preview is not None and self.preview.weights_bytes > self.memory_bytes


async def look_ahead(name: ModelName, user: User) -> Outlook:
    """What a pull of the name would bring. When the one who waits leaves, the registry is left too."""
    give_up = threading.Event()
    until = time.monotonic() + settings.LLMSITE_LIMITS.preview_seconds

    def check() -> None:
        if give_up.is_set():
            raise Canceled("nobody waits for this any more")
        if time.monotonic() > until:
            raise RegistryError("timeout: the registry takes too long to say what this name means")

    looking = asyncio.get_running_loop().run_in_executor(_threads(), partial(_look, name, is_restricted(user), check))
    try:
        found, error = await looking
    finally:
        give_up.set()
    if found is None:
        return Outlook(name, failure=explain(error, name.host) if error else None)
    return _outlook(name, found)


@cache
def _threads() -> ThreadPoolExecutor:
    """So many looks at once; others wait for their turn, within their own time."""
    return ThreadPoolExecutor(settings.LLMSITE_LIMITS.previews, thread_name_prefix="preview")


def _look(name: ModelName, is_caller_restricted: bool, check: Callable[[], None]) -> tuple[Preview | None, LlmsiteError | None]:
    config = registry_config(is_restricted=is_caller_restricted)
    try:
        return preview(backend.get_store(), name, insecure=name.scheme == _INSECURE, check=check, config=config), None
    except LlmsiteError as error:
        return None, error


def _outlook(name: ModelName, found: Preview) -> Outlook:
    blobs = backend.get_store().blobs
    failure = None
    try:
        blobs.require_space(found.room_bytes)
    except StorageFull as error:
        failure = explain(error, name.host)
    stem = f"{name.host}/{name.namespace}/{name.model}"
    return Outlook(
        name,
        found,
        offers=tuple(Offer(each.tag, f"{stem}:{each.tag}", each.size_bytes, each.is_chosen) for each in found.offers),
        failure=failure,
        is_refused=failure is not None,
        free_bytes=max(0, blobs.free_bytes() - found.room_bytes),
        memory_bytes=psutil.virtual_memory().total,
    )
