"""Quarantine: models whose runner failed to start too often are not tried again for a while."""

from __future__ import annotations

from typing import Final

from llmsite.engine.spec import Weights

WINDOW_SECONDS: Final = 600.0


class Quarantine:
    """Failed starts by weights, so that a bad adapter keeps nobody from the model itself.

    `most` of them within `WINDOW_SECONDS` put a model aside until the first is that old.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._failures: dict[Weights, list[float]] = {}

    def add(self, weights: Weights, now: float) -> None:
        """One more failed start."""
        self._failures.setdefault(weights, []).append(now)

    def forget(self, weights: Weights) -> None:
        """It started."""
        self._failures.pop(weights, None)

    def seconds_left(self, weights: Weights, now: float) -> float:
        """How long the model is still put aside; 0 if it is not."""
        recent = [at for at in self._failures.get(weights, ()) if at > now - WINDOW_SECONDS]
        if not recent:
            self._failures.pop(weights, None)
            return 0.0
        self._failures[weights] = recent
        return recent[-self._most] + WINDOW_SECONDS - now if len(recent) >= self._most else 0.0
