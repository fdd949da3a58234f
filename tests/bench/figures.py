"""What is measured: each figure is a ratio of two times taken in one run, ours against the yardstick or against ourselves.

The bench model runs with eight slots of 8,192 tokens in both servers. Prompts are random digits: one token each, so no two
share a prefix unless they are meant to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.bench.servers import Running
from tests.bench.streams import Stream, Target, ask, ask_together, shared_rate

NUM_SLOTS: Final = 8
NUM_CTX: Final = 8192
REPEATS: Final = 3
_random: Final = random.Random(11)


@dataclass(frozen=True)
class Figure:
    """One row: the ratio, what it should be, and the two values it was made from."""

    name: str
    ratio: float
    aim: str
    ours: float
    other: float
    unit: str

    @property
    def holds(self) -> bool:
        sign, _, bound = self.aim.partition(" ")
        return self.ratio >= float(bound) if sign == "≥" else self.ratio <= float(bound)


def digits(count: int) -> str:
    """A prompt of that many tokens that nobody has read before."""
    return "".join(_random.choices("0123456789", k=count))


async def repeat(measure: Callable[[], Awaitable[float]]) -> float:
    """Median of a few measurements."""
    return median([await measure() for _ in range(REPEATS)])


async def one_stream(ours: Target, theirs: Target, num_tokens: int = 128) -> Figure:
    async def rate(target: Target) -> float:
        return (await ask(target, digits(32), num_tokens)).rate

    mine, other = await _in_turns(rate, ours, theirs)
    return Figure("one stream, tokens/s ÷ llama-server", mine / other, "≥ 0.95", mine, other, "tokens/s")


async def starter_stream(ours: Target, theirs: Target) -> Figure:
    async def rate(target: Target) -> float:
        return (await ask(target, digits(32), 400)).rate

    mine, other = await _in_turns(rate, ours, theirs)
    return Figure("starter, one stream ÷ llama-server", mine / other, "≥ 0.85", mine, other, "tokens/s")


async def eight_streams(ours: Target, theirs: Target) -> list[Figure]:
    """Short prompts: joint speed, and the wait for a first token."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    waits: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(REPEATS):
        for target in (ours, theirs):
            streams = await ask_together(target, [digits(32) for _ in range(NUM_SLOTS)], 64)
            rates[target.is_ours].append(shared_rate(streams))
            waits[target.is_ours].append(median(stream.first_token for stream in streams))
    mine, other = median(rates[True]), median(rates[False])
    first, other_first = median(waits[True]), median(waits[False])
    return [
        Figure("eight streams, tokens/s ÷ llama-server", mine / other, "≥ 1.00", mine, other, "tokens/s"),
        Figure("eight streams, median first token ÷ llama-server", first / other_first, "≤ 1.00", first, other_first, "s"),
    ]


async def eight_contexts(ours: Target, theirs: Target, num_tokens: int, shared: bool = False) -> Figure:
    """Generation only, each stream behind a context of its own (or all behind one) that was read before."""

    async def rate(target: Target) -> float:
        heads = [digits(num_tokens)] * NUM_SLOTS if shared else [digits(num_tokens) for _ in range(NUM_SLOTS)]
        await ask_together(target, heads[:1] if shared else heads, 1)
        return shared_rate(await ask_together(target, [head + digits(8) for head in heads], 64))

    mine, other = await _in_turns(rate, ours, theirs, repeats=2)
    name = f"eight streams on {'a shared' if shared else 'their own'} {num_tokens:,}-token context ÷ llama-server"
    return Figure(name, mine / other, "≥ 1.00", mine, other, "tokens/s")


async def cached_prefix(ours: Target) -> Figure:
    """First token on a 1,000-token prefix that another conversation has read, 32 tokens new, against a cold one."""

    async def cold() -> float:
        return (await ask(ours, digits(1032), 4)).first_token

    async def cached() -> float:
        head = digits(1000)
        await ask(ours, head + digits(32), 4)
        return (await ask(ours, head + digits(32), 4)).first_token

    mine, other = await repeat(cached), await repeat(cold)
    return Figure("first token, 1,000 tokens cached from another conversation ÷ cold", mine / other, "≤ 0.07", mine, other, "s")


async def shared_prefix(ours: Target, theirs: Target) -> Figure:
    """Four conversations together on 1,000 tokens which a fifth has just had read; 16 tokens each, wall time."""

    async def wall(target: Target) -> float:
        head = digits(1000)
        await ask(target, head + digits(16), 4)
        streams = await ask_together(target, [head + digits(32) for _ in range(4)], 16)
        return max(stream.arrivals[-1] for stream in streams) - min(stream.started for stream in streams)

    mine, other = await _in_turns(wall, ours, theirs)
    return Figure("four conversations on a shared cached prefix, wall ÷ llama-server", mine / other, "≤ 0.15", mine, other, "s")


async def full_cache(ours: Target) -> Figure:
    """One stream beside finished conversations that fill the other slots, against one beside nothing; on a fresh server."""

    async def rate() -> float:
        return (await ask(ours, digits(32), 96)).rate

    empty = await repeat(rate)
    for _ in range(NUM_SLOTS):
        await ask(ours, digits(1000), 2)
    full = await repeat(rate)
    return Figure("one stream beside a full cache ÷ beside an empty one", full / empty, "≥ 0.95", full, empty, "tokens/s")


async def longest_gap(target: Target) -> tuple[float, float]:
    """Plain step and longest gap between two tokens, in seconds, of three writers while a 1,500-token prompt is read."""
    writers = [Stream(mark=48) for _ in range(3)]
    tasks = [asyncio.create_task(ask(target, digits(32), 256, stream)) for stream in writers]
    await asyncio.gather(*(stream.reached.wait() for stream in writers))
    plain = median([gap for stream in writers for gap in stream.gaps[8:48]])
    before = [len(stream.arrivals) for stream in writers]
    await ask(target, digits(1500), 2)
    longest = max(max(stream.gaps[count - 1 :]) for stream, count in zip(writers, before, strict=True))
    await asyncio.gather(*tasks)
    return plain, longest


async def gap(ours: Target, theirs: Target | None) -> list[Figure]:
    plain, longest = await longest_gap(ours)
    figures = [Figure("longest gap while 1,500 tokens are read ÷ a plain step", longest / plain, "≤ 12", longest, plain, "s")]
    if theirs:
        other_plain, other_longest = await longest_gap(theirs)
        ratio = other_longest / other_plain
        figures.append(Figure("the same gap in llama-server ÷ its plain step", ratio, "≥ 0", other_longest, other_plain, "s"))
    return figures


def runner_memory(ours: Running, theirs: Running) -> Figure:
    """Resident memory of our runner against llama-server's, after the same work; 60 MB of Python are allowed on top."""
    mine, other = ours.runner_memory_bytes() / 1e6, theirs.memory_bytes / 1e6
    return Figure("runner memory (less 60 MB of Python) ÷ llama-server's", (mine - 60) / other, "≤ 1.15", mine, other, "MB")


async def _in_turns(
    measure: Callable[[Target], Awaitable[float]], ours: Target, theirs: Target, repeats: int = REPEATS
) -> tuple[float, float]:
    """Medians of both, taken in turns so that a noisy minute hits both."""
    mine, other = [], []
    for _ in range(repeats):
        mine.append(await measure(ours))
        other.append(await measure(theirs))
    return median(mine), median(other)
