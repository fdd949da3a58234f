"""An answer as it is being written, and how watchers see it: plain state, no tasks, no database.

`AnswerLog` is the one mutable record of a running answer; `generation.py` owns it. `AnswerView` is what pages and sockets read,
made from the log while the answer runs and from the row afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from django.utils.translation import get_language

from chat.markdown import Block, StreamedMarkdown, render
from chat.models import ACTIVE, Message, State
from llmsite.types.chunk import Chunk, Metrics, Phase

SILENT_SECONDS: Final = 20
"""Without a word from the engine for so long, the page says so."""
_PHASES: Final = {"queued": State.QUEUED, "loading": State.LOADING, "reading": State.READING}
_SPEAKING: Final = (State.READING, State.THINKING, State.WRITING)


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a tab has: answer `g` with `n` blocks at change `seq`. Printed by the page, sent back to resume (ui-spec 7.5)."""

    g: str
    n: int
    seq: int
    state: str = ""


@dataclass(frozen=True)
class AnswerView:
    """One moment of an answer. Seconds are seconds; `phase` says how far queue, load or reading are."""

    message_id: str
    state: str
    seq: int
    content: str
    thinking: str
    thinking_seconds: float
    phase: Phase | None
    error: str
    num_tokens: int
    is_silent: bool
    metrics: Metrics
    first_word_seconds: float
    render_blocks: Callable[[], list[Block]]

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @cached_property
    def blocks(self) -> list[Block]:
        return self.render_blocks()

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.message_id, len(self.blocks), self.seq, self.state)

    @property
    def tokens_per_second(self) -> float:
        """0 while unknown."""
        return self.metrics.eval_count * 1e9 / self.metrics.eval_duration if self.metrics.eval_duration else 0


def view_of_row(message: Message) -> AnswerView:
    """An answer nobody is writing in this process, as its row has it."""
    metrics = Metrics(**{name: getattr(message, name) for name in _METRICS})
    return AnswerView(
        message_id=message.id,
        state=message.state,
        seq=message.seq,
        content=message.content,
        thinking=message.thinking,
        thinking_seconds=message.thinking_seconds,
        phase=None,
        error=message.error,
        num_tokens=message.eval_count,
        is_silent=False,
        metrics=metrics,
        first_word_seconds=message.first_word_duration / 1e9,
        render_blocks=lambda: render(message.content, message.id, is_final=not message.is_active),
    )


_METRICS: Final = (
    "prompt_eval_count",
    "cached_count",
    "eval_count",
    "prompt_eval_duration",
    "eval_duration",
    "load_duration",
    "total_duration",
)


@dataclass(slots=True)
class AnswerLog:
    """A running answer. Times are of the loop's clock, `seq` counts changes, `saved_seq` is what the row has."""

    message_id: str
    conversation_id: str
    owner_id: int
    born: float
    state: State = State.QUEUED
    seq: int = 0
    saved_seq: int = 0
    content: str = ""
    thinking: str = ""
    thinking_seconds: float = 0
    phase: Phase | None = None
    error: str = ""
    num_tokens: int = 0
    metrics: Metrics | None = None
    model_digest: str = ""
    """Of the model that answers, even if its name means another one meanwhile."""
    first_word_seconds: float = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    last_event: float = 0
    first_thought: float = 0
    is_silent: bool = False
    end_state: State | None = None
    """Set by who cancels the task: what the answer is then."""
    task: asyncio.Task[None] | None = None
    has_begun: bool = False
    hint_timer: asyncio.TimerHandle | None = None
    last_hint: float = 0
    renderers: dict[str, StreamedMarkdown] = field(default_factory=dict)

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None

    def take(self, reply: Chunk | Phase, now: float, clock: datetime) -> bool:
        """Enter what the engine said. Returns whether the state changed."""
        before = self.state
        self.seq += 1
        self.last_event, self.is_silent = now, False
        if isinstance(reply, Phase):
            self.phase = reply
            self.model_digest = reply.digest or self.model_digest
            self.state = self._unless_stopping(_PHASES[reply.name])
        else:
            self._take_chunk(reply, now, clock)
        return self.state != before

    def _take_chunk(self, chunk: Chunk, now: float, clock: datetime) -> None:
        if chunk.thinking or chunk.content:
            self.num_tokens += 1
            if self.started_at is None:
                self.started_at, self.first_word_seconds = clock, now - self.born
        if chunk.thinking:
            self.first_thought = self.first_thought or now
            self.thinking += chunk.thinking
            self.thinking_seconds = now - self.first_thought
            self.state = self._unless_stopping(State.THINKING)
        if chunk.content:
            self.content += chunk.content
            self.state = self._unless_stopping(State.WRITING)
        if chunk.done:
            self.metrics = chunk.metrics
            self.end_state = State.LIMIT if chunk.done_reason == "length" else State.DONE

    def _unless_stopping(self, state: State) -> State:
        return self.state if self.state == State.STOPPING else state

    def stop(self) -> None:
        """The owner asked; the task is told by the caller. A request that is still queued leaves the queue unanswered."""
        has_begun = self.state != State.QUEUED or self.content or self.thinking
        self.end_state = State.STOPPED if has_begun else State.WAITING
        self.state = State.STOPPING
        self.seq += 1

    def finish(self, state: State, clock: datetime, error: str = "") -> None:
        self.state, self.error, self.finished_at = state, error, clock
        self.phase, self.is_silent = None, False
        self.seq += 1

    def check_silence(self, now: float) -> bool:
        """Whether the engine has just become silent for too long."""
        is_silent = self.state in _SPEAKING and now - self.last_event >= SILENT_SECONDS
        if is_silent == self.is_silent:
            return False
        self.is_silent = is_silent
        self.seq += 1
        return True

    def view(self) -> AnswerView:
        return AnswerView(
            message_id=self.message_id,
            state=self.state,
            seq=self.seq,
            content=self.content,
            thinking=self.thinking,
            thinking_seconds=self.thinking_seconds,
            phase=self.phase,
            error=self.error,
            num_tokens=self.num_tokens,
            is_silent=self.is_silent,
            metrics=self._figures(),
            first_word_seconds=self.first_word_seconds,
            render_blocks=self._blocks,
        )

    def _figures(self) -> Metrics:
        metrics = self.metrics or Metrics()
        return metrics if metrics.eval_count else replace(metrics, eval_count=self.num_tokens)

    def _blocks(self) -> list[Block]:
        """Blocks are rendered once for all tabs of a language, and only what is new."""
        language = get_language() or ""
        if language not in self.renderers:
            self.renderers[language] = StreamedMarkdown(self.message_id)
        return self.renderers[language].update(self.content, is_final=self.is_finished)

    def row(self) -> dict[str, Any]:
        """Column values as of now."""
        figures = self._figures()
        return {name: getattr(figures, name) for name in _METRICS} | {
            "state": self.state,
            "seq": self.seq,
            "content": self.content,
            "thinking": self.thinking,
            "thinking_seconds": self.thinking_seconds,
            "error": self.error,
            "model_digest": self.model_digest,
            "first_word_duration": round(self.first_word_seconds * 1e9),
            "started_at": self.started_at,
            "finished_at": self.finished_at,
        }
