"""The site that the command line is tried on, with the models of its recordings, and a terminal to sit at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.model import ModelStore
from llmsite.types.message import Message
from llmsite.types.name import ModelName
from tests.cli.terminal import Terminal
from tests.conftest import Site
from tests.inference.stock import starter_facts

CALM = {"temperature": 0, "seed": 1}
FULL: dict[str, Any] = {
    "template": "{{ .System }}\n{{ .Prompt }}",
    "system": "Be brief.",
    "licenses": ("MIT License\n\nline two\nline three\nline four",),
    "parameters": {"temperature": 0, "stop": ["<|im_end|>", "User:"]},
    "messages": (Message("user", "Hello!"), Message("assistant", "Hello there.")),
}


@pytest.fixture(scope="session")
def site(recorded: Site) -> Site:
    """`calm` answers the same each time, `calm-go` too, by a Go template; `full` has a layer of every kind."""
    store = ModelStore(recorded.home / "models")
    starter = store.find("starter")
    part = Part(starter.model_digest, starter_facts(), "starter:latest")
    create_model(store, ModelName.parse("full"), Recipe((part,), **FULL))
    create_model(store, ModelName.parse("calm"), Recipe((part,), parameters=CALM))
    template = store.find("starter-go").template
    assert template
    create_model(store, ModelName.parse("calm-go"), Recipe((part,), template=template, parameters=CALM))
    return recorded


@pytest.fixture
def sit_down(site: Site) -> Iterator[Callable[..., Terminal]]:
    """Start the program with these words on a terminal."""
    terminals: list[Terminal] = []

    def start(*argv: str) -> Terminal:
        terminals.append(Terminal(list(argv), site.environ))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()
