"""Pulls from a hub: a local server that speaks the needed part of its API, with real GGUF files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub.constants import HF_HUB_CACHE

from llmsite.engine.quantize import merge
from llmsite.inspector.pool import read_gguf_sync
from llmsite.registry.steps import installed_manifest
from llmsite.store.gguf_header import TENSOR_TYPES, GgufHeader, read_header
from llmsite.store.manifest import manifest_digest
from llmsite.types.errors import InvalidModelFile, RegistryError
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName
from tests.inference.stock import PROJECTOR, STARTER
from tests.registry import faults
from tests.registry.conftest import Client
from tests.registry.fake_hub import FakeHub
from tests.registry.fake_registry import FakeRegistry, digest_of, running_registry

WEIGHTS = STARTER.read_bytes()


@pytest.fixture
def hub(registry: FakeRegistry, client: Client) -> Iterator[FakeHub]:
    with running_registry() as cdn:
        limits = replace(client.config.limits, pull_part_bytes=2**20)
        client.config = replace(client.config, hub_url=registry.url, read_gguf=read_gguf_sync, merge_gguf=merge, limits=limits)
        yield FakeHub(registry, cdn)


def test_it_installs_the_file_and_what_the_repository_says_of_it(client: Client, hub: FakeHub) -> None:
    digest = hub.add("starter-Q4_K_M.gguf", WEIGHTS)
    hub.add("starter-Q8_0.gguf", b"another")
    hub.add("template", b"{{ .Prompt }}")
    hub.add("system", b"Be brief.")
    hub.add("params", b'{"temperature":0.5,"stop":["x"]}')
    client.pull("hf.co/user/repo", insecure=False)
    model = client.store.find("hf.co/user/repo")
    assert model.model_digest == digest
    assert (model.template, model.system, model.parameters) == ("{{ .Prompt }}", "Be brief.", {"temperature": 0.5, "stop": ["x"]})
    assert model.config.model_family == "llama"
    assert client.statuses == [
        "pulling manifest",
        f"pulling {digest[7:19]}",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    assert hub.cdn.sent[digest] == len(WEIGHTS)
    assert not (Path(HF_HUB_CACHE) / "models--user--repo").exists()
    client.require_clean()


def test_a_tag_names_the_quantization_and_the_projector_comes_along(client: Client, hub: FakeHub) -> None:
    hub.add("starter-Q4_K_M.gguf", b"another")
    digest = hub.add("starter-F16.gguf", WEIGHTS)
    hub.add("mmproj-F16.gguf", PROJECTOR.read_bytes())
    client.pull("https://huggingface.co/user/repo:f16", insecure=False)
    model = client.store.find("huggingface.co/user/repo:f16")
    assert model.model_digest == digest
    assert [path.read_bytes() for path in model.projector_paths] == [PROJECTOR.read_bytes()]


def test_a_split_model_is_joined_to_the_file_it_was_split_from(client: Client, hub: FakeHub) -> None:
    for number, part in enumerate(_split(STARTER, 3), 1):
        hub.add(f"starter-F16-{number:05}-of-00003.gguf", part)
    client.pull("hf.co/user/repo", insecure=False)
    assert client.store.find("hf.co/user/repo").model_digest == digest_of(WEIGHTS)
    assert "merging 3 parts of a split GGUF" in client.statuses
    assert len(list(client.store.blobs.digests())) == 2
    client.require_clean()


def test_parts_of_different_models_are_not_joined(client: Client, hub: FakeHub) -> None:
    one, _ = _split(STARTER, 2)
    hub.add("starter-F16-00001-of-00002.gguf", one)
    hub.add("starter-F16-00002-of-00002.gguf", _split(STARTER, 3)[1])
    with pytest.raises(InvalidModelFile, match=r"split"):
        client.pull("hf.co/user/repo", insecure=False)


def test_the_token_goes_to_the_hub_only(client: Client, hub: FakeHub) -> None:
    hub.add("starter-F16.gguf", WEIGHTS)
    hub.token = "hf_secret"
    client.config = replace(client.config, hub_token="hf_secret")
    client.pull("hf.co/user/repo", insecure=False)
    assert {seen.headers.get("authorization", seen.headers.get("Authorization")) for seen in hub.registry.seen} == {
        "Bearer hf_secret"
    }
    assert all("Authorization" not in seen.headers for seen in hub.cdn.seen)


def test_a_gated_repository_gives_the_reason(client: Client, hub: FakeHub) -> None:
    hub.add("starter-F16.gguf", WEIGHTS)
    hub.token = "hf_secret"
    with pytest.raises(RegistryError, match=r"^401: Access to model user/repo is restricted\. You must have access to it"):
        client.pull("hf.co/user/repo", insecure=False)
    message = {"X_Error_Code": "GatedRepo", "X_Error_Message": "Access to model user/repo is restricted."}
    hub.registry.script(faults.status(403, b"", **message), path="/api/models/")
    with pytest.raises(RegistryError, match=r"^pull model manifest: the repository is gated: 403: Access to model"):
        client.pull("hf.co/user/repo", insecure=False)


def test_T72_a_name_that_comes_to_mean_something_else_is_told(client: Client, hub: FakeHub) -> None:
    hub.add("starter-F16.gguf", WEIGHTS)
    hub.add("system", b"Be brief.")
    client.pull("hf.co/user/repo", insecure=False)
    before = _id(client)
    client.pull("hf.co/user/repo", insecure=False)
    assert not any(status.startswith("replacing") for status in client.statuses)
    hub.add("system", b"Be long.")
    client.pull("hf.co/user/repo", insecure=False)
    assert f"replacing {before} with {_id(client)}" in client.statuses
    assert _id(client) != before


def _id(client: Client) -> str:
    """The short ID of the model, as lists show it."""
    data = installed_manifest(client.store, ModelName.parse("hf.co/user/repo"))
    assert data is not None
    return manifest_digest(data)[:12]


@pytest.mark.parametrize("path", ["/api/models/", "/system"])
@pytest.mark.parametrize("code", [429, 503])
def test_a_hub_that_asks_to_wait_is_asked_again(client: Client, hub: FakeHub, path: str, code: int) -> None:
    hub.add("starter-F16.gguf", WEIGHTS)
    hub.add("system", b"Be brief.")
    hub.registry.script(faults.status(code, b"slow down", Retry_After="0"), path=path, times=2)
    client.pull("hf.co/user/repo", insecure=False)
    assert client.store.find("hf.co/user/repo").system == "Be brief."
    assert sum(frame.status == "the registry asks to wait 0 s" for frame in client.frames) == 2


def test_a_hub_that_asks_to_wait_for_ever_is_left(client: Client, hub: FakeHub) -> None:
    hub.registry.script(faults.status(429, b"slow down", Retry_After="0"), path="/api/models/", times=1000)
    with pytest.raises(RegistryError, match=r"^pull model manifest: 429"):
        client.pull("hf.co/user/repo", insecure=False)
    assert len(hub.registry.asked("GET", "/api/models/")) == client.config.limits.pull_retries + 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>\x1b[2J",
        b"[]",
        b"null",
        b'{"siblings": 5}',
        b'{"siblings": [{}]}',
        b'{"id": "x", "siblings": [{"rfilename": 5}]}',
        b'{"id": "x", "siblings": [{"rfilename": "a.gguf", "size": "5"}]}',
        b'{"id": "x", "siblings": [{"rfilename": "a.gguf", "size": -5}]}',
    ],
)
def test_an_answer_of_the_hub_that_is_none(client: Client, hub: FakeHub, body: bytes) -> None:
    hub.registry.script(faults.status(200, body, Content_Type="application/json"), path="/api/models/")
    with pytest.raises(
        RegistryError, match=r"^pull model manifest: (the hub's answer cannot be read|the repository has no GGUF files)$"
    ):
        client.pull("hf.co/user/repo", insecure=False)


@pytest.mark.parametrize("place", ["http://[::1", "ftp://127.0.0.1/x", "http://127.0.0.1:99999/", "/\u00e4"])
def test_T67_a_hub_that_sends_us_nowhere(client: Client, hub: FakeHub, place: str) -> None:
    hub.registry.script(faults.redirect(place), path="/api/models/")
    with pytest.raises(RegistryError, match=r"^pull model manifest: ") as caught:
        client.pull("hf.co/user/repo", insecure=False)
    assert str(caught.value).isprintable()


def test_T67_five_hops_of_a_hub_are_enough(client: Client, hub: FakeHub) -> None:
    hub.registry.script(faults.redirect("/api/models/user/repo/revision/main"), path="/api/models/", times=100)
    with pytest.raises(RegistryError, match=r"^pull model manifest: maximum redirects exceeded \(5\)$"):
        client.pull("hf.co/user/repo", insecure=False)
    assert len(hub.registry.seen) == 6


def test_T70_names_of_files_that_nobody_could_ask_for_are_not_told(client: Client, hub: FakeHub) -> None:
    hub.add("starter-F16.gguf", WEIGHTS)
    hub.files |= {"\x1b[2J.gguf": b"x", "a" * 300 + ".gguf": b"x", "\u202emodel.gguf": b"x"}
    with pytest.raises(RegistryError, match=r"^pull model manifest: the repository has no Q8_0; it has F16$"):
        client.pull("hf.co/user/repo:Q8_0", insecure=False)


def test_a_repository_that_is_not_there(client: Client, hub: FakeHub) -> None:
    with pytest.raises(RegistryError, match=r"^pull model manifest: file does not exist$"):
        client.pull("hf.co/user/none", insecure=False)


def test_a_hub_that_fails(client: Client, hub: FakeHub) -> None:
    hub.registry.script(faults.status(500, b"broken"), path="/api/models/", times=100)
    with pytest.raises(RegistryError, match=r"^pull model manifest: 500"):
        client.pull("hf.co/user/repo", insecure=False)


def test_a_repository_without_that_quantization(client: Client, hub: FakeHub) -> None:
    hub.add("starter-F16.gguf", WEIGHTS)
    with pytest.raises(RegistryError, match=r"^pull model manifest: the repository has no Q8_0; it has F16$"):
        client.pull("hf.co/user/repo:Q8_0", insecure=False)


def test_a_file_that_is_no_model_is_refused_and_not_installed(client: Client, hub: FakeHub) -> None:
    hub.add("starter-F16.gguf", b"no model" * 100)
    with pytest.raises(InvalidModelFile):
        client.pull("hf.co/user/repo", insecure=False)
    assert not list(client.store.manifests.files())


def test_the_hub_is_found_by_the_same_client(client: Client, hub: FakeHub) -> None:
    """What the hub's library asks is bound by our rules too: beyond loopback, a private address is not reached."""
    hub.add("starter-F16.gguf", WEIGHTS)
    client.config = replace(client.config, is_exposed=True)
    with pytest.raises(Exception, match=r"registry host not allowed"):
        client.pull("hf.co/user/repo", insecure=False)
    assert not hub.registry.seen


