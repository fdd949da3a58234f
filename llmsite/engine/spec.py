"""ModelSpec and SupervisorConfig: what the engine must know of a model and of this server. Names and templates stay above."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmsite.store.gguf import GgufFacts
from llmsite.types.chunk import ModelDetails
from llmsite.types.limits import Limits

Weights = tuple[str, tuple[tuple[str, float], ...], str]
"""Model path, adapters with their scales, projector path: with the load options, the key of a runner."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of the store. `name` (shortest display form), `digest` (sha256 hex of the manifest) and `details` are for ps.

    Paths are absolute; `extra_bytes` is the size of adapter and projector files. Names that share `weights` share a runner.
    """

    name: str
    digest: str
    details: ModelDetails
    model_path: str
    facts: GgufFacts
    adapters: tuple[tuple[str, float], ...] = ()
    projector_path: str = ""
    extra_bytes: int = 0

    @property
    def weights(self) -> Weights:
        return self.model_path, self.adapters, self.projector_path


@dataclass(frozen=True, slots=True)
class SupervisorConfig:
    """The server's settings (catalogue 13); 0 and None are automatic.

    `environ` is the whole environment of runners. `load_timeout_seconds` of 0 never gives up. `is_spread` uses all GPUs
    even for a model that fits on one.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    keep_alive_seconds: float = 300.0
    load_timeout_seconds: float = 300.0
    context_length: int = 0
    num_parallel: int = 0
    max_loaded_models: int = 0
    max_queue: int = 512
    kv_cache_type: str = "f16"
    flash_attention: bool | None = None
    gpu_overhead_bytes: int = 0
    is_spread: bool = False
    prefix_sharing: str = "all"
