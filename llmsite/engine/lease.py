"""Lease: one slot of a loaded runner, for as long as its holder stays in the context."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from llmsite.engine.mailbox import Reply
from llmsite.engine.process import RunnerProcess
from llmsite.engine.wire import Done, Generate, Ready, Sampling

_MOST_CTX_FACTOR: Final = 10
"""An answer ends at this many times its context (catalogue 3, num_predict)."""


class Lease:
    """What one request may do with its model. One answer at a time; a second waits until the first has left the runner.

    `num_ctx` is tokens this request may use; `load_ns` how long it waited for its slot.
    """

    def __init__(self, process: RunnerProcess, ready: Ready, num_ctx: int, load_ns: int, on_free: Callable[[], None]) -> None:
        self.num_ctx = min(num_ctx, ready.num_ctx)
        self.adds_bos = ready.adds_bos
        self.bos_text = ready.bos_text
        self.load_ns = load_ns
        self._process = process
        self._on_free = on_free
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._has_left = False

    async def generate(
        self,
        prompt: str,
        *,
        num_ctx: int | None = None,
        sampling: Sampling | None = None,
        num_predict: int = -1,
        num_keep: int = 4,
        stop: tuple[str, ...] = (),
        truncate: bool = True,
        shift: bool = True,
        num_top_logprobs: int = -1,
        want_context: bool = False,
        user: str = "",
    ) -> AsyncGenerator[Reply, None]:
        """Events of one answer, the last is `Done`; fields as in `wire.Generate`. Close it to cancel (`contextlib.aclosing`).

        Raises what the runner reports, `RunnerDied` when it ends, `Canceled` when it is unloaded.
        """
        ctx = min(num_ctx or self.num_ctx, self.num_ctx)
        frame = Generate(
            0,
            prompt,
            ctx,
            sampling or Sampling(),
            num_predict,
            num_keep,
            stop,
            truncate,
            shift,
            num_top_logprobs,
            want_context,
            user,
        )
        most = _MOST_CTX_FACTOR * ctx if num_predict <= 0 else min(num_predict, _MOST_CTX_FACTOR * ctx)
        await self._is_free.wait()
        box = await self._process.generate(frame, most, self._freed)
        if not box.is_ended:
            self._is_free.clear()
        try:
            while True:
                event = await box.get()
                yield event
                if type(event) is Done:
                    return
        finally:
            self._process.cancel(box)

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text is."""
        return list((await self._process.tokenize(tuple(texts), counts_only=True)).counts)

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a text."""
        return (await self._process.tokenize((text,), counts_only=False)).tokens[0]

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens, control tokens included."""
        return await self._process.detokenize(tuple(tokens))

    def leave(self) -> None:
        """Give the slot back; only once the runner has dropped an answer that was cut short."""
        self._has_left = True
        if self._is_free.is_set():
            self._on_free()

    def _freed(self) -> None:
        self._is_free.set()
        if self._has_left:
            self._on_free()
