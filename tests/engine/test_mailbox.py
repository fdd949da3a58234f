"""The mailbox of one request: order, coalescing for slow readers, bounds against a runner that lies (threats F35, F41)."""

from __future__ import annotations

import asyncio

import pytest

from llmsite.engine.mailbox import Mailbox
from llmsite.engine.wire import Done, LogprobInfo, Piece, Reading, Started, TokenInfo
from llmsite.types.errors import ProtocolError, RunnerDied

DONE = Done(1, "stop", 1, 0, 1, 1, 1)


async def test_a_quick_reader_gets_every_event_as_it_is() -> None:
    box = Mailbox(1, 100)
    events = [Started(1, 5, 0), Reading(1, 3, 5), Piece(1, "a"), Piece(1, "b")]
    for event in events:
        box.put(event)
    box.end(DONE)
    assert [await box.get() for _ in range(5)] == [*events, DONE]


async def test_a_reader_that_waits_is_woken() -> None:
    box = Mailbox(1, 100)
    reader = asyncio.ensure_future(box.get())
    await asyncio.sleep(0)
    box.put(Piece(1, "a"))
    assert await reader == Piece(1, "a")


@pytest.mark.parametrize("num_pieces", [1, 15, 16, 17, 18, 1000])
async def test_a_slow_reader_loses_no_word_and_costs_few_events(num_pieces: int) -> None:
    box = Mailbox(1, 1000)
    chosen = LogprobInfo(TokenInfo("x", -1.0, (120,)))
    for number in range(num_pieces):
        box.put(Piece(1, f"{number} ", (chosen,)))
    box.end(DONE)
    pieces = []
    while isinstance(event := await box.get(), Piece):
        pieces.append(event)
    assert "".join(piece.text for piece in pieces) == "".join(f"{number} " for number in range(num_pieces))
    assert sum(len(piece.logprobs) for piece in pieces) == num_pieces
    assert len(pieces) == min(num_pieces, 17)


async def test_order_holds_while_a_reader_lags_and_catches_up() -> None:
    box = Mailbox(1, 1000)
    text, written = "", 0
    for _ in range(20):
        for _ in range(40):
            box.put(Piece(1, f"{written} "))
            written += 1
        event = await box.get()
        assert isinstance(event, Piece)
        text += event.text
    box.end(DONE)
    while isinstance(event := await box.get(), Piece):
        text += event.text
    assert text == "".join(f"{number} " for number in range(written))


async def test_of_several_reports_on_reading_the_last_is_enough() -> None:
    box = Mailbox(1, 100)
    for num_read in range(100):
        box.put(Reading(1, num_read, 100))
    assert await box.get() == Reading(1, 99, 100)


async def test_what_was_written_comes_before_the_error() -> None:
    box = Mailbox(1, 100)
    box.put(Piece(1, "half an "))
    box.end(RunnerDied("gone"))
    assert await box.get() == Piece(1, "half an ")
    with pytest.raises(RunnerDied):
        await box.get()


def test_more_pieces_than_tokens_are_a_lie_even_if_nobody_reads() -> None:
    box = Mailbox(1, 10)
    box.abandon()
    for _ in range(10):
        box.put(Piece(1, "x"))

    def put_many() -> None:
        for _ in range(1000):
            box.put(Piece(1, "x"))

    with pytest.raises(ProtocolError):
        put_many()


def test_more_text_than_tokens_can_hold_is_a_lie() -> None:
    box = Mailbox(1, 10)
    with pytest.raises(ProtocolError):
        box.put(Piece(1, "x" * 1_000_000))
