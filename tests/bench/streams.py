"""A small streaming HTTP client that costs little: what it measures with runs on the same cores as what it measures."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Stream:
    """When the frames of one answer came; seconds of `time.perf_counter`."""

    started: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    mark: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once `mark` tokens have come."""

    def mark_next(self, num_tokens: int) -> None:
        """`reached` is set anew once so many more have come."""
        self.mark = len(self.arrivals) + num_tokens
        self.reached.clear()

    @property
    def first_token(self) -> float:
        """Seconds from the request to the first token."""
        return self.arrivals[0] - self.started

    @property
    def rate(self) -> float:
        """Tokens per second from the first token on."""
        return (len(self.arrivals) - 1) / (self.arrivals[-1] - self.arrivals[0])

    @property
    def gaps(self) -> list[float]:
        """Seconds between neighbours."""
        return [later - earlier for earlier, later in zip(self.arrivals, self.arrivals[1:], strict=False)]


@dataclass(frozen=True)
class Target:
    """A server to ask: ours over /api/generate, or llama-server over /completion."""

    port: int
    is_ours: bool
    model: str = ""

    def body(self, prompt: str, num_predict: int, **options: Any) -> tuple[str, dict[str, Any]]:
        """Path and JSON body of the same request in either server's words: greedy, raw prompt."""
        if self.is_ours:
            settings = {"temperature": 0, "num_predict": num_predict, "seed": 1} | options
            return "/api/generate", {"model": self.model, "prompt": prompt, "raw": True, "options": settings}
        return "/completion", {"prompt": prompt, "n_predict": num_predict, "temperature": 0, "stream": True, "cache_prompt": True}


async def ask(target: Target, prompt: str, num_predict: int, stream: Stream | None = None, **options: Any) -> Stream:
    """One answer, streamed to its end. `stream` lets another task look at it meanwhile."""
    path, body = target.body(prompt, num_predict, **options)
    stream = stream or Stream()
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=1 << 20)
    try:
        payload = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nContent-Type: application/json\r\n"
        stream.started = time.perf_counter()
        writer.write(f"{head}Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n".encode() + payload)
        async for line in reader:
            if line.startswith((b"{", b"data: {")):
                _note(stream, line)
    finally:
        writer.close()
    if not stream.last.get("done", stream.last.get("stop")):
        raise RuntimeError(f"the answer broke off: {stream.last}")
    return stream


def _note(stream: Stream, line: bytes) -> None:
    now = time.perf_counter()
    is_last = b'"done":true' in line or b'"stop":true' in line
    if not is_last:
        stream.arrivals.append(now)
        if len(stream.arrivals) == stream.mark:
            stream.reached.set()
    if is_last or b'"error"' in line:
        stream.last = json.loads(line.removeprefix(b"data: "))


async def ask_together(target: Target, prompts: list[str], num_predict: int) -> list[Stream]:
    """All prompts at once."""
    return list(await asyncio.gather(*(ask(target, prompt, num_predict) for prompt in prompts)))


def shared_rate(streams: list[Stream]) -> float:
    """Tokens per second of all together, over the time in which every one of them was writing."""
    begin = max(stream.arrivals[0] for stream in streams)
    end = min(stream.arrivals[-1] for stream in streams)
    count = sum(begin < arrival <= end for stream in streams for arrival in stream.arrivals)
    return count / (end - begin)
