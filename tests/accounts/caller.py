"""Requests whose sender has been judged."""

from __future__ import annotations

from typing import Any

from django.test import AsyncClient

from llmsite.accounts.trust import Trust


class Caller(AsyncClient):
    """A client that the guard in front has judged."""

    def __init__(self, trust: Trust) -> None:
        super().__init__()
        self._trust = trust

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        return {**super()._base_scope(**request), "trust": self._trust}
