"""Creating models: exactly the bytes, digests and refusals of catalogue 10.2 to 10.4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmsite.modelfile.config import encode_config
from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store import manifest as media
from llmsite.store.gguf import GgufFacts, gather_facts, read_header
from llmsite.store.model import ModelStore
from llmsite.store.stored_model import ModelConfig
from llmsite.types.errors import InvalidModelFile, NotFound
from llmsite.types.limits import Limits
from llmsite.types.message import Message
from llmsite.types.name import ModelName
from tests.store.listing import list_models

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "llmsite" / "starter" / "starter.gguf"
PROJECTOR = ROOT / "tests" / "data" / "starter-mmproj.gguf"
OLLAMA_WEIGHTS = "sha256:3a0c1eaf49826a36c5d5f037785d5c976337bf1e629b0e992db66525a654ae56"
"""Ollama rewrote the starter's GGUF; its size stayed. The digests below hang on this name."""


def recorded() -> dict[str, Any]:
    lines = (ROOT / "tests" / "data" / "ollama" / "transcripts.jsonl").read_text().splitlines()
    return {row["name"]: row for row in map(json.loads, lines)}


ROWS = recorded()
TAGS = {model["name"]: model for model in ROWS["tags"]["answer"]["models"]}


def template(name: str) -> str:
    return str(ROWS[f"go.show.{name}"]["answer"]["template"])


def read_facts(path: Path) -> GgufFacts:
    with path.open("rb") as file:
        return gather_facts(read_header(file, path.stat().st_size, Limits()))


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


@pytest.fixture
def ollamas(store: ModelStore) -> ModelStore:
    """The store with a file of the right size in the place of Ollama's rewritten weights."""
    store.blobs.folder.mkdir()
    store.blobs.path(OLLAMA_WEIGHTS).write_bytes(b"\0" * WEIGHTS.stat().st_size)
    return store


FACTS = read_facts(WEIGHTS)
FROM_FILE = Part(OLLAMA_WEIGHTS, FACTS)
FROM_STARTER = Part(OLLAMA_WEIGHTS, FACTS, "starter:latest")


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("starter", Recipe((FROM_FILE,))),
        (
            "starter-sys",
            Recipe((FROM_STARTER,), system="Always answer with the word PING.", parameters={"temperature": 0, "seed": 1}),
        ),
        ("starter-go", Recipe((FROM_STARTER,), template=template("starter-go"))),
        ("starter-legacy", Recipe((FROM_STARTER,), template=template("starter-legacy"))),
        ("starter-insert", Recipe((FROM_STARTER,), template=template("starter-insert"))),
    ],
    ids=lambda value: f"tags.{value}" if isinstance(value, str) else "",
)
def test_10_4_models_have_the_digests_that_ollama_gave_them(ollamas: ModelStore, name: str, recipe: Recipe) -> None:
    model = create_model(ollamas, ModelName.parse(name), recipe)
    expected = TAGS[f"{name}:latest"]
    assert (model.digest, model.size_bytes) == (expected["digest"], expected["size"])
    assert model.details.parent_model == expected["details"]["parent_model"]
    assert model.details.parameter_size == expected["details"]["parameter_size"]


def test_10_4_a_projector_stands_where_ollama_put_it(ollamas: ModelStore) -> None:
    eye = Part(ollamas.blobs.put(PROJECTOR.read_bytes()), read_facts(PROJECTOR), "mmproj.gguf")
    model = create_model(ollamas, ModelName.parse("starter-see"), Recipe((eye, FROM_FILE)))
    expected = TAGS["starter-see:latest"]
    assert (model.digest, model.size_bytes) == (expected["digest"], expected["size"])
    assert list(model.details.families or ()) == expected["details"]["families"]


