"""`llmsite ps [PREFIX]`: models that are loaded now."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

from llmsite.cli.arguments import Arguments, Verb
from llmsite.cli.rest import Server
from llmsite.cli.tables import format_processor, format_size, format_until, table
from llmsite.types.chunk import RunningModels

_HEADER: Final = ("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL")


def run(arguments: Arguments) -> int:
    """Print the loaded models whose name begins with the first word."""
    prefix = "".join(arguments.words[:1])
    running = asyncio.run(_fetch())
    now = time.time()
    rows = [
        (
            each.name,
            each.digest[:12],
            format_size(each.size_bytes),
            format_processor(each.size_bytes, each.size_vram_bytes),
            str(each.num_ctx),
            format_until(each.expires_at, now),
        )
        for each in running.models
        if each.name.startswith(prefix)
    ]
    sys.stdout.write(table(_HEADER, rows))
    return 0


async def _fetch() -> RunningModels:
    async with Server() as server:
        await server.greet()
        return await server.client.ps()


VERB: Final = Verb(name="ps", usage="ps", summary="List running models", run=run)
