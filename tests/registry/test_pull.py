"""Pulls that go well: frames, bytes on disk, resumption, sharing, pruning."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from llmsite.registry.blob_source import RedirectingBlob
from llmsite.registry.ollama import registry_blob
from llmsite.registry.partial import partial_path, record_path
from llmsite.registry.pull import pull
from llmsite.registry.transfer import Download
from llmsite.store import manifest as media
from llmsite.types.chunk import Progress
from llmsite.types.errors import Canceled, InvalidModelFile, RegistryError
from llmsite.types.limits import KIB
from llmsite.types.name import ModelName
from tests.inference.stock import STARTER
from tests.registry import faults
from tests.registry.conftest import LIMITS, Client, random_bytes
from tests.registry.fake_registry import FakeRegistry, digest_of, running_registry


def test_2_16_it_installs_the_starter_byte_for_byte(client: Client, registry: FakeRegistry) -> None:
    manifest = registry.add_model("library/starter", STARTER.read_bytes(), texts={media.SYSTEM: b"S"})
    client.pull(f"{registry.host}/library/starter")
    model = client.store.find(f"{registry.host}/library/starter")
    assert model.digest == digest_of(manifest).removeprefix("sha256:")
    assert model.is_pulled
    assert model.system == "S"
    assert model.model_path.read_bytes() == STARTER.read_bytes()
    client.require_clean()


def test_2_16_the_frames_come_in_ollamas_order(client: Client, registry: FakeRegistry) -> None:
    weights = random_bytes(300 * KIB)
    registry.add_model("library/m", weights, texts={media.LICENSE: b"L"})
    client.pull(f"{registry.host}/library/m")
    shorts = [digest_of(data)[7:19] for data in (weights, b"L")]
    config = json.loads(registry.manifests["library/m", "latest"])["config"]["digest"][7:19]
    assert client.statuses == [
        "pulling manifest",
        *(f"pulling {short}" for short in (*shorts, config)),
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    last = next(frame for frame in reversed(client.frames) if frame.status == f"pulling {shorts[0]}")
    assert last == Progress(f"pulling {shorts[0]}", digest_of(weights), len(weights), len(weights))


def test_2_16_blobs_that_are_there_give_one_full_frame(client: Client, registry: FakeRegistry) -> None:
    registry.add_model("library/m", random_bytes(300 * KIB))
    client.pull(f"{registry.host}/library/m")
    client.frames.clear()
    registry.sent.clear()
    client.pull(f"{registry.host}/library/m")
    blobs = [frame for frame in client.frames if frame.digest]
    assert [frame.completed for frame in blobs] == [frame.total for frame in blobs]
    assert len(blobs) == 2
    assert not registry.sent


def test_2_16_a_damaged_blob_is_fetched_again(client: Client, registry: FakeRegistry) -> None:
    weights = random_bytes(300 * KIB)
    registry.add_model("library/m", weights)
    client.pull(f"{registry.host}/library/m")
    client.store.blobs.path(digest_of(weights)).write_bytes(weights[:1000])
    client.pull(f"{registry.host}/library/m")
    client.require_clean()


def test_2_16_an_empty_layer_is_no_trouble(client: Client, registry: FakeRegistry) -> None:
    registry.add_model("library/m", random_bytes(1000), texts={media.SYSTEM: b""})
    client.pull(f"{registry.host}/library/m")
    assert client.store.find(f"{registry.host}/library/m").system == ""


def test_11_1_an_unknown_model_is_a_file_that_does_not_exist(client: Client, registry: FakeRegistry) -> None:
    with pytest.raises(RegistryError, match=r"^pull model manifest: file does not exist$"):
        client.pull(f"{registry.host}/library/none")
    assert client.statuses == ["pulling manifest"]


def test_11_1_redirects_to_another_host_get_no_credentials(client: Client, registry: FakeRegistry) -> None:
    weights = random_bytes(300 * KIB)
    registry.add_model("library/m", weights)
    registry.token = "secret"
    with running_registry() as cdn:
        cdn.add_blob(weights)
        for blob in registry.blobs.values():
            cdn.add_blob(blob)
        registry.redirects_to = cdn.url
        client.pull(f"{registry.host}/library/m")
        assert cdn.seen
        assert all("Authorization" not in seen.headers for seen in cdn.seen)
    client.require_clean()


def test_11_1_where_a_registry_redirects_to_is_remembered(client: Client, registry: FakeRegistry) -> None:
    weights = random_bytes(640 * KIB)
    registry.add_model("library/m", weights)
    client.config = replace(client.config, limits=replace(LIMITS, pull_connections=1))
    with running_registry() as cdn:
        for blob in registry.blobs.values():
            cdn.add_blob(blob)
        registry.redirects_to = cdn.url
        client.pull(f"{registry.host}/library/m")
        assert len(cdn.asked("GET", digest_of(weights))) == 10
        assert len(registry.asked("GET", digest_of(weights))) == 1


def test_11_2_a_challenge_is_answered_with_a_signature(client: Client, registry: FakeRegistry) -> None:
    registry.add_model("library/m", random_bytes(1000))
    registry.token = "secret"
    client.pull(f"{registry.host}/library/m")
    asked = registry.asked("GET", "/token")[0]
    assert "service=registry&scope=repository%3Alibrary%2Fm%3Apull&ts=" in asked.path
    public, signature = asked.headers["Authorization"].split(":")
    assert public.startswith("AAAAC3NzaC1lZDI1NTE5")
    assert len(signature) == 88
    assert (client.config.home / "id_ed25519").stat().st_mode & 0o777 == 0o600


def test_10_5_the_layers_of_a_replaced_model_go(client: Client, registry: FakeRegistry) -> None:
    old, new = random_bytes(200 * KIB, 1), random_bytes(200 * KIB, 2)
    before = registry.add_model("library/m", old)
    client.pull(f"{registry.host}/library/m")
    after = registry.add_model("library/m", new)
    client.frames.clear()
    client.pull(f"{registry.host}/library/m")
    assert client.statuses[1] == f"replacing {digest_of(before)[7:19]} with {digest_of(after)[7:19]}"
    assert client.statuses[-2:] == ["removing unused layers", "success"]
    assert not client.store.blobs.has(digest_of(old))
    client.require_clean()


def test_10_1_a_download_that_ollama_left_is_taken_over(client: Client, registry: FakeRegistry) -> None:
    weights = random_bytes(300 * KIB)
    registry.add_model("library/m", weights)
    digest, blobs = digest_of(weights), client.store.blobs
    blobs.folder.mkdir(parents=True)
    partial = partial_path(blobs, digest)
    partial.write_bytes(weights[: 150 * KIB] + bytes(150 * KIB))
    sizes = (200 * KIB, 100 * KIB)
    for number, completed in enumerate((150 * KIB, 0)):
        record = {"N": number, "Offset": sum(sizes[:number]), "Size": sizes[number], "Completed": completed}
        record_path(partial, number).write_text(json.dumps(record) + "\n")
    client.pull(f"{registry.host}/library/m")
    assert registry.sent[digest] == 150 * KIB
    client.require_clean()


@pytest.mark.parametrize(
    "records",
    [
        [(0, 0, 100, 0)],
        [(0, 0, 300 * KIB, 400 * KIB)],
        [(0, 0, 100, 0), (1, 200, 300 * KIB - 200, 0)],
        [(0, 0, 300 * KIB, -1)],
    ],
)
def test_10_1_records_that_do_not_fit_are_not_believed(
    client: Client, registry: FakeRegistry, records: list[tuple[int, int, int, int]]
) -> None:
    weights = random_bytes(300 * KIB)
    registry.add_model("library/m", weights)
    partial = partial_path(client.store.blobs, digest_of(weights))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(300 * KIB))
    for number, offset, size, completed in records:
        record_path(partial, number).write_text(json.dumps({"N": number, "Offset": offset, "Size": size, "Completed": completed}))
    client.pull(f"{registry.host}/library/m")
    client.require_clean()


class Leaver:
    """A `check` that leaves once the registry has sent so much."""

    def __init__(self, registry: FakeRegistry, digest: str, num_bytes: int) -> None:
        self.registry, self.digest, self.num_bytes = registry, digest, num_bytes

    def __call__(self) -> None:
        if self.registry.sent[self.digest] >= self.num_bytes:
            raise Canceled("canceled")


class Gathering:
    """Lets the registry send once so many callers wait for the blob, so that none comes when it is there already."""

    def __init__(self, registry: FakeRegistry, digest: str, num_callers: int) -> None:
        self._registry, self._digest, self._num_callers = registry, digest, num_callers
        self._waiting: set[int] = set()
        registry.flow.clear()

    def note(self, frame: Progress) -> None:
        """A frame came to the caller of this thread: who is told of the blob has joined its download."""
        if frame.digest != self._digest:
            return
        self._waiting.add(threading.get_ident())
        if len(self._waiting) == self._num_callers:
            self._registry.flow.set()


def test_F18_twenty_callers_share_one_download(client: Client, registry: FakeRegistry) -> None:
    weights = random_bytes(1024 * KIB)
    registry.add_model("library/m", weights)
    registry.pace_seconds = 0.06  # slow enough for everybody to come while it runs
    streams: list[list[Progress]] = [[] for _ in range(20)]
    name = ModelName.parse(f"{registry.host}/library/m")
    gathering = Gathering(registry, digest_of(weights), 20)

    def call(frames: list[Progress]) -> None:
        def report(frame: Progress) -> None:
            frames.append(frame)
            gathering.note(frame)

        pull(client.store, name, insecure=True, report=report, check=lambda: None, config=client.config)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(call, streams))
    assert registry.sent[digest_of(weights)] == len(weights)
    for frames in streams:
        assert [frames[0].status, frames[-1].status] == ["pulling manifest", "success"]
        counts = [frame.completed for frame in frames if frame.digest == digest_of(weights)]
        assert counts == sorted(counts)
        assert counts[-1] == len(weights)
    assert sum(len({frame.completed for frame in frames}) > 3 for frames in streams) == 20


def test_F18_who_leaves_stops_only_himself_until_the_last_one(client: Client, registry: FakeRegistry) -> None:
    weights = random_bytes(1024 * KIB)
    registry.add_model("library/m", weights)
    registry.pace_seconds = 0.06  # slow enough for everybody to come while it runs
    digest = digest_of(weights)
    name = ModelName.parse(f"{registry.host}/library/m")
    outcomes: list[str] = []
    gathering = Gathering(registry, digest, 6)

    def call(leaves_after: int) -> None:
        check = Leaver(registry, digest, leaves_after)
        try:
            pull(client.store, name, insecure=True, report=gathering.note, check=check, config=client.config)
            outcomes.append("success")
        except Canceled:
            outcomes.append("left")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(call, [200 * KIB] * 3 + [2**40] * 3))
    assert sorted(outcomes) == ["left"] * 3 + ["success"] * 3
    assert registry.sent[digest] == len(weights)


def test_F18_the_last_leaver_stops_it_and_the_next_caller_resumes(client: Client, registry: FakeRegistry) -> None:
    weights = random_bytes(1024 * KIB)
    registry.add_model("library/m", weights)
    registry.pace_seconds = 0.03
    digest, name = digest_of(weights), ModelName.parse(f"{registry.host}/library/m")
    check = Leaver(registry, digest, 400 * KIB)
    with pytest.raises(Canceled):
        pull(client.store, name, insecure=True, report=lambda _: None, check=check, config=client.config)
    first = registry.sent[digest]
    assert first < len(weights)
    assert partial_path(client.store.blobs, digest).exists()
    client.pull(str(name))
    assert registry.sent[digest] <= len(weights) + LIMITS.pull_connections * (64 * KIB)  # what was on the wire
    client.require_clean()


def test_a_blob_that_vanishes_before_the_name_is_written_is_fetched_again(client: Client, registry: FakeRegistry) -> None:
    weights = random_bytes(100 * KIB)
    registry.add_model("library/m", weights)
    store, removed = client.store, []

    def report(frame: Progress) -> None:
        if frame.status == "writing manifest" and not removed:
            removed.append(store.blobs.path(digest_of(weights)))
            removed[0].unlink()

    name = ModelName.parse(f"{registry.host}/library/m")
    pull(store, name, insecure=True, report=report, check=lambda: None, config=client.config)
    client.require_clean()
    assert client.store.find(str(name))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: m.update(layers=[]), "it has no layers"),
        (lambda m: m.pop("config"), "Object missing required field `config`"),
        (lambda m: m["layers"][0].pop("digest"), "missing required field `digest`"),
        (lambda m: m["layers"][0].update(digest="sha256:12"), "invalid digest format"),
        (lambda m: m["layers"][0].update(digest="sha256:" + "../" * 20), "invalid digest format"),
        (lambda m: m["layers"][0].update(size=-1), "a layer's size is negative"),
        (lambda m: m["layers"][0].update(size=2**60), "is larger than 214748364800 bytes"),
        (lambda m: m["layers"][0].update(size=2**70), "larger than any disk"),
        (lambda m: m["layers"][0].update(size="big"), "Expected `int`"),
        (lambda m: m.update(layers=m["layers"] * 3000), "more than 2048 layers"),
        (lambda m: m["layers"].append(m["layers"][0] | {"size": 5}), "stands there with two sizes"),
        (lambda m: m["layers"].append(m["layers"][0] | {"mediaType": "application/x-tar"}), "not of a kind"),
        (lambda m: m.update(schemaVersion=1), "only schema version 2"),
        (lambda m: m["layers"][0].update(mediaType=media.SYSTEM), "it has no GGUF layer"),
    ],
)
def test_T68_a_manifest_that_is_none_downloads_nothing(client: Client, registry: FakeRegistry, change: object, text: str) -> None:
    document = json.loads(registry.add_model("library/m", random_bytes(1000)))
    change(document)  # type: ignore[operator]
    registry.add_manifest("library/m", json.dumps(document).encode())
    with pytest.raises(InvalidModelFile, match=r"^invalid manifest: .*" + text.replace("(", r"\(")):
        client.pull(f"{registry.host}/library/m")
    assert not registry.sent
    assert not (client.root / "models" / "manifests").exists()


def test_T68_a_manifest_beyond_its_bound_is_not_read(client: Client, registry: FakeRegistry) -> None:
    registry.add_manifest("library/m", b" " * (client.config.limits.manifest_bytes + 1))
    with pytest.raises(InvalidModelFile, match=r"^invalid manifest: larger than 4194304 bytes$"):
        client.pull(f"{registry.host}/library/m")
    registry.script(faults.endless(), path="/manifests/")
    with pytest.raises(
        RegistryError, match=r"^pull model manifest: the registry 127.0.0.1 answers with more than 4194304 bytes$"
    ):
        client.pull(f"{registry.host}/library/m")


def test_2_16_safetensors_models_are_refused_in_ollamas_words(client: Client, registry: FakeRegistry) -> None:
    document = json.loads(registry.add_model("library/m", random_bytes(1000)))
    document["layers"][0]["mediaType"] = "application/vnd.ollama.image.tensor"
    registry.add_manifest("library/m", json.dumps(document).encode())
    with pytest.raises(InvalidModelFile, match=r"^this model requires MLX support, but the MLX runtime is not available$"):
        client.pull(f"{registry.host}/library/m")


def test_F19_who_finds_the_file_taken_adopts_the_blob(client: Client, registry: FakeRegistry) -> None:
    """Each download opens and locks the file for itself, as one in another process would."""
    weights = random_bytes(512 * KIB)
    registry.add_model("library/m", weights)
    registry.pace_seconds = 0.005
    blobs = client.store.blobs
    name = ModelName.parse(f"{registry.host}/library/m")

    def make() -> RedirectingBlob:
        return registry_blob(client.config, name, digest_of(weights), is_insecure=True)

    downloads = [Download(blobs, digest_of(weights), len(weights), make) for _ in range(3)]
    seen: list[int] = []
    for each in downloads:
        each.watch(seen.append, lambda _: None, lambda: None)
    assert registry.sent[digest_of(weights)] == len(weights)
    client.require_clean()
