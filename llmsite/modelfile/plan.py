"""Decides which layers a model gets: what it starts from, and what a request changes (catalogue 2.18, 10.2 to 10.4). Pure.

The bytes are Ollama's, so that the same recipe has the same digest there and here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from llmsite.modelfile.builtin_templates import BuiltinTemplate
from llmsite.modelfile.config import decide_config, encode_config, habits_of
from llmsite.store import manifest as media
from llmsite.store.digest import hash_bytes
from llmsite.store.gguf import GgufFacts
from llmsite.store.manifest import Layer, Manifest
from llmsite.store.stored_model import ModelConfig
from llmsite.types.codec import go_json
from llmsite.types.message import encode_message
from llmsite.types.request import CreateRequest

_EXACT_INT: Final = 2**53


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """A layer to be. `data` is its content where that must be stored, `template_name` that of a built-in template.

    `is_new`: its blob was made for this model, and is there already.
    """

    layer: Layer
    data: bytes | None = None
    template_name: str = ""
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Base:
    """What a model starts from: layers in order, facts of the GGUF ones by digest, and what it inherits."""

    layers: tuple[PlannedLayer, ...] = ()
    facts: Mapping[str, GgufFacts] = field(default_factory=dict)
    config: ModelConfig = field(default_factory=ModelConfig)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def models(self) -> list[GgufFacts]:
        """Facts of the language models among its files; the last one counts."""
        digests = [each.layer.digest for each in self.layers if each.layer.media_type == media.MODEL]
        return [self.facts[digest] for digest in digests]

    def add(self, layer: Layer, facts: GgufFacts) -> Base:
        """The same with one GGUF layer more."""
        return replace(self, layers=(*self.layers, PlannedLayer(layer)), facts={**self.facts, layer.digest: facts})

    def swap(self, old: Layer, made: PlannedLayer, facts: GgufFacts) -> Base:
        """The same with another GGUF layer in the place of `old`."""
        layers = tuple(made if each.layer == old else each for each in self.layers)
        return replace(self, layers=layers, facts={**self.facts, made.layer.digest: facts})


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """Everything that will be stored under a model's name."""

    layers: tuple[PlannedLayer, ...]
    config: PlannedLayer

    @property
    def manifest(self) -> Manifest:
        return Manifest(self.config.layer, tuple(each.layer for each in self.layers))


def with_habits(base: Base) -> Base:
    """Weights from files, with what Ollama knows of their architecture."""
    habits = habits_of(base.models[-1].architecture)
    config = replace(base.config, renderer=habits.handler, parser=habits.handler)
    return replace(base, config=config, parameters={"stop": list(habits.stop)} if habits.stop else {})


def with_template(base: Base, template: BuiltinTemplate) -> Base:
    """Weights from a file, with a built-in template behind them and the texts at which its answers end."""
    added = replace(_text(media.TEMPLATE, template.source.encode()), template_name=template.name)
    last = max(index for index, each in enumerate(base.layers) if each.layer.media_type == media.MODEL)
    layers = (*base.layers[: last + 1], added, *base.layers[last + 1 :])
    return replace(base, layers=layers, parameters={**base.parameters, "stop": list(template.stop)})


def plan_model(base: Base, request: CreateRequest) -> ModelPlan:
    """The layers of `base` with what the request says: replaced ones leave, new ones go to the end. Raises `InvalidModelFile`.

    An empty text changes nothing: what is inherited cannot be taken away. Licences are added, parameters merged key by key.
    """
    config = decide_config(base.models, base.config, request)
    new = list(_texts(base, request))
    replaced = {each.layer.media_type for each in new} - {media.LICENSE}
    kept = [each for each in base.layers if each.layer.media_type not in replaced]
    return ModelPlan((*kept, *new), _text(media.CONFIG, encode_config(config)))


def _texts(base: Base, request: CreateRequest) -> Iterator[PlannedLayer]:
    """The new layers, in the order of the manifest."""
    if request.template:
        yield _text(media.TEMPLATE, request.template.encode())
    if request.system:
        yield _text(media.SYSTEM, request.system.encode())
    for text in request.licenses:
        if text:
            yield _text(media.LICENSE, text.encode())
    parameters = {**base.parameters, **request.parameters}
    if parameters:
        yield _text(media.PARAMS, encode_parameters(parameters))
    if request.messages:
        yield _text(media.MESSAGES, go_json([encode_message(each) for each in request.messages]) + b"\n")


def encode_parameters(parameters: Mapping[str, Any]) -> bytes:
    """The bytes of a layer of parameters, keys sorted, numbers as Go prints its 64-bit floats."""
    return go_json({key: _as_go(parameters[key]) for key in sorted(parameters)}) + b"\n"


def _as_go(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_go(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_as_go(each) for each in value]
    if isinstance(value, int) and abs(value) > _EXACT_INT:
        return float(value)
    return value


def _text(media_type: str, data: bytes) -> PlannedLayer:
    return PlannedLayer(Layer(media_type, hash_bytes(data), len(data)), data)


def inherited_layers(layers: Sequence[Layer], source: str) -> tuple[PlannedLayer, ...]:
    """All layers of a model, each saying which model it was taken over from."""
    return tuple(PlannedLayer(replace(each, source=source)) for each in layers)
