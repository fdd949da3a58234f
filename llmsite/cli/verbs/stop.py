"""`llmsite stop MODEL`: let a loaded model go. Silent, also when it was not loaded."""

from __future__ import annotations

import asyncio
from typing import Final

from llmsite.cli.arguments import Arguments, Verb, exactly
from llmsite.cli.rest import Server, ServerError
from llmsite.types.errors import LlmsiteError

_NOT_FOUND: Final = 404


def run(arguments: Arguments) -> int:
    """Unload the model as soon as it is idle."""
    asyncio.run(_stop(arguments.words[0]))
    return 0


async def _stop(model: str) -> None:
    async with Server() as server:
        await server.greet()
        try:
            await server.post("/api/generate", {"model": model, "keep_alive": 0})
        except ServerError as error:
            if error.status == _NOT_FOUND:
                raise LlmsiteError(f'couldn\'t find model "{model}" to stop') from error
            raise


VERB: Final = Verb(name="stop", usage="stop MODEL", summary="Stop a running model", run=run, check=exactly(1))
