"""Where the server is: OLLAMA_HOST as clients read it (catalogue 13)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 11434
_SCHEME_PORTS: Final = {"http": 80, "https": 443}


class BadAddress(ValueError):
    """OLLAMA_HOST cannot be read as an address. The text is Go's."""


@dataclass(frozen=True, slots=True)
class Address:
    """`path` is a prefix of every request, without slashes at its ends. `warning` tells what was not understood."""

    scheme: str
    host: str
    port: int
    path: str = ""
    warning: str = ""

    @property
    def url(self) -> str:
        """Base of all requests, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}" + (f"/{self.path}" if self.path else "")


def parse_address(text: str) -> Address:
    """`[scheme://]host[:port][/path]` with defaults; an unusable port becomes the default one, with a warning.

    Raises `BadAddress`. An empty host means this machine.
    """
    scheme, separator, rest = text.strip().strip("\"'").strip().partition("://")
    if not separator:
        scheme, rest = "http", scheme
        default = DEFAULT_PORT
    else:
        default = _SCHEME_PORTS.get(scheme, DEFAULT_PORT)
    place, _, path = rest.partition("/")
    host, port_text = _split_port(place)
    port, warning = default, ""
    if port_text is not None:
        if port_text.isascii() and port_text.isdigit() and int(port_text) <= 65535:
            port = int(port_text)
        else:
            warning = f"invalid port, using default port={port_text} default={default}"
    _check(scheme, host, port)
    return Address(scheme, host or DEFAULT_HOST, port, path.strip("/"), warning)


def _split_port(place: str) -> tuple[str, str | None]:
    """Host and text of the port, None without one. A bare IPv6 address is all host."""
    bare = place.strip("[]")
    try:
        return str(ipaddress.ip_address(bare)), None
    except ValueError:
        pass
    host, colon, port = place.rpartition(":")
    if not colon or "]" in port:
        return place, None
    return host.removeprefix("[").removesuffix("]") if host.endswith("]") else host, port


def _check(scheme: str, host: str, port: int) -> None:
    if host.startswith("["):
        raise BadAddress(f"parse \"{scheme}://{host}:{port}/\": missing ']' in host")
    escaped = quote(host, safe=".:-_~!$&'()*+,;=[]%")
    if escaped != host:
        bad = escaped[escaped.index("%") :][:3]
        raise BadAddress(f'parse "{scheme}://{escaped}:{port}/": invalid URL escape "{bad}"')
    if scheme not in _SCHEME_PORTS:
        raise BadAddress(f'Head "{scheme}://{host}:{port}/": unsupported protocol scheme "{scheme}"')
