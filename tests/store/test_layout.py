"""The layout on disk is Ollama's: what it left is read as it is, and what we write is the same byte for byte (catalogue 10)."""

from __future__ import annotations

import os
from pathlib import Path

from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.model import ModelStore
from llmsite.types.name import ModelName
from tests.inference.stock import STARTER, starter_facts
from tests.store.foreign import PARAMS, SYSTEM, lay_out, sha256
from tests.store.listing import list_models


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_10_1_a_store_of_ollama_s_is_read_without_import(tmp_path: Path) -> None:
    manifest = lay_out(tmp_path, b"weights")
    before = files(tmp_path)
    store = ModelStore(tmp_path)
    (model,) = list_models(store)
    assert (model.name.shortest, model.digest) == ("ping:latest", sha256(manifest))
    assert (model.system, model.parameters) == (SYSTEM.decode(), {"seed": 1, "temperature": 0})
    assert (model.parent_model, model.details.parameter_size, model.is_pulled) == ("starter:latest", "4.74M", False)
    assert store.find("PING").model_path.read_bytes() == b"weights"
    assert files(tmp_path) == before


def test_10_4_what_we_write_is_what_ollama_would_have_written(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    weights = STARTER.read_bytes()
    lay_out(theirs, weights)
    store = ModelStore(ours)
    part = Part(store.blobs.put(weights), starter_facts(), "starter:latest")
    create_model(
        store, ModelName.parse("ping"), Recipe((part,), system=SYSTEM.decode(), parameters={"temperature": 0, "seed": 1})
    )
    assert files(ours) == files(theirs)
    assert PARAMS in files(ours).values()
    for path in ours.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_10_1_others_may_read_a_store_whatever_the_mask_of_this_process(tmp_path: Path) -> None:
    """The server works with a mask that closes what it makes; Ollama, which may run as another user, reads the same store."""
    before = os.umask(0o077)
    try:
        store = ModelStore(tmp_path / "models")
        part = Part(store.blobs.put(STARTER.read_bytes()), starter_facts())
        create_model(store, ModelName.parse("h/n/m:t"), Recipe((part,)))
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (store.root, *store.root.rglob("*"))}
    assert modes == {path: 0o755 if path.is_dir() else 0o644 for path in modes}


def test_10_1_old_names_of_blobs_are_renamed(tmp_path: Path) -> None:
    lay_out(tmp_path, b"weights", ":")
    store = ModelStore(tmp_path)
    assert store.blobs.adopt() == 4
    assert store.find("ping").system == SYSTEM.decode()
    assert {path.name[:7] for path in store.blobs.folder.iterdir()} == {"sha256-"}
