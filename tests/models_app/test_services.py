"""Copies, deletions and what is listed, interleaved: no name ever dangles (faults F20, F23)."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.gguf import GgufFacts
from llmsite.store.model import ModelStore
from llmsite.types.errors import LlmsiteError, ModelNotFound
from llmsite.types.name import ModelName
from models_app import services
from models_app.models import Model
from tests.store.gguf_files import GgufFile
from tests.store.listing import list_models

pytestmark = pytest.mark.django_db
FACTS = GgufFacts(architecture="llama", parameter_count=7_000_000_000, file_type="F16")


def add(store: ModelStore, name: str, **texts: Any) -> None:
    part = Part(store.blobs.put(GgufFile().encode()), FACTS)
    create_model(store, ModelName.parse(name), Recipe((part,), **texts))


def names() -> list[str]:
    return sorted(model.name for model in services.list_models_now())


@pytest.mark.django_db(transaction=True)
async def test_a_copy_onto_itself_leaves_the_file_alone(store: ModelStore) -> None:
    await asyncio.to_thread(add, store, "Model")
    path = store.root / "manifests/registry.ollama.ai/library/Model/latest"
    os.utime(path, (5, 5))
    await services.copy_model(ModelName.parse("model"), ModelName.parse("MODEL:Latest"))
    assert path.stat().st_mtime == 5
    with pytest.raises(ModelNotFound, match=r"^model 'other:latest' not found$"):
        await services.copy_model(ModelName.parse("other"), ModelName.parse("x"))
    with pytest.raises(ModelNotFound, match=r"^model 'other:latest' not found$"):
        await services.delete_model(ModelName.parse("other"))


@pytest.mark.parametrize(
    ("target", "stored"),
    [
        ("MODEL:new", "Model:new"),
        ("model:OLD", "Model:Old"),
        ("Library/MODEL:x", "Model:x"),
        ("Own/Thing", "Own/Thing:latest"),
        ("own/MODEL", "own/Model:latest"),
    ],
)
def test_1_3_each_part_of_a_copys_name_takes_the_spelling_that_is_installed(store: ModelStore, target: str, stored: str) -> None:
    add(store, "Model:Old")
    add(store, "b", system="b")
    services._copy(ModelName.parse("b"), ModelName.parse(target))
    assert set(names()) == {"b:latest", "Model:Old", stored}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:100],
    "no JSON": lambda data: b"x" + data,
    "no text": lambda data: b"\xff" * 40,
    "a list": lambda data: b"[]",
    "null": lambda data: b"null",
    "no config": lambda data: data.replace(b'"config"', b'"confug"'),
    "layers of numbers": lambda data: b'{"config":{"digest":"","size":1},"layers":[1]}',
    "a bad digest": lambda data: data.replace(b"sha256:", b"sha512:"),
    "a negative size": lambda data: data.replace(b'"size":', b'"size":-'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_F23_a_damaged_model_has_a_row_that_says_so_and_can_go(store: ModelStore, damage: str) -> None:
    add(store, "good")
    add(store, "bad", system="s")
    path = store.root / "manifests/registry.ollama.ai/library/bad/latest"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert names() == ["good:latest"]
    assert "invalid manifest" in Model.objects.get(model="bad").error
    services._delete(ModelName.parse("bad"))
    assert not path.exists()
    assert [row.name.shortest for row in Model.objects.all()] == ["good:latest"]
    assert store.find("good").model_path.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(5))
async def test_F20_changes_at_once_leave_whole_models_or_none(store: ModelStore, seed: int) -> None:
    chance = random.Random(seed)
    names = [ModelName.parse(name) for name in ("a", "b", "c")]

    async def change() -> None:
        name, other = chance.choice(names), chance.choice(names)
        match chance.randrange(3):
            case 0:
                await asyncio.to_thread(add, store, str(name), system=f"s{chance.randrange(3)}")
            case 1:
                await services.copy_model(name, other)
            case 2:
                await services.delete_model(name)

    outcomes = await asyncio.gather(*(change() for _ in range(40)), return_exceptions=True)
    assert [each for each in outcomes if isinstance(each, BaseException) and not isinstance(each, LlmsiteError)] == []
    listed = await services.list_models()
    assert {model.name for model in listed} == {model.name.shortest for model in list_models(store)}
    for model in listed:
        found = store.find(model.name)
        assert found.digest == model.digest
        assert all(store.blobs.has(digest) for digest in found.manifest.digests)
