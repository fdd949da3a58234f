"""`llmsite pull MODEL`: get a model from a registry (catalogue 9.5). `run` pulls a missing one through here."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from llmsite.cli.arguments import Arguments, Flag, Verb, exactly
from llmsite.cli.progress_lines import ProgressLines
from llmsite.cli.rest import Server
from llmsite.types.chunk import Progress

INSECURE: Final = Flag("insecure", "Use an insecure registry", is_switch=True)
_SHORT_DIGITS: Final = 12


def run(arguments: Arguments) -> int:
    """Pull the model. Leaving early lets the server stop, unless others wait for the same model."""
    asyncio.run(_pull(arguments.words[0], is_insecure=arguments.is_set("insecure")))
    return 0


async def _pull(model: str, *, is_insecure: bool) -> None:
    async with Server() as server:
        await server.greet()
        await pull_model(server, model, is_insecure=is_insecure)


async def pull_model(server: Server, model: str, *, is_insecure: bool) -> None:
    """Pull with lines of progress on stderr. Raises `ServerError`, `EngineError`."""
    body = {"model": model, "insecure": is_insecure}
    async with ProgressLines(sys.stderr) as lines:
        await lines.follow(server.watch("/api/pull", body), _label, skips_empty=True)


def _label(progress: Progress) -> str:
    return f"pulling {short_digest(progress.digest)}:"


def short_digest(digest: str) -> str:
    """The first digits, as lines of progress name a blob."""
    return digest.removeprefix("sha256:")[:_SHORT_DIGITS]


VERB: Final = Verb(
    name="pull", usage="pull MODEL", summary="Pull a model from a registry", run=run, check=exactly(1), flags=(INSECURE,)
)
