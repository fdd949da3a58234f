"""Scheduler: which models are loaded, who sits in their slots and who waits (catalogue 12). Decides on plain facts.

It starts no process, reads no clock and no memory: what is to be done goes to `Effects`, time is an argument (seconds of a
steady clock), and whatever happens comes back as a call of an `on_…` method. One event loop owns it.

At most one runner lives per `Weights`; requests that need other load options wait until it is free and then replace it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, Protocol

from llmsite.engine import memory
from llmsite.engine.memory import MemoryNow, Placement
from llmsite.engine.quarantine import Quarantine
from llmsite.engine.seating import Runner, Ticket
from llmsite.engine.spec import ModelSpec, SupervisorConfig, Weights
from llmsite.engine.turns import Turns
from llmsite.types.chunk import Phase, RunningModel
from llmsite.types.duration import FOREVER
from llmsite.types.errors import Busy, LlmsiteError, LoadFailed, NotEnoughMemory
from llmsite.types.limits import GIB

BUSY: Final = "server busy, please try again.  maximum pending requests exceeded"


class Effects(Protocol):
    """What the scheduler has done for it. None of these blocks; loading and unloading are answered by `on_…` calls later."""

    def load_runner(self, runner: Runner) -> None:
        """Start a process for this runner: `on_loading`, then `on_ready` or `on_load_failed`."""

    def unload_runner(self, runner: Runner) -> None:
        """End its process, whatever it is doing; only `on_stopped` follows."""

    def grant(self, ticket: Ticket) -> None:
        """The ticket has a slot of `ticket.runner`; the asker gives it back by `on_release`."""

    def refuse(self, ticket: Ticket, error: LlmsiteError) -> None:
        """The ticket is dropped."""

    def report(self, ticket: Ticket, phase: Phase) -> None:
        """Something to tell the asker while it waits."""

    def free_memory(self) -> MemoryNow:
        """What is free now."""
        ...


@dataclass(frozen=True, slots=True)
class _Retry:
    """A load that ran out of memory gets one more chance: with fewer layers on GPUs, else (None) alone on the machine."""

    weights: Weights
    most_gpu_layers: int | None


class Scheduler:
    """All requests and runners of one machine."""

    def __init__(self, config: SupervisorConfig, effects: Effects) -> None:
        self._config = config
        self._effects = effects
        self._gpu_bytes: Sequence[int] = ()
        self._numbers = count(1)
        self._waiting: list[Ticket] = []
        self._runners: list[Runner] = []
        self._turns: Turns[Weights] = Turns()
        self._quarantine = Quarantine(config.limits.runner_starts)
        self._retry: _Retry | None = None

    def set_gpus(self, gpu_bytes: Sequence[int]) -> None:
        """Sizes of this machine's GPUs, in llama.cpp's order."""
        self._gpu_bytes = gpu_bytes

    # requests

    def on_request(self, now: float, ticket: Ticket) -> None:
        """Somebody wants a slot: granted at once, refused at once, or waiting from here on."""
        ticket.number = next(self._numbers)
        ticket.ctx_choices = memory.choose_ctx(ticket.spec, ticket.options, self._config, sum(self._gpu_bytes))
        # 1. a model that keeps failing is not tried for a while
        error = self._aside(now, ticket.spec)
        if error is not None:
            self._effects.refuse(ticket, error)
            return
        # 2. a free slot: whoever waits for this runner would have it already
        runner = next((each for each in self._runners if each.has_room(ticket) and self._serves(each, ticket)), None)
        if runner is not None:
            self._seat(ticket, runner)
            return
        # 3. every request without a slot counts, loaded model or not
        if self._is_full(ticket.user):
            self._effects.refuse(ticket, Busy(BUSY))
            return
        # 4. wait
        ticket.turn = self._turns.join(ticket.spec.weights, ticket.user)
        self._waiting.append(ticket)
        self._start_loads(now)
        self._report()

    def on_cancel(self, now: float, ticket: Ticket) -> None:
        """The asker went away while waiting. A load that nobody else waits for is given up."""
        if ticket not in self._waiting:
            return
        self._drop(ticket)
        for runner in self._runners:
            if runner.leaves_for is ticket:
                runner.leaves_for = None
            if runner.state == "loading" and not any(self._suits(runner, each) for each in self._waiting):
                self._unload(runner)
        self._advance(now)

    def on_release(self, now: float, ticket: Ticket) -> None:
        """A slot is free again."""
        runner, ticket.runner = ticket.runner, None
        if runner is None:
            return
        runner.seated.remove(ticket)
        if not runner.seated:
            runner.expires_at = now + runner.keep_alive
        self._advance(now)

    def on_unload(self, now: float, weights: Weights) -> list[Runner]:
        """The model is to go at once; whoever came before is still served. Returns the runners that will end."""
        named = [runner for runner in self._runners if runner.spec.weights == weights]
        for runner in named:
            runner.keep_alive = 0.0
            if runner.state == "ready":
                runner.told_at, runner.expires_at = next(self._numbers), now
        self._advance(now)
        return named

    def refuse_all(self, error: LlmsiteError) -> None:
        """Nobody waits any longer: the server ends."""
        self._refuse(list(self._waiting), error)

    # runners

    def on_loading(self, runner: Runner, fraction: float) -> None:
        """Progress, 0 to 1."""
        runner.fraction = fraction
        self._report()

    def on_ready(self, now: float, runner: Runner, *, num_slots: int, size_bytes: int, vram_bytes: int) -> None:
        """The model is loaded."""
        runner.state, runner.fraction = "ready", 1.0
        runner.num_slots, runner.size_bytes, runner.vram_bytes = num_slots, size_bytes, vram_bytes
        runner.expires_at = now + runner.keep_alive
        self._retry = None
        self._quarantine.forget(runner.spec.weights)
        self._advance(now)

    def on_load_failed(self, now: float, runner: Runner, error: LlmsiteError, *, is_fault: bool) -> None:
        """The process is gone. `NotEnoughMemory` is tried once more; any other error goes to all who waited for it.

        `is_fault`: the model is to blame; after `Limits.runner_starts` such failures it is put aside.
        """
        self._runners.remove(runner)
        if is_fault:
            self._quarantine.add(runner.spec.weights, now)
        retry = self._next_try(runner) if isinstance(error, NotEnoughMemory) else None
        self._retry = retry
        if retry is None:
            self._refuse([each for each in self._waiting if self._suits(runner, each)], error)
        self._advance(now)

    def on_ending(self, runner: Runner) -> None:
        """The process is about to be gone without having been told: nobody is seated there from now on; `on_stopped` follows."""
        runner.state = "stopping"

    def on_stopped(self, now: float, runner: Runner) -> None:
        """The process has ended, as told or by itself; its requests know already."""
        self._runners.remove(runner)
        for ticket in runner.seated:
            ticket.runner = None
        self._advance(now)

    # time

    def on_tick(self, now: float) -> None:
        """A deadline of `next_wake` has come."""
        self._advance(now)

    def next_wake(self) -> float | None:
        """When `on_tick` is due; None: not before something else happens."""
        return min((each.expires_at for each in self._runners if each.is_idle and each.expires_at < FOREVER), default=None)

    # facts

    @property
    def runners(self) -> list[Runner]:
        """All that have a process, or will soon."""
        return list(self._runners)

    def running(self, now: float, wall: float) -> list[RunningModel]:
        """What is loaded, latest expiry first. `wall` is `now` in seconds since 1970."""
        queued = Counter(ticket.spec.weights for ticket in self._waiting)
        models = [runner.describe(now, wall, queued[runner.spec.weights]) for runner in self._runners]
        return sorted(models, key=lambda model: -model.expires_at)

    # who fits where

    def _suits(self, runner: Runner, ticket: Ticket) -> bool:
        return runner.suits(ticket, has_gpus=bool(self._gpu_bytes))

    def _serves(self, runner: Runner, ticket: Ticket) -> bool:
        return runner.admits(ticket) and self._suits(runner, ticket)

    def _is_full(self, user: str) -> bool:
        """`queue_per_user` binds named users, not the anonymous caller on this machine."""
        if len(self._waiting) >= max(1, self._config.max_queue):
            return True
        return user != "" and sum(each.user == user for each in self._waiting) >= self._config.limits.queue_per_user

    def _order(self) -> Callable[[Ticket], tuple[int, int, int]]:
        """Sort key of who comes first: by turn, then who has fewer seats of the model, then who came first."""
        seats = Counter((run.spec.weights, each.user) for run in self._runners for each in run.seated)
        return lambda ticket: (ticket.turn, seats[ticket.spec.weights, ticket.user], ticket.number)

    def _aside(self, now: float, spec: ModelSpec) -> LoadFailed | None:
        seconds = self._quarantine.seconds_left(spec.weights, now)
        if not seconds:
            return None
        return LoadFailed(
            f"the model '{spec.name}' failed to start {self._config.limits.runner_starts} times in a row and is not tried "
            f"again for {max(1, round(seconds / 60))} min; the server log says why"
        )

    # decisions

    def _advance(self, now: float) -> None:
        """Do whatever has become possible."""
        # 1. seats
        for runner in self._runners:
            self._fill(runner)
        # 2. what is idle and old, told to go or in somebody's way ends
        for runner in self._runners:
            if runner.is_idle and (runner.is_leaving or runner.expires_at <= now):
                self._unload(runner)
        # 3. the next load
        self._start_loads(now)
        # 4. tell whoever still waits
        self._report()

    def _fill(self, runner: Runner) -> None:
        while waiting := [each for each in self._waiting if runner.has_room(each) and self._serves(runner, each)]:
            ticket = min(waiting, key=self._order())
            self._turns.reach(ticket.spec.weights, ticket.turn)
            self._drop(ticket)
            self._seat(ticket, runner)

    def _start_loads(self, now: float) -> None:
        while self._start_next(now):
            pass

    def _start_next(self, now: float) -> bool:
        """One step towards the next load. True when a request was refused, so that the one behind it has its chance."""
        # 1. one load at a time, in order of arrival; a process that is ending gives its memory back first
        if any(runner.state != "ready" for runner in self._runners):
            return False
        ticket = next((each for each in self._waiting if not any(self._serves(run, each) for run in self._runners)), None)
        if ticket is None or any(runner.leaves_for is ticket for runner in self._runners):
            return False
        # 2. it may have failed too often while this one waited
        error: LlmsiteError | None = self._aside(now, ticket.spec)
        if error is not None:
            return self._refuse([ticket], error)
        # 3. what would not fit on an empty machine sends nobody away
        free = self._effects.free_memory().without_overhead(self._config.gpu_overhead_bytes)
        empty = free.without(runner.placement for runner in self._runners)
        if self._place_tightly(ticket, empty) is None:
            return self._refuse([ticket], self._no_memory(ticket, empty))
        # 4. who has to leave first, for the same model, the count or the memory
        placement = self._place(ticket, free)
        victim = self._victim(ticket, free, fits=placement is not None)
        if victim is not None:
            victim.leaves_for = ticket
            if victim.is_idle:
                self._unload(victim)
            return False
        # 5. nobody is left to send away: as well as it fits
        placement = placement or self._place_tightly(ticket, free)
        if placement is None:
            return self._refuse([ticket], self._no_memory(ticket, free))
        self._load(ticket, placement)
        return False

    def _victim(self, ticket: Ticket, free: MemoryNow, *, fits: bool) -> Runner | None:
        """Who leaves for this ticket's model: the same model with other options, else the shortest keep-alive, idle first."""
        for runner in self._runners:
            if runner.spec.weights == ticket.spec.weights:
                return runner
        most = self._config.max_loaded_models or 3 * max(1, len(free.gpu_free_bytes))
        if self._retry is not None and self._is_retry(ticket):
            fits = self._retry.most_gpu_layers is not None  # with fewer layers on GPUs beside the others, or else alone
        if fits and len(self._runners) < most:
            return None
        for group in ([each for each in self._runners if each.is_idle], [each for each in self._runners if each.is_leaving]):
            if group:
                return min(group, key=_by_keep_alive)
        return min(self._runners, key=_by_keep_alive, default=None)

    def _place(self, ticket: Ticket, free: MemoryNow) -> Placement | None:
        """A comfortable place; None as well when this is the second try after one ran out of memory."""
        if self._is_retry(ticket):
            return None
        shapes = memory.choose_shapes(ticket.spec, ticket.options, self._config, ticket.ctx_choices)
        return memory.place(ticket.spec, ticket.options, shapes, free, is_spread=self._config.is_spread)

    def _place_tightly(self, ticket: Ticket, free: MemoryNow) -> Placement | None:
        shapes = memory.choose_shapes(ticket.spec, ticket.options, self._config, ticket.ctx_choices)
        layers = self._retry.most_gpu_layers if self._retry and self._is_retry(ticket) else None
        return memory.place_tightly(ticket.spec, ticket.options, shapes, free, most_gpu_layers=layers)

    def _is_retry(self, ticket: Ticket) -> bool:
        return self._retry is not None and self._retry.weights == ticket.spec.weights

    def _next_try(self, runner: Runner) -> _Retry | None:
        """How to try again after a load ran out of memory; None when this was the second try or nothing can be done."""
        if self._retry is not None and self._retry.weights == runner.spec.weights:
            return None
        if runner.placement.num_gpu_layers:
            return _Retry(runner.spec.weights, runner.placement.num_gpu_layers * 3 // 4)
        shapes = memory.choose_shapes(runner.spec, runner.options, self._config, runner.ctx_choices)
        can_shrink = shapes[-1] != runner.placement.shape
        return _Retry(runner.spec.weights, None) if can_shrink or self._runners else None

    def _no_memory(self, ticket: Ticket, free: MemoryNow) -> NotEnoughMemory:
        shapes = memory.choose_shapes(ticket.spec, ticket.options, self._config, ticket.ctx_choices)
        needed = memory.least_bytes(ticket.spec, ticket.options, shapes, free)
        there = free.host_free_bytes + sum(free.gpu_free_bytes)
        return NotEnoughMemory(
            f"model requires more system memory ({needed / GIB:.1f} GiB) than is available ({there / GIB:.1f} GiB); "
            f"try a smaller num_ctx than {shapes[-1].num_ctx}, or a smaller model"
        )

    def _load(self, ticket: Ticket, placement: Placement) -> None:
        keep_alive = self._config.keep_alive_seconds if ticket.keep_alive is None else ticket.keep_alive
        runner = Runner(
            ticket.spec,
            ticket.options,
            placement,
            keep_alive,
            ctx_choices=ticket.ctx_choices,
            size_bytes=placement.size_bytes,
            vram_bytes=placement.vram_bytes,
            num_slots=placement.shape.num_slots,
        )
        self._runners.append(runner)
        self._effects.load_runner(runner)

    def _unload(self, runner: Runner) -> None:
        if runner.state != "stopping":
            runner.state = "stopping"
            self._effects.unload_runner(runner)

    def _seat(self, ticket: Ticket, runner: Runner) -> None:
        ticket.runner = runner
        runner.seated.add(ticket)
        runner.spec = ticket.spec
        if ticket.keep_alive is not None and runner.told_at is None:
            runner.keep_alive = ticket.keep_alive
        self._effects.grant(ticket)

    def _refuse(self, tickets: list[Ticket], error: LlmsiteError) -> bool:
        """Always True."""
        for ticket in tickets:
            self._drop(ticket)
            self._effects.refuse(ticket, error)
        return True

    def _drop(self, ticket: Ticket) -> None:
        """It waits no longer."""
        self._waiting.remove(ticket)
        if not any(each.spec.weights == ticket.spec.weights for each in self._waiting):
            self._turns.forget(ticket.spec.weights)

    def _report(self) -> None:
        """What has changed for those who wait: how many of the same model are ahead, or how far it is loaded."""
        loading = next((runner for runner in self._runners if runner.state == "loading"), None)
        ahead: Counter[Weights] = Counter()
        for ticket in sorted(self._waiting, key=self._order()):
            if loading is not None and self._suits(loading, ticket):
                phase = Phase("loading", fraction=loading.fraction)
            else:
                phase = Phase("queued", position=ahead[ticket.spec.weights])
            ahead[ticket.spec.weights] += 1
            if phase != ticket.phase:
                ticket.phase = phase
                self._effects.report(ticket, phase)


def _by_keep_alive(runner: Runner) -> tuple[float, str]:
    """The shortest keep-alive goes first, then the path decides (catalogue 12)."""
    return runner.keep_alive, runner.spec.model_path
