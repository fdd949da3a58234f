"""`llmsite logout HOST`: forget the API key of another instance."""

from __future__ import annotations

import sys
from typing import Final

from llmsite.cli.arguments import Arguments, Verb, exactly
from llmsite.cli.registry_keys import forget_key, read_host
from llmsite.types.errors import NotFound


def run(arguments: Arguments) -> int:
    """Take the key out of the file."""
    host = read_host(arguments.words[0])
    if not forget_key(host):
        raise NotFound(f"no key of {host} is kept")
    sys.stdout.write(f"The key of {host} is forgotten\n")
    return 0


VERB: Final = Verb(
    name="logout",
    usage="logout HOST",
    summary="Forget an API key of another instance",
    run=run,
    check=exactly(1),
    variables=("LLMSITE_HOME",),
)
