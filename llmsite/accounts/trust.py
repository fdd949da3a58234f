"""Who is near and what a browser may do: Host, Origin and loopback, decided on plain facts before anything else runs.

Pure decisions first (rules 2 and 3 of threats-and-faults (a), catalogue 14.1), then `Guard`, the ASGI application that applies
them to every scope: REST, pages, static files and sockets. What it finds is left in `scope["trust"]`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

REST_PREFIXES: Final = ("/api/", "/v1/", "/v2/")
_DEFAULT_HOSTS: Final = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - names in an Origin, nothing binds to them
DEFAULT_ORIGINS: Final = (
    *(f"{scheme}://{host}{port}" for host in _DEFAULT_HOSTS for scheme in ("http", "https") for port in ("", ":*")),
    *(f"{scheme}://*" for scheme in ("app", "file", "tauri", "vscode-webview", "vscode-file")),
)
"""Origins that may call the REST API without being listed in OLLAMA_ORIGINS (catalogue 14.1)."""

_OWN_SITE: Final = frozenset({"", "none", "same-origin"})
_PROXY_HEADERS: Final = frozenset({b"forwarded", b"via", b"x-real-ip"})
_PROXY_PREFIX: Final = b"x-forwarded-"
_METHODS: Final = b"GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_REQUEST_HEADERS: Final = (
    b"Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    b"X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,"
    b"X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout"
)


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """What the site was told. `bound` are the hosts of the listeners, `allowed_hosts` further names in the Host header
    (one that starts with a dot means every name below it), `origins` further origins for the REST API (`*` is a wildcard)."""

    bound: tuple[str, ...] = ("127.0.0.1",)
    allowed_hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether every listener is bound to this machine only."""
        return all(is_loopback(host) for host in self.bound)

    @property
    def allows_all_origins(self) -> bool:
        return "*" in self.origins


@dataclass(frozen=True, slots=True)
class Trust:
    """What was decided about a scope. `is_loopback`: counts as a caller of this machine. `is_same_origin`: our own page, or
    no page at all, so cookies may speak."""

    is_loopback: bool
    is_same_origin: bool


STRANGER: Final = Trust(is_loopback=False, is_same_origin=True)
NEAR: Final = Trust(is_loopback=True, is_same_origin=True)

OriginKind = Literal["absent", "same", "allowed", "foreign"]


@dataclass(frozen=True, slots=True)
class Facts:
    """The headers and addresses that decisions are made from. Header values are stripped; absent is the empty string."""

    peer: str
    local: str
    host: str
    origin: str | None
    fetch_site: str
    is_proxied: bool
    scheme: str
    num_hosts: int = 1
    is_rest: bool = True
    headers: Headers = field(default_factory=list, repr=False)


def is_rest_path(path: str) -> bool:
    """Whether a path belongs to the REST API, where bearer keys speak and errors are JSON. `/` is both; see `Guard`."""
    return path.startswith(REST_PREFIXES) or path in ("/api", "/v1", "/v2")


def is_loopback(host: str) -> bool:
    """Whether a name or address literal means this machine only."""
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def split_host(value: str) -> str:
    """Host part of a Host header, lower case and without brackets or port; empty when it is not one.

    Only `name`, `name:port`, `[v6]` and `[v6]:port` are read: no user, path, query or blank can hide in it.
    """
    match = _HOST.fullmatch(value)
    if match is None:
        return ""
    literal = match["literal"]
    if literal is not None:
        return literal.lower() if _address(literal) else ""
    return match["name"].lower()


_HOST: Final = re.compile(r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{1,5})?")


def is_host_allowed(host: str, local: str, config: TrustConfig) -> bool:
    """Rule 3. `host` as `split_host` gives it; `local` is the address of this machine that the connection came in on."""
    if not host:
        return False
    if host == "localhost":
        return True
    address = _address(host)
    if address is not None:
        own = {_address(each) for each in (local, *config.bound)} - {None}
        return address.is_loopback or address in own or host in config.allowed_hosts
    return any(_matches_host(host, entry.lower()) for entry in (*config.allowed_hosts, *config.bound) if entry)


def _matches_host(host: str, entry: str) -> bool:
    return host.endswith(entry) if entry.startswith(".") else host == entry


def judge_origin(facts: Facts, config: TrustConfig) -> OriginKind:
    """How the Origin header stands to us. `null` and several origins are foreign."""
    if facts.origin is None:
        return "absent"
    if facts.origin in (f"http://{facts.host}", f"https://{facts.host}"):
        return "same"
    if facts.origin in ("", "null") or _NO_ORIGIN.search(facts.origin):
        return "foreign"
    if config.allows_all_origins or any(_matches_origin(facts.origin, entry) for entry in (*DEFAULT_ORIGINS, *config.origins)):
        return "allowed"
    return "foreign"


_NO_ORIGIN: Final = re.compile(r"[\s,@]")
"""What no browser puts into an origin: several in one, or a user that a wildcard for ports would swallow."""


def _matches_origin(origin: str, entry: str) -> bool:
    """One `*` in an entry stands for any text; comparison is by bytes, as Ollama's."""
    if "*" not in entry:
        return origin == entry
    before, _, after = entry.partition("*")
    return len(origin) >= len(before) + len(after) and origin.startswith(before) and origin.endswith(after)


def counts_as_loopback(facts: Facts, config: TrustConfig) -> bool:
    """Rule 2: every condition holds, or the caller is a stranger from the network."""
    if not (is_loopback(facts.peer) and config.is_loopback):
        return False
    if facts.is_proxied or not is_loopback(split_host(facts.host)):
        return False
    origin = judge_origin(facts, config)
    if origin == "absent":
        return facts.fetch_site in _OWN_SITE
    return origin in ("same", "allowed")


