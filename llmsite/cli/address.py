"""Where the server is: OLLAMA_HOST as a client takes it (catalogue 13); `env.py` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from llmsite import env

_THIS_MACHINE: Final = "127.0.0.1"
_HOST_CHARACTERS: Final = ".:-_~!$&'()*+,;=%"


class BadAddress(ValueError):
    """OLLAMA_HOST names no place to ask. The text is Go's."""


def server_url(environ: Mapping[str, str] | None = None) -> str:
    """Base of all requests, without a slash at its end. Raises `BadAddress`. An empty host means this machine."""
    try:
        address = env.server_address(environ)
    except env.BadVariable as error:
        raise BadAddress(str(error)) from error
    url = replace(address, host=address.host or _THIS_MACHINE).url
    escaped = quote(address.host, safe=_HOST_CHARACTERS)
    if escaped != address.host:
        bad = escaped[escaped.index("%") :][:3]
        raise BadAddress(f'parse "{address.scheme}://{escaped}:{address.port}/": invalid URL escape "{bad}"')
    if address.scheme not in ("http", "https"):
        raise BadAddress(f'Head "{url}/": unsupported protocol scheme "{address.scheme}"')
    return url
