"""Bodies of /api/create: what is read of them, and that no path of this machine is ever looked at (T03)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.create_request import is_relative, parse_create
from llmsite.types.errors import InvalidDigest, InvalidRequest, LlmsiteError
from llmsite.types.limits import Limits
from llmsite.types.message import Message
from llmsite.types.request import CreateRequest

DIGEST = "sha256:" + "a" * 64


def parse(body: dict[str, Any]) -> CreateRequest:
    return parse_create(json.dumps({"model": "m"} | body).encode(), Limits())[0]


def test_every_field_is_read() -> None:
    body = {
        "stream": False,
        "from": "base",
        "files": {"a/b.gguf": DIGEST},
        "adapters": {"lora.gguf": DIGEST.replace(":", "-")},
        "draft_files": {"draft.gguf": DIGEST},
        "quantize": "q8_0",
        "draft_quantize": "q4_0",
        "template": "T",
        "system": "S",
        "license": ["L1", "L2"],
        "parameters": {"seed": 1, "stop": ["a"], "temperature": "hot", "top_k": None},
        "messages": [{"role": "User", "content": "u"}],
        "renderer": "r",
        "parser": "p",
        "requires": "0.1.0",
        "info": {"capabilities": ["tools", 1], "model_family": "f", "context_length": 2.0, "unknown": [1]},
    }
    request, stream = parse_create(json.dumps({"model": "m"} | body).encode(), Limits())
    assert not stream
    assert request == CreateRequest(
        model="m",
        source="base",
        files={"a/b.gguf": DIGEST},
        adapters={"lora.gguf": DIGEST},
        draft_files={"draft.gguf": DIGEST},
        quantize="q8_0",
        draft_quantize="q4_0",
        template="T",
        system="S",
        licenses=("L1", "L2"),
        parameters={"seed": 1, "stop": ["a"], "temperature": "hot", "top_k": None},
        messages=(Message("user", "u"),),
        renderer="r",
        parser="p",
        requires="0.1.0",
        info={"capabilities": ["tools"], "model_family": "f", "context_length": 2},
    )


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"license": "L"}, "licenses", ("L",)),
        ({"license": ""}, "licenses", ()),
        ({"license": None}, "licenses", ()),
        ({"files": {}}, "files", {}),
        ({"files": None}, "files", None),
        ({"quantization": "q8_0"}, "quantize", "q8_0"),
        ({"quantization": "q8_0", "quantize": "q4_0"}, "quantize", "q4_0"),
        ({"QUANTIZE": "q4_0"}, "quantize", "q4_0"),
    ],
)
def test_2_18_forms_of_a_field(body: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(parse(body), field) == value


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 400])
def test_a_number_that_no_float_holds_is_refused(number: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_create(f'{{"model":"m","from":"b","parameters":{{"a":[{{"b":{number}}}]}}}}'.encode(), Limits())


@pytest.mark.parametrize("number", ["1e400", "1e30", "9" * 40, str(2**63), "1.5", "-1"])
@pytest.mark.parametrize("key", ["context_length", "embedding_length"])
def test_2_18_a_count_that_is_none_is_refused(key: str, number: str) -> None:
    body = f'{{"model":"m","from":"b","info":{{"{key}":{number}}}}}'.encode()
    with pytest.raises(InvalidRequest, match=rf'^info field "{key}" must be a non-negative integer$'):
        parse_create(body, Limits())


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("x.gguf", True),
        ("a/b/c", True),
        (".", True),
        ("a\\b", True),
        ("...", True),
        ("", False),
        ("/a", False),
        ("a/", False),
        ("a//b", False),
        ("..", False),
        ("a/../b", False),
        ("./a", False),
    ],
)
def test_2_18_paths_that_go_takes(path: str, answer: bool) -> None:
    assert is_relative(path) is answer


# T03

PATHS = {
    "existing": "/etc/passwd",
    "missing": "/etc/no-such-file",
    "unreadable": "/proc/1/mem",
    "device": "/dev/zero",
    "directory": "/etc",
    "link": "/proc/self/exe",
    "climbing": "../../../../etc/passwd",
    "home": "/root/.ssh/id_ed25519",
}


@contextmanager
def watched_opens() -> Iterator[list[str]]:
    """Names of files that are opened or looked at in this block."""
    seen: list[str] = []
    is_on = True

    def note(event: str, args: tuple[Any, ...]) -> None:
        if is_on and event in ("open", "os.listdir", "os.scandir", "os.stat"):
            seen.append(str(args[0]))

    sys.addaudithook(note)
    try:
        yield seen
    finally:
        is_on = False


@pytest.mark.parametrize("place", ["files", "adapters", "draft_files", "digest"])
def test_T03_a_path_of_the_server_is_refused_alike_whatever_is_there(place: str) -> None:
    answers = set()
    for path in PATHS.values():
        body = {"from": "x", "files": {"x.gguf": path}} if place == "digest" else {"from": "x", place: {path: DIGEST}}
        with watched_opens() as opened, pytest.raises(LlmsiteError) as refused:
            parse(body)
        answers.add((type(refused.value), str(refused.value)))
        assert not any(Path(path).name in each for each in opened)
    if place == "digest":
        assert answers == {(InvalidDigest, "invalid digest format")}
    else:
        assert answers == {(InvalidRequest, "file path must be relative")}
