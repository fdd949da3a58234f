"""How many prompt tokens go into the next decode beside one token of every writer. Plans; knows no library.

A step with many prompt tokens freezes everybody who is being answered for as long as it takes, so their number follows a time
budget and what steps took before. Seconds are given, never measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LONGEST_SECONDS: Final = 0.2
"""What reading may add to a step while others write."""
LONGEST_ALONE_SECONDS: Final = 20.0
"""What a step may take when nobody writes: a large model on a slow machine must still give a sign of life now and then."""
PLAIN_STEPS: Final = 8
"""Nor may it add more than so many plain steps, so that a quick machine stays as smooth as it is."""
MIN_CHUNK: Final = 32
"""Prompt tokens of a step while others write, at least: fewer would cost more than they smooth."""
_WEIGHT: Final = 0.3
"""Of the newest step in the moving averages."""


class StepCosts:
    """What a plain step and a prompt token take on this machine, learnt from past steps. 0 is unknown."""

    def __init__(self) -> None:
        self.plain_seconds = 0.0
        self.prompt_token_seconds = 0.0

    def learn(self, num_writers: int, num_prompt: int, seconds: float) -> None:
        """A step took `seconds` with so many writers and prompt tokens."""
        if num_prompt == 0:
            self.plain_seconds = _blend(self.plain_seconds, seconds)
        elif num_prompt >= MIN_CHUNK // 2:
            reading = seconds - (self.plain_seconds if num_writers else 0.0)
            self.prompt_token_seconds = _blend(self.prompt_token_seconds, max(reading, seconds / 10) / num_prompt)

    def prompt_budget(self, num_writers: int, batch_size: int) -> int:
        """Prompt tokens for the next step: what the time budget allows, which is all there is room for when nobody writes.

        The first step of a runner is short, for nothing is known yet.
        """
        room = batch_size - num_writers
        if not self.prompt_token_seconds:
            return max(0, min(room, MIN_CHUNK))
        return max(0, min(room, max(MIN_CHUNK, int(self._longest_seconds(num_writers) / self.prompt_token_seconds))))

    def _longest_seconds(self, num_writers: int) -> float:
        if not num_writers:
            return LONGEST_ALONE_SECONDS
        return min(LONGEST_SECONDS, PLAIN_STEPS * self.plain_seconds) if self.plain_seconds else LONGEST_SECONDS


def _blend(old: float, new: float) -> float:
    return new if old == 0 else old + _WEIGHT * (new - old)


def share_budget(remaining: Sequence[int], budget: int) -> list[int]:
    """Tokens each reader gets, in the order given, the earliest arrival first. Their sum is at most `budget`.

    The earliest has the first half, so that it is never overtaken for good; then the shortest come first, which lets most people
    see their first word soonest.
    """
    shares = [0] * len(remaining)
    if not remaining or budget <= 0:
        return shares
    shares[0] = min(remaining[0], budget if len(remaining) == 1 else (budget + 1) // 2)
    budget -= shares[0]
    for index in sorted(range(len(remaining)), key=lambda each: remaining[each] - shares[each]):
        more = min(remaining[index] - shares[index], budget)
        shares[index] += more
        budget -= more
    return shares
