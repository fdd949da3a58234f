"""The starter model: installed once per home, and a deleted one stays deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsite.store.model import ModelStore
from llmsite.types.errors import ModelNotFound, StorageFull
from models_app import catalogue, services, starter
from tests.store.listing import list_models

pytestmark = pytest.mark.django_db


def test_it_is_installed_like_any_model(store: ModelStore) -> None:
    starter.install_once()
    model = store.find("starter")
    weights = Path(starter.__file__).parents[1] / "llmsite" / "starter" / "starter.gguf"
    assert model.model_path.read_bytes() == weights.read_bytes()
    assert (model.details.family, model.details.parameter_size, model.details.quantization_level) == ("llama", "4.74M", "F16")
    assert model.size_bytes == 9_583_125, "as Ollama counts it"
    assert model.template is None


def test_pages_see_a_model_that_thinks_and_calls_tools_and_does_not_see(store: ModelStore) -> None:
    starter.install_once()
    catalogue.sync()
    (model,) = services.list_models_now()
    assert (model.name, model.capabilities) == ("starter:latest", ("tools", "thinking", "completion"))
    assert (model.details.num_ctx, model.details.num_embd) == (1024, 256)
    assert model.digest == store.find("starter").digest


def test_a_second_start_changes_nothing(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    starter.install_once()
    before = store.find("starter")
    monkeypatch.setattr(starter, "read_gguf_sync", lambda *_: pytest.fail("the file was read again"))
    starter.install_once()
    assert store.find("starter") == before


def test_a_deleted_starter_stays_deleted_even_without_a_database(store: ModelStore) -> None:
    starter.install_once()
    store.remove(starter.NAME)
    starter.install_once()
    with pytest.raises(ModelNotFound):
        store.find("starter")


def test_somebodys_own_starter_is_left_alone(store: ModelStore) -> None:
    starter.install_once()
    own = store.find("starter")
    (Path(store.root).parent / "starter-installed").unlink()
    starter.install_once()
    assert store.find("starter") == own


def test_a_failed_installation_is_tried_again(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> str:
        raise StorageFull("the disk of the model store is full")

    with monkeypatch.context() as patch:
        patch.setattr(starter, "_copy_weights", full)
        starter.install_once()
    assert list_models(store) == []
    starter.install_once()
    assert [model.name.shortest for model in list_models(store)] == ["starter:latest"]
