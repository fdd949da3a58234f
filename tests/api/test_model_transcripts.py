"""Ollama's recorded answers on show, copy and delete, replayed in their order against a whole site (catalogue 2.2, 2.15, 2.19).

Compared are status, content type, keys and their order, and every value; times, paths and digests of blobs are not. What
differs: a file is kept as it was given (catalogue 2.18, accident), so tensors come in its order, and the recorder wrote long
arrays shorter. `made` and `made2` are laid out by `tests/inference/stock.py`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import httpx
import pytest

from tests.inference.stock import read_rows

pytestmark = [pytest.mark.process, pytest.mark.model]

PATHS: Final = ("/api/show", "/api/copy", "/api/delete")
_BLOB: Final = re.compile(r"(?m)^FROM \S+/blobs/sha256-[0-9a-f]{64}$")
ROWS: Final = {row["name"]: row for row in read_rows() if row["path"] in PATHS}


@pytest.fixture(scope="module")
def http(recorded):
    with httpx.Client(base_url=recorded.url, timeout=60) as client:
        yield client


def send(http: httpx.Client, row: dict[str, Any]) -> httpx.Response:
    body = row["body"]
    content = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    return http.request(row["method"], row["path"], content=content, headers=row.get("headers", {}))


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_an_answer_is_the_recorded_one(http, row):
    reply = send(http, row)
    assert (reply.status_code, reply.headers.get("content-type", "")) == (row["status"], row["type"]), reply.text
    if not isinstance(row["answer"], dict):
        assert reply.text == row["answer"]
        return
    assert not reply.content.endswith(b"\n")
    assert ordered(reply.json(), row["answer"]) == ordered(row["answer"], row["answer"])


def ordered(answer: dict[str, Any], recorded: dict[str, Any]) -> str:
    """Text that shows values and the order of keys; what differs from run to run and on purpose is made equal."""
    shown = json.loads(json.dumps(answer))
    if "model_info" in shown:
        shown["modelfile"] = sorted_parameters(_BLOB.sub("FROM <blob>", shown["modelfile"]))
        shown["tensors"] = sorted(shown["tensors"], key=lambda each: each["name"])
        shown["modified_at"] = "<time>"
        shown["model_info"] = {
            key: shortened(value, recorded["model_info"].get(key)) for key, value in shown["model_info"].items()
        }
    if "parameters" in shown:
        shown["parameters"] = sorted(shown["parameters"].splitlines())
    return json.dumps(shown, indent=1, ensure_ascii=False)


def sorted_parameters(modelfile: str) -> list[str]:
    """Lines of a Modelfile; the order of its parameters is not specified (catalogue 4.3)."""
    lines = modelfile.splitlines()
    numbers = [number for number, line in enumerate(lines) if line.startswith("PARAMETER ")]
    if numbers:
        lines[numbers[0] : numbers[-1] + 1] = sorted(lines[numbers[0] : numbers[-1] + 1])
    return lines


def shortened(value: Any, recorded: Any) -> Any:
    """A long array as the recorder wrote it."""
    if not isinstance(value, list) or value == recorded:
        return value
    if isinstance(recorded, dict):
        return {"<numbers>": len(value), "first": value[:4]}
    return [*value[:8], f"<{len(value) - 8} more>"]


def test_2_13_the_list_says_what_show_says(http):
    """The capabilities of tags are those of show; Ollama's never look at the Jinja template (accident)."""
    listed = http.get("/api/tags").json()["models"]
    assert len(listed) > 9
    for model in listed:
        shown = http.post("/api/show", json={"model": model["name"]}).json()
        assert (shown["capabilities"], shown["modified_at"]) == (model["capabilities"], model["modified_at"]), model["name"]


def test_copilot_reads_the_name_it_asked_for(http):
    """Catalogue 2.15: User-Agent."""
    for is_verbose in (False, True):
        asked = {"model": "STARTER", "verbose": is_verbose}
        reply = http.post("/api/show", json=asked, headers={"User-Agent": "GitHubCopilotChat/1.2"}).json()
        assert reply["model_info"]["general.basename"] == "STARTER"
        plain = http.post("/api/show", json=asked).json()
        assert plain["model_info"] | {"general.basename": "STARTER"} == reply["model_info"]
        assert list(plain["model_info"]) == list(reply["model_info"])


def test_2_15_system_and_options_are_laid_over_the_modelfile_only(http):
    asked = {"model": "starter-sys", "system": "Other", "options": {"top_k": 3, "seed": 7}, "template": "ignored"}
    shown, plain = http.post("/api/show", json=asked).json(), http.post("/api/show", json={"model": "starter-sys"}).json()
    assert "SYSTEM Other\nPARAMETER seed 7\nPARAMETER temperature 0\nPARAMETER top_k 3\n" in shown["modelfile"]
    assert (shown["system"], shown["parameters"]) == ("Other", plain["parameters"])
    assert shown["template"] == plain["template"]


COPY = {"source": "starter-sys", "destination": "Twin"}


def test_2_19_a_copy_is_the_same_model_under_another_name(http):
    assert http.post("/api/copy", json=COPY).status_code == 200
    listed = {each["name"]: each for each in http.get("/api/tags").json()["models"]}
    assert listed["Twin:latest"]["digest"] == listed["starter-sys:latest"]["digest"]
    # onto itself, in any spelling, nothing happens
    for name in ("Twin", "TWIN", "library/twin:LATEST"):
        assert http.post("/api/copy", json={"source": "twin", "destination": name}).status_code == 200
    after = {each["name"]: each for each in http.get("/api/tags").json()["models"]}
    assert after["Twin:latest"] == listed["Twin:latest"]
    # overwrites silently
    assert http.post("/api/copy", json={"source": "starter", "destination": "tWIN"}).status_code == 200
    again = {each["name"]: each for each in http.get("/api/tags").json()["models"]}
    assert again["Twin:latest"]["digest"] == listed["starter:latest"]["digest"]
    assert http.request("DELETE", "/api/delete", json={"name": "twin:local"}).status_code == 200
    assert [name for name in after if name != "Twin:latest"] == [each["name"] for each in http.get("/api/tags").json()["models"]]
