"""Requests and runners as the scheduler sees them: who holds what, who suits whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Literal

from llmsite.engine.memory import Placement
from llmsite.engine.spec import ModelSpec
from llmsite.types.chunk import Phase, RunningModel
from llmsite.types.duration import FOREVER
from llmsite.types.options import Options

_fixed: Final = attrgetter("main_gpu", "use_mmap", "num_thread", "draft_num_predict")
"""The load options that must be equal."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One request for a slot, or only for the loaded model. The scheduler fills in the rest.

    `number` counts arrivals, `turn` orders who waits, `runner` is where it sits.
    """

    spec: ModelSpec
    options: Options
    keep_alive: float | None = None
    user: str = ""
    needs_slot: bool = True
    number: int = 0
    turn: int = 0
    ctx_choices: tuple[int, ...] = ()
    phase: Phase | None = None
    runner: Runner | None = None


@dataclass(eq=False, slots=True)
class Runner:
    """One process, as the scheduler sees it. `spec` is the one last used with it; bytes are estimates until it is ready.

    `leaves_for` is the request that wants its place, `told_at` the number of the next request when it was told to go:
    whoever came before is still served, then it ends.
    """

    spec: ModelSpec
    options: Options
    placement: Placement
    keep_alive: float
    state: Literal["loading", "ready", "stopping"] = "loading"
    seated: set[Ticket] = field(default_factory=set)
    expires_at: float = FOREVER
    ctx_choices: tuple[int, ...] = ()
    leaves_for: Ticket | None = None
    told_at: int | None = None
    fraction: float = 0.0
    size_bytes: int = 0
    vram_bytes: int = 0
    num_slots: int = 1

    @property
    def num_busy(self) -> int:
        return sum(each.needs_slot for each in self.seated)

    def has_room(self, ticket: Ticket) -> bool:
        return not ticket.needs_slot or self.num_busy < self.num_slots

    @property
    def is_leaving(self) -> bool:
        return self.leaves_for is not None or self.told_at is not None

    def is_wanted(self) -> bool:
        """False once its process has been told to end."""
        return self.state != "stopping"

    @property
    def is_idle(self) -> bool:
        return self.state == "ready" and not self.seated

    def admits(self, ticket: Ticket) -> bool:
        """Whether this request may still sit here, as far as the runner's end is concerned."""
        came_before = self.leaves_for is None or ticket.number < self.leaves_for.number
        return self.state == "ready" and came_before and (self.told_at is None or ticket.number < self.told_at)

    def suits(self, ticket: Ticket, *, has_gpus: bool) -> bool:
        """Whether it holds what this request needs (catalogue 3: which load options cause a reload)."""
        mine, theirs, shape = ticket.options, self.options, self.placement.shape
        if self.spec.weights != ticket.spec.weights:
            return False
        if mine is not theirs and _fixed(mine) != _fixed(theirs):
            return False
        if mine.num_batch not in (None, shape.num_batch):
            return False
        if mine.num_gpu >= 0 and mine.num_gpu != theirs.num_gpu and has_gpus:
            layers = min(mine.num_gpu, ticket.spec.facts.num_layers + 1)
            if layers != self.placement.num_gpu_layers:
                return False
        if mine.num_ctx is None:  # automatic: content with what was sized automatically, however small
            return theirs.num_ctx is None or shape.num_ctx >= ticket.ctx_choices[-1]
        return shape.num_ctx >= ticket.ctx_choices[0]

    def effective_ctx(self, ticket: Ticket) -> int:
        """Tokens this request may use: what it asked for, at most what is loaded."""
        loaded = self.placement.shape.num_ctx
        return loaded if ticket.options.num_ctx is None else min(ticket.ctx_choices[0], loaded)

    def describe(self, now: float, wall: float, num_queued: int) -> RunningModel:
        """For ps (catalogue 2.14): a busy or loading model expires a whole keep-alive from now, a leaving one is past it."""
        expires_at = self.expires_at if self.is_idle else now + self.keep_alive
        if self.is_leaving or self.state == "stopping":
            expires_at = min(self.expires_at, now)
        return RunningModel(
            name=self.spec.name,
            digest=self.spec.digest,
            details=self.spec.details,
            size_bytes=self.size_bytes,
            size_vram_bytes=self.vram_bytes,
            num_ctx=self.placement.shape.num_ctx,
            expires_at=wall + expires_at - now,
            num_slots=self.num_slots,
            num_busy_slots=self.num_busy,
            num_queued=num_queued,
            is_loading=self.state == "loading",
        )
