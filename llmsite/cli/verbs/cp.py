"""`llmsite cp SOURCE DESTINATION`: one more name for a model; no weights are copied."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from llmsite.cli.arguments import Arguments, Verb, exactly
from llmsite.cli.rest import Server


def run(arguments: Arguments) -> int:
    """Copy the model."""
    source, destination = arguments.words
    asyncio.run(_copy(source, destination))
    sys.stdout.write(f"copied '{source}' to '{destination}'\n")
    return 0


async def _copy(source: str, destination: str) -> None:
    async with Server() as server:
        await server.greet()
        await server.post("/api/copy", {"source": source, "destination": destination})


VERB: Final = Verb(name="cp", usage="cp SOURCE DESTINATION", summary="Copy a model", run=run, check=exactly(2))
