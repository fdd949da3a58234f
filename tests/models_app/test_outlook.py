"""The look ahead of the pull form: it is left at the registry too when nobody waits for it, and ends within its own time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from llmsite import backend
from llmsite.accounts.models import User
from llmsite.store.model import ModelStore
from llmsite.types.name import ModelName
from models_app.outlook import look_ahead
from tests.registry.fake_registry import FakeRegistry, Handler, running_registry


@pytest.fixture
def root(transactional_db: None) -> User:
    return get_user_model().objects.create_superuser("root", "", "secret-of-root")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRegistry]:
    monkeypatch.setattr(backend, "get_store", lambda: ModelStore(tmp_path / "models"))
    with running_registry() as registry:
        yield registry


class Silence:
    """A registry that takes the question and says nothing until the one who asked has gone."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.name = ModelName.parse(f"http://{registry.host}/library/m")
        self.asked, self.left = threading.Event(), threading.Event()
        registry.script(self._stay, path="/manifests/")

    def _stay(self, handler: Handler) -> None:
        self.asked.set()
        if not handler.connection.recv(1):
            self.left.set()


def set_seconds(settings: Any, seconds: float) -> None:
    settings.LLMSITE_LIMITS = replace(settings.LLMSITE_LIMITS, preview_seconds=seconds)


async def test_who_leaves_takes_the_question_along(root: User, registry: FakeRegistry, settings: Any) -> None:
    set_seconds(settings, 600)
    silence = Silence(registry)
    looking = asyncio.create_task(look_ahead(silence.name, root))
    assert await asyncio.to_thread(silence.asked.wait, 20)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert await asyncio.to_thread(silence.left.wait, 20)


async def test_a_registry_that_says_nothing_is_told_of_in_time(root: User, registry: FakeRegistry, settings: Any) -> None:
    set_seconds(settings, 0.3)
    silence = Silence(registry)
    found = await look_ahead(silence.name, root)
    assert found.preview is None
    assert found.failure is not None
    assert found.failure.sentence.endswith("does not answer in time. Try again.")
    assert await asyncio.to_thread(silence.left.wait, 20)
