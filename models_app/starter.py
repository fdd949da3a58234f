"""The starter model: ships with the package and is installed once per home, like any other model. A deleted one stays deleted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from django.conf import settings

from llmsite import backend
from llmsite.inspector.pool import read_gguf_sync
from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.blobs import BlobStore
from llmsite.types.errors import LlmsiteError
from llmsite.types.limits import MIB
from llmsite.types.name import ModelName

logger = logging.getLogger(__name__)

NAME: Final = ModelName.parse("starter:latest")
_WEIGHTS: Final = Path(settings.PACKAGE_DIR) / "starter" / "starter.gguf"
_MARKER: Final = "starter-installed"


def install_once() -> None:
    """Install the starter unless this home has had it. Blocks for some tenths of a second, the first time.

    A file in the home remembers, not the database, so that a lost database brings nothing back that was deleted.
    """
    marker = settings.LLMSITE_HOME / _MARKER
    if marker.exists():
        return
    store = backend.get_store()
    if store.manifests.find(NAME) is None:
        try:
            digest = _copy_weights(store.blobs)
            facts = read_gguf_sync(store.blobs.checked_path(digest), store.limits)
            create_model(store, NAME, Recipe((Part(digest, facts),)))
        except LlmsiteError as error:
            logger.warning("the starter model could not be installed: %s", error)
            return
    marker.touch()


def _copy_weights(blobs: BlobStore) -> str:
    with _WEIGHTS.open("rb") as source, blobs.writer() as writer:
        while piece := source.read(MIB):
            writer.write(piece)
        return writer.commit()
