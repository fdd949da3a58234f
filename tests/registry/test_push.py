"""Pushes: what is sent, what is skipped, what is refused, and retries."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from llmsite.registry.config import RegistryConfig
from llmsite.registry.push import push
from llmsite.store import manifest as media
from llmsite.types.errors import Canceled, Forbidden, LoadFailed, RegistryError
from llmsite.types.limits import KIB, MIB
from llmsite.types.name import ModelName
from tests.registry import faults
from tests.registry.conftest import Client, random_bytes
from tests.registry.fake_registry import FakeRegistry, Handler, digest_of

WEIGHTS = random_bytes(250 * KIB)
DIGEST = digest_of(WEIGHTS)


@pytest.fixture
def name(client: Client, registry: FakeRegistry) -> str:
    """An installed model whose name points at the registry, which has forgotten it."""
    registry.add_model("library/m", WEIGHTS, texts={media.SYSTEM: b"S"})
    client.pull(f"{registry.host}/library/m")
    client.frames.clear()
    registry.blobs.clear()
    registry.manifests.clear()
    registry.seen.clear()
    return f"{registry.host}/library/m"


@pytest.fixture
def large(client: Client, registry: FakeRegistry) -> str:
    """As `name`, with a blob that goes out in one part and is more than the buffers of both sides hold."""
    limits = replace(client.config.limits, pull_part_bytes=16 * MIB, push_part_bytes=16 * MIB)
    client.config = replace(client.config, limits=limits)
    registry.add_model("library/m", bytes(16 * MIB))
    client.pull(f"{registry.host}/library/m")
    registry.blobs.clear()
    registry.manifests.clear()
    registry.seen.clear()
    return f"{registry.host}/library/m"


def test_2_17_it_sends_blobs_and_last_the_manifest(client: Client, registry: FakeRegistry, name: str) -> None:
    client.push(name)
    assert registry.blobs[DIGEST] == WEIGHTS
    stored = client.store.manifests.find(ModelName.parse(name))
    assert stored is not None
    assert registry.manifests["library/m", "latest"] == stored.path.read_bytes()
    assert [client.statuses[0], *client.statuses[-2:]] == ["retrieving manifest", "pushing manifest", "success"]
    assert client.statuses[1] == f"pushing {DIGEST[7:19]}"
    frames = [frame for frame in client.frames if frame.digest == DIGEST]
    assert frames[-1].completed == frames[-1].total == len(WEIGHTS)
    patches = [seen.headers["Content-Range"] for seen in registry.asked("PATCH", "/uploads/")][:3]
    assert patches == ["0-102399", "102400-204799", "204800-255999"]
    assert registry.seen[-1].method == "PUT"
    assert registry.seen[-1].headers["Content-Type"] == media.MANIFEST


def test_11_3_blobs_that_are_there_are_skipped(client: Client, registry: FakeRegistry, name: str) -> None:
    client.push(name)
    registry.seen.clear()
    client.push(name)
    assert not registry.asked("POST", "")
    assert not registry.asked("PATCH", "")


def test_11_3_a_layer_of_another_model_is_mounted(client: Client, registry: FakeRegistry, name: str) -> None:
    """A registry that has the blob under another name answers 201 to the session."""
    registry.add_blob(WEIGHTS)
    registry.script(faults.status(404), path=DIGEST, method="HEAD")
    manifest = client.store.manifests.find(ModelName.parse(name))
    assert manifest is not None
    text = manifest.path.read_text().replace(
        f'"digest": "{DIGEST}"', f'"digest": "{DIGEST}", "from": "{registry.host}/library/base:latest"'
    )
    client.store.write(ModelName.parse(name), text.encode())
    client.push(name)
    assert registry.asked("POST", f"?mount={DIGEST.replace(':', '%3A')}&from=library%2Fbase")
    assert len(registry.uploads) == 2  # the text and the config


def test_11_3_parts_go_where_the_registry_wants_them(client: Client, registry: FakeRegistry, name: str) -> None:
    registry.redirects_uploads = True
    registry.token = "secret"
    client.push(name)
    assert registry.blobs[DIGEST] == WEIGHTS
    elsewhere = registry.asked("PUT", "/elsewhere/")
    assert len(elsewhere) == 5
    assert all("Authorization" not in seen.headers for seen in elsewhere)


def test_11_2_a_push_answers_the_challenge(client: Client, registry: FakeRegistry, name: str) -> None:
    registry.token = "secret"
    client.push(name)
    assert registry.blobs[DIGEST] == WEIGHTS


@pytest.mark.parametrize("act", [faults.status(500), faults.status(503), faults.stall(None)])
def test_11_3_a_part_that_fails_is_sent_again(client: Client, registry: FakeRegistry, name: str, act: faults.Act) -> None:
    registry.script(act, path="/uploads/", method="PATCH")
    client.push(name)
    assert registry.blobs[DIGEST] == WEIGHTS


@pytest.mark.parametrize(
    ("method", "path", "act", "text"),
    [
        ("PATCH", "/uploads/", faults.status(500, b"broken"), "max retries exceeded: http status 500: broken"),
        ("PATCH", "/uploads/", faults.status(403, b"denied"), "http status 403: denied"),
        ("POST", "/uploads/", faults.status(403, b"denied"), "http status 403: denied"),
        ("PUT", "/uploads/", faults.status(400, b"bad digest"), "http status 400: bad digest"),
        ("PUT", "/manifests/", faults.status(413, b"too big"), "413: too big"),
        ("HEAD", "/blobs/", faults.status(500), "500: HEAD sha256:[0-9a-f]{64}"),
        ("POST", "/uploads/", faults.status(401), "unauthorized: access denied"),
    ],
)
def test_2_17_a_registry_that_refuses(
    client: Client, registry: FakeRegistry, name: str, method: str, path: str, act: faults.Act, text: str
) -> None:
    registry.script(act, path=path, method=method, times=1000)
    with pytest.raises(RegistryError, match=f"^{text}$"):
        client.push(name)
    assert not registry.manifests


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_T67_an_upload_that_shall_go_on_at_no_address(client: Client, registry: FakeRegistry, name: str, method: str) -> None:
    registry.script(faults.status(202, Location="http://[no"), path="/uploads/", method=method)
    with pytest.raises(RegistryError, match=r"^the registry's address is not a URL$"):
        client.push(name)


@pytest.mark.parametrize(("code", "body"), [(413, "too big"), (403, "denied")])
def test_2_17_a_refusal_that_comes_before_all_was_sent(
    client: Client, registry: FakeRegistry, large: str, code: int, body: str
) -> None:
    registry.script(faults.refuse_early(code, body.encode()), path="/uploads/", method="PATCH", times=1000)
    with pytest.raises(RegistryError, match=f"^http status {code}: {body}$"):
        client.push(large)
    assert len(registry.asked("PATCH", "/uploads/")) == 1


def test_11_2_a_challenge_that_comes_before_all_was_sent(client: Client, registry: FakeRegistry, large: str) -> None:
    def expire(handler: Handler) -> None:
        registry.token = "second"
        handler.reply(401, WWW_Authenticate=f'Bearer realm="{registry.url}/token",service="registry"')
        handler.close_connection = True

    registry.token = "first"
    registry.script(expire, path="/uploads/", method="PATCH")
    client.push(large)
    assert len(registry.asked("PATCH", "/uploads/")) == 3  # refused, sent, and the config
    assert len(registry.manifests) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nope", "open registry.ollama.ai/library/nope:latest: no such file or directory"),
        ("-x", "unqualified name: registry.ollama.ai/library/-x:latest"),
        ("a//b", "unqualified name: a/!MISSING!/b:latest"),
    ],
)
def test_2_2_what_is_not_installed_or_no_name(client: Client, name: str, text: str) -> None:
    with pytest.raises(RegistryError) as caught:
        client.push(name)
    assert str(caught.value) == text
    assert client.statuses == ["retrieving manifest", "couldn't retrieve manifest"]


def test_a_manifest_that_the_disk_does_not_give(client: Client, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(LoadFailed, match=r"^the manifest of '\S+' cannot be read: Input/output error$"):
        client.push(name)


def test_T71_a_host_that_the_caller_may_not_push_to(client: Client, registry: FakeRegistry, name: str) -> None:
    client.config = replace(client.config, is_exposed=True, is_restricted=True)
    with pytest.raises(Forbidden, match=r"^push to this host is not allowed$"):
        client.push(name)
    assert not registry.seen
    client.config = replace(client.config, allowed_hosts=(registry.host,))
    client.push(name)
    assert registry.blobs[DIGEST] == WEIGHTS


def test_a_kept_key_goes_to_its_host_from_the_first_request_on(client: Client, registry: FakeRegistry, name: str) -> None:
    _keep_key(client.config, {registry.host: "key-1", "other.example": "key-2"})
    registry.key = "key-1"
    client.push(name)
    assert {seen.headers.get("Authorization") for seen in registry.seen} == {"Bearer key-1"}


def test_a_kept_key_that_is_refused_is_named(client: Client, registry: FakeRegistry, name: str) -> None:
    _keep_key(client.config, {registry.host: "key-1"})
    registry.key = "another"
    with pytest.raises(RegistryError, match=r"^the key kept for 127\.0\.0\.1:\d+ was refused; run llmsite login "):
        client.push(name)
    assert not registry.asked("GET", "/token")


def test_who_leaves_a_push_leaves_it_at_once(client: Client, registry: FakeRegistry, name: str) -> None:
    def leave() -> None:
        if registry.asked("PATCH", "/uploads/"):
            raise Canceled("canceled")

    with pytest.raises(Canceled):
        push(client.store, ModelName.parse(name), insecure=True, report=lambda _: None, check=leave, config=client.config)
    assert not registry.manifests


def _keep_key(config: RegistryConfig, keys: dict[str, str]) -> None:
    config.home.mkdir(parents=True, exist_ok=True)
    (config.home / "registry-keys.json").write_text(json.dumps(keys))


@pytest.mark.parametrize(("method", "path"), [("POST", "/uploads/"), ("PUT", "?digest="), ("PUT", "/manifests/")])
def test_11_3_every_step_that_sends_is_tried_again(
    client: Client, registry: FakeRegistry, name: str, method: str, path: str
) -> None:
    registry.script(faults.status(503), path=path, method=method, times=2)
    client.push(name)
    assert registry.blobs[DIGEST] == WEIGHTS
    assert registry.manifests


def test_11_3_a_blob_whose_closing_answer_was_lost_is_there(client: Client, registry: FakeRegistry, name: str) -> None:
    def lose_answer(handler: Handler) -> None:
        registry.blobs[DIGEST] = WEIGHTS
        faults.status(502)(handler)

    registry.script(lose_answer, path=f"?digest={DIGEST.replace(':', '%3A')}", method="PUT")
    registry.script(faults.status(404), path=f"?digest={DIGEST.replace(':', '%3A')}", method="PUT")
    client.push(name)
    assert registry.manifests


@pytest.mark.parametrize(("method", "path"), [("PATCH", "/uploads/"), ("PUT", "?digest=")])
def test_F17_a_token_that_ends_in_the_middle_is_renewed(
    client: Client, registry: FakeRegistry, name: str, method: str, path: str
) -> None:
    def expire(handler: Handler) -> None:
        registry.token = "second"
        handler.answer()

    registry.token = "first"
    registry.script(expire, path=path, method=method)
    client.push(name)
    assert registry.blobs[DIGEST] == WEIGHTS
    assert len(registry.asked("GET", "/token")) == 2
