"""A store with the models of the transcripts: the starter, and what was made from it."""

from __future__ import annotations

import json
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


def read_rows() -> list[dict[str, Any]]:
    """Requests and Ollama's answers."""
    path = ROOT / "tests/data/ollama/transcripts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def starter_facts() -> GgufFacts:
    """What the inspector says of the starter's file."""
    with BlockingInspector(Limits()) as inspector:
        return inspector.read_gguf(STARTER)


def make_store(root: Path) -> ModelStore:
    """The five text models of the transcripts, `-told` with a history, and `-hot` with a parameter of the wrong type."""
    store = ModelStore(root)
    templates = {row["name"]: row["answer"]["template"] for row in read_rows() if row["name"].startswith("go.show.")}
    with store.blobs.writer() as writer:
        writer.write(STARTER.read_bytes())
        part = Part(writer.commit(), starter_facts())
    recipes: dict[str, dict[str, Any]] = {
        "starter": {},
        "starter-sys": {"system": "Always answer with the word PING.", "parameters": {"temperature": 0, "seed": 1}},
        "starter-told": {"system": "S", "messages": (Message("user", "u"), Message("assistant", "a"))},
        "starter-hot": {"parameters": {"temperature": "hot"}},
    }
    recipes |= {name: {"template": templates[f"go.show.{name}"]} for name in ("starter-go", "starter-legacy", "starter-insert")}
    for name, texts in recipes.items():
        create_model(store, ModelName.parse(name), Recipe((part,), **texts))
    return store
