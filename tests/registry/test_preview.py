"""What a pull would bring, asked of real servers: sizes, what is here already, and each quantization of a repository."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from llmsite.inspector.pool import read_gguf_sync
from llmsite.registry.preview import Offer, Preview, preview
from llmsite.types.errors import Canceled, Forbidden, RegistryError
from llmsite.types.name import ModelName
from tests.inference.stock import STARTER
from tests.registry import faults
from tests.registry.conftest import Client, random_bytes
from tests.registry.fake_hub import FakeHub
from tests.registry.fake_registry import FakeRegistry, running_registry
from tests.store.gguf_files import GgufFile

SMALL = GgufFile().encode()


@pytest.fixture
def hub(registry: FakeRegistry, client: Client) -> Iterator[FakeHub]:
    with running_registry() as cdn:
        client.config = replace(client.config, hub_url=registry.url, read_gguf=read_gguf_sync)
        yield FakeHub(registry, cdn)


def look(client: Client, name: str, check: object = lambda: None) -> Preview:
    parsed = ModelName.parse(name)
    return preview(client.store, parsed, insecure=parsed.scheme == "http", check=check, config=client.config)  # type: ignore[arg-type]


def test_a_model_of_a_registry_is_told_before_it_comes_while_it_is_there_and_when_it_changed(
    client: Client, registry: FakeRegistry
) -> None:
    registry.add_model("library/m", SMALL, texts={"application/vnd.ollama.image.system": b"Be brief."})
    name = f"http://{registry.host}/library/m"
    found = look(client, name)
    assert (found.standing, found.num_layers, found.num_present, found.present_bytes) == ("new", 3, 0, 0)
    assert found.weights_bytes == len(SMALL)
    assert found.room_bytes == found.size_bytes > len(SMALL) + 9
    assert not registry.asked("GET", "/blobs/"), "nothing but the manifest is asked for"
    client.pull(name)
    found = look(client, name)
    assert (found.standing, found.num_present, found.room_bytes) == ("same", 3, 0)
    registry.add_model("library/m", SMALL, texts={"application/vnd.ollama.image.system": b"Be long."})
    found = look(client, name)
    assert (found.standing, found.num_present, found.room_bytes) == ("other", 2, 8)


def test_what_a_pull_that_stopped_left_counts_as_here(client: Client, registry: FakeRegistry) -> None:
    weights = SMALL + random_bytes(300_000)
    registry.add_model("library/m", weights)
    name = f"http://{registry.host}/library/m"
    registry.script(faults.truncate(5_000), path="/blobs/", times=100)
    with pytest.raises(RegistryError):
        client.pull(name)
    found = look(client, name)
    assert 0 < found.present_bytes < found.size_bytes
    assert found.room_bytes == found.size_bytes - found.present_bytes


def test_a_repository_offers_its_quantizations_the_largest_first(client: Client, hub: FakeHub) -> None:
    hub.add("m-Q4_K_M.gguf", b"4" * 40)
    hub.add("m-Q8_0.gguf", STARTER.read_bytes())
    hub.add("m-Q2_K-00001-of-00002.gguf", b"2" * 10)
    hub.add("m-Q2_K-00002-of-00002.gguf", b"2" * 11)
    found = look(client, "hf.co/user/repo")
    assert [(each.tag, each.size_bytes, each.is_chosen) for each in found.offers] == [
        ("Q8_0", STARTER.stat().st_size, False),
        ("Q4_K_M", 40, True),
        ("Q2_K", 21, False),
    ]
    assert (found.size_bytes, found.room_bytes, found.standing) == (40, 40, "new")
    split = look(client, "hf.co/user/repo:q2_k")
    assert (split.size_bytes, split.room_bytes, split.num_layers) == (21, 42, 2)
    assert split.offers[2] == Offer("Q2_K", 21, is_chosen=True)
    client.pull("hf.co/user/repo:Q8_0", insecure=False)
    assert look(client, "hf.co/user/repo:Q8_0").standing == "same"


@pytest.mark.parametrize(("name", "text"), [("library/nowhere", "file does not exist"), ("user/none", "file does not exist")])
def test_what_is_not_there_is_said(client: Client, registry: FakeRegistry, hub: FakeHub, name: str, text: str) -> None:
    where = "hf.co" if name == "user/none" else f"http://{registry.host}"
    with pytest.raises(RegistryError, match=text):
        look(client, f"{where}/{name}")


def test_who_may_not_name_registries_does_not_look_either(client: Client, registry: FakeRegistry) -> None:
    client.config = replace(client.config, is_restricted=True)
    with pytest.raises(Forbidden):
        look(client, f"http://{registry.host}/library/m")
    assert not registry.seen


def test_a_registry_that_says_nothing_is_left_at_once_by_who_gives_up(client: Client, registry: FakeRegistry) -> None:
    client.config = replace(client.config, limits=replace(client.config.limits, pull_first_byte_seconds=60, preview_seconds=60))
    asked, left = threading.Event(), threading.Event()

    def stay_silent(_handler: object) -> None:
        asked.set()
        left.wait(60)

    def check() -> None:
        if asked.is_set():
            raise Canceled("enough")

    registry.script(stay_silent, path="/manifests/")
    started = time.monotonic()
    with pytest.raises(Canceled):
        look(client, f"http://{registry.host}/library/m", check)
    left.set()
    assert time.monotonic() - started < 50, "it did not wait for the deadline"


def test_a_registry_that_is_slow_is_given_up_after_the_time_of_a_look(client: Client, registry: FakeRegistry) -> None:
    client.config = replace(client.config, limits=replace(client.config.limits, pull_first_byte_seconds=600, preview_seconds=0.2))
    left = threading.Event()
    registry.script(lambda _handler: left.wait(60), path="/manifests/")  # type: ignore[arg-type, return-value]
    with pytest.raises(RegistryError, match="timeout"):
        look(client, f"http://{registry.host}/library/m")
    left.set()
