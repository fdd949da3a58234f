"""Supervisor: carries out the scheduler's decisions; owns the runner processes and the timers of this machine.

One event loop owns it; nothing here blocks or polls.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

from llmsite.engine.spec import ModelSpec, SupervisorConfig
from llmsite.engine.wire import Done, Piece, Reading, Sampling, Started
from llmsite.types.chunk import Phase, RunningModel
from llmsite.types.options import Options

__all__ = ["Lease", "ModelSpec", "Reply", "Supervisor", "SupervisorConfig"]

Reply = Started | Reading | Piece | Done


class Lease:
    """One slot of a loaded runner. `load_ns` is how long this request waited for it."""

    num_ctx: int
    adds_bos: bool
    bos_text: str
    load_ns: int

    def generate(
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
        """Events of one answer, ending with `Done`. Closing cancels. Raises what the runner reports, or `RunnerDied`."""
        raise NotImplementedError

    async def count_tokens(self, texts: tuple[str, ...]) -> list[int]:
        """How many tokens each text is."""
        raise NotImplementedError

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a text."""
        raise NotImplementedError

    async def detokenize(self, tokens: tuple[int, ...]) -> str:
        """The text of tokens, control tokens included."""
        raise NotImplementedError


class Supervisor:
    """All runners of this machine."""

    def __init__(self, config: SupervisorConfig) -> None:
        self._config = config

    async def start(self) -> None:
        """Begin to look for devices; returns at once."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End all runners and refuse whoever waits."""
        raise NotImplementedError

    def running(self) -> list[RunningModel]:
        """What is loaded or loading, latest expiry first."""
        raise NotImplementedError

    async def unload(self, spec: ModelSpec) -> None:
        """Let the model go at once; running requests finish first. Nothing happens when it is not loaded."""
        raise NotImplementedError

    def lease(
        self,
        spec: ModelSpec,
        options: Options,
        *,
        keep_alive: float | None = None,
        user: str = "",
        on_phase: Callable[[Phase], None] = lambda _: None,
    ) -> AbstractAsyncContextManager[Lease]:
        """A slot of this model, loaded if need be. Raises `Busy`, `LoadFailed`, `LoadTimeout`, `NotEnoughMemory`, `Canceled`."""
        raise NotImplementedError
