"""A Modelfile as a create request, and the files it names (catalogue 4.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsite.cli.components import Components, gather
from llmsite.cli.model_files import NO_WEIGHTS, NOT_CONVERTED, expand_path, names_of, weights_at
from llmsite.modelfile.parser import ModelfileError, parse
from llmsite.types.errors import InvalidRequest, NotFound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two GGUF files and an adapter below it."""
    for name in ("a.gguf", "sub/b.gguf", "sub/lora.gguf"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"GGUF")
    return tmp_path


def read(text: str, folder: Path) -> Components:
    return gather(parse(text), folder)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/x/m.gguf", "/x/m.gguf"),
        ("./m.gguf", "/work/m.gguf"),
        ("m", "/work/m"),
        ("sub/../m.gguf", "/work/m.gguf"),
        ("../m.gguf", "/m.gguf"),
        (".", "/work"),
        ("~/m.gguf", "/home/ann/m.gguf"),
        ("~", "/home/ann"),
        ("~root/m.gguf", "/root/m.gguf"),
    ],
)
def test_4_2_paths_start_at_the_modelfile_the_root_or_a_home(text, path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert expand_path(text, Path("/work")) == Path(path)


def test_4_2_a_home_that_is_not_there_is_named():
    with pytest.raises(NotFound, match="~nobody-of-that-name: there is no such home folder"):
        expand_path("~nobody-of-that-name/x", Path("/"))


def test_4_2_every_instruction_finds_its_field(folder):
    text = """FROM starter
PARAMETER temperature 0.5
PARAMETER stop a
PARAMETER stop b
PARAMETER mirostat 1
SYSTEM first
SYSTEM last
TEMPLATE {{ .Prompt }}
LICENSE L1
LICENSE L2
MESSAGE user Hello!
MESSAGE assistant Hi: there.
RENDERER gemma4
PARSER gemma4
REQUIRES v0.14.0
ADAPTER ./a.gguf
ADAPTER ./sub/lora.gguf"""
    components = read(text, folder)
    assert components.fields == {
        "from": "starter",
        "template": "{{ .Prompt }}",
        "system": "last",
        "renderer": "gemma4",
        "parser": "gemma4",
        "license": ["L1", "L2"],
        "messages": [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi: there."}],
        "parameters": {"temperature": 0.5, "stop": ["a", "b"]},
        "requires": "0.14.0",
    }
    assert components.uploads == {"adapters": (folder / "sub/lora.gguf",)}
    assert components.deprecated == ("mirostat",)


def test_4_2_a_file_named_like_a_model_wins(folder):
    (folder / "starter").write_bytes(b"GGUF")
    components = read("FROM starter", folder)
    assert (components.fields, components.files) == ({}, (folder / "starter",))


def test_4_2_several_sources_are_uploaded_each_once(folder):
    components = read("FROM ./a.gguf\nFROM sub/b.gguf\nFROM a.gguf", folder)
    assert components.files == (folder / "a.gguf", folder / "sub/b.gguf")


def test_4_2_a_path_that_is_not_there_is_a_name_for_from_and_an_error_for_adapter(folder):
    assert read("FROM ./none.gguf", folder).fields == {"from": "./none.gguf"}
    assert read("FROM " + "x" * 5000, folder).fields["from"].startswith("xxx")
    with pytest.raises(NotFound) as caught:
        read("FROM starter\nADAPTER ./none.gguf", folder)
    assert str(caught.value) == f"stat {folder}/none.gguf: no such file or directory"


@pytest.mark.parametrize("version", ["0.14.0", "v1.2.3-rc.1+build", "1", "v1.2", "1.0.0-0a"])
def test_4_1_requires_takes_a_version(version, folder):
    assert read(f"FROM m\nREQUIRES {version}", folder).fields["requires"] == version.removeprefix("v")


@pytest.mark.parametrize("version", ["x", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "vv1", "1.2-rc"])
def test_4_1_requires_refuses_what_is_none(version, folder):
    with pytest.raises(ModelfileError, match=r"^requires must be a valid semver \(e\.g\. 0\.14\.0\)$"):
        read(f"FROM m\nREQUIRES {version}", folder)


def test_4_1_a_draft_is_not_the_model_itself(folder):
    assert read("FROM a.gguf\nDRAFT sub/b.gguf", folder).draft_files == (folder / "sub/b.gguf",)
    with pytest.raises(InvalidRequest) as caught:
        read("FROM a.gguf\nDRAFT ./sub/../a.gguf", folder)
    assert str(caught.value) == f"DRAFT must not reference the same local path as FROM: {folder}/a.gguf"


def test_4_2_a_folder_stands_for_its_gguf_files(folder):
    (folder / "c.gguf").write_bytes(b"GGUF")
    (folder / "config.json").write_text("{}")
    assert read("FROM .", folder).files == (folder / "a.gguf", folder / "c.gguf")


def test_4_2_gguf_files_may_end_in_bin(tmp_path):
    (tmp_path / "ggml-model.bin").write_bytes(b"GGUF")
    assert weights_at(tmp_path) == (tmp_path / "ggml-model.bin",)


def test_4_1_a_folder_without_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidRequest, match=f"^{NO_WEIGHTS}$"):
        weights_at(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "model-00001-of-00002.safetensors", "unet/model.safetensors", "consolidated.safetensors",
     "pytorch_model.bin", "consolidated.00.pth", "adapter_model.safetensors"],
)  # fmt: skip
def test_weights_that_must_be_converted_first(name, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(InvalidRequest, match=f"^{NOT_CONVERTED}$"):
        weights_at(tmp_path)
    if name.endswith(".safetensors"):
        with pytest.raises(InvalidRequest, match=f"^{NOT_CONVERTED}$"):
            weights_at(path)


def test_4_1_a_link_out_of_the_folder_is_refused(folder):
    (folder / "sub/link.gguf").symlink_to(folder / "a.gguf")
    with pytest.raises(InvalidRequest, match=r"^insecure path: \.\./a\.gguf$"):
        weights_at(folder / "sub")
    (folder / "inside.gguf").symlink_to(folder / "sub/b.gguf")
    assert folder / "sub/b.gguf" in weights_at(folder)


def test_4_2_what_the_server_calls_files():
    one, two, three = Path("/m/a.gguf"), Path("/m/sub/b.gguf"), Path("/n/a.gguf")
    assert names_of([one]) == {one: "a.gguf"}
    assert names_of([one, one]) == {one: "a.gguf"}
    assert names_of([one, two]) == {one: "a.gguf", two: "sub/b.gguf"}
    assert names_of([one, three]) == {one: "m/a.gguf", three: "n/a.gguf"}
