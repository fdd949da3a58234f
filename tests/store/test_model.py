"""ModelStore: models by name, what a manifest and its small blobs say, and what goes when a model goes."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from llmsite.store import manifest as media
from llmsite.store.digest import hash_bytes
from llmsite.store.manifest import Layer, Manifest, encode_manifest
from llmsite.store.model import ModelStore
from llmsite.types.chunk import ModelDetails
from llmsite.types.errors import InvalidModelFile, InvalidModelName, LoadFailed, ModelNotFound, NotFound
from llmsite.types.limits import Limits
from llmsite.types.message import Message
from llmsite.types.name import ModelName
from tests.store.listing import list_models

HOUR = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


def layer(store: ModelStore, media_type: str, data: bytes | str, source: str = "") -> Layer:
    content = data.encode() if isinstance(data, str) else data
    return Layer(media_type, store.blobs.put(content), len(content), source)


def manifest_of(store: ModelStore, *layers: Layer, weights: bytes = b"weights", config: dict[str, Any] | None = None) -> bytes:
    config_layer = layer(store, media.CONFIG, json.dumps({"model_format": "gguf"} | (config or {})))
    return encode_manifest(Manifest(config_layer, (layer(store, media.MODEL, weights), *layers)))


def install(store: ModelStore, name: str, *layers: Layer, **options: Any) -> None:
    store.write(ModelName.parse(name), manifest_of(store, *layers, **options))


def files(store: ModelStore) -> set[str]:
    return {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}


def test_10_1_a_model_is_one_file_four_levels_down_and_its_blobs(store: ModelStore) -> None:
    install(store, "hf.co/someone/Thing:Q4")
    weights, config = (store.blobs.put(data).replace(":", "-") for data in (b"weights", b'{"model_format": "gguf"}'))
    assert files(store) == {"manifests/hf.co/someone/Thing/Q4", f"blobs/{weights}", f"blobs/{config}"}
    assert (store.root / "manifests/hf.co/someone/Thing/Q4").stat().st_mode & 0o777 == 0o644


def test_it_resolves_every_layer(store: ModelStore) -> None:
    install(
        store,
        "full",
        layer(store, media.PROJECTOR, b"eye 1"),
        layer(store, media.PROJECTOR, b"eye 2"),
        layer(store, media.ADAPTER, b"lora"),
        layer(store, media.PROMPT, "old template"),
        layer(store, media.TEMPLATE, "{{ .Prompt }}"),
        layer(store, media.SYSTEM, "Be brief."),
        layer(store, media.LICENSE, "L1"),
        layer(store, media.LICENSE, "L2"),
        layer(store, media.PARAMS, '{"stop":["\\u003c|im_end|\\u003e"],"temperature":0.5}\n'),
        layer(store, media.MESSAGES, '[{"role":"user","content":"u"},{"role":"assistant","content":"a","extra":1}]'),
        layer(store, "application/vnd.ollama.image.embed", "obsolete"),
        config={"model_family": "llama", "model_families": ["llama"], "model_type": "7B", "file_type": "Q4_0", "rootfs": {}},
    )
    model = store.find("full")
    assert model.name == ModelName.parse("full")
    assert model.model_path.read_bytes() == b"weights"
    assert [path.read_bytes() for path in model.projector_paths] == [b"eye 1", b"eye 2"]
    assert [path.read_bytes() for path in model.adapter_paths] == [b"lora"]
    assert (model.template, model.system, model.licenses) == ("{{ .Prompt }}", "Be brief.", ("L1", "L2"))
    assert model.parameters == {"stop": ["<|im_end|>"], "temperature": 0.5}
    assert model.messages == (Message("user", "u"), Message("assistant", "a"))
    assert model.details == ModelDetails("", "gguf", "llama", ("llama",), "7B", "Q4_0")
    assert model.size_bytes == sum(entry.size_bytes for entry in (model.manifest.config, *model.manifest.layers))
    assert not model.is_pulled


def test_a_bare_model_has_no_texts(store: ModelStore) -> None:
    install(store, "bare")
    model = store.find("bare")
    assert (model.template, model.system, model.parameters, model.messages, model.licenses) == (None, "", {}, (), ())
    assert model.details.families is None


def test_the_last_model_layer_counts_and_names_the_parent(store: ModelStore) -> None:
    install(store, "m", layer(store, media.MODEL, b"better", "base:latest"))
    model = store.find("m")
    assert (model.model_path.read_bytes(), model.parent_model) == (b"better", "base:latest")


@pytest.mark.parametrize(
    "spelling", ["LLaMA3", "llama3", "LLAMA3:LATEST", "Registry.Ollama.AI/LIBRARY/Llama3", "llama3:latest:local"]
)
def test_1_3_letter_case_does_not_count(store: ModelStore, spelling: str) -> None:
    install(store, "LLaMA3")
    assert store.find(spelling).name.shortest == "LLaMA3:latest"


def test_1_3_an_exact_spelling_wins_over_another(store: ModelStore) -> None:
    for number, name in enumerate(("Twin", "tWIN", "twin")):
        path = store.root / "manifests/registry.ollama.ai/library" / name / "latest"
        path.parent.mkdir(parents=True)
        path.write_bytes(manifest_of(store, weights=b"%d" % number))
    assert [store.find(name).model_path.read_bytes() for name in ("Twin", "tWIN", "twin")] == [b"0", b"1", b"2"]
    assert store.find("TWIN").model_path.read_bytes() == b"0"


def test_1_3_writing_another_spelling_replaces_the_model(store: ModelStore) -> None:
    install(store, "mymodel", weights=b"old")
    install(store, "MyModel", weights=b"new")
    assert [model.name.model for model in list_models(store)] == ["mymodel"]
    assert store.find("MYMODEL").model_path.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["nope", "nope:1", "x:cloud", "llama3:8b", "a/llama3", "b/library/llama3"])
def test_2_2_a_missing_model_is_told_by_the_name_as_given(store: ModelStore, name: str) -> None:
    install(store, "llama3")
    with pytest.raises(ModelNotFound) as caught:
        store.find(name)
    assert str(caught.value) == f"model '{name}' not found"


def test_a_missing_parsed_name_is_told_in_short(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound, match=r"^model 'nope:latest' not found$"):
        store.find(ModelName.parse("nope"))


@pytest.mark.parametrize("name", ["", "-x", "../../etc/passwd", "a/../b", "x\0", "a:b:c/d"])
def test_2_2_a_bad_name_is_no_name(store: ModelStore, name: str) -> None:
    with pytest.raises(InvalidModelName, match=r"^invalid model name$"):
        store.find(name)


def test_10_1_only_files_four_levels_down_under_valid_names_count(store: ModelStore) -> None:
    install(store, "good")
    data = manifest_of(store)
    for place in ("a", "b/b", "c/c/c", "e/e/e/e/e", "h/n s/m/t", "h/n/-m/t", "h/n/m/.new-x", "h/n/m/t~"):
        path = store.root / "manifests" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert [model.name.model for model in list_models(store)] == ["good"]


def test_10_1_links_among_manifests_are_followed(store: ModelStore, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "m"
    elsewhere.mkdir(parents=True)
    (elsewhere / "latest").write_bytes(manifest_of(store))
    namespace = store.root / "manifests/registry.ollama.ai/library"
    namespace.mkdir(parents=True)
    (namespace / "m").symlink_to(elsewhere)
    assert store.find("m").name.shortest == "m:latest"
    assert len(list_models(store)) == 1


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b'{"layers":[]}', b"x" * 2000])
def test_F23_a_broken_manifest_spoils_only_its_model(store: ModelStore, data: bytes) -> None:
    store.limits = Limits(manifest_bytes=1000)
    install(store, "good")
    install(store, "bad")
    (store.root / "manifests/registry.ollama.ai/library/bad/latest").write_bytes(data)
    assert [model.name.model for model in list_models(store)] == ["good"]
    with pytest.raises(InvalidModelFile, match=r"^invalid manifest"):
        store.find("bad")
    store.remove(ModelName.parse("bad"))
    with pytest.raises(ModelNotFound):
        store.find("bad")


@pytest.mark.parametrize(
    ("media_type", "content", "problem"),
    [
        (media.PARAMS, "[]", "the parameters of the model cannot be read"),
        (media.PARAMS, "{", "the parameters of the model cannot be read"),
        (media.MESSAGES, '{"role":"user"}', "the messages of the model cannot be read"),
        (media.SYSTEM, "x" * 101, "larger than the 100 bytes a text may have"),
    ],
)
def test_a_broken_layer_is_named(store: ModelStore, media_type: str, content: str, problem: str) -> None:
    small = ModelStore(store.root, Limits(layer_text_bytes=100))
    data = manifest_of(small, layer(small, media_type, content))
    with pytest.raises(InvalidModelFile, match=problem):
        small.write(ModelName.parse("m"), data)
    assert list_models(small) == []
    path = store.root / "manifests/registry.ollama.ai/library/m/latest"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(InvalidModelFile, match=problem):
        small.find("m")


def test_a_manifest_without_weights_is_no_model(store: ModelStore) -> None:
    config = layer(store, media.CONFIG, "{}")
    with pytest.raises(InvalidModelFile, match="model 'm:latest' has no GGUF layer"):
        store.write(
            ModelName.parse("m"), encode_manifest(Manifest(config, (layer(store, "application/vnd.ollama.image.tensor", b"x"),)))
        )


@pytest.mark.parametrize("place", ["weights", "projector", "adapter"])
def test_F22_weights_that_changed_are_hashed_before_they_are_used(store: ModelStore, place: str) -> None:
    install(store, "m", layer(store, media.PROJECTOR, b"projector"), layer(store, media.ADAPTER, b"adapter"))
    install(store, "other", weights=b"other weights")
    model = store.find("m")
    assert not store.needs_hash(model), "what we wrote was hashed on the way"
    path = store.blobs.path(store.blobs.put(place.encode()))
    path.write_bytes(path.read_bytes().upper())
    assert store.needs_hash(store.find("m"))
    with pytest.raises(LoadFailed, match=r"^model data is damaged, pull it again$"):
        store.verify(model)
    with pytest.raises(LoadFailed, match=r"^model data is damaged, pull it again$"):
        store.find("m")
    assert [file.read_bytes() for file in (store.root / "damaged").iterdir()] == [place.upper().encode()]
    assert not store.needs_hash(store.find("other"))
    store.blobs.put(place.encode())
    assert not store.needs_hash(store.find("m"))


def test_F22_a_file_that_was_only_touched_is_hashed_once(store: ModelStore) -> None:
    install(store, "m")
    os.utime(store.find("m").model_path, (5, 5))
    assert store.needs_hash(store.find("m"))
    store.verify(store.find("m"))
    assert not store.needs_hash(store.find("m"))


def test_F22_large_weights_are_left_to_the_check(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, Limits(load_hash_bytes=5))
    install(store, "m")
    os.utime(store.find("m").model_path, (5, 5))
    assert not store.needs_hash(store.find("m"))


def test_missing_and_damaged_weights_are_found_at_use(store: ModelStore) -> None:
    install(store, "m")
    path = store.find("m").model_path
    path.write_bytes(b"weightz and more")
    with pytest.raises(LoadFailed, match="model data is damaged, pull it again"):
        store.find("m")
    path.unlink()
    with pytest.raises(NotFound, match="is missing, pull the model again"):
        store.find("m")
    assert len(list_models(store)) == 1


def test_T07_linked_weights_are_refused(store: ModelStore, tmp_path: Path) -> None:
    install(store, "m")
    path = store.find("m").model_path
    canary = tmp_path / "canary"
    path.rename(canary)
    path.symlink_to(canary)
    with pytest.raises(LoadFailed, match="something else than a plain file"):
        store.find("m")


def test_a_model_needs_its_blobs_to_be_written(store: ModelStore) -> None:
    data = manifest_of(store)
    store.blobs.remove(store.blobs.put(b"weights"))
    with pytest.raises(NotFound, match="is missing"):
        store.write(ModelName.parse("m"), data)
    assert list_models(store) == []


def test_pulled_manifests_keep_their_bytes(store: ModelStore) -> None:
    data = json.dumps(json.loads(manifest_of(store)), indent=3).encode()
    model = store.write(ModelName.parse("pulled"), data)
    assert model.is_pulled
    assert (store.root / "manifests/registry.ollama.ai/library/pulled/latest").read_bytes() == data


def test_2_19_a_copy_has_the_same_digest(store: ModelStore) -> None:
    install(store, "a")
    copy = store.copy(ModelName.parse("A"), ModelName.parse("h/n/b:c"))
    assert copy.digest == store.find("a").digest == store.find("h/n/b:c").digest
    assert store.copy(ModelName.parse("a"), ModelName.parse("a")).digest == copy.digest
    with pytest.raises(ModelNotFound, match=r"^model 'x:latest' not found$"):
        store.copy(ModelName.parse("x"), ModelName.parse("y"))


def test_2_19_removing_a_model_leaves_what_others_use(store: ModelStore) -> None:
    install(store, "h/n/a", layer(store, media.SYSTEM, "only a"))
    install(store, "b", layer(store, media.SYSTEM, "only b"))
    before = files(store)
    store.remove(ModelName.parse("h/n/a"))
    gone = store.blobs.path(store.blobs.put(b"only a"))
    assert before - files(store) == {"manifests/h/n/a/latest"}
    assert not (store.root / "manifests/h").exists()
    assert store.find("b").system == "only b"
    gone.unlink()
    store.remove(ModelName.parse("B"))
    assert files(store) == set()
    with pytest.raises(ModelNotFound):
        store.remove(ModelName.parse("b"))


@pytest.mark.parametrize("prunes", [True, False])
def test_10_5_the_blobs_of_a_replaced_manifest_go_unless_pruning_is_off(tmp_path: Path, prunes: bool) -> None:
    store = ModelStore(tmp_path, prunes=prunes)
    install(store, "m", layer(store, media.SYSTEM, "old"))
    old = store.find("m").manifest.layers[-1].digest
    install(store, "m", layer(store, media.SYSTEM, "new"))
    assert store.blobs.has(old) is not prunes
    assert store.find("m").system == "new"


def age_everything(store: ModelStore) -> None:
    for path in store.root.rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))


def test_10_5_the_sweep_keeps_what_models_use(store: ModelStore) -> None:
    install(store, "m", layer(store, media.SYSTEM, "s"))
    store.blobs.put(b"unused")
    (store.root / "manifests/h/n/empty").mkdir(parents=True)
    (store.root / "manifests/registry.ollama.ai/library/m/.new-x").write_bytes(b"{")
    before = files(store)
    age_everything(store)
    assert store.sweep(10 * HOUR) == 1
    unused = store.blobs.path(store.blobs.put(b"unused")).name
    assert before - files(store) == {"manifests/registry.ollama.ai/library/m/.new-x"}
    assert unused in {path.name for path in store.blobs.folder.iterdir()}
    assert not (store.root / "manifests/h").exists()
    assert store.find("m").system == "s"


def test_10_5_a_corrupt_manifest_stops_the_sweep(store: ModelStore) -> None:
    install(store, "m")
    unused = store.blobs.put(b"unused")
    (store.root / "manifests/registry.ollama.ai/library/m/latest").write_bytes(b"{")
    age_everything(store)
    assert store.sweep(10 * HOUR) == 0
    store.remove(ModelName.parse("m"))
    assert store.blobs.has(unused), "what a corrupt manifest used is not known, so its removal takes no blobs"


def test_changes_by_others_are_seen(store: ModelStore) -> None:
    other = ModelStore(store.root)
    install(store, "m", layer(store, media.SYSTEM, "one"))
    assert other.find("m").system == "one"
    install(store, "m", layer(store, media.SYSTEM, "two, which is longer"))
    assert other.find("m").system == "two, which is longer"
    store.remove(ModelName.parse("m"))
    assert list_models(other) == []


def test_a_change_within_the_same_tick_of_the_clock_is_seen(store: ModelStore) -> None:
    """Same size, same time, same file number: what was read just after a change is not believed for long."""
    install(store, "m", layer(store, media.SYSTEM, "one"))
    other = ModelStore(store.root)
    assert other.find("m").system == "one"
    path = store.root / "manifests/registry.ollama.ai/library/m/latest"
    before = path.stat()
    path.write_bytes(manifest_of(store, layer(store, media.SYSTEM, "two")))
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    assert other.find("m").system == store.find("m").system == "two"
    one = store.blobs.put(b"one")
    os.utime(store.blobs.path(one), (1, 1))
    store.sweep(10 * HOUR)
    assert store.blobs.has(hash_bytes(b"two"))


def test_what_did_not_change_is_not_read_again(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        install(store, f"m{number}")
    age_everything(store)
    first = list_models(store)
    reads: list[Path] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (reads.append(path), read_bytes(path))[1])
    monkeypatch.setattr(store.blobs, "open", lambda digest: pytest.fail("a blob was opened"))
    assert list_models(store) == first
    assert store.find("m3") == next(model for model in first if model.name.model == "m3")
    assert reads == []


def test_what_is_remembered_of_manifests_does_not_grow(store: ModelStore) -> None:
    """A model that changes, one that goes, and ones that somebody else removes leave nothing behind."""
    for number in range(20):
        install(store, "m", layer(store, media.SYSTEM, str(number)))
        assert store.find("m").system == str(number)
        install(store, f"other{number}")
        store.remove(ModelName.parse(f"other{number}"))
    for number in range(20):
        install(store, f"theirs{number}")
        store.find(f"theirs{number}")
        ModelStore(store.root).remove(ModelName.parse(f"theirs{number}"))
    store.sweep(0)
    assert len(store._known) == 1


def test_writers_and_removers_never_leave_a_model_without_its_blobs(store: ModelStore) -> None:
    """Names that share blobs come and go from several threads; whatever is listed at the end can be used."""
    data = manifest_of(store, layer(store, media.SYSTEM, "shared"))
    store.write(ModelName.parse("keeper"), data)

    def churn(name: ModelName) -> None:
        for _ in range(25):
            store.write(name, data)
            store.remove(name)

    threads = [threading.Thread(target=churn, args=(ModelName.parse(f"h{number}/n/m"),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [model.name.model for model in list_models(store)] == ["keeper"]
    assert store.find("keeper").system == "shared"
