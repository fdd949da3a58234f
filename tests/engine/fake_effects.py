"""FakeEffects: records what the scheduler has done. Small models for it, and a machine whose memory can be set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmsite.engine.memory import MemoryNow
from llmsite.engine.scheduler import Scheduler
from llmsite.engine.seating import Runner, Ticket
from llmsite.engine.spec import ModelSpec, SupervisorConfig
from llmsite.store.gguf import GgufFacts
from llmsite.types.chunk import ModelDetails, Phase
from llmsite.types.errors import LlmsiteError
from llmsite.types.limits import GIB, MIB
from llmsite.types.options import Options

FACTS = GgufFacts(
    architecture="llama",
    num_ctx_train=8192,
    num_embd=1024,
    num_layers=10,
    num_heads=16,
    kv_heads=(4,) * 10,
    head_dim_k=64,
    head_dim_v=64,
    num_vocab=32_000,
    layer_bytes=(100 * MIB,) * 10,
    other_bytes=100 * MIB,
)


def make_spec(name: str = "a", **changes: Any) -> ModelSpec:
    """A model of about 1.1 GiB; another name is another file unless `model_path` says otherwise."""
    facts = changes.pop("facts", FACTS)
    path = changes.pop("model_path", f"/models/{name}")
    return ModelSpec(f"{name}:latest", "d" * 64, ModelDetails(), path, facts, **changes)


class FakeEffects:
    """Each effect is a line in `log`, such as `load a` or `grant a alice`; `take()` returns and clears them."""

    def __init__(self, free_bytes: int = 64 * GIB, gpus: tuple[int, ...] = ()) -> None:
        self.free = MemoryNow(free_bytes, gpus)
        self.log: list[str] = []
        self.loaded: list[Runner] = []
        self.errors: dict[Ticket, LlmsiteError] = {}
        self.phases: dict[Ticket, list[Phase]] = {}

    def load_runner(self, runner: Runner) -> None:
        self.log.append(f"load {_short(runner)}")
        self.loaded.append(runner)

    def unload_runner(self, runner: Runner) -> None:
        self.log.append(f"unload {_short(runner)}")

    def grant(self, ticket: Ticket) -> None:
        self.log.append(f"grant {ticket.spec.name.removesuffix(':latest')} {ticket.user}".rstrip())

    def refuse(self, ticket: Ticket, error: LlmsiteError) -> None:
        self.log.append(f"refuse {ticket.spec.name.removesuffix(':latest')} {type(error).__name__}")
        self.errors[ticket] = error

    def report(self, ticket: Ticket, phase: Phase) -> None:
        self.phases.setdefault(ticket, []).append(phase)

    def free_memory(self) -> MemoryNow:
        return self.free

    def take(self) -> list[str]:
        log, self.log = self.log, []
        return log


class Desk:
    """A scheduler with its effects and a clock that only moves when told."""

    def __init__(self, free_bytes: int = 64 * GIB, gpus: tuple[int, ...] = (), **config: Any) -> None:
        self.effects = FakeEffects(free_bytes, gpus)
        self.now = 1000.0
        self.scheduler = Scheduler(SupervisorConfig(**config), self.effects)
        self.scheduler.set_gpus(gpus)

    def ask(
        self, spec: ModelSpec, user: str = "", keep_alive: float | None = None, needs_slot: bool = True, **options: Any
    ) -> Ticket:
        """One more request."""
        ticket = Ticket(spec, replace(Options(), **options), keep_alive, user, needs_slot)
        self.scheduler.on_request(self.now, ticket)
        return ticket

    def ready(self, index: int = -1) -> Runner:
        """The load begun last (or that one) succeeds as planned."""
        runner = self.effects.loaded[index]
        self.scheduler.on_ready(
            self.now, runner, num_slots=runner.num_slots, size_bytes=runner.size_bytes, vram_bytes=runner.vram_bytes
        )
        return runner

    def fail(self, error: LlmsiteError, *, is_fault: bool = True) -> None:
        """The load begun last fails."""
        self.scheduler.on_load_failed(self.now, self.effects.loaded[-1], error, is_fault=is_fault)

    def load(self, spec: ModelSpec, keep_alive: float | None = None, **options: Any) -> Runner:
        """The model is loaded and idle; nothing of that stays in the log."""
        ticket = self.ask(spec, keep_alive=keep_alive, **options)
        runner = self.ready()
        self.release(ticket)
        self.effects.take()
        return runner

    def release(self, *tickets: Ticket) -> None:
        for ticket in tickets:
            self.scheduler.on_release(self.now, ticket)

    def cancel(self, ticket: Ticket) -> None:
        self.scheduler.on_cancel(self.now, ticket)

    def stopped(self, runner: Runner) -> None:
        self.scheduler.on_stopped(self.now, runner)

    def wait(self, seconds: float) -> None:
        """Time passes; the clock's part is done when a deadline lies within."""
        self.now += seconds
        wake = self.scheduler.next_wake()
        if wake is not None and wake <= self.now:
            self.scheduler.on_tick(self.now)

    def forget(self) -> None:
        """What was done so far is of no interest."""
        self.effects.take()

    @property
    def log(self) -> list[str]:
        return self.effects.take()


def _short(runner: Runner) -> str:
    return runner.spec.name.removesuffix(":latest")
