"""`llmsite rm MODEL [MODEL...]`: unload models and remove them; stops at the first that cannot be removed."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from llmsite.cli.arguments import Arguments, Verb, at_least
from llmsite.cli.rest import Server, ServerError

_NOT_FOUND: Final = 404


def run(arguments: Arguments) -> int:
    """Remove the models in the order given."""
    asyncio.run(_remove_all(arguments.words))
    return 0


async def _remove_all(models: tuple[str, ...]) -> None:
    async with Server() as server:
        await server.greet()
        for model in models:
            await _unload(server, model)
            await server.delete("/api/delete", {"model": model})
            sys.stdout.write(f"deleted '{model}'\n")


async def _unload(server: Server, model: str) -> None:
    """Let a loaded model go first. One that is not there is left for the deletion to report."""
    try:
        await server.post("/api/generate", {"model": model, "keep_alive": 0})
    except ServerError as error:
        if error.status != _NOT_FOUND:
            sys.stderr.write(f"Warning: unable to stop model '{model}'\n")


VERB: Final = Verb(name="rm", usage="rm MODEL [MODEL...]", summary="Remove a model", run=run, check=at_least(1))
