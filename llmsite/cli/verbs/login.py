"""`llmsite login HOST`: keep an API key of another instance, which is sent to that host only when a model is pulled or pushed."""

from __future__ import annotations

import getpass
import sys
from typing import Final

from llmsite.cli.arguments import Arguments, Verb, exactly
from llmsite.cli.registry_keys import keep_key, read_host
from llmsite.types.errors import InvalidRequest


def run(arguments: Arguments) -> int:
    """Ask for the key, or read it from a pipe: as an argument it would stand in the shell's history."""
    host = read_host(arguments.words[0])
    key = _read_key(host)
    if not key.isascii() or not key.isprintable() or not key or " " in key:
        raise InvalidRequest("an API key is one word of letters, digits and signs")
    path = keep_key(host, key)
    sys.stdout.write(f"The key of {host} is kept in {path}\n")
    return 0


def _read_key(host: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    try:
        return getpass.getpass(f"API key of {host}: ").strip()
    except EOFError:
        return ""


VERB: Final = Verb(
    name="login",
    usage="login HOST",
    summary="Keep an API key of another instance",
    run=run,
    check=exactly(1),
    variables=("LLMSITE_HOME",),
)
