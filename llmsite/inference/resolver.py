"""A name in a request to the installed model behind it, with what it can do and how its prompts are made."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from llmsite.engine.spec import ModelSpec
from llmsite.inspector.pool import InspectorPool
from llmsite.prompt.capabilities import (
    TemplateFacts,
    choose_template,
    inspect_jinja,
    is_harmony,
    list_capabilities,
    parser_think_tags,
)
from llmsite.prompt.renderers.variants import resolve_renderer
from llmsite.store.gguf import GgufFacts
from llmsite.store.model import ModelStore
from llmsite.store.stored_model import StoredModel
from llmsite.types.errors import ModelNotFound
from llmsite.types.name import ModelName, strip_source

T = TypeVar("T")

_REMEMBERED: Final = 1_024


@dataclass(frozen=True, slots=True)
class Model:
    """An installed model, ready to be asked. `asked_as` is the caller's spelling; `template` makes its prompts, if it has one."""

    asked_as: str
    stored: StoredModel
    facts: GgufFacts
    template: TemplateFacts | None
    think_tags: tuple[str, str] | None
    capabilities: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """Host, namespace, model and tag as asked, as errors show them."""
        return str(ModelName.parse(strip_source(self.asked_as)))

    @property
    def template_source(self) -> str | None:
        """Text of the template that makes prompts, or the name of the renderer."""
        match self.template:
            case TemplateFacts(kind="go"):
                return self.stored.template
            case TemplateFacts(kind="jinja"):
                return self.facts.chat_template
            case TemplateFacts(kind="renderer"):
                name, config = self.stored.name, self.stored.config
                return resolve_renderer(config.renderer, (name.shortest, str(name)), config.model_type)
        return None

    @property
    def family(self) -> str:
        return self.stored.config.model_family or self.facts.architecture

    @property
    def is_harmony(self) -> bool:
        """Whether it reads and writes gpt-oss's own format (catalogue 5.1, rule 2)."""
        parser = self.stored.config.parser
        return parser == "harmony" or (not parser and is_harmony(self.family, self.stored.template))

    @property
    def spec(self) -> ModelSpec:
        """What the engine must know of it."""
        return ModelSpec(
            name=self.stored.name.shortest,
            digest=self.stored.digest,
            details=self.stored.details,
            model_path=str(self.stored.model_path),
            facts=self.facts,
            adapters=tuple((str(path), 1.0) for path in self.stored.adapter_paths),
            extra_bytes=sum(path.stat().st_size for path in self.stored.adapter_paths),
        )


class Resolver:
    """Finds models; remembers what the inspector said of files and templates, which never change under their digest."""

    def __init__(self, store: ModelStore, inspector: InspectorPool, *, go_template: bool | None = None) -> None:
        self._store = store
        self._inspector = inspector
        self._go_template = go_template
        self._facts: OrderedDict[str, GgufFacts] = OrderedDict()
        self._go: OrderedDict[str, TemplateFacts] = OrderedDict()

    async def resolve(self, name: str) -> Model:
        """The model of that name. Raises `InvalidModelName`, `ModelNotFound` with the name as given, `InvalidModelFile`.

        Weights whose file has changed are hashed first, unless they are large: `LoadFailed` when they are damaged.
        """
        parsed = ModelName.parse(strip_source(name))
        try:
            stored = self._store.find(parsed)
        except ModelNotFound as error:
            raise ModelNotFound(f"model '{name}' not found") from error
        if self._store.needs_hash(stored):
            await asyncio.to_thread(self._store.verify, stored)
        return await self.describe(stored, name)

    async def describe(self, stored: StoredModel, asked_as: str) -> Model:
        """What there is to know of an installed model. Raises `InvalidModelFile`, `TemplateError`."""
        facts = await self._read_gguf(stored.model_path)
        projectors = [await self._read_gguf(path) for path in stored.projector_paths]
        go = await self.inspect_go(stored.template) if stored.template is not None else None
        jinja = inspect_jinja(facts.chat_template) if facts.chat_template else None
        family = stored.config.model_family or facts.architecture
        chosen = choose_template(
            go,
            jinja,
            go_template=self._go_template,
            is_pulled=stored.is_pulled,
            is_harmony=is_harmony(family, stored.template),
            renderer=stored.config.renderer,
            parser=stored.config.parser,
        )
        capabilities = list_capabilities(
            config=stored.config.capabilities,
            has_pooling=facts.has_pooling,
            has_vision=facts.has_vision or bool(projectors),
            has_audio=facts.has_audio or any(each.has_audio for each in projectors),
            go=go,
            jinja=jinja,
            chosen=chosen,
            parser=stored.config.parser,
            family=family,
        )
        # a template written over the file's own may not show the tags; the model writes them all the same
        shown = (each.think_tags for each in (chosen, jinja) if each is not None and each.think_tags)
        tags = parser_think_tags(stored.config.parser) or next(shown, None)
        return Model(asked_as, stored, facts, chosen, tags if "thinking" in capabilities else None, capabilities)

    async def _read_gguf(self, path: Path) -> GgufFacts:
        return await _remember(self._facts, str(path), lambda: self._inspector.read_gguf(path))

    async def inspect_go(self, source: str) -> TemplateFacts:
        """Facts of a Go template. Raises `TemplateError`."""
        return await _remember(self._go, source, lambda: self._inspector.inspect_template(source))


async def _remember(memory: OrderedDict[str, T], key: str, ask: Callable[[], Awaitable[T]]) -> T:
    if key not in memory:
        memory[key] = await ask()
        if len(memory) > _REMEMBERED:
            memory.popitem(last=False)
    memory.move_to_end(key)
    return memory[key]
