"""A home and a store of one's own, with the real inspector behind them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from llmsite import backend
from llmsite.store.model import ModelStore


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with override_settings(LLMSITE_HOME=tmp_path, LLMSITE_MODELS=tmp_path / "models"):
        yield tmp_path


@pytest.fixture
def store(home: Path) -> ModelStore:
    return backend.get_store()
