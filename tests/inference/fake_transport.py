"""A transport that replies from a script: for tests of everything above the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

from llmsite.types.chunk import Chunk, Metrics, Reply
from llmsite.types.request import Request

METRICS = Metrics(total_duration=5, load_duration=1, prompt_eval_count=9, prompt_eval_duration=2, eval_count=3, eval_duration=2)

Step = Reply | Exception | asyncio.Event
"""What a script is made of: a reply to send, an error to raise, or an event to wait for."""


@dataclass
class FakeTransport:
    """Each `send` plays the next script and is noted in `requests`; `closed` counts scripts left before their end.

    Scripts are queued by `queue` (or the constructor). A request without a script left fails the test loudly.
    """

    scripts: list[list[Step]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    closed: int = 0
    running: int = 0

    def queue(self, *steps: Step) -> None:
        """Add one script: the replies to one request, in order."""
        self.scripts.append(list(steps))

    async def send(self, request: Request) -> AsyncGenerator[Reply, None]:
        self.requests.append(request)
        assert self.scripts, f"no script left for {request}"
        steps = self.scripts.pop(0)
        self.running += 1
        is_complete = False
        try:
            for step in steps:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, Exception):
                    is_complete = True
                    raise step
                else:
                    yield step
            is_complete = True
        finally:
            self.running -= 1
            self.closed += not is_complete


def answer(*pieces: str, thinking: Iterable[str] = ()) -> list[Step]:
    """Chunks of an ordinary answer: thoughts, pieces of text, the final chunk with metrics."""
    thoughts: list[Step] = [Chunk(thinking=each) for each in thinking]
    words: list[Step] = [Chunk(content=each) for each in pieces]
    return [*thoughts, *words, final()]


def final() -> Chunk:
    """The last chunk of an ordinary answer."""
    return Chunk(done=True, done_reason="stop", metrics=METRICS)
