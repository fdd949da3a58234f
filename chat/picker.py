"""The models a person may choose from, as the picker shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chat.models import Message
from llmsite import backend
from llmsite.types.errors import LlmsiteError
from models_app import services
from models_app.services import InstalledModel


@dataclass(frozen=True, slots=True)
class Choice:
    """One installed model. Sizes are bytes; `num_ctx` is the trained context in tokens, 0 when unknown."""

    name: str
    is_loaded: bool = False
    can_think: bool = False
    parameter_size: str = ""
    quantization_level: str = ""
    size_bytes: int = 0
    num_ctx: int = 0

    @property
    def is_starter(self) -> bool:
        return self.name == "starter" or self.name.startswith("starter:")


async def list_choices() -> list[Choice]:
    """Models that can chat, newest first."""
    loaded = await _loaded_names()
    return [_choice(each, loaded) for each in await services.list_models() if "completion" in each.capabilities]


def pick(choices: Sequence[Choice], wanted: str, path: Sequence[Message]) -> Choice | None:
    """The model that the chat's next answer comes from: the one chosen last if it is still there, else the first."""
    names = [wanted, *(each.model for each in reversed(path) if each.is_answer)]
    for name in names:
        found = next((each for each in choices if each.name == name), None)
        if found is not None:
            return found
    return choices[0] if choices else None


async def _loaded_names() -> set[str]:
    """Names of the models in memory; none while the engine cannot say."""
    try:
        running = await backend.get_client().ps()
    except LlmsiteError:
        return set()
    return {each.name for each in running.models}


def _choice(model: InstalledModel, loaded: set[str]) -> Choice:
    return Choice(
        name=model.name,
        is_loaded=model.name in loaded,
        can_think="thinking" in model.capabilities,
        parameter_size=model.details.parameter_size,
        quantization_level=model.details.quantization_level,
        size_bytes=model.size_bytes,
        num_ctx=model.details.num_ctx,
    )
