"""What the registry client needs to know of its site; settings fill it in, so that nothing here looks outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from llmsite.store.gguf import GgufFacts
from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import Limits
from llmsite.types.name import DEFAULT_HOST

HUB_HOSTS: Final = frozenset({"hf.co", "huggingface.co"})
"""Names under these hosts are repositories of Hugging Face."""
KNOWN_HOSTS: Final = frozenset({DEFAULT_HOST, *HUB_HOSTS})


def _no_inspector(_path: Path, _limits: Limits) -> GgufFacts:
    raise InvalidModelFile("this process cannot look into model files")


class MergeGguf(Protocol):
    """Has a limited child put the parts of a split file together in `target`. Blocks."""

    def __call__(
        self,
        parts: Sequence[Path],
        target: Path,
        *,
        on_progress: Callable[[int, int], None],
        is_canceled: Callable[[], bool],
        limits: Limits,
    ) -> None: ...


def _no_merger(parts: Sequence[Path], target: Path, **_: object) -> None:
    raise InvalidModelFile("this process cannot put split model files together")


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """`home` holds the identity key and the kept keys.

    `is_exposed`: the site listens beyond loopback, so private addresses are reached only for `allowed_hosts`.
    `is_restricted`: the caller may use known and allowed registries only. `read_gguf` is the inspector's, `merge_gguf` that of
    `engine/quantize.py`.
    """

    home: Path
    is_exposed: bool = False
    is_restricted: bool = False
    allowed_hosts: tuple[str, ...] = ()
    http_proxy: str = ""
    https_proxy: str = ""
    unproxied_hosts: tuple[str, ...] = ()
    hub_token: str = field(default="", repr=False)
    hub_url: str = "https://huggingface.co"
    read_gguf: Callable[[Path, Limits], GgufFacts] = _no_inspector
    merge_gguf: MergeGguf = _no_merger
    limits: Limits = field(default_factory=Limits)

    def lists(self, host: str) -> bool:
        """Whether the site's owner named this host (`host` or `host:port`)."""
        return host.casefold() in {each.casefold() for each in self.allowed_hosts}

    def may_ask(self, host: str) -> bool:
        """Whether the caller may use this registry at all."""
        return not self.is_restricted or self.lists(host) or host.casefold() in KNOWN_HOSTS