def test_create_from_makes_the_layers_that_ollama_made(ollamas: ModelStore) -> None:
    body, frames = ROWS["create.from"]["body"], ROWS["create.from"]["answer"]
    recipe = Recipe(
        (FROM_STARTER,),
        template=body["template"],
        system=body["system"],
        licenses=tuple(body["license"]),
        parameters=body["parameters"],
        messages=tuple(Message(each["role"], each["content"]) for each in body["messages"]),
    )
    model = create_model(ollamas, ModelName.parse("made"), recipe)
    theirs = [frame["status"].split()[-1] for frame in frames if "layer" in frame["status"]]
    assert [layer.digest for layer in model.manifest.layers] == theirs


@pytest.mark.parametrize(
    ("parameters", "content"),
    [
        ({"temperature": 0.7, "stop": ["<|im_end|>"]}, b'{"stop":["\\u003c|im_end|\\u003e"],"temperature":0.7}\n'),
        ({"top_k": 3, "temperature": 1.0, "seed": -1}, b'{"seed":-1,"temperature":1,"top_k":3}\n'),
        ({"a": 1e-7, "b": 1e21, "c": 0.00001, "d": 123456789.5}, b'{"a":1e-7,"b":1e+21,"c":0.00001,"d":123456789.5}\n'),
        ({"stop": ["é&>", "\u2028"]}, '{"stop":["é\\u0026\\u003e","\\u2028"]}\n'.encode()),
    ],
)
def test_16_20_params_are_written_as_go_writes_them(ollamas: ModelStore, parameters: dict[str, Any], content: bytes) -> None:
    model = create_model(ollamas, ModelName.parse("m"), Recipe((FROM_FILE,), parameters=parameters))
    (layer,) = [each for each in model.manifest.layers if each.media_type == media.PARAMS]
    with ollamas.blobs.open(layer.digest) as file:
        assert file.read() == content
    assert model.parameters == parameters


def test_10_3_the_config_keeps_ollamas_order_and_leaves_out_what_is_empty() -> None:
    full = ModelConfig("gguf", "llama", ("llama", "clip"), "8.0B", "Q4_K_M", "r", "p", "0.14.0", ("tools",), 4096, 1024, "base")
    assert encode_config(full) == (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama","clip"],"model_type":"8.0B","file_type":"Q4_K_M",'
        b'"renderer":"r","parser":"p","requires":"0.14.0","capabilities":["tools"],"context_length":4096,"embedding_length":1024,'
        b'"base_name":"base","architecture":"amd64","os":"linux"}\n'
    )
    assert encode_config(ModelConfig()) == (
        b'{"model_format":"","model_family":"","model_families":null,"model_type":"","file_type":"","architecture":"amd64","os":"linux"}\n'
    )


def test_the_same_recipe_twice_is_the_same_model(store: ModelStore) -> None:
    digest = store.blobs.put(WEIGHTS.read_bytes())
    recipe = Recipe((Part(digest, FACTS),), system="s", parameters={"seed": 1})
    first = create_model(store, ModelName.parse("a"), recipe)
    second = create_model(store, ModelName.parse("b"), recipe)
    assert (first.digest, first.manifest) == (second.digest, second.manifest)
    assert first.model_path.read_bytes() == WEIGHTS.read_bytes()


def test_weights_that_are_not_there_make_no_model(store: ModelStore) -> None:
    with pytest.raises(NotFound, match="is missing"):
        create_model(store, ModelName.parse("m"), Recipe((FROM_FILE,)))
    assert list_models(store) == []


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (GgufFacts(kind="projector"), "needs a GGUF file with a language model"),
        (GgufFacts(kind="adapter"), "needs a GGUF file with a language model"),
        (GgufFacts(split_count=3), "part 1 of a split GGUF is no whole model: all 3 are needed"),
    ],
)
def test_a_model_needs_whole_weights(ollamas: ModelStore, facts: GgufFacts, problem: str) -> None:
    with pytest.raises(InvalidModelFile, match=problem):
        create_model(ollamas, ModelName.parse("m"), Recipe((Part(OLLAMA_WEIGHTS, facts),)))
