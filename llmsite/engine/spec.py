"""ModelSpec: what the engine must know of a model to run it. Names and templates stay above."""

from __future__ import annotations

from dataclasses import dataclass

from llmsite.store.facts import GgufFacts
from llmsite.types.chunk import ModelDetails

Weights = tuple[str, tuple[tuple[str, float], ...], str]
"""Model path, adapters with their scales, projector path: with the load options, the key of a runner."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of the store. `name` (shortest display form), `digest` (sha256 hex of the manifest) and `details` are for ps.

    Paths are absolute. Names that share `weights` share a runner.
    """

    name: str
    digest: str
    details: ModelDetails
    model_path: str
    facts: GgufFacts
    adapters: tuple[tuple[str, float], ...] = ()
    projector_path: str = ""

    @property
    def weights(self) -> Weights:
        return self.model_path, self.adapters, self.projector_path
