"""Rules 2 and 3 of the trust model and catalogue 14.1, as tables; then the ASGI application that applies them."""

from __future__ import annotations

from typing import Any

import pytest

from llmsite.accounts.trust import (
    Facts,
    Guard,
    Message,
    Scope,
    TrustConfig,
    counts_as_loopback,
    is_host_allowed,
    is_loopback,
    judge_origin,
    split_host,
)

NEAR = Facts(
    peer="127.0.0.1", local="127.0.0.1", host="localhost:11434", origin=None, fetch_site="", is_proxied=False, scheme="http"
)


def facts(**changes: Any) -> Facts:
    return Facts(**({name: getattr(NEAR, name) for name in NEAR.__slots__} | changes))


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("localhost", "localhost"),
        ("LocalHost:11434", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:11434", "::1"),
        ("[::1]", "::1"),
        ("a.example:80", "a.example"),
        ("", ""),
        ("::1", ""),
        ("[::1", ""),
        ("[nothing]", ""),
        ("user@localhost", ""),
        ("localhost/x", ""),
        ("localhost?x", ""),
        ("localhost#x", ""),
        ("localhost:port", ""),
        ("localhost,evil.example", ""),
        ("evil.example localhost", ""),
        ("localhost:123456", ""),
    ],
)
def test_a_host_header_is_read_strictly(value: str, host: str) -> None:
    assert split_host(value) == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "LOCALHOST"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "10.0.0.1", "::", "localhost.example", "2130706433", "0x7f.1", "127.1"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "local", "config", "expected"),
    [
        ("localhost", "127.0.0.1", TrustConfig(), True),
        ("127.0.0.1", "127.0.0.1", TrustConfig(), True),
        ("::1", "127.0.0.1", TrustConfig(), True),
        ("10.0.0.1", "127.0.0.1", TrustConfig(), False),
        ("0.0.0.0", "127.0.0.1", TrustConfig(), False),
        ("0.0.0.0", "10.0.0.1", TrustConfig(bound=("0.0.0.0",)), True),
        ("10.0.0.1", "10.0.0.1", TrustConfig(bound=("0.0.0.0",)), True),
        ("10.0.0.2", "10.0.0.1", TrustConfig(bound=("0.0.0.0",)), False),
        ("10.0.0.2", "10.0.0.1", TrustConfig(bound=("0.0.0.0",), allowed_hosts=("10.0.0.2",)), True),
        ("rebind.example", "127.0.0.1", TrustConfig(), False),
        ("rebind.example", "10.0.0.1", TrustConfig(bound=("0.0.0.0",)), False),
        ("foo.local", "127.0.0.1", TrustConfig(), False),
        ("foo.local", "127.0.0.1", TrustConfig(allowed_hosts=("foo.local",)), True),
        ("foo.local", "127.0.0.1", TrustConfig(allowed_hosts=(".local",)), True),
        ("foolocal", "127.0.0.1", TrustConfig(allowed_hosts=(".local",)), False),
        ("box", "10.0.0.1", TrustConfig(bound=("box",)), True),
        ("", "127.0.0.1", TrustConfig(), False),
    ],
)
def test_T41_hosts(host: str, local: str, config: TrustConfig, expected: bool) -> None:
    assert is_host_allowed(host, local, config) is expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "absent"),
        ("http://localhost:11434", "same"),
        ("https://localhost:11434", "same"),
        ("http://localhost", "allowed"),
        ("http://localhost:3000", "allowed"),
        ("https://127.0.0.1:8443", "allowed"),
        ("http://0.0.0.0:1", "allowed"),
        ("app://x", "allowed"),
        ("file://", "allowed"),
        ("tauri://localhost", "allowed"),
        ("vscode-webview://abc", "allowed"),
        ("vscode-file://vscode-app", "allowed"),
        ("null", "foreign"),
        ("", "foreign"),
        ("http://evil.example", "foreign"),
        ("http://localhost.evil.example", "foreign"),
        ("http://localhost:3000@evil.example", "foreign"),
        ("http://localhost:3000,http://evil.example", "foreign"),
        ("chrome-extension://abc", "foreign"),
        ("HTTP://LOCALHOST", "foreign"),
    ],
)
def test_origins(origin: str | None, expected: str) -> None:
    assert judge_origin(facts(origin=origin), TrustConfig()) == expected


