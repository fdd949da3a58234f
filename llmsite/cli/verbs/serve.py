"""`llmsite serve`: starts the site; the management command does the work."""

from __future__ import annotations

from typing import Final

from llmsite import env
from llmsite.cli.arguments import Arguments, Verb, exactly
from llmsite.cli.exec_django import exec_django


def run(arguments: Arguments) -> int:
    """Becomes the server; does not return."""
    return exec_django("serve", ())


VERB: Final = Verb(
    name="serve",
    usage="serve",
    summary="Start llmsite",
    run=run,
    check=exactly(0),
    aliases=("start",),
    variables=tuple(each.name for each in env.VARIABLES),
)
