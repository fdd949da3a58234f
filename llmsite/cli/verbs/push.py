"""`llmsite push MODEL`: send a model to a registry (catalogue 9.5)."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from llmsite.cli.arguments import Arguments, Verb, exactly
from llmsite.cli.progress_lines import ProgressLines
from llmsite.cli.rest import Server
from llmsite.cli.verbs.pull import INSECURE, short_digest
from llmsite.types.chunk import Progress
from llmsite.types.errors import EngineError, Forbidden
from llmsite.types.name import DEFAULT_HOST, ModelName

_DENIED: Final = "you are not authorized to push to this namespace, create the model under a namespace you own"
_ACCESS_DENIED: Final = "access denied"
"""What the error of a registry says that knows the caller and refuses."""


def run(arguments: Arguments) -> int:
    """Push the model and say where it can be found."""
    name = ModelName.parse_loosely(arguments.words[0])
    asyncio.run(_push(arguments.words[0], name, is_insecure=arguments.is_set("insecure")))
    sys.stdout.write(f"\nYou can find your model at:\n\n\t{_place(name)}\n")
    return 0


async def _push(model: str, name: ModelName, *, is_insecure: bool) -> None:
    body = {"model": model, "insecure": is_insecure}
    async with Server() as server:
        await server.greet()
        if name.host.casefold() == DEFAULT_HOST:
            await server.post("/api/me", {})  # says that there is no account: without one that registry takes nothing
        try:
            async with ProgressLines(sys.stderr) as lines:
                await lines.follow(server.watch("/api/push", body), _label)
        except EngineError as error:
            raise Forbidden(_DENIED) if _ACCESS_DENIED in str(error) else error from error


def _label(progress: Progress) -> str:
    return f"pushing {short_digest(progress.digest)}"


def _place(name: ModelName) -> str:
    if name.host.casefold() != DEFAULT_HOST:
        return str(name)
    return f"https://ollama.com/{name.namespace}/{name.model}"


VERB: Final = Verb(
    name="push", usage="push MODEL", summary="Push a model to a registry", run=run, check=exactly(1), flags=(INSECURE,)
)
