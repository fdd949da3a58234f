"""Where a new sequence sits and what it starts from. Nothing is computed here: tokens are numbers, states are words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsite.engine.kv_cache import (
    CacheTraits,
    SavedPrefix,
    SavedPrefixes,
    Seat,
    common_length,
    find_reader_ahead,
    plan_seat,
    usable_length,
)
from llmsite.engine.sequence import Sequence, make_sequence
from llmsite.engine.slots import Slot, Slots
from llmsite.engine.wire import Generate

SYSTEM = list(range(1000, 1200))


def conversation(number: int, length: int = 100) -> list[int]:
    """Tokens that no other conversation has."""
    return [10_000 * number + i for i in range(length)]


def holding(slots: Slots, *contents: list[int], owner: str = "") -> list[Slot]:
    """Fills the slots one after the other as if somebody had read these tokens and left."""
    filled = []
    for slot, tokens in zip(slots, contents, strict=False):
        slots.seat(reading(tokens), slot)
        slot.hold(list(tokens), owner)
        slots.leave(slot)
        filled.append(slot)
    return filled


def reading(prompt: list[int], user: str = "") -> Sequence:
    return make_sequence(Generate(1, "", 0, user=user), prompt, 100_000, False)


def plan(prompt: list[int], slots: Slots, saved: SavedPrefixes | None = None, user: str = "", **traits: Any) -> Seat:
    return plan_seat(prompt, user, slots, slots.free(), saved or SavedPrefixes(0), CacheTraits(**traits))


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_length_is_the_first_difference(first: list[int], second: list[int]) -> None:
    expected = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))
    assert common_length(first, second) == expected


# own slot


def test_a_conversation_goes_on_in_its_slot() -> None:
    slots = Slots(4)
    (slot,) = holding(slots, SYSTEM + conversation(1))
    assert plan(SYSTEM + conversation(1) + [7], slots) == Seat(slot, slot, 300)


def test_a_conversation_whose_answer_is_told_anew_goes_on_in_its_slot() -> None:
    slots = Slots(4)
    (slot,) = holding(slots, SYSTEM + conversation(1))
    slot.tokens += conversation(9, 500)  # the answer, of which the next prompt leaves out the thought
    prompt = SYSTEM + conversation(1)[:-5] + conversation(3, 50)
    assert plan(prompt, slots) == Seat(slot, slot, 295)


def test_one_token_is_always_left_to_read() -> None:
    slots = Slots(4)
    (slot,) = holding(slots, SYSTEM)
    assert plan(list(SYSTEM), slots) == Seat(slot, slot, len(SYSTEM) - 1)


# another slot


def test_a_shared_beginning_is_copied_to_an_empty_slot() -> None:
    slots = Slots(4)
    (slot,) = holding(slots, SYSTEM + conversation(1))
    seat = plan(SYSTEM + conversation(2), slots)
    assert (seat.source, seat.num_cached, seat.saves) == (slot, len(SYSTEM), False)
    assert seat.slot is not slot
    assert not seat.slot.tokens


def test_a_shared_beginning_is_taken_from_a_slot_that_is_busy() -> None:
    slots = Slots(2)
    writer, other = slots
    writer.hold(SYSTEM + conversation(1), "")
    slots.seat(reading(writer.tokens), writer)
    assert plan(SYSTEM + conversation(2), slots) == Seat(other, writer, len(SYSTEM))


def test_a_few_shared_tokens_are_not_worth_a_copy() -> None:
    slots = Slots(4)
    holding(slots, SYSTEM + conversation(1))
    seat = plan(SYSTEM[:7] + conversation(2), slots)
    assert (seat.source, seat.num_cached) == (None, 0)
    assert plan(SYSTEM[:50] + conversation(2), slots, min_copied=51).source is None
    assert plan(SYSTEM[:51] + conversation(2), slots, min_copied=51).num_cached == 51


def test_the_longest_prefix_wins() -> None:
    slots = Slots(4)
    _, second, _ = holding(slots, SYSTEM[:50] + conversation(1), SYSTEM[:150] + conversation(2), SYSTEM[:100] + conversation(3))
    seat = plan(SYSTEM + conversation(4), slots)
    assert (seat.source, seat.num_cached) == (second, 150)


# victims


def test_without_an_empty_slot_the_one_used_longest_ago_goes_and_is_saved() -> None:
    slots = Slots(2)
    first, second = holding(slots, conversation(1), conversation(2))
    assert plan(conversation(3), slots, SavedPrefixes(100)) == Seat(first, saves=True)
    slots.seat(reading([1]), first)
    slots.leave(first)
    assert plan(conversation(3), slots, SavedPrefixes(100)) == Seat(second, saves=True)


@pytest.mark.parametrize(
    ("num_empty", "host_bytes", "expected"),
    [(2, 0, 2), (0, 100, 2), (0, 0, 0)],
    ids=["empty slots", "slots whose content is saved", "nowhere to save"],
)
def test_a_newcomer_sits_beside_somebody_who_is_answered(num_empty: int, host_bytes: int, expected: int) -> None:
    slots = Slots(4)
    filled = holding(slots, *(conversation(number) for number in range(1, 5 - num_empty)))
    busy = [*slots][3] if num_empty else filled[3]
    slots.seat(reading([1]), busy)
    assert plan(conversation(9), slots, SavedPrefixes(host_bytes)).slot.seq_id == expected


def test_the_victim_may_be_what_is_wanted() -> None:
    slots = Slots(1)
    (slot,) = holding(slots, SYSTEM + conversation(1))
    assert plan(SYSTEM + conversation(2), slots, SavedPrefixes(100)) == Seat(slot, slot, len(SYSTEM), saves=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num_faithful": 4}, "a shifted sequence is no prefix"),
        ({"is_settled": False}, "its copy is not carried out yet"),
        ({"tokens": conversation(1, 31)}, "too short"),
    ],
)
def test_what_cannot_serve_is_not_saved(change: dict[str, Any], reason: str) -> None:
    slots = Slots(1)
    (slot,) = holding(slots, conversation(1))
    for name, value in change.items():
        setattr(slot, name, value)
    assert not plan(conversation(3), slots, SavedPrefixes(100)).saves, reason


def test_nothing_is_saved_without_memory_for_it() -> None:
    slots = Slots(1)
    holding(slots, conversation(1))
    assert not plan(conversation(3), slots, SavedPrefixes(0)).saves


def test_what_is_elsewhere_is_not_saved_again() -> None:
    slots = Slots(2)
    holding(slots, SYSTEM, SYSTEM + conversation(1))
    assert not plan(conversation(3), slots, SavedPrefixes(100)).saves
    saved = SavedPrefixes(100)
    saved.add(SavedPrefix([*conversation(1), 5], "", "state", 10))
    slots = Slots(1)
    holding(slots, conversation(1))
    assert not plan(conversation(3), slots, saved).saves


# host memory


def test_a_saved_prefix_is_fetched_when_no_slot_has_one_as_long() -> None:
    slots = Slots(2)
    holding(slots, SYSTEM[:100] + conversation(1))
    saved = SavedPrefixes(100)
    saved.add(entry := SavedPrefix(SYSTEM + conversation(2), "", "state", 10))
    seat = plan(SYSTEM + conversation(2) + [1], slots, saved)
    assert (seat.source, seat.num_cached) == (entry, 300)


def test_a_slot_is_preferred_to_a_saved_prefix_as_long() -> None:
    slots = Slots(2)
    (slot,) = holding(slots, SYSTEM + conversation(1))
    saved = SavedPrefixes(100)
    saved.add(SavedPrefix(SYSTEM + conversation(2), "", "state", 10))
    assert plan(SYSTEM + conversation(3), slots, saved).source is slot


def test_nothing_is_fetched_into_a_slot_with_a_copy_under_way() -> None:
    slots = Slots(1)
    (slot,) = slots
    slot.is_settled = False
    saved = SavedPrefixes(100)
    saved.add(SavedPrefix(SYSTEM, "", "state", 10))
    assert plan([*SYSTEM, 1], slots, saved) == Seat(slot)


def test_saved_prefixes_stay_within_their_bound_and_lose_the_oldest() -> None:
    saved = SavedPrefixes(100)
    entries = [SavedPrefix(conversation(i), "", "state", 40) for i in range(3)]
    for entry in entries[:2]:
        assert saved.make_room(40)
        saved.add(entry)
    saved.use(entries[0])
    assert saved.make_room(40)
    saved.add(entries[2])
    assert list(saved) == [entries[0], entries[2]]
    assert saved.num_bytes == 80
    assert not saved.make_room(101)
    assert len(list(saved)) == 2


def test_a_longer_state_replaces_its_own_beginning() -> None:
    saved = SavedPrefixes(100)
    for owner in ("alice", "bob"):
        saved.add(SavedPrefix(SYSTEM, owner, "state", 10))
    saved.drop_covered([*SYSTEM, 1], "alice")
    assert [each.owner for each in saved] == ["bob"]


# users


def test_prefixes_can_be_kept_to_their_user() -> None:
    slots = Slots(4)
    (slot,) = holding(slots, SYSTEM + conversation(1), owner="alice")
    prompt = SYSTEM + conversation(1) + [1]
    assert plan(prompt, slots, user="bob", is_shared=False).num_cached == 0
    assert plan(prompt, slots, user="bob").num_cached == 300
    assert plan(prompt, slots, user="alice", is_shared=False) == Seat(slot, slot, 300)


def test_saved_prefixes_are_kept_to_their_user_too() -> None:
    saved = SavedPrefixes(100)
    saved.add(SavedPrefix(SYSTEM, "alice", "state", 10))
    assert plan([*SYSTEM, 1], Slots(1), saved, user="bob", is_shared=False).num_cached == 0
    assert plan([*SYSTEM, 1], Slots(1), saved, user="alice", is_shared=False).num_cached == 200


# what models allow


@pytest.mark.parametrize(
    ("held", "prompt", "expected"),
    [
        pytest.param(SYSTEM, [*SYSTEM, 1], 200, id="all of it"),
        pytest.param([*SYSTEM, 5], [*SYSTEM, 1], 0, id="it would have to be cut"),
        pytest.param(SYSTEM, SYSTEM, 0, id="no token would be left to read"),
    ],
)
def test_a_model_that_keeps_a_state_reuses_it_whole_or_not_at_all(held: list[int], prompt: list[int], expected: int) -> None:
    assert usable_length(prompt, Slot(0, tokens=held), CacheTraits(keeps_state=True)) == expected


@pytest.mark.parametrize(
    ("first_position", "expected"),
    [
        pytest.param(0, 150, id="everything is there"),
        pytest.param(118, 150, id="the window before the cut is there"),
        pytest.param(119, 0, id="a token of the window is gone"),
    ],
)
def test_a_sliding_window_must_still_be_there(first_position: int, expected: int) -> None:
    slot = Slot(0, tokens=list(SYSTEM), first_position=first_position)
    assert usable_length([*SYSTEM[:150], 1], slot, CacheTraits(window=32)) == expected


def test_a_shifted_slot_serves_its_kept_front_only() -> None:
    slot = Slot(0, tokens=list(SYSTEM))
    slot.shift(50, 30)
    assert slot.tokens == SYSTEM[:50] + SYSTEM[80:]
    assert usable_length(SYSTEM, slot, CacheTraits()) == 50
    assert usable_length([*slot.tokens, 1], slot, CacheTraits()) == 50
    slot.shift(20, 10)
    assert slot.faithful == 20


# waiting for a neighbour


def test_the_second_of_two_lets_the_first_read_what_they_share() -> None:
    slots = Slots(2)
    slot, _ = slots
    slots.seat(reading(SYSTEM + conversation(1)), slot)
    slot.hold(SYSTEM[:20], "")
    assert find_reader_ahead(SYSTEM + conversation(2), "", slots, 20, CacheTraits()) == (slot, 200)


@pytest.mark.parametrize(
    ("num_read", "num_cached", "traits"),
    [
        pytest.param(150, 0, {}, id="the first has read most of it"),
        pytest.param(0, 150, {}, id="most of it is cached"),
        pytest.param(0, 0, {"keeps_state": True}, id="a state cannot be cut"),
        pytest.param(0, 0, {"window": 32}, id="a window may be gone"),
        pytest.param(0, 0, {"is_shared": False}, id="another user's"),
        pytest.param(0, 0, {"min_copied": 201}, id="a copy costs more"),
    ],
)
def test_nobody_waits_for_little(num_read: int, num_cached: int, traits: dict[str, Any]) -> None:
    slots = Slots(1)
    (slot,) = slots
    slots.seat(reading(SYSTEM + conversation(1), "alice"), slot)
    slot.hold(SYSTEM[:num_read], "alice")
    assert find_reader_ahead(SYSTEM + conversation(2), "bob", slots, num_cached, CacheTraits(**traits)) is None
