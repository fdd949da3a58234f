"""`llmsite check`: looks through the store; the management command does the work."""

from __future__ import annotations

from typing import Final

from llmsite.cli.arguments import Arguments, Verb
from llmsite.cli.exec_django import exec_django


def run(arguments: Arguments) -> int:
    """Becomes the management command; does not return."""
    return exec_django("check_store", arguments.words)


VERB: Final = Verb(
    name="check",
    usage="check",
    summary="Check the model store and repair it",
    run=run,
    variables=("LLMSITE_HOME", "OLLAMA_MODELS"),
    is_handed_on=True,
)
