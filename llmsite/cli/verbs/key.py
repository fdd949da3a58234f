"""`llmsite key …`: API keys of this site; the management command reads the words."""

from __future__ import annotations

from typing import Final

from llmsite.cli.arguments import Arguments, Verb
from llmsite.cli.exec_django import exec_django


def run(arguments: Arguments) -> int:
    """Becomes the management command; does not return."""
    return exec_django("key", arguments.words)


VERB: Final = Verb(
    name="key",
    usage="key",
    summary="Manage API keys",
    run=run,
    variables=("LLMSITE_HOME",),
    is_handed_on=True,
)
