"""A store with the models of the transcripts: the starter, and what was made from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmsite.inspector.pool import BlockingInspector
from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.gguf import GgufFacts
from llmsite.store.model import ModelStore
from llmsite.types.limits import Limits
from llmsite.types.message import Message
from llmsite.types.name import ModelName

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "llmsite/starter/starter.gguf"
PROJECTOR = ROOT / "tests/data/starter-mmproj.gguf"


def read_rows() -> list[dict[str, Any]]:
    """Requests and Ollama's answers."""
    path = ROOT / "tests/data/ollama/transcripts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def starter_facts() -> GgufFacts:
    """What the inspector says of the starter's file."""
    with BlockingInspector(Limits()) as inspector:
        return inspector.read_gguf(STARTER)


def make_store(root: Path) -> ModelStore:
    """The models of the transcripts, `-told` with a history, and `-hot` with a parameter of the wrong type."""
    store = ModelStore(root)
    templates = {row["name"]: row["answer"]["template"] for row in read_rows() if row["name"].startswith("go.show.")}
    weights = _add_file(store, STARTER)
    derived = replace(weights, source="starter:latest")
    made: dict[str, Any] = {
        "template": "{{ .System }}|{{ .Prompt }}",
        "system": "S",
        "licenses": ("L1", "L2"),
        "parameters": {"temperature": 0.5, "stop": ["a", "b"]},
        "messages": (Message("user", "u"), Message("assistant", "a")),
    }
    recipes: dict[str, Recipe] = {
        "starter": Recipe((weights,)),
        "starter-see": Recipe((weights, _add_file(store, PROJECTOR))),
        "starter-sys": Recipe((derived,), system="Always answer with the word PING.", parameters={"temperature": 0, "seed": 1}),
        "starter-told": Recipe((derived,), system="S", messages=(Message("user", "u"), Message("assistant", "a"))),
        "starter-hot": Recipe((derived,), parameters={"temperature": "hot"}),
        "made": Recipe((derived,), **made),
        "made2": Recipe(
            (replace(weights, source="made:latest"),),
            **made | {"licenses": ("L1", "L2", "L3"), "parameters": made["parameters"] | {"top_k": 3}},
        ),
    }
    for name in ("starter-go", "starter-legacy", "starter-insert"):
        recipes[name] = Recipe((derived,), template=templates[f"go.show.{name}"])
    for name, recipe in recipes.items():
        create_model(store, ModelName.parse(name), recipe)
    return store


def _add_file(store: ModelStore, path: Path) -> Part:
    with store.blobs.writer() as writer, BlockingInspector(Limits()) as inspector:
        writer.write(path.read_bytes())
        return Part(writer.commit(), inspector.read_gguf(path))
