"""POST /api/create against a whole site: Ollama's recorded answers, and every row of catalogue 2.18."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import ollama
import pytest

from llmsite.store.manifest import Layer, decode_manifest
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName
from tests.conftest import Site
from tests.engine.known import ANSWERS
from tests.engine.test_adapters import write_adapter
from tests.inference.stock import ROOT, STARTER, read_rows
from tests.store.gguf_files import TEXT, GgufFile, Tensor, model_metadata, scalar
from tests.store.test_gguf_merge import split

pytestmark = [pytest.mark.process, pytest.mark.model]

JSON: Final = "application/json; charset=utf-8"
JOB_JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
ABSENT: Final = "sha256:" + "0" * 64
OLLAMAS_WEIGHTS: Final = "3a0c1eaf49826a36c5d5f037785d5c976337bf1e629b0e992db66525a654ae56"
WEIGHTS: Final = hashlib.sha256(STARTER.read_bytes()).hexdigest()
ROWS: Final = {row["name"]: row for row in read_rows() if row["path"] == "/api/create"}
OURS: Final = {
    # an error shows no path of the server (docs/compatibility.md)
    "create.no_blob": [{"status": "parsing GGUF"}, {"error": f"open {ABSENT}: no such file or directory"}],
}
"""Different on purpose: what ours answers instead."""


@pytest.fixture(scope="module")
def http(recorded: Site) -> Iterator[httpx.Client]:
    """The site with Ollama's models; what the tests made is gone afterwards, since others list its models."""
    with httpx.Client(base_url=recorded.url, timeout=60) as client:
        before = names(client)
        yield client
        for name in names(client) - before:
            client.request("DELETE", "/api/delete", json={"model": name})


def names(http: httpx.Client) -> set[str]:
    return {each["name"] for each in http.get("/api/tags").json()["models"]}


def create(http: httpx.Client, body: Any) -> httpx.Response:
    content = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    return http.post("/api/create", content=content)


def frames(reply: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reply.text.splitlines()]


def statuses(reply: httpx.Response) -> list[str]:
    """The lines of a creation that went well."""
    assert reply.status_code == 200
    assert [list(each) for each in frames(reply)[-2:]] == [["status"]] * 2, reply.text
    return [each["status"] for each in frames(reply)]


