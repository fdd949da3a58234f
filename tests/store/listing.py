"""The models of a store, as the store itself reads them: for tests that look without rows of the database."""

from __future__ import annotations

from contextlib import suppress

from llmsite.store.model import ModelStore
from llmsite.store.stored_model import StoredModel
from llmsite.types.errors import LlmsiteError


def list_models(store: ModelStore) -> list[StoredModel]:
    """All that can be read, newest first."""
    models = []
    for file in store.manifests.files():
        with suppress(LlmsiteError):
            models.append(store.load(file))
    return sorted(models, key=lambda model: model.modified_ns, reverse=True)
