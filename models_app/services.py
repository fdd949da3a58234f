"""What is installed, for `/api/tags`, the model picker and pages: joins the store and its rows."""

from __future__ import annotations

from dataclasses import dataclass

from asgiref.sync import sync_to_async

from llmsite.types.chunk import ModelDetails
from llmsite.types.codec import from_builtins
from models_app import catalogue
from models_app.models import Model


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model as lists show it. `name` is the shortest form with its tag, `digest` 64 hex, `modified_at` seconds since 1970."""

    name: str
    digest: str
    modified_at: float
    size_bytes: int
    details: ModelDetails
    capabilities: tuple[str, ...]


async def list_models() -> list[InstalledModel]:
    """Every usable model, most recently modified first. Looks at the disk first: what others changed there counts."""
    return await sync_to_async(list_models_now)()


def list_models_now() -> list[InstalledModel]:
    """`list_models` for code that may block."""
    if not catalogue.is_current():
        catalogue.sync()
    rows = Model.objects.filter(error="").order_by("-manifest_ns", "id")
    return [_installed(row) for row in rows.only("host", "namespace", "model", "tag", *_SHOWN)]


_SHOWN = ("digest", "manifest_ns", "size_bytes", "details", "capabilities")


def _installed(row: Model) -> InstalledModel:
    return InstalledModel(
        name=row.name.shortest,
        digest=row.digest,
        modified_at=row.manifest_ns / 1e9,
        size_bytes=row.size_bytes,
        details=from_builtins(row.details, ModelDetails),
        capabilities=tuple(row.capabilities),
    )
