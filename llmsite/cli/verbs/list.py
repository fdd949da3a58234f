"""`llmsite list [PREFIX]`: installed models."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from llmsite.cli.arguments import Arguments, Verb
from llmsite.cli.installed import installed_table
from llmsite.cli.rest import Server


def run(arguments: Arguments) -> int:
    """Print the models whose name begins with the first word."""
    sys.stdout.write(asyncio.run(_fetch("".join(arguments.words[:1]))))
    return 0


async def _fetch(prefix: str) -> str:
    async with Server() as server:
        await server.greet()
        return await installed_table(server, prefix)


VERB: Final = Verb(name="list", usage="list", summary="List models", run=run, aliases=("ls",))
