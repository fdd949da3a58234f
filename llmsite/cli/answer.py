"""One streamed answer on the screen: what `run` and the session share."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from llmsite.cli.output import AnswerPrinter, format_metrics
from llmsite.cli.progress import Spinner
from llmsite.types.chunk import Chunk, Phase
from llmsite.types.request import Think


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the flags of `run` say. `keep_alive` is seconds, None leaves it to the server."""

    model: str
    think: Think = None
    format: str | dict[str, Any] | None = None
    keep_alive: float | None = None
    is_verbose: bool = False
    hides_thinking: bool = False
    wraps: bool = True


async def show_answer(replies: AsyncGenerator[Chunk | Phase, None], settings: RunSettings) -> str:
    """Write an answer to stdout as it comes, the figures to stderr; returns its text without the thoughts.

    A load or unload reply writes nothing. Raises what the server reports.
    """
    is_terminal = sys.stdout.isatty()
    columns = os.get_terminal_size(sys.stdout.fileno()).columns if is_terminal and settings.wraps else None
    printer = AnswerPrinter(_write, columns=columns, has_colors=is_terminal, hides_thinking=settings.hides_thinking)
    spinner = Spinner(sys.stderr)
    text, last = "", Chunk()
    if is_terminal:
        spinner.start()
    try:
        async with aclosing(replies):
            async for chunk in replies:
                await spinner.stop()
                if isinstance(chunk, Chunk):
                    printer.add(chunk)
                    text, last = text + chunk.content, chunk
    finally:
        await spinner.stop()
        printer.finish()
    if last.is_whole:
        return text
    _write("\n\n")
    if settings.is_verbose and last.metrics is not None:
        sys.stderr.write(format_metrics(last.metrics))
    return text


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
