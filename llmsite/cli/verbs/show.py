"""`llmsite show MODEL`: what a model is made of, in sections, or one part of it as it is (catalogue 9.3)."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

from llmsite.cli.arguments import Arguments, Flag, Verb, exactly
from llmsite.cli.model_card import model_card
from llmsite.cli.rest import Server
from llmsite.types.errors import InvalidRequest

_PARTS: Final = {"license": "\n", "modelfile": "\n", "parameters": "\n", "system": "", "template": ""}
"""Flags that print one field, and what follows it."""


def run(arguments: Arguments) -> int:
    """Print the model, or the part that a flag asks for."""
    chosen = [name for name in _PARTS if arguments.is_set(name)]
    is_verbose = arguments.is_set("verbose")
    answer = asyncio.run(_fetch(arguments.words[0], chosen, is_verbose=is_verbose))
    if chosen:
        sys.stdout.write((answer.get(chosen[0]) or "") + _PARTS[chosen[0]])
    else:
        sys.stdout.write(model_card(answer, is_verbose=is_verbose))
    return 0


async def _fetch(model: str, chosen: list[str], *, is_verbose: bool) -> dict[str, Any]:
    async with Server() as server:
        await server.greet()
        if len(chosen) > 1:
            raise InvalidRequest(
                "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified"
            )
        return await server.post("/api/show", {"model": model, "verbose": is_verbose})


VERB: Final = Verb(
    name="show",
    usage="show MODEL",
    summary="Show information for a model",
    run=run,
    check=exactly(1),
    flags=(
        Flag("license", "Show license of a model", is_switch=True),
        Flag("modelfile", "Show Modelfile of a model", is_switch=True),
        Flag("parameters", "Show parameters of a model", is_switch=True),
        Flag("system", "Show system message of a model", is_switch=True),
        Flag("template", "Show template of a model", is_switch=True),
        Flag("verbose", "Show detailed model information", is_switch=True, short="v"),
    ),
)