def upload(http: httpx.Client, data: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert http.post(f"/api/blobs/{digest}", content=data).status_code in (200, 201)
    return digest


def layers(site: Site, name: str) -> list[Layer]:
    path = site.home / "models/manifests/registry.ollama.ai/library" / name / "latest"
    return list(decode_manifest(path.read_bytes(), Limits()).layers)


def kinds(site: Site, name: str) -> list[tuple[str, str]]:
    """What each layer is and where it comes from."""
    return [(each.media_type.rpartition(".")[2], each.source) for each in layers(site, name)]


# what Ollama answered


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_an_answer_is_the_recorded_one(http: httpx.Client, row: dict[str, Any]) -> None:
    reply = create(http, row["body"])
    assert (reply.status_code, reply.headers["content-type"]) == (row["status"], row["type"]), reply.text
    answer = OURS.get(row["name"], row["answer"])
    if isinstance(answer, list):
        assert comparable(frames(reply)) == comparable(answer)
    else:
        assert reply.json() == answer
        assert not reply.content.endswith(b"\n")


def comparable(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what depends on earlier requests and on the engine: whether a blob was there, and how far quantizing is.

    Ollama rewrote the starter's file, so its digest is another; that of the quantized one is the same.
    """
    found = json.loads(json.dumps(lines).replace(OLLAMAS_WEIGHTS, WEIGHTS).replace("creating new", "using existing"))
    return [each for each in found if not each.get("status", "").startswith("quantizing ")]


def test_10_4_every_byte_on_disk_is_the_one_that_ollama_wrote(http: httpx.Client, recorded: Site) -> None:
    """A model with every kind of text, one made from it, a bare one and a copy, over a store whose starter Ollama read."""
    theirs = json.loads((ROOT / "tests/data/ollama/created.json").read_text())
    for request in theirs["requests"]:
        assert statuses(create(http, request))[-1] == "success"
    assert http.post("/api/copy", json=theirs["copy"]).status_code == 200
    models = recorded.home / "models"
    assert {path: (models / "manifests" / path).read_text() for path in theirs["manifests"]} == theirs["manifests"]
    assert {name: (models / "blobs" / name).read_text() for name in theirs["blobs"]} == theirs["blobs"]
    ids = {each["name"]: each["digest"] for each in http.get("/api/tags").json()["models"]}
    for path, manifest in theirs["manifests"].items():
        name = ModelName(*path.split("/")).shortest
        assert ids[name] == hashlib.sha256(manifest.encode()).hexdigest()


def test_every_exception_is_a_row() -> None:
    assert OURS.keys() <= ROWS.keys()


# refusals: body, status, text; all before the first frame

REFUSED: Final[dict[str, tuple[dict[str, Any], int, str]]] = {
    "neither 'from' or 'files' was specified": ({}, 400, "neither 'from' or 'files' was specified"),
    "file path must be relative: ..": ({"files": {"a/../x": ABSENT}}, 400, "file path must be relative"),
    "file path must be relative: /": ({"files": {"/etc/passwd": ABSENT}}, 400, "file path must be relative"),
    "file path must be relative: empty": ({"files": {"": ABSENT}}, 400, "file path must be relative"),
    "file path must be relative: adapters": ({"from": "starter", "adapters": {"/x": ABSENT}}, 400, "file path must be relative"),
    "invalid digest format: empty": ({"files": {"x.gguf": ""}}, 400, "invalid digest format"),
    "invalid digest format: adapters": ({"from": "starter", "adapters": {"x.gguf": ""}}, 400, "invalid digest format"),
    "invalid digest format: a path": ({"files": {"x.gguf": "sha256:../../etc/passwd"}}, 400, "invalid digest format"),
    "no files provided to convert": ({"files": {}}, 400, "no files provided to convert"),
    "no files provided to convert: adapters": ({"from": "starter", "adapters": {}}, 400, "no files provided to convert"),
    "only one adapter is currently supported": (
        {"from": "starter", "adapters": {"a.gguf": ABSENT, "b.gguf": ABSENT}},
        400,
        "only one adapter is currently supported",
    ),
    "unknown type": ({"files": {"x.bin": f"sha256:{hashlib.sha256(b'no model').hexdigest()}"}}, 400, "unknown type"),
    "only one adapter is currently supported: beside files": (
        {"files": {"x.gguf": ABSENT}, "adapters": {"a.gguf": ABSENT, "b.gguf": ABSENT}},
        400,
        "only one adapter is currently supported",
    ),
    "unknown type: no blob": ({"files": {"x": ABSENT}}, 400, "unknown type"),
    "safetensors": (
        {"files": {"model.safetensors": ABSENT, "config.json": ABSENT}},
        400,
        "converting safetensors is not supported yet; convert it to GGUF first",
    ),
    "template error": (
        {"from": "starter", "template": "{{ .System"},
        400,
        "template error: template: :1: unclosed action",
    ),
    "--draft-quantize requires a DRAFT model": (
        {"from": "starter", "draft_quantize": "q8_0"},
        400,
        "--draft-quantize requires a DRAFT model",
    ),
    "DRAFT cannot be used with remote models": (
        {"from": "x", "remote_host": "ollama.com", "draft_files": {"d.gguf": ABSENT}},
        400,
        "DRAFT cannot be used with remote models",
    ),
    "bad remote": ({"from": "x", "remote_host": "http://[bad"}, 400, "bad remote"),
    "remote models": ({"from": "x", "remote_host": "ollama.com"}, 403, "ollama cloud is disabled: remote model is unavailable"),
    "info must be a string": (
        {"from": "starter", "info": {"model_family": 1}},
        400,
        'info field "model_family" must be a string',
    ),
    "info must be a number": (
        {"from": "starter", "info": {"context_length": "1"}},
        400,
        'info field "context_length" must be a number',
    ),
    "info must be a non-negative integer": (
        {"from": "starter", "info": {"embedding_length": 1.5}},
        400,
        'info field "embedding_length" must be a non-negative integer',
    ),
    "bad from name": ({"from": "a//b"}, 400, "invalid model name"),
    "bad from name: both sources": (
        {"from": "x:cloud:local"},
        400,
        'use either :local or :cloud, not both: "x:cloud:local"',
    ),
    "unsupported quantization type": (
        {"from": "starter", "quantize": "Q9"},
        500,
        "unsupported quantization type Q9 - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0",
    ),
}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("row", REFUSED, ids=[f"2.18 {each}" for each in REFUSED])
def test_2_18_refusals(http: httpx.Client, row: str, stream: bool) -> None:
    body, status, text = REFUSED[row]
    upload(http, b"no model")
    reply = create(http, {"model": "refused", "stream": stream} | body)
    assert (reply.status_code, reply.json()) == (status, {"error": text})
    assert "refused:latest" not in names(http)


# errors after a frame: the last line of a stream, or a status of their own

LATER: Final[dict[str, tuple[bytes, int, str]]] = {
    "blob of a digest absent": (b"", 500, f"open {ABSENT}: no such file or directory"),
    "supplied file was not in GGUF format": (b"no model", 400, "supplied file was not in GGUF format"),
    "a GGUF that is none": (b"GGUF" + b"\xff" * 60, 400, "not a valid gguf file"),
    "a projector alone": ((ROOT / "tests/data/starter-mmproj.gguf").read_bytes(), 400, "a model needs a GGUF file with"),
}


@pytest.mark.parametrize("row", LATER, ids=[f"2.18 {each}" for each in LATER])
def test_2_18_errors_after_a_frame(http: httpx.Client, row: str) -> None:
    data, status, text = LATER[row]
    files = {"x.gguf": upload(http, data) if data else ABSENT}
    whole = create(http, {"model": "refused", "files": files, "stream": False})
    assert (whole.status_code, whole.headers["content-type"]) == (status, JOB_JSON)
    assert whole.json()["error"].startswith(text)
    streamed = create(http, {"model": "refused", "files": files})
    assert (streamed.status_code, streamed.headers["content-type"]) == (200, NDJSON)
    assert frames(streamed) == [{"status": "parsing GGUF"}, whole.json()]
    assert "refused:latest" not in names(http)


def test_2_18_quantization_is_only_supported_for_plain_models(http: httpx.Client) -> None:
    statuses(create(http, {"model": "small", "from": "starter", "quantize": "q8_0"}))
    reply = create(http, {"model": "smaller", "from": "small", "quantize": "q4_K_M"})
    assert (reply.status_code, reply.json()) == (500, {"error": "quantization is only supported for F16, BF16 and F32 models"})


def test_2_18_an_adapter_must_be_one_and_fit(http: httpx.Client) -> None:
    tensors = [Tensor("blk.0.attn_q.weight.lora_a", (64, 8)), Tensor("blk.0.attn_q.weight.lora_b", (8, 64), 0, 2048)]
    metadata = {
        "general.architecture": scalar(TEXT, "gemma"),
        "general.type": scalar(TEXT, "adapter"),
        "adapter.type": scalar(TEXT, "lora"),
    }
    other = upload(http, GgufFile(metadata, tensors, 4096).encode())
    for digest, text in (
        (f"sha256:{WEIGHTS}", '"a.gguf" is no adapter but a model'),
        (other, 'the adapter "a.gguf" is for gemma models, and this is a llama model'),
    ):
        reply = create(http, {"model": "refused", "from": "starter", "adapters": {"a.gguf": digest}, "stream": False})
        assert (reply.status_code, reply.json()) == (400, {"error": text})


def test_2_18_an_adapter_changes_the_answer_and_the_base_keeps_its_own(
    http: httpx.Client, recorded: Site, tmp_path: Path
) -> None:
    def ask(name: str) -> str:
        body = {
            "model": name,
            "prompt": "Hello",
            "stream": False,
            "think": False,
            "options": {"temperature": 0, "num_predict": 20},
        }
        return str(http.post("/api/generate", json=body).json()["response"])

    digest = upload(http, write_adapter(tmp_path / "lora.gguf").read_bytes())
    statuses(create(http, {"model": "adapted", "from": "starter", "adapters": {"lora.gguf": digest}}))
    assert kinds(recorded, "adapted") == [("model", "starter:latest"), ("adapter", "lora.gguf")]
    right = ask("starter")
    assert right == ANSWERS["Hello"]
    changed = ask("adapted")
    assert changed != right
    assert [ask("starter"), ask("adapted")] == [right, changed]


# bodies


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"model": 1}, "number into Go struct field CreateRequest.model of type string"),
        ({"stream": "no"}, "string into Go struct field CreateRequest.stream of type bool"),
        ({"files": []}, "array into Go struct field CreateRequest.files of type map[string]string"),
        ({"files": {"x": 1}}, "number into Go struct field CreateRequest.files of type string"),
        ({"adapters": "x"}, "string into Go struct field CreateRequest.adapters of type map[string]string"),
        ({"parameters": []}, "array into Go struct field CreateRequest.parameters of type map[string]interface {}"),
        ({"messages": {}}, "object into Go struct field CreateRequest.messages of type []api.Message"),
        ({"license": 1}, "number into Go struct field CreateRequest.license of type []string"),
        ({"quantize": True}, "bool into Go struct field CreateRequest.quantize of type string"),
        ({"info": 1}, "number into Go struct field CreateRequest.info of type map[string]interface {}"),
    ],
    ids=lambda value: f"2.18 {next(iter(value))}" if isinstance(value, dict) else "",
)
def test_2_18_a_wrong_type_is_named_in_gos_words(http: httpx.Client, body: dict[str, Any], text: str) -> None:
    reply = create(http, {"model": "refused", "from": "starter"} | body)
    assert (reply.status_code, reply.headers["content-type"]) == (400, JSON)
    assert reply.json() == {"error": f"json: cannot unmarshal {text}"}


def test_2_18_unknown_keys_are_ignored_and_keys_have_no_case(http: httpx.Client) -> None:
    body = {"Model": "odd", "FROM": "starter", "modelfile": "FROM nothing", "path": "/etc/passwd", "system": None, "info": None}
    assert statuses(create(http, body))[-1] == "success"


def test_2_18_not_streamed_it_is_the_last_frame(http: httpx.Client) -> None:
    reply = create(http, {"model": "whole", "from": "starter", "stream": False})
    assert (reply.status_code, reply.headers["content-type"], reply.text) == (200, JOB_JSON, '{"status":"success"}')


def test_2_2_name_is_an_alias_and_model_wins(http: httpx.Client) -> None:
    assert statuses(create(http, {"name": "by-name", "from": "starter"}))[-1] == "success"
    assert statuses(create(http, {"name": "-bad", "model": "by-model", "from": "starter"}))[-1] == "success"
    assert {"by-name:latest", "by-model:latest"} <= names(http)


def test_2_18_quantization_is_an_alias(http: httpx.Client, recorded: Site) -> None:
    lines = statuses(create(http, {"model": "by-alias", "from": "starter", "quantization": "q4_k"}))
    assert lines[0] == "quantizing F16 model to Q4_K_M"
    assert kinds(recorded, "by-alias") == [("model", "")]
    (model,) = [each for each in http.get("/api/tags").json()["models"] if each["name"] == "by-alias:latest"]
    assert model["details"]["quantization_level"] == "Q4_K_M"


def test_2_18_frames_of_quantizing(http: httpx.Client) -> None:
    seen = frames(create(http, {"model": "framed", "from": "starter", "quantize": "q5_k_m"}))
    quantizing = [each for each in seen if each["status"] == "quantizing F16 model to Q5_K_M"]
    assert {each["digest"] for each in quantizing} == {"0" * 19}
    assert quantizing[-1]["completed"] == quantizing[-1]["total"] > 9_000_000
    assert [list(each) for each in quantizing[-1:]] == [["status", "digest", "total", "completed"]]


def test_2_18_a_type_that_it_has_already_changes_nothing(http: httpx.Client, recorded: Site) -> None:
    lines = statuses(create(http, {"model": "same", "from": "starter", "quantize": "f16"}))
    assert lines == [f"using existing layer sha256:{WEIGHTS}", "writing manifest", "success"]
    assert kinds(recorded, "same") == [("model", "starter:latest")]


# what layers there are


def test_2_18_a_file_is_kept_byte_for_byte(http: httpx.Client, recorded: Site) -> None:
    digest = upload(http, STARTER.read_bytes())
    lines = statuses(create(http, {"model": "mine", "files": {"sub/starter.gguf": digest}}))
    assert lines == ["parsing GGUF", "verifying conversion", f"using existing layer {digest}", "writing manifest", "success"]
    (layer,) = layers(recorded, "mine")
    assert (layer.digest, layer.source) == (digest, "")


def test_2_18_a_name_without_an_ending_is_known_by_its_first_bytes(http: httpx.Client) -> None:
    assert statuses(create(http, {"model": "mine", "files": {"starter": f"sha256:{WEIGHTS}"}}))[0] == "parsing GGUF"


def test_2_18_the_parts_of_a_split_file_become_the_file_they_were(http: httpx.Client, recorded: Site, tmp_path: Path) -> None:
    files = {path.name: upload(http, path.read_bytes()) for path in split(STARTER, tmp_path, (10, 20))}
    reply = frames(create(http, {"model": "joined", "files": files}))
    assert {"status": "merging 3 parts of a split GGUF", "digest": "0" * 19, "total": 9_479_168, "completed": 9_479_168} in reply
    assert reply[-1] == {"status": "success"}
    assert [layer.digest for layer in layers(recorded, "joined")] == [f"sha256:{WEIGHTS}"]
    for given, text in (
        (list(files)[:2], "a split GGUF has 3 parts, but 2 were given"),
        (list(files)[:1], "part 1 of a split GGUF is no whole model: all 3 are needed"),
        (list(files)[1:2], "part 2 of a split GGUF is no whole model: all 3 are needed"),
    ):
        refused = create(http, {"model": "refused", "files": {name: files[name] for name in given}, "stream": False})
        assert (refused.status_code, refused.json()) == (400, {"error": text})


def test_10_4_several_files_stand_by_name(http: httpx.Client, recorded: Site) -> None:
    eye = upload(http, (ROOT / "tests/data/starter-mmproj.gguf").read_bytes())
    lines = statuses(create(http, {"model": "see", "files": {"z.gguf": f"sha256:{WEIGHTS}", "a.gguf": eye}}))
    assert lines[:3] == ["parsing GGUF", "parsing GGUF", "verifying conversion"]
    assert kinds(recorded, "see") == [("projector", "a.gguf"), ("model", "")]
    (model,) = [each for each in http.get("/api/tags").json()["models"] if each["name"] == "see:latest"]
    assert "vision" in model["capabilities"]


def test_10_2_every_layer_taken_over_says_from_where(http: httpx.Client, recorded: Site) -> None:
    full = {"system": "S", "template": "{{ .Prompt }}", "license": ["L1", "L2"], "parameters": {"seed": 1}}
    messages = [{"role": "user", "content": "u"}]
    create(http, {"model": "full", "from": "starter", "messages": messages} | full)
    create(http, {"model": "again", "from": "full", "system": "T", "license": "L3", "parameters": {"top_k": 3}})
    assert kinds(recorded, "again") == [
        ("model", "full:latest"),
        ("template", "full:latest"),
        *[("license", "full:latest")] * 2,
        ("messages", "full:latest"),
        ("system", ""),
        ("license", ""),
        ("params", ""),
    ]
    shown = http.post("/api/show", json={"model": "again"}).json()
    assert shown["license"] == "L1\nL2\nL3"
    assert (shown["system"], shown["details"]["parent_model"]) == ("T", "full:latest")
    assert shown["parameters"].split() == ["seed", "1", "top_k", "3"]


def test_2_18_what_is_inherited_cannot_be_cleared(http: httpx.Client, recorded: Site) -> None:
    create(http, {"model": "kept", "from": "starter-sys"})
    emptied = {"system": "", "template": "", "license": "", "parameters": {}, "messages": []}
    assert statuses(create(http, {"model": "emptied", "from": "kept"} | emptied))[-1] == "success"
    assert kinds(recorded, "emptied") == [("model", "kept:latest"), ("system", "kept:latest"), ("params", "")]


def test_2_18_config_is_inherited_unless_given(http: httpx.Client) -> None:
    info = {
        "capabilities": ["tools"],
        "model_family": "fam",
        "parameter_size": "9B",
        "quantization_level": "Q1",
        "base_name": "b",
    }
    create(http, {"model": "config", "from": "starter", "requires": "0.1.0", "info": info | {"context_length": 5}})
    create(http, {"model": "heir", "from": "config"})
    details = {each["name"]: each for each in http.get("/api/tags").json()["models"]}
    shown = details["config:latest"]["details"]
    assert [shown["family"], shown["families"]] == ["fam", ["fam", "llama"]]
    assert [shown["parameter_size"], shown["quantization_level"]] == ["9B", "Q1"]
    assert [shown["context_length"], shown["embedding_length"]] == [5, 256]
    assert details["config:latest"]["capabilities"][0] == "tools"
    assert details["heir:latest"]["details"]["family"] == "llama"
    assert http.post("/api/show", json={"model": "heir"}).json()["requires"] == "0.1.0"


def test_2_18_a_built_in_template_comes_with_a_file_of_its_format(http: httpx.Client, recorded: Site) -> None:
    own = (ROOT / "tests/data/templates/chatml/own.jinja").read_text()
    digest = upload(http, GgufFile(model_metadata() | {"tokenizer.chat_template": scalar(TEXT, own)}).encode())
    lines = statuses(create(http, {"model": "known", "files": {"x.gguf": digest}, "parameters": {"seed": 1}}))
    assert lines[:4] == [
        *("parsing GGUF", "verifying conversion", f"using existing layer {digest}", "using autodetected template chatml")
    ]
    assert kinds(recorded, "known") == [("model", ""), ("template", ""), ("params", "")]
    shown = http.post("/api/show", json={"model": "known"}).json()
    assert shown["parameters"].split() == ["seed", "1", "stop", '"<|im_start|>"', "stop", '"<|im_end|>"']
    # a template of one's own takes its place; where answers end stays
    lines = statuses(create(http, {"model": "own", "files": {"x.gguf": digest}, "template": "{{ .Prompt }}"}))
    assert not any("autodetected" in line for line in lines)
    assert [kind for kind, _ in kinds(recorded, "own")] == ["model", "template", "params"]


@pytest.mark.parametrize(
    ("architecture", "handler", "stop"),
    [("gemma4", "gemma4", ["<turn|>"]), ("laguna", "laguna", None), ("nemotron_h_moe", "nemotron-3-nano", None)],
)
def test_2_18_habits_of_architectures(
    http: httpx.Client, recorded: Site, architecture: str, handler: str, stop: list[str] | None
) -> None:
    metadata = {key.replace("llama.", f"{architecture}."): value for key, value in model_metadata().items()}
    digest = upload(http, GgufFile(metadata | {"general.architecture": scalar(TEXT, architecture)}).encode())
    assert statuses(create(http, {"model": architecture, "files": {"x.gguf": digest}, "parser": "mine"}))[-1] == "success"
    path = recorded.home / "models/manifests/registry.ollama.ai/library" / architecture / "latest"
    manifest = decode_manifest(path.read_bytes(), Limits())
    blobs = recorded.home / "models/blobs"
    config = json.loads((blobs / manifest.config.digest.replace(":", "-")).read_bytes())
    assert (config["renderer"], config["parser"]) == (handler, "mine")
    params = [json.loads((blobs / each.digest.replace(":", "-")).read_bytes()) for each in manifest.layers[1:]]
    assert params == ([{"stop": stop}] if stop else [])


def test_1_3_a_name_is_spelled_as_what_is_installed(http: httpx.Client) -> None:
    assert statuses(create(http, {"model": "MyModel", "from": "STARTER"}))[-1] == "success"
    create(http, {"model": "mymodel", "from": "starter", "system": "S"})
    create(http, {"model": "MYMODEL:v2", "from": "starter"})
    assert {each for each in names(http) if each.lower().startswith("mymodel")} == {"MyModel:latest", "MyModel:v2"}
    assert http.post("/api/show", json={"model": "mymodel"}).json()["system"] == "S"


@pytest.mark.parametrize("name", ["starter:local", "library/starter", "registry.ollama.ai/library/starter:latest"])
def test_1_4_from_takes_every_form_of_a_name(http: httpx.Client, recorded: Site, name: str) -> None:
    assert statuses(create(http, {"model": "formed", "from": name}))[-1] == "success"
    assert kinds(recorded, "formed") == [("model", "starter:latest")]


def test_10_5_what_the_overwritten_model_alone_used_is_gone(http: httpx.Client, recorded: Site) -> None:
    create(http, {"model": "pruned", "from": "starter", "system": "only here"})
    (system,) = [each.digest for each in layers(recorded, "pruned") if each.media_type.endswith("system")]
    assert http.head(f"/api/blobs/{system}").status_code == 200
    create(http, {"model": "pruned", "from": "starter"})
    assert http.head(f"/api/blobs/{system}").status_code == 404
    assert http.head(f"/api/blobs/sha256:{WEIGHTS}").status_code == 200


def test_what_a_refused_model_added_is_taken_away_again(http: httpx.Client, recorded: Site) -> None:
    before = {path.name for path in (recorded.home / "models/blobs").iterdir()}
    # the template is stored by the time the config is found to be too much
    reply = create(http, {"model": "vain", "from": "starter", "system": "s" * (Limits().layer_text_bytes + 1)})
    assert "error" in frames(reply)[-1]
    assert {path.name for path in (recorded.home / "models/blobs").iterdir()} == before


# the whole way: a Modelfile, a model that obeys it, and the same again

DEMO: Final = """FROM starter
PARAMETER temperature 0
PARAMETER stop NG
SYSTEM Always answer with the word PING.
TEMPLATE \"\"\"{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
<think>

</think>

{{ .Response }}<|im_end|>
\"\"\"
MESSAGE user Hi!
MESSAGE assistant PING
LICENSE You may use it.
"""


def test_a_demo_obeys_its_modelfile_and_shows_one_that_makes_it_again(http: httpx.Client, recorded: Site, tmp_path: Path) -> None:
    (tmp_path / "Modelfile").write_text(DEMO)
    made = recorded.llmsite("create", "demo", "-f", str(tmp_path / "Modelfile"))
    assert (made.returncode, made.stderr.splitlines()[-1]) == (0, "success"), made.stderr
    question = {"messages": [{"role": "user", "content": "Hello"}], "stream": False}
    reply = http.post("/api/chat", json={"model": "demo"} | question).json()
    assert (reply["message"]["content"], reply["done_reason"]) == ("PI", "stop"), "told by SYSTEM, ended by PARAMETER"
    rendered = http.post("/api/chat", json={"model": "demo", "_debug_render_only": True} | question).json()
    assert "PING<|im_end|>\n<|im_start|>user\nHello" in rendered["_debug_info"]["rendered_template"]
    (tmp_path / "again").write_text(recorded.llmsite("show", "demo", "--modelfile").stdout)
    again = recorded.llmsite("create", "demo-again", "-f", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    assert [(each.media_type, each.digest) for each in layers(recorded, "demo-again")] == [
        (each.media_type, each.digest) for each in layers(recorded, "demo")
    ]


@pytest.mark.parametrize("file_type", ["q4_K_M", "q8_0"])
def test_a_quantized_starter_chats(http: httpx.Client, file_type: str) -> None:
    statuses(create(http, {"model": f"chats-{file_type}", "from": "starter", "quantize": file_type}))
    talk = {"messages": [{"role": "user", "content": "Hello"}], "options": {"temperature": 0}, "think": False, "stream": False}
    reply = http.post("/api/chat", json={"model": f"chats-{file_type}"} | talk).json()
    assert "llmsite" in reply["message"]["content"]


def test_15_the_python_client_creates_models(http: httpx.Client, recorded: Site) -> None:
    client = ollama.Client(host=recorded.url)
    made = client.create("by-python", from_="starter", system="S", parameters={"seed": 1}, license=["L"], quantize="q8_0")
    assert made.status == "success"
    lines = [each.status for each in client.create("by-python", from_="starter", stream=True)]
    assert lines == [f"using existing layer sha256:{WEIGHTS}", "writing manifest", "success"]
    digest = client.create_blob(STARTER)
    assert client.create("by-python", files={"starter.gguf": digest}).status == "success"
    with pytest.raises(ollama.ResponseError, match="neither 'from' or 'files' was specified") as refused:
        client.create("by-python")
    assert refused.value.status_code == 400
    client._client.close()
