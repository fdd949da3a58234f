"""From a host's name to a connection: checked addresses, TLS under the host's own name, and the proxy if one is configured."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from llmsite.registry.addresses import require_allowed, resolve
from llmsite.registry.config import RegistryConfig
from llmsite.registry.faults import shown
from llmsite.registry.wire import Wire
from llmsite.types.errors import RegistryError

_MOST_ADDRESSES: Final = 4
"""So many of a host's addresses are tried; a name may have hundreds."""
_LEAST_SECONDS: Final = 0.001
_PROXY_PORT: Final = 80


def connect(scheme: str, host: str, port: int, config: RegistryConfig, require_open: Callable[[], None]) -> Wire:
    """A connection to an address of `host` that was checked. Blocks.

    `require_open` is called before each try and may raise. Raises `Forbidden`, `RegistryError`, `OSError` in Go's words.
    """
    proxy = proxy_for(scheme, host, config)
    sock = _through(proxy, host, port, config) if proxy else _direct(host, port, config, require_open)
    if scheme == "http":
        return Wire(sock, config.limits)
    try:
        sock.settimeout(config.limits.pull_connect_seconds)
        return Wire(tls_context().wrap_socket(sock, server_hostname=host), config.limits)
    except BaseException:
        sock.close()
        raise


@cache
def tls_context() -> ssl.SSLContext:
    """Checks certificates against those that this machine trusts. Made once: reading them takes a while."""
    return ssl.create_default_context()


def proxy_for(scheme: str, host: str, config: RegistryConfig) -> str:
    """URL of the proxy to ask, empty for none."""
    proxy = config.https_proxy if scheme == "https" else config.http_proxy
    return "" if any(_matches(host, each) for each in config.unproxied_hosts) else proxy


def _matches(host: str, pattern: str) -> bool:
    """Whether a word of NO_PROXY means this host: `*`, its name, or a domain it lies in."""
    name = pattern.lstrip(".").lower()
    return pattern == "*" or host.lower() == name or host.lower().endswith(f".{name}")


def _direct(host: str, port: int, config: RegistryConfig, require_open: Callable[[], None]) -> socket.socket:
    """One address after the other; those that are left share the time that is left, so that a silent one costs a part of it."""
    try:
        literals = resolve(host, port, config)[:_MOST_ADDRESSES]
    except socket.gaierror as error:
        raise OSError(f"dial tcp: lookup {host}: no such host") from error
    until = time.monotonic() + config.limits.pull_connect_seconds
    last: OSError = OSError(f"dial tcp: lookup {host}: no such host")
    for num_left, literal in zip(range(len(literals), 0, -1), literals, strict=True):
        require_open()
        try:
            return _open(literal, port, max((until - time.monotonic()) / num_left, _LEAST_SECONDS))
        except OSError as error:
            last = error
    raise last


def _open(literal: str, port: int, seconds: float) -> socket.socket:
    place = _authority(literal, port)
    try:
        sock = socket.create_connection((literal, port), timeout=seconds)
    except TimeoutError as error:
        raise OSError(f"dial tcp {place}: i/o timeout") from error
    except ConnectionRefusedError as error:
        raise OSError(f"dial tcp {place}: connect: connection refused") from error
    except OSError as error:
        raise OSError(f"dial tcp {place}: connect: {(error.strerror or str(error)).lower()}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _through(proxy: str, host: str, port: int, config: RegistryConfig) -> socket.socket:
    """A connection that the configured proxy makes. It resolves names itself; what we can resolve is checked all the same."""
    is_listed = config.lists(host) or config.lists(f"{host}:{port}")
    _require_name(host)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        with suppress(socket.gaierror):
            resolve(host, port, config)
    else:
        require_allowed(host, config, is_listed=is_listed)
    parts = _proxy_parts(proxy)
    sock = _open_proxy(parts.hostname or "", parts.port or _PROXY_PORT, config)
    try:
        _tunnel(sock, _authority(host, port), parts.username, parts.password, config)
    except BaseException:
        sock.close()
        raise
    return sock


def _require_name(host: str) -> None:
    """Raise `OSError` for what no certificate can name: a label that is empty or too long. A proxy need not mind."""
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise OSError(f"dial tcp: lookup {host}: no such host") from error


def _proxy_parts(proxy: str) -> SplitResult:
    """The URL of a proxy. Raises `RegistryError` for one that we do not speak to, without what may be a password."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        is_place = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_place = False
    if not is_place:
        raise RegistryError("the proxy for registries is not a URL such as http://proxy.example:3128")
    if parts.scheme != "http":
        raise RegistryError(f"a proxy of the kind {parts.scheme}:// is not supported: name one that begins with http://")
    return parts


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _open_proxy(host: str, port: int, config: RegistryConfig) -> socket.socket:
    try:
        return socket.create_connection((host, port), timeout=config.limits.pull_connect_seconds)
    except OSError as error:
        raise OSError(f"proxyconnect tcp: dial tcp {host}:{port}: {error.strerror or error}") from error


def _tunnel(sock: socket.socket, authority: str, user: str | None, password: str | None, config: RegistryConfig) -> None:
    """Ask the proxy for a tunnel, which works for http too. Raises `OSError` when it refuses."""
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if user is not None:
        credentials = f"{unquote(user)}:{unquote(password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {b64encode(credentials).decode()}")
    wire = Wire(sock, config.limits)
    wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    wire.expect_head()
    with wire.makefile() as reader:
        status = reader.readline(65_536).split(b" ", 2)
        http.client.parse_headers(reader)
    if len(status) < 2 or status[1] != b"200":
        raise OSError(f"proxyconnect tcp: {shown(b' '.join(status[1:]), config.limits)}")