def _split(path: Path, count: int) -> list[bytes]:
    """The parts that llama.cpp's splitter would make: metadata in the first, tensors shared out."""
    data = path.read_bytes()
    with path.open("rb") as file:
        header = read_header(file, len(data), Limits())
    bounds = [len(header.tensors) * number // count for number in range(count + 1)]
    return [_part(data, header, number, count, bounds[number], bounds[number + 1]) for number in range(count)]


def _part(data: bytes, header: GgufHeader, number: int, count: int, first: int, end: int) -> bytes:
    numbers = {name: kind for kind, (name, _, _) in TENSOR_TYPES.items()}
    records = [header.record(key) for key in header.metadata] if number == 0 else [header.record("general.architecture")]
    for key, letter, kind, value in (
        ("split.no", "H", 2, number),
        ("split.count", "H", 2, count),
        ("split.tensors.count", "i", 5, len(header.tensors)),
    ):
        records.append(struct.pack("<Q", len(key)) + key.encode() + struct.pack(f"<I{letter}", kind, value))
    tensors, body = [], b""
    for tensor in header.tensors[first:end]:
        name = tensor.name.encode()
        tensors.append(
            struct.pack("<Q", len(name)) + name + struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        )
        tensors.append(struct.pack("<IQ", numbers[tensor.type], len(body)))
        body += data[tensor.offset : tensor.offset + tensor.size_bytes]
        body += bytes(-len(body) % header.alignment)
    head = struct.pack("<4sIQQ", b"GGUF", header.version, end - first, len(records)) + b"".join(records + tensors)
    return head + bytes(-len(head) % header.alignment) + body
