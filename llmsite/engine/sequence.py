"""One request in a runner: its tokens, counts, times, and when it ends. Pure; `loop.py` moves it."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmsite.engine.detokenizer import Detokenizer
from llmsite.engine.wire import Done, Generate, LogprobInfo
from llmsite.types.errors import PromptTooLong

TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, "
    "adjust the context length in settings, or use a model with a longer context length"
)
SMALLEST_CTX = 4
"""Tokens; with less there is no room to keep, drop and go on."""
CONTEXTS_PER_ANSWER = 10
"""An answer without a limit ends at so many times its context (catalogue 3)."""


@dataclass(slots=True, eq=False)
class Sequence:
    """`prompt` is what will be read, cut to fit; `num_keep` tokens of it survive a shift. Counts are tokens, times nanoseconds.

    `next_token` was sampled and is not in the cache yet. `reason` is set once the answer ended. `generated` and `answer`
    (tokens and pieces of text) are noted only for who wants them back.
    """

    command: Generate
    prompt: list[int]
    num_ctx: int
    num_keep: int
    num_predict: int
    can_shift: bool
    detokenizer: Detokenizer
    whole_prompt: list[int]
    generated: list[int] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    logprobs: list[LogprobInfo] = field(default_factory=list)
    num_cached: int = 0
    num_generated: int = 0
    next_token: int = -1
    started_ns: int = 0
    first_ns: int = 0
    ended_ns: int = 0
    reason: str = ""

    @property
    def id(self) -> int:
        return self.command.id

    @property
    def user(self) -> str:
        return self.command.user

    @property
    def is_reading(self) -> bool:
        return self.num_generated == 0

    def take(self, token: int, piece: bytes, is_end: bool, now_ns: int) -> str:
        """Note a sampled token; returns the text it releases and sets `reason` when it was the last.

        The order of the reasons is llama-server's: an end token counts even where a limit is reached with it.
        """
        self.next_token = token
        self.num_generated += 1
        if self.num_generated == 1:
            self.first_ns = now_ns
        text = ""
        if is_end:
            self.reason = "stop"
        else:
            text = self.detokenizer.add(piece)
            self._check_limits()
        if self.reason:
            self.ended_ns = now_ns
            text += self.detokenizer.finish()
        if self.command.want_context:
            self.answer.append(text)
            if not is_end:
                self.generated.append(token)
        return text

    def _check_limits(self) -> None:
        if self.detokenizer.is_stopped:
            self.reason = "stop"
        elif self.num_generated >= self.num_predict or (not self.can_shift and self._is_full()):
            self.reason = "length"

    def _is_full(self) -> bool:
        return len(self.prompt) + self.num_generated >= self.num_ctx

    def end(self, reason: str, now_ns: int) -> None:
        """Ended by something other than a token: a cancel, or a model that cannot shift after all."""
        self.reason, self.ended_ns = reason, now_ns

    def done(self, context: tuple[int, ...] = ()) -> Done:
        """The last event of this request."""
        first_ns = self.first_ns or self.ended_ns
        return Done(
            id=self.id,
            reason=self.reason,
            num_prompt=len(self.prompt),
            num_cached=self.num_cached,
            num_generated=self.num_generated,
            prompt_ns=first_ns - (self.started_ns or first_ns),
            generate_ns=max(1, self.ended_ns - first_ns) if self.num_generated else 0,  # one token too has a rate
            context=context,
        )


def make_sequence(command: Generate, tokens: list[int], num_ctx: int, adds_bos: bool) -> Sequence:
    """A request with its limits worked out. `num_ctx` is a slot's. Raises `PromptTooLong`."""
    if command.num_ctx > 0:
        num_ctx = min(num_ctx, max(SMALLEST_CTX, command.num_ctx))
    num_keep = keep_count(command.num_keep, len(tokens), num_ctx, adds_bos)
    longest = CONTEXTS_PER_ANSWER * num_ctx
    return Sequence(
        command=command,
        prompt=fit_prompt(tokens, num_ctx, num_keep, may_cut=command.truncate and command.shift),
        num_ctx=num_ctx,
        num_keep=num_keep,
        num_predict=longest if command.num_predict <= 0 else min(command.num_predict, longest),
        can_shift=command.shift,
        detokenizer=Detokenizer(command.stop),
        whole_prompt=tokens,
    )


def keep_count(num_keep: int, num_prompt: int, num_ctx: int, adds_bos: bool) -> int:
    """Tokens at the front that cutting and shifting leave alone: `num_keep` and BOS, below 0 the whole prompt.

    Four cells at least stay free, as in llama.cpp, or nothing could ever be dropped.
    """
    keep = num_prompt if num_keep < 0 else num_keep + adds_bos
    return max(0, min(keep, num_prompt, num_ctx - 4))


def fit_prompt(tokens: list[int], num_ctx: int, num_keep: int, *, may_cut: bool) -> list[int]:
    """The prompt itself if there is room for an answer, else its front and its end (catalogue 5.5). Raises `PromptTooLong`."""
    if len(tokens) < num_ctx:
        return tokens
    if not may_cut:
        raise PromptTooLong(TOO_LONG)
    num_tail = num_ctx - max((num_ctx - num_keep) // 2, 1) - num_keep
    return tokens[:num_keep] + tokens[len(tokens) - num_tail :]
