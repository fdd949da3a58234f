"""Requests towards registries before they are sent: their origin, what of them goes on to the next hop, and URLs of strangers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from llmsite.types.errors import Forbidden, RegistryError

_SECRETS: Final = frozenset({"authorization", "cookie"})
_PORTS: Final = {"http": 80, "https": 443}
_NO_URL: Final = "the registry's address is not a URL"
_URL_CHARS: Final = "".join(chr(code) for code in range(0x21, 0x7F))
_HOST_CHARS: Final = 350
"""As many as a model's name may have there."""

Origin = tuple[str, str, int]
"""Scheme, host and port: the border at which credentials end."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. A body that is not bytes is sent as it comes and needs its `Content-Length` among the headers."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = None
    is_insecure: bool = False


def ascii_url(header: str) -> str:
    """A URL from a header, whose bytes came as Latin-1: what no request may hold is escaped, as Go does it."""
    return quote(header.encode("latin-1", "replace"), safe=_URL_CHARS)


def joined(base: str, header: str) -> str:
    """Where a header points that came with the reply of `base`, as an absolute URL. Raises `RegistryError` when it is none."""
    try:
        return urljoin(base, ascii_url(header))
    except ValueError as error:
        raise RegistryError(_NO_URL) from error


def origin_of(url: str) -> Origin:
    """Scheme, host and port of a URL. Raises `RegistryError` for one that has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RegistryError(_NO_URL) from error
    if parts.scheme not in _PORTS or not parts.hostname or len(parts.hostname) > _HOST_CHARS:
        raise RegistryError(_NO_URL)
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port


def redirected(request: Request, url: str) -> Request:
    """The request for the next hop, without credentials when it leaves the origin."""
    headers = dict(request.headers)
    if origin_of(url) != origin_of(request.url):
        headers = {name: value for name, value in headers.items() if name.casefold() not in _SECRETS}
    return Request(request.method, url, headers, request.body, request.is_insecure)


def split(request: Request) -> tuple[Origin, str]:
    """Origin and request target. Raises `Forbidden` for http towards a registry that was not called insecure."""
    origin = origin_of(request.url)
    if origin[0] == "http" and not request.is_insecure:
        raise Forbidden(f"the registry {origin[1]} would be asked without encryption; use --insecure if that is meant")
    parts = urlsplit(request.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return origin, path


def netloc(origin: Origin) -> str:
    """What stands in `Host`: the port only where it is another than the scheme's own."""
    scheme, host, port = origin
    shown_host = f"[{host}]" if ":" in host else host
    return shown_host if port == _PORTS[scheme] else f"{shown_host}:{port}"
