"""`llmsite list [PREFIX]`: installed models, as `/api/tags` orders them."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, Final

from llmsite.cli.arguments import Arguments, Verb
from llmsite.cli.rest import Server
from llmsite.cli.tables import format_moment, format_size, parse_timestamp, table

_HEADER: Final = ("NAME", "ID", "SIZE", "MODIFIED")


def run(arguments: Arguments) -> int:
    """Print the models whose name begins with the first word, letter case aside."""
    prefix = "".join(arguments.words[:1]).lower()
    models = asyncio.run(_fetch())
    now = time.time()
    rows = [
        (each["name"], each["digest"][:12], format_size(each["size"]), format_moment(parse_timestamp(each["modified_at"]), now))
        for each in models
        if each["name"].lower().startswith(prefix)
    ]
    sys.stdout.write(table(_HEADER, rows))
    return 0


async def _fetch() -> list[dict[str, Any]]:
    async with Server() as server:
        await server.greet()
        models: list[dict[str, Any]] = (await server.get("/api/tags"))["models"]
        return models


VERB: Final = Verb(name="list", usage="list", summary="List models", run=run, aliases=("ls",))