def may_carry_cookies(facts: Facts, origin: OriginKind, path: str) -> bool:
    """Whether a sign-in cookie speaks for this request. Links from elsewhere may open a page, never the REST API."""
    if origin == "absent":
        return facts.fetch_site in _OWN_SITE or not is_rest_path(path)
    return origin == "same"


def read_facts(scope: Scope) -> Facts:
    """The facts of an ASGI scope of type http or websocket."""
    headers: Headers = list(scope["headers"])
    return Facts(
        peer=_host_of(scope.get("client")),
        local=_host_of(scope.get("server")),
        host=_single(headers, b"host") or "",
        origin=_single(headers, b"origin"),
        fetch_site=_single(headers, b"sec-fetch-site") or "",
        is_proxied=any(name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIX) for name, _ in headers),
        scheme=str(scope.get("scheme", "http")),
        num_hosts=sum(name == b"host" for name, _ in headers),
        is_rest=scope["type"] == "http" and (is_rest_path(scope["path"]) or scope["path"] == "/"),
        headers=headers,
    )


def _host_of(pair: Sequence[Any] | None) -> str:
    return str(pair[0]) if pair else ""


def _single(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """A header's value; several values of one name are joined, so that none of them is believed."""
    values = [value for key, value in headers if key == name]
    return b",".join(values).decode("latin-1").strip() if values else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address literal; an IPv4 address that is written or mapped as IPv6 is the IPv4 address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


class Guard:
    """ASGI application in front of everything: refuses foreign hosts and origins, answers preflights, adds CORS headers.

    REST paths and `/` follow the list of origins; pages, forms and sockets are for our own origin only. A request from another,
    allowed origin loses its cookies here, so no code behind can be moved by them. `methods_of(path)` names a route's methods.
    """

    def __init__(self, application: Application, config: TrustConfig, methods_of: Callable[[str], tuple[str, ...]]) -> None:
        self._application = application
        self._config = config
        self._methods_of = methods_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        facts = read_facts(scope)
        if scope["type"] == "websocket":
            await self._serve_socket(scope, facts, receive, send)
            return
        await self._serve_http(scope, facts, receive, send)

    async def _serve_http(self, scope: Scope, facts: Facts, receive: Receive, send: Send) -> None:
        # 1. the host, 2. the origin, 3. preflights, 4. the application
        origin = judge_origin(facts, self._config)
        if not self._is_host_fine(facts) or not self._is_origin_fine(facts, origin):
            await _answer(send, 403)
            return
        if scope["method"] == "OPTIONS" and facts.is_rest:
            await self._answer_options(scope, facts, origin, send)
            return
        trust = Trust(counts_as_loopback(facts, self._config), may_carry_cookies(facts, origin, scope["path"]))
        scope["trust"] = trust
        if not trust.is_same_origin:
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        await self._application(scope, receive, self._with_cors(send, facts) if origin == "allowed" else send)

    async def _serve_socket(self, scope: Scope, facts: Facts, receive: Receive, send: Send) -> None:
        """Sockets carry the sign-in cookie, so only our own pages may open one."""
        if not self._is_host_fine(facts) or judge_origin(facts, self._config) != "same":
            await receive()
            await send({"type": "websocket.close", "code": 4403})
            return
        scope["trust"] = Trust(counts_as_loopback(facts, self._config), is_same_origin=True)
        await self._application(scope, receive, send)

    def _is_host_fine(self, facts: Facts) -> bool:
        return facts.num_hosts == 1 and is_host_allowed(split_host(facts.host), facts.local, self._config)

    def _is_origin_fine(self, facts: Facts, origin: OriginKind) -> bool:
        if facts.is_rest:
            return origin != "foreign"
        return origin in ("same", "absent")

    async def _answer_options(self, scope: Scope, facts: Facts, origin: OriginKind, send: Send) -> None:
        """Preflight and plain OPTIONS (catalogue 14.1, 14.3)."""
        methods = self._methods_of(scope["path"])
        allow = [(b"allow", ", ".join(methods).encode())] if methods else []
        if origin == "allowed":
            await _answer(send, 204, [*self._preflight_headers(facts), *allow])
            return
        is_name = _address(split_host(facts.host)) is None
        if origin == "absent" and self._config.is_loopback and is_name:
            await _answer(send, 204)
            return
        if not methods:
            await _answer(send, 404, [(b"content-type", b"text/plain")], b"404 page not found")
            return
        await _answer(send, 405, [(b"content-type", b"text/plain"), *allow], b"405 method not allowed")

    def _preflight_headers(self, facts: Facts) -> Headers:
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", b"43200"),
            (b"access-control-allow-origin", self._allowed_origin(facts)),
            (b"vary", b"Origin"),
            (b"vary", b"Access-Control-Request-Method"),
            (b"vary", b"Access-Control-Request-Headers"),
        ]

    def _allowed_origin(self, facts: Facts) -> bytes:
        return b"*" if self._config.allows_all_origins else (facts.origin or "").encode("latin-1")

    def _with_cors(self, send: Send, facts: Facts) -> Send:
        extra: Headers = [(b"access-control-allow-origin", self._allowed_origin(facts)), (b"vary", b"Origin")]

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        return send_with_cors


async def _answer(send: Send, status: int, headers: Headers | None = None, body: bytes = b"") -> None:
    length = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or []), *length]})
    await send({"type": "http.response.body", "body": body})
