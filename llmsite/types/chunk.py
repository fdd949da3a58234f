"""What comes back from a model: chunks of an answer, what the engine does meanwhile, what is loaded, how far a job is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmsite.types.message import ToolCall

DoneReason = Literal["stop", "length", "load", "unload"]
PhaseName = Literal["queued", "loading", "reading"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures of one request; durations in nanoseconds. `prompt_eval_count` includes the `cached_count` tokens not read again."""

    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    cached_count: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token's text and bytes with its natural-log probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Logprob:
    """The chosen token and the likeliest ones in its place."""

    chosen: TokenLogprob
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """One part of a streamed answer. The last one has `done`, a reason and metrics.

    A chunk with `is_whole` is the entire reply (load, unload, rendered prompt): one plain JSON object over REST.
    """

    content: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[Logprob, ...] = ()
    done: bool = False
    done_reason: DoneReason | None = None
    context: tuple[int, ...] = ()
    metrics: Metrics | None = None
    rendered: str | None = None
    num_images: int = 0

    @property
    def is_whole(self) -> bool:
        return self.rendered is not None or self.done_reason in ("load", "unload")


@dataclass(frozen=True, slots=True)
class Phase:
    """What happens before the first token, for pages; REST skips it.

    queued: `position` requests are ahead. loading: `fraction` of the model (0 to 1). reading: `num_tokens` of `num_total`;
    the first one comes before anything is written and has the `digest` of the model that answers.
    """

    name: PhaseName
    position: int = 0
    fraction: float = 0.0
    num_tokens: int = 0
    num_total: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """One frame of a job: what it does now and, for a blob, how many of `total` bytes it has (catalogue 2.16 to 2.18)."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """The `details` object of tags, show and ps (catalogue 2.13). `num_ctx` and `num_embd` are 0 when unknown."""

    parent_model: str = ""
    format: str = ""
    family: str = ""
    families: tuple[str, ...] | None = None
    parameter_size: str = ""
    quantization_level: str = ""
    num_ctx: int = 0
    num_embd: int = 0


@dataclass(frozen=True, slots=True)
class RunningModel:
    """One loaded model (catalogue 2.14). `expires_at` is seconds since 1970, infinity for never; sizes are bytes."""

    name: str
    digest: str
    details: ModelDetails
    size_bytes: int
    size_vram_bytes: int
    num_ctx: int
    expires_at: float
    num_slots: int = 1
    num_busy_slots: int = 0
    num_queued: int = 0
    is_loading: bool = False


@dataclass(frozen=True, slots=True)
class RunningModels:
    """All loaded models, latest expiry first."""

    models: tuple[RunningModel, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a rendered conversation, and the context they must fit."""

    num_tokens: int
    num_ctx: int


Reply = Chunk | Phase | RunningModels | TokenCount
