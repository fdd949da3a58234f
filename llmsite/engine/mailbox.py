"""Mailbox: the events of one request between the socket and its reader. A slow reader costs the answer's text, no more."""

from __future__ import annotations

import asyncio
from collections import deque
from io import StringIO
from typing import Final

from llmsite.engine.wire import Done, LogprobInfo, Piece, Reading, Started
from llmsite.types.errors import LlmsiteError, ProtocolError

Reply = Started | Reading | Piece | Done

_MOST_SINGLE: Final = 16
_MOST_TOKEN_CHARS: Final = 1024
_SPARE_TOKENS: Final = 64


class Mailbox:
    """One writer, one reader, one event loop. Pieces wait one by one; when too many do, the rest becomes one text.

    `most_tokens` is what the request may generate: a runner that sends more is lying (threat F41).
    """

    def __init__(self, number: int, most_tokens: int) -> None:
        self.number = number
        self.is_ended = False
        self._events: deque[Reply] = deque()
        self._late_text = StringIO()
        self._late_logprobs: list[LogprobInfo] = []
        self._num_late = 0
        self._last: Done | LlmsiteError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._is_abandoned = False
        self._pieces_left = most_tokens + _SPARE_TOKENS
        self._chars_left = self._pieces_left * _MOST_TOKEN_CHARS

    def put(self, event: Started | Reading | Piece) -> None:
        """One more event. Raises `ProtocolError` when there are more than the request can have."""
        if type(event) is Piece:
            self._pieces_left -= 1
            self._chars_left -= len(event.text)
            if self._pieces_left < 0 or self._chars_left < 0:
                raise ProtocolError("the runner sent more text than it was asked for")
        if self._is_abandoned:
            return
        if type(event) is Piece and (self._num_late or len(self._events) >= _MOST_SINGLE):
            self._late_text.write(event.text)
            self._late_logprobs.extend(event.logprobs)
            self._num_late += 1
        elif type(event) is Reading and self._events and type(self._events[-1]) is Reading:
            self._events[-1] = event
        else:
            self._events.append(event)
        self._wake()

    def end(self, last: Done | LlmsiteError) -> None:
        """Nothing comes after this."""
        self.is_ended = True
        self._last = last
        self._wake()

    def abandon(self) -> None:
        """Nobody reads any longer; what comes until the end is dropped."""
        self._is_abandoned = True
        self._events.clear()
        self._late_text, self._late_logprobs = StringIO(), []

    async def get(self) -> Reply:
        """The next event; the last one is `Done`. Raises the error the request ended with."""
        while True:
            if self._events:
                return self._events.popleft()
            if self._num_late:
                return self._take_late()
            if isinstance(self._last, Done):
                return self._last
            if self._last is not None:
                raise self._last
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    def _take_late(self) -> Piece:
        piece = Piece(self.number, self._late_text.getvalue(), tuple(self._late_logprobs))
        self._late_text, self._late_logprobs, self._num_late = StringIO(), [], 0
        return piece

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
