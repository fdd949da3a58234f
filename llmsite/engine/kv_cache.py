"""Which prefix a new sequence starts from, in which slot it sits, and what must be saved or copied for it.

Plans only; `loop.py` carries them out. Sources of a prefix are the slots, idle or busy, and states saved in host memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmsite.engine.slots import Slot

WORTH_SAVING: Final = 32
"""Tokens; a shorter prefix is read again sooner than it is looked after."""
WORTH_WAITING: Final = 64
"""Tokens; so many more must a neighbour be about to read for a newcomer to wait for them."""

NUM_OPENING: Final = 8
"""Tokens by which templates open an answer."""


@dataclass(frozen=True, slots=True)
class CacheTraits:
    """What memory and settings allow. `keeps_state`: the model cannot be cut back. `window`: tokens a sliding layer looks back.

    `is_shared`: prefixes serve everybody, not only the user who had them read. `min_copied`: copying a stream costs as much time
    as reading so many tokens.
    """

    keeps_state: bool = False
    window: int = 0
    is_shared: bool = True
    min_copied: int = 8


@dataclass(slots=True, eq=False)
class SavedPrefix:
    """A sequence in host memory. `state` is the library's; `first_position` as in `Slot`."""

    tokens: list[int]
    owner: str
    state: Any
    num_bytes: int
    first_position: int = 0
    faithful: int = 0

    def __post_init__(self) -> None:
        self.faithful = len(self.tokens)


class SavedPrefixes:
    """Saved states, never more than `limit_bytes` in all; the least recently used go first."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._entries: list[SavedPrefix] = []  # least recently used first

    def __iter__(self) -> Iterator[SavedPrefix]:
        return iter(self._entries)

    @property
    def num_bytes(self) -> int:
        return sum(entry.num_bytes for entry in self._entries)

    def make_room(self, num_bytes: int) -> bool:
        """Drop what is in the way of a state of this size. False when it can never fit."""
        if num_bytes > self.limit_bytes:
            return False
        while self.num_bytes + num_bytes > self.limit_bytes:
            del self._entries[0]
        return True

    def add(self, entry: SavedPrefix) -> None:
        """Keep a state there is room for."""
        self._entries.append(entry)

    def use(self, entry: SavedPrefix) -> None:
        """It served, so it stays longest."""
        self._entries.remove(entry)
        self._entries.append(entry)

    def drop(self, entry: SavedPrefix) -> None:
        self._entries.remove(entry)

    def drop_covered(self, tokens: Sequence[int], owner: str) -> None:
        """Forget this owner's states that are the beginning of `tokens`: a longer one replaces them."""
        self._entries = [each for each in self._entries if each.owner != owner or not starts_with(tokens, each.tokens)]


Source = Slot | SavedPrefix


@dataclass(frozen=True, slots=True)
class Seat:
    """Sit in `slot` with the first `num_cached` tokens of `source` (None: nothing is there to start from).

    The slot itself may be the source. `saves`: first save what the slot holds.
    """

    slot: Slot
    source: Source | None = None
    num_cached: int = 0
    saves: bool = False


def plan_seat(
    prompt: Sequence[int], user: str, slots: Iterable[Slot], free: Sequence[Slot], saved: SavedPrefixes, traits: CacheTraits
) -> Seat:
    """Where a new sequence sits and what it starts from. `free` is not empty, the slot used longest ago first."""
    usable = _usable_sources(prompt, user, (*slots, *saved), traits)
    # 1. A free slot whose conversation goes on, or that has nothing to lose: where it is.
    num_best = max((num for num, _ in usable), default=0)
    own = [(num, each) for num, each in usable if isinstance(each, Slot) and each in free and _goes_on(each, num)]
    if own and (best := max(own, key=lambda each: each[0]))[0] + traits.min_copied > num_best:
        return Seat(best[1], best[1], best[0])
    # 2. Otherwise an empty slot, or the one used longest ago, whose content is saved.
    slot = _choose_slot(free, {each.seq_id for each in slots if each not in free}, saved)
    seat = Seat(slot, saves=_deserves_saving(slot, slots, saved))
    # 3. What it starts from: the longest prefix; a slot before a saved state, since nothing must be fetched.
    for num, source in sorted(usable, key=lambda each: (each[0], isinstance(each[1], Slot)), reverse=True):
        if source is slot:
            return Seat(slot, slot, num, seat.saves)
        if num < traits.min_copied:
            break
        if isinstance(source, Slot) or slot.is_settled:
            return Seat(slot, source, num, seat.saves)
    return seat


