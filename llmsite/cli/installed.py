"""The table of installed models, as `list` and `/list` print it (catalogue 9.2)."""

from __future__ import annotations

import time
from typing import Final

from llmsite.cli.rest import Server
from llmsite.cli.tables import format_moment, format_size, parse_timestamp, table

_HEADER: Final = ("NAME", "ID", "SIZE", "MODIFIED")


async def installed_table(server: Server, prefix: str) -> str:
    """The models whose name begins with the prefix, letter case aside, as `/api/tags` orders them."""
    models = (await server.get("/api/tags"))["models"]
    now = time.time()
    rows = [
        (each["name"], each["digest"][:12], format_size(each["size"]), format_moment(parse_timestamp(each["modified_at"]), now))
        for each in models
        if each["name"].lower().startswith(prefix.lower())
    ]
    return table(_HEADER, rows)