def test_listed_origins_and_patterns() -> None:
    config = TrustConfig(origins=("http://site.example", "chrome-extension://*"))
    assert judge_origin(facts(origin="http://site.example"), config) == "allowed"
    assert judge_origin(facts(origin="chrome-extension://abc"), config) == "allowed"
    assert judge_origin(facts(origin="http://site.example:81"), config) == "foreign"
    assert judge_origin(facts(origin="http://any.example"), TrustConfig(origins=("*",))) == "allowed"
    assert judge_origin(facts(origin="null"), TrustConfig(origins=("*",))) == "foreign"


@pytest.mark.parametrize(
    ("changes", "config", "expected"),
    [
        ({}, TrustConfig(), True),
        ({"peer": "::1", "host": "[::1]:11434"}, TrustConfig(bound=("::1",)), True),
        ({"peer": "10.0.0.9"}, TrustConfig(), False),
        ({}, TrustConfig(bound=("0.0.0.0",)), False),
        ({}, TrustConfig(bound=("127.0.0.1", "10.0.0.1")), False),
        ({"is_proxied": True}, TrustConfig(), False),
        ({"host": "box.local"}, TrustConfig(allowed_hosts=("box.local",)), False),
        ({"host": ""}, TrustConfig(), False),
        ({"origin": "http://localhost:3000"}, TrustConfig(), True),
        ({"origin": "http://localhost:11434"}, TrustConfig(), True),
        ({"origin": "http://evil.example"}, TrustConfig(), False),
        ({"origin": "null"}, TrustConfig(), False),
        ({"fetch_site": "none"}, TrustConfig(), True),
        ({"fetch_site": "same-origin"}, TrustConfig(), True),
        ({"fetch_site": "same-site"}, TrustConfig(), False),
        ({"fetch_site": "cross-site"}, TrustConfig(), False),
    ],
)
def test_rule_2_every_condition_must_hold(changes: dict[str, Any], config: TrustConfig, expected: bool) -> None:
    assert counts_as_loopback(facts(**changes), config) is expected


# the application in front


