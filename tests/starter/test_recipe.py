"""The recipe belongs to the shipped weights: same vocabulary, same template, same samples, same answers."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmsite.store.gguf import GgufHeader, LongArray, read_header
from llmsite.types.limits import Limits
from tests.starter import gen
from tests.starter.evaluate import environment

HERE = Path(__file__).parent
WEIGHTS = HERE.parents[1] / "llmsite" / "starter" / "starter.gguf"


@pytest.fixture(scope="module")
def header() -> GgufHeader:
    with WEIGHTS.open("rb") as file:
        return read_header(file, WEIGHTS.stat().st_size, Limits())


def texts(header: GgufHeader, key: str) -> list[str]:
    array = header.metadata[key]
    assert isinstance(array, LongArray)
    return [text.decode() for text in array]


def test_the_vocabulary_is_that_of_the_weights(header: GgufHeader) -> None:
    tokenizer = json.loads((HERE / "tokenizer.json").read_text())
    tokens = texts(header, "tokenizer.ggml.tokens")
    assert {text: number for number, text in enumerate(tokens[: len(tokenizer["vocab"])])} == tokenizer["vocab"]
    assert tokens[len(tokenizer["vocab"]) :] == ["<|pad3103|>"]
    assert texts(header, "tokenizer.ggml.merges") == [" ".join(pair) for pair in tokenizer["merges"]]


def test_the_template_is_that_of_the_weights(header: GgufHeader) -> None:
    assert header.metadata["tokenizer.chat_template"] == (HERE / "chat_template.jinja").read_text().rstrip("\n")


def test_the_samples_are_those_the_weights_were_trained_on() -> None:
    r, seen = random.Random(5), hashlib.sha256()
    for _ in range(2000):
        seen.update(repr(gen.render(gen.sample(r), r)).encode())
    assert seen.hexdigest() == "8fa5438ef2dc340bea3dc769402ce0946938af02c09f24cfc2ee7d833b62d9c0"


def test_the_template_renders_chats_as_they_were_trained() -> None:
    template = environment().from_string((HERE / "chat_template.jinja").read_text().rstrip("\n"))
    r = random.Random(99)
    samples = [sample for sample in (gen.sample(r) for _ in range(500)) if gen.is_plain_chat(sample)]
    assert len(samples) > 200
    for sample in samples:
        trained = "".join(text for text, _ in gen.render(sample))
        assert template.render(messages=sample["messages"], tools=sample["tools"]) == trained


@pytest.mark.model
def test_the_weights_still_answer() -> None:
    """Of every fortieth held-out prompt at least two thirds: the full list scores 529 of 660.

    In a process of its own: where the engine is imported, `llama_cpp` is only the part of the package that runners need.
    """
    command = [sys.executable, "-m", "tests.starter.evaluate", str(WEIGHTS), "40"]
    printed = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=True).stdout
    total = re.search(r"^total +(\d+)/(\d+) ", printed, re.MULTILINE)
    assert total, printed
    assert int(total[1]) >= int(total[2]) * 2 / 3, printed


@pytest.mark.parametrize("path", sorted(HERE.rglob("*.py")), ids=lambda path: path.stem)
def test_every_script_parses(path: Path) -> None:
    """Those that need PyTorch cannot be imported here."""
    assert ast.get_docstring(ast.parse(path.read_text()))