def _choose_slot(free: Sequence[Slot], busy: set[int], saved: SavedPrefixes) -> Slot:
    """llama.cpp computes streams together only while their numbers go up by one, so a neighbour of a busy slot is best.

    Without memory to save in, what was used longest ago must go instead.
    """
    empty = [each for each in free if not each.tokens]
    choices = empty or (free if saved.limit_bytes else free[:1])
    return next((each for each in choices if busy & {each.seq_id - 1, each.seq_id + 1}), choices[0])


def _goes_on(slot: Slot, num: int) -> bool:
    """Cutting this slot back to `num` tokens loses its last answer at most, not what somebody had it read.

    A prompt ends in a few tokens that open the answer and are gone in the next turn (an empty thought, say).
    """
    num_lost = len(slot.tokens) - num
    return num_lost < WORTH_SAVING or (num >= slot.num_prompt - NUM_OPENING and 2 * num >= slot.num_prompt)


def _usable_sources(prompt: Sequence[int], user: str, sources: Iterable[Source], traits: CacheTraits) -> list[tuple[int, Source]]:
    allowed = (source for source in sources if traits.is_shared or source.owner == user)
    pairs = ((usable_length(prompt, source, traits), source) for source in allowed)
    return [(num, source) for num, source in pairs if num]


def usable_length(prompt: Sequence[int], source: Source, traits: CacheTraits) -> int:
    """How many tokens of a prompt need no reading with this source. One always does: its logits are wanted."""
    num = min(common_length(prompt, source.tokens), source.faithful, len(prompt) - 1)
    if num <= 0 or num == len(source.tokens):
        return max(0, num)
    if traits.keeps_state or (traits.window and source.first_position > max(0, num - traits.window)):
        return 0
    return num


def find_reader_ahead(
    prompt: Sequence[int], user: str, slots: Iterable[Slot], num_cached: int, traits: CacheTraits
) -> tuple[Slot, int] | None:
    """A slot that is reading what this prompt begins with, and how many tokens of it serve; worth waiting for, then copying.

    Without this, four people who ask at once with the same long system prompt would have it read four times.
    """
    if traits.keeps_state or traits.window:
        return None
    best: tuple[Slot, int] | None = None
    for slot in slots:
        sequence = slot.sequence
        if sequence is None or not sequence.is_reading or not (traits.is_shared or sequence.user == user):
            continue
        num = min(common_length(prompt, sequence.prompt), len(prompt) - 1)
        if num - max(num_cached, len(slot.tokens)) >= max(WORTH_WAITING, traits.min_copied) and (best is None or num > best[1]):
            best = slot, num
    return best


def _deserves_saving(slot: Slot, slots: Iterable[Slot], saved: SavedPrefixes) -> bool:
    """Long enough, exactly what reading gives, and nowhere else."""
    if len(slot.tokens) < WORTH_SAVING or slot.num_faithful is not None or not slot.is_settled or not saved.limit_bytes:
        return False
    others: Iterator[Source] = (each for each in (*slots, *saved) if each is not slot and each.owner == slot.owner)
    return not any(starts_with(each.tokens, slot.tokens) for each in others)


def starts_with(tokens: Sequence[int], beginning: Sequence[int]) -> bool:
    return len(beginning) <= len(tokens) and tokens[: len(beginning)] == beginning


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two lists begin with in common. Halves slices, which compare at C speed."""
    high = min(len(first), len(second))
    if first[:high] == second[:high]:
        return high
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle
    return low