class Asked:
    """What reached the application behind the guard, and what came out in front."""

    def __init__(self, config: TrustConfig | None = None) -> None:
        self.scope: Scope | None = None
        self.sent: list[Message] = []
        self.guard = Guard(self._application, config or TrustConfig(), lambda path: ("POST",) if path == "/api/chat" else ())

    async def _application(self, scope: Scope, receive: Any, send: Any) -> None:
        self.scope = scope
        await send({"type": "http.response.start", "status": 200, "headers": [(b"vary", b"Accept")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def ask(self, path: str, method: str = "GET", kind: str = "http", **headers: str) -> int:
        """Status, or the close code of a socket; 0 for a socket that came through."""
        pairs = [
            (name.replace("_", "-").encode(), value.encode()) for name, value in ({"host": "localhost:11434"} | headers).items()
        ]
        scope = {
            "type": kind,
            "method": method,
            "path": path,
            "headers": pairs,
            "client": ["127.0.0.1", 5],
            "server": ["127.0.0.1", 11434],
        }
        await self.guard(scope, self._receive, self._send)
        first = self.sent[0]
        return int(first.get("status", first.get("code", 0)))

    async def _receive(self) -> Message:
        return {"type": "websocket.connect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return bytes(self.sent[1]["body"])


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost.evil.example"])
@pytest.mark.parametrize("path", ["/", "/api/version", "/api/chat", "/v1/models", "/sign-in", "/static/site.css", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_T40_a_foreign_origin_gets_403_without_a_body(origin: str, path: str, method: str) -> None:
    asked = Asked()
    assert await asked.ask(path, method, origin=origin) == 403
    assert asked.body == b""
    assert asked.headers == {"content-length": "0"}
    assert asked.scope is None


@pytest.mark.parametrize("path", ["/", "/api/version", "/sign-in", "/static/site.css"])
async def test_T41_a_rebound_name_gets_403_without_a_body(path: str) -> None:
    asked = Asked()
    assert await asked.ask(path, host="rebind.example") == 403
    assert asked.scope is None


async def test_T41_also_for_sockets() -> None:
    asked = Asked()
    assert await asked.ask("/ws/ui/", kind="websocket", host="rebind.example", origin="http://rebind.example") == 4403
    assert asked.scope is None


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "null", "http://evil.example", "http://127.0.0.1:11434", "app://x", None]
)
async def test_T42_a_socket_from_elsewhere_is_refused(origin: str | None) -> None:
    asked = Asked()
    headers = {} if origin is None else {"origin": origin}
    assert await asked.ask("/ws/ui/", kind="websocket", cookie="llmsite_session=x", **headers) == 4403
    assert asked.scope is None


async def test_our_own_page_opens_a_socket() -> None:
    asked = Asked()
    await asked.ask("/ws/ui/", kind="websocket", origin="http://localhost:11434")
    assert asked.scope is not None


async def test_an_allowed_origin_reads_the_api_without_cookies() -> None:
    asked = Asked()
    assert await asked.ask("/api/version", origin="http://localhost:3000", cookie="llmsite_session=x") == 200
    assert asked.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert (b"vary", b"Accept") in asked.sent[0]["headers"]
    assert (b"vary", b"Origin") in asked.sent[0]["headers"]
    assert asked.scope is not None
    assert asked.scope["trust"].is_loopback
    assert not any(name == b"cookie" for name, _ in asked.scope["headers"])


async def test_an_allowed_origin_is_no_page_of_ours() -> None:
    asked = Asked()
    assert await asked.ask("/sign-in", "POST", origin="http://localhost:3000") == 403


@pytest.mark.parametrize(
    ("path", "site", "has_cookie"),
    [
        ("/c/x", "cross-site", True),
        ("/", "cross-site", True),
        ("/api/tags", "cross-site", False),
        ("/api/tags", "same-site", False),
    ],
)
async def test_a_link_from_elsewhere_opens_pages_but_never_the_api(path: str, site: str, has_cookie: bool) -> None:
    asked = Asked()
    assert await asked.ask(path, cookie="llmsite_session=x", sec_fetch_site=site) == 200
    assert asked.scope is not None
    assert any(name == b"cookie" for name, _ in asked.scope["headers"]) is has_cookie
    assert not asked.scope["trust"].is_loopback


async def test_no_origin_means_no_cors_headers() -> None:
    asked = Asked()
    assert await asked.ask("/api/version") == 200
    assert "access-control-allow-origin" not in asked.headers


async def test_all_origins_are_answered_with_a_star() -> None:
    asked = Asked(TrustConfig(origins=("*",)))
    assert await asked.ask("/api/version", origin="http://any.example") == 200
    assert asked.headers["access-control-allow-origin"] == "*"


async def test_a_preflight_is_answered_as_ollama_does() -> None:
    """Row `options` of the transcripts."""
    asked = Asked()
    assert await asked.ask("/api/chat", "OPTIONS", origin="http://localhost:3000", access_control_request_method="POST") == 204
    assert asked.scope is None
    assert asked.headers["access-control-allow-methods"] == "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
    assert asked.headers["access-control-allow-headers"].startswith(
        "Authorization,Content-Type,User-Agent,Accept,X-Requested-With"
    )
    assert asked.headers["access-control-allow-headers"].endswith("X-Stainless-Runtime-Version,X-Stainless-Timeout")
    assert asked.headers["access-control-max-age"] == "43200"
    assert asked.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert asked.headers["allow"] == "POST"
    assert "access-control-allow-credentials" not in asked.headers
    assert [value for name, value in asked.sent[0]["headers"] if name == b"vary"] == [
        b"Origin",
        b"Access-Control-Request-Method",
        b"Access-Control-Request-Headers",
    ]


@pytest.mark.parametrize(
    ("path", "host", "config", "status", "allow"),
    [
        ("/api/chat", "localhost:11434", TrustConfig(), 204, None),
        ("/api/nothing", "localhost", TrustConfig(), 204, None),
        ("/api/chat", "127.0.0.1", TrustConfig(), 405, "POST"),
        ("/api/nothing", "127.0.0.1", TrustConfig(), 404, None),
        ("/api/chat", "localhost", TrustConfig(bound=("0.0.0.0",)), 405, "POST"),
    ],
)
async def test_options_without_an_origin(path: str, host: str, config: TrustConfig, status: int, allow: str | None) -> None:
    """Catalogue 14.3."""
    asked = Asked(config)
    assert await asked.ask(path, "OPTIONS", host=host) == status
    assert asked.headers.get("allow") == allow


@pytest.mark.parametrize(
    "header", ["forwarded", "via", "x_real_ip", "x_forwarded_for", "x_forwarded_proto", "x_forwarded_anything"]
)
async def test_whoever_comes_through_a_proxy_is_a_stranger(header: str) -> None:
    asked = Asked()
    assert await asked.ask("/api/version", **{header: "127.0.0.1"}) == 200
    assert asked.scope is not None
    assert not asked.scope["trust"].is_loopback


async def test_two_host_headers_are_refused() -> None:
    asked = Asked()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/version",
        "headers": [(b"host", b"localhost"), (b"host", b"localhost")],
        "client": ["127.0.0.1", 5],
        "server": ["127.0.0.1", 11434],
    }
    await asked.guard(scope, asked._receive, asked._send)
    assert asked.sent[0]["status"] == 403
