"""Who wants to leave a pull or a push leaves at once, wherever the registry is silent (DESIGN: jobs end when asked)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from llmsite.registry.pull import pull
from llmsite.registry.push import push
from llmsite.types.errors import Canceled
from llmsite.types.limits import KIB, MIB
from llmsite.types.name import ModelName
from tests.registry import faults
from tests.registry.conftest import LIMITS, Client, random_bytes
from tests.registry.fake_hub import FakeHub
from tests.registry.fake_registry import FakeRegistry

DEADLINE = 60.0
PATIENT = replace(
    LIMITS, pull_connect_seconds=DEADLINE, pull_first_byte_seconds=DEADLINE, pull_idle_seconds=DEADLINE, push_part_bytes=16 * MIB
)
SILENCE = faults.stall(None)


@pytest.fixture(autouse=True)
def patient(client: Client) -> None:
    client.config = replace(client.config, limits=PATIENT)


def _leave_once(client: Client, is_time: Callable[[], bool], name: str, act: Callable[..., None] = pull) -> None:
    """Pull or push, leaving as soon as `is_time`; what would have ended it without that comes a minute later."""

    def check() -> None:
        if is_time():
            raise Canceled("canceled")

    started = time.monotonic()
    with pytest.raises(Canceled):
        act(client.store, ModelName.parse(name), insecure=True, report=lambda _: None, check=check, config=client.config)
    assert time.monotonic() - started < DEADLINE / 2


@pytest.mark.parametrize("act", [SILENCE, faults.drip(0.002)])
@pytest.mark.parametrize("path", ["/manifests/", "/token"])
def test_a_pull_is_left_while_the_registry_is_silent(client: Client, registry: FakeRegistry, path: str, act: faults.Act) -> None:
    registry.add_model("library/m", random_bytes(100))
    registry.token = "secret"
    registry.script(act, path=path)
    _leave_once(client, lambda: bool(registry.asked("GET", path)), f"{registry.host}/library/m")


@pytest.mark.parametrize("path", ["/api/models/user/repo", "/template"])
def test_a_pull_is_left_while_the_hub_is_silent(client: Client, registry: FakeRegistry, path: str) -> None:
    hub = FakeHub(registry, registry)
    hub.add("m-Q4_K_M.gguf", b"GGUF")
    hub.add("template", b"{{ .Prompt }}")
    client.config = replace(client.config, hub_url=registry.url)
    registry.script(SILENCE, path=path)
    _leave_once(client, lambda: bool(registry.asked("GET", path)), "hf.co/user/repo")


@pytest.mark.parametrize(
    ("method", "path", "size_bytes"),
    [
        ("HEAD", "/blobs/", KIB),
        ("POST", "/uploads/", KIB),
        ("PATCH", "/uploads/", KIB),
        ("PATCH", "/uploads/", 16 * MIB),  # more than the buffers of both sides hold: it waits to send
        ("PUT", "?digest=", KIB),
        ("PUT", "/manifests/", KIB),
    ],
)
def test_a_push_is_left_while_the_registry_is_silent(
    client: Client, registry: FakeRegistry, method: str, path: str, size_bytes: int
) -> None:
    registry.add_model("library/m", bytes(size_bytes))
    client.config = replace(client.config, limits=replace(PATIENT, pull_part_bytes=16 * MIB))
    client.pull(f"{registry.host}/library/m")
    registry.blobs.clear()
    registry.script(SILENCE, method=method, path=path)
    _leave_once(client, lambda: bool(registry.asked(method, path)), f"{registry.host}/library/m", push)


def test_a_pull_is_left_while_nobody_accepts_the_connection(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # fills the queue, so that the next one gets no answer
            _leave_once(client, _after(5), f"127.0.0.1:{port}/library/m")


def test_a_pull_is_left_while_the_name_service_is_silent(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, over = threading.Event(), threading.Event()

    def resolve(*_: object, **__: object) -> None:
        asked.set()
        over.wait()
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    try:
        _leave_once(client, asked.is_set, "registry.example/library/m")
    finally:
        over.set()


def _after(num_calls: int) -> Callable[[], bool]:
    left = [num_calls]

    def is_time() -> bool:
        left[0] -= 1
        return left[0] < 0

    return is_time
