"""How a connection is made: which addresses of a host are tried, for how long, and through which proxies."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmsite.registry.config import RegistryConfig
from llmsite.registry.connecting import connect
from llmsite.types.errors import RegistryError
from tests.registry.conftest import Client

NUM_FILLING = 4
Resolves = Callable[..., list[str]]


def go_on() -> None:
    return


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Resolves:
    """Gives registry.test these addresses; the list that it returns gets those that are tried."""
    tried: list[str] = []
    real_connect, real_lookup = socket.create_connection, socket.getaddrinfo

    def note(address: tuple[str, int], *rest: Any, **more: Any) -> socket.socket:
        tried.append(address[0])
        return real_connect(address, *rest, **more)

    def resolve(*literals: str) -> list[str]:
        def look_up(host: str, *rest: Any, **more: Any) -> Any:
            if host != "registry.test":
                return real_lookup(host, *rest, **more)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (literal, 0)) for literal in literals]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr(socket, "create_connection", note)
        return tried

    return resolve


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of 127.0.0.1 and 127.0.0.2 whose queues are full: whoever connects there hears nothing."""
    with ExitStack() as stack:
        port = 0
        for literal in ("127.0.0.1", "127.0.0.2"):
            listener = stack.enter_context(socket.socket())
            listener.bind((literal, port))
            listener.listen(0)
            port = listener.getsockname()[1]
            for _ in range(NUM_FILLING):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex((literal, port))
        yield port


def test_a_silent_address_takes_only_a_part_of_the_time(
    client: Client, resolves: Resolves, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = resolves("127.0.0.1", "127.0.0.2", "127.0.0.3")
    limits = replace(client.config.limits, pull_connect_seconds=0.3)
    given: list[float] = []
    noting = socket.create_connection

    def note(address: tuple[str, int], timeout: float) -> socket.socket:
        given.append(timeout)
        return noting(address, timeout=timeout)

    monkeypatch.setattr(socket, "create_connection", note)
    with socket.create_server(("127.0.0.3", silent_port)):
        connect("http", "registry.test", silent_port, replace(client.config, limits=limits), go_on).close()
    assert tried == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert sum(given) <= 0.3


def test_a_host_of_hundreds_of_addresses_is_tried_at_a_few(client: Client, resolves: Resolves) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    tried = resolves(*(f"127.0.0.{number}" for number in range(1, 200)))
    with pytest.raises(OSError, match=r"^dial tcp 127\.0\.0\.4:\d+: connect: connection refused$"):
        connect("http", "registry.test", port, client.config, go_on)
    assert len(tried) == 4


def test_who_does_not_wait_any_more_ends_it_between_two_addresses(client: Client, resolves: Resolves) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    tried = resolves("127.0.0.1", "127.0.0.2")

    def require_open() -> None:
        if tried:
            raise ConnectionAbortedError("stopped")

    with pytest.raises(ConnectionAbortedError):
        connect("http", "registry.test", port, client.config, require_open)
    assert tried == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("proxy", "sentence"),
    [
        ("https://user:pass@127.0.0.1:9", "a proxy of the kind https:// is not supported: name one that begins with http://"),
        ("socks5://127.0.0.1:9", "a proxy of the kind socks5:// is not supported: name one that begins with http://"),
        ("http://", "the proxy for registries is not a URL such as http://proxy.example:3128"),
        ("http://127.0.0.1:port", "the proxy for registries is not a URL such as http://proxy.example:3128"),
        ("http://[bad", "the proxy for registries is not a URL such as http://proxy.example:3128"),
    ],
)
def test_only_proxies_that_we_speak_to_are_asked(
    client: Client, monkeypatch: pytest.MonkeyPatch, proxy: str, sentence: str
) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was tried"))
    config: RegistryConfig = replace(client.config, https_proxy=proxy)
    with pytest.raises(RegistryError) as caught:
        connect("https", "127.0.0.1", 1, config, go_on)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_host_that_no_certificate_can_name_is_told_behind_a_proxy_too(client: Client, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        config: RegistryConfig = replace(client.config, https_proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with pytest.raises(OSError, match="no such host"):
            connect("https", host, 443, config, go_on)


_LEAVING = """
import sys
from dataclasses import replace
from pathlib import Path
from threading import Timer
from llmsite.registry.config import RegistryConfig
from llmsite.registry.outbound import Outbound
from llmsite.registry.request import Request
from llmsite.types.limits import Limits

limits = replace(Limits(), pull_first_byte_seconds=3600)
outbound = Outbound(RegistryConfig(home=Path(sys.argv[1]), https_proxy=sys.argv[2], limits=limits))
Timer(0.2, outbound.close).start()
outbound.fetch(Request("GET", "https://127.0.0.1/"))
"""


def test_a_process_ends_although_a_proxy_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-c", _LEAVING, str(tmp_path), proxy]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr.rstrip().endswith("the transfer was stopped")
