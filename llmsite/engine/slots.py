"""The seats of a context and who sits there. What a slot read stays in it after the answer, until the slot is wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from llmsite.engine.sequence import Sequence


@dataclass(slots=True, eq=False)
class Slot:
    """One stream of the KV cache, with the fixed `seq_id`.

    `tokens` is what it holds, by position; `owner` is the user who had it read; `num_prompt` tokens was the last prompt. Only
    the first `num_faithful` are what reading them from the start would give: a shift leaves the rest computed in another context.
    `first_position` is above 0 where a sliding window dropped what is behind it. `is_settled` is False from a copy or shift to
    the next decode: llama.cpp carries those out then, and a state saved or restored in between would be wrong.
    """

    seq_id: int
    tokens: list[int] = field(default_factory=list)
    owner: str = ""
    num_prompt: int = 0
    sequence: Sequence | None = None
    last_used: int = 0
    num_faithful: int | None = None
    first_position: int = 0
    is_settled: bool = True

    @property
    def faithful(self) -> int:
        """How many tokens from the front may serve as somebody's prefix."""
        return len(self.tokens) if self.num_faithful is None else min(self.num_faithful, len(self.tokens))

    def hold(self, tokens: list[int], owner: str) -> None:
        """Now it holds these tokens, as if it had read them itself."""
        self.tokens, self.owner, self.num_faithful = tokens, owner, None

    def shift(self, start: int, num_dropped: int) -> None:
        """Tokens from `start` on were dropped, the rest moved up."""
        del self.tokens[start : start + num_dropped]
        self.num_faithful = min(start, self.faithful)


class Slots:
    """All slots of a context; knows which was used longest ago."""

    def __init__(self, num_slots: int) -> None:
        self._slots = [Slot(seq_id) for seq_id in range(num_slots)]
        self._uses = 0

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def free(self) -> list[Slot]:
        """Slots nobody sits in, the one used longest ago first."""
        return sorted((slot for slot in self._slots if slot.sequence is None), key=lambda slot: slot.last_used)

    def seat(self, sequence: Sequence, slot: Slot) -> None:
        self._uses += 1
        slot.sequence, slot.num_prompt, slot.last_used = sequence, len(sequence.prompt), self._uses

    def leave(self, slot: Slot) -> None:
        """The answer ended; what was read stays."""
        self._uses += 1
        slot.sequence, slot.last_used = None, self._uses
