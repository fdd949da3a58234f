"""Supervisor: carries out the scheduler's decisions; owns the runner processes and the timers of this machine.

One event loop owns it; nothing here blocks or polls.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from llmsite import sandbox
from llmsite.engine import process, wire
from llmsite.engine.devices import Devices, host_free_bytes, probe
from llmsite.engine.lease import Lease
from llmsite.engine.mailbox import Reply
from llmsite.engine.memory import MemoryNow
from llmsite.engine.process import RunnerProcess
from llmsite.engine.scheduler import Scheduler
from llmsite.engine.seating import Runner, Ticket
from llmsite.engine.spec import ModelSpec, SupervisorConfig
from llmsite.types.chunk import Phase, RunningModel
from llmsite.types.errors import Busy, Canceled, LlmsiteError, LoadFailed, NotEnoughMemory
from llmsite.types.limits import GIB
from llmsite.types.options import Options

__all__ = ["Lease", "ModelSpec", "Reply", "Supervisor", "SupervisorConfig"]

logger = logging.getLogger(__name__)

_MOST_PREFIX_CACHE: Final = 8 * GIB


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who waits for a ticket: the future it awaits and where it wants to hear of phases."""

    granted: asyncio.Future[None]
    on_phase: Callable[[Phase], None]


class Supervisor:
    """All runners of this machine. `command` starts one (a fake one in tests)."""

    def __init__(self, config: SupervisorConfig, *, command: tuple[str, ...] = process.COMMAND) -> None:
        self._config = config
        self._command = command
        self._scheduler = Scheduler(config, self)
        self._devices = Devices()
        self._loaded_since_probe: list[Runner] = []
        self._askers: dict[Ticket, _Asker] = {}
        self._processes: dict[Runner, RunnerProcess] = {}
        self._readies: dict[Runner, wire.Ready] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._prefix_cache_bytes = config.limits.prefix_cache_bytes or min(_MOST_PREFIX_CACHE, host_free_bytes() // 8)

    @property
    def devices(self) -> Devices:
        """What the probe found; empty until it has answered."""
        return self._devices

    async def start(self) -> None:
        """Begin to look for devices; returns at once."""
        self._loop = asyncio.get_running_loop()
        self._probing = self._spawn(self._probe())

    async def stop(self) -> None:
        """End all runners and refuse whoever waits. Takes at most as long as one runner may take to end."""
        self._is_stopping = True
        self._scheduler.refuse_all(Canceled("the server is shutting down"))
        if self._timer is not None:
            self._timer.cancel()
        self._probing.cancel()
        await asyncio.gather(*(each.stop() for each in list(self._processes.values()) if each.is_started))
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def running(self) -> list[RunningModel]:
        """What is loaded or loading, latest expiry first."""
        return self._scheduler.running(self._loop.time(), time.time())

    async def unload(self, spec: ModelSpec) -> None:
        """Let the model go at once; running requests finish first, and this does not wait for them."""
        leaving = self._scheduler.on_unload(self._loop.time(), spec.weights)
        self._set_timer()
        stopping = [self._processes[each] for each in leaving if each.state == "stopping" and each in self._processes]
        await asyncio.gather(*(each.stop() for each in stopping if each.is_started))

    @asynccontextmanager
    async def lease(
        self,
        spec: ModelSpec,
        options: Options,
        *,
        keep_alive: float | None = None,
        user: str = "",
        on_phase: Callable[[Phase], None] = lambda _: None,
        needs_slot: bool = True,
    ) -> AsyncGenerator[Lease, None]:
        """A slot of this model, loaded if need be. Cancelling the task that waits leaves the queue.

        Without `needs_slot` the lease may count tokens but not generate, and waits for no slot.
        Raises `Busy`, `LoadFailed`, `LoadTimeout`, `NotEnoughMemory`, `Canceled`.
        """
        started = time.perf_counter_ns()
        if not self._probing.done():
            await asyncio.wait([self._probing])
        ticket = Ticket(spec, options, keep_alive, user, needs_slot)
        await self._ask(ticket, on_phase)
        runner = ticket.runner
        if runner is None:  # it died between the grant and this line
            raise Canceled("the model was unloaded; please retry")
        lease = Lease(
            self._processes[runner],
            self._readies[runner],
            runner.effective_ctx(ticket),
            time.perf_counter_ns() - started,
            lambda: self._release(ticket),
        )
        try:
            yield lease
        finally:
            lease.leave()

    async def _ask(self, ticket: Ticket, on_phase: Callable[[Phase], None]) -> None:
        """Wait for a seat. Raises why there is none."""
        if self._is_stopping:
            raise Canceled("the server is shutting down")
        asker = _Asker(self._loop.create_future(), on_phase)
        self._askers[ticket] = asker
        self._scheduler.on_request(self._loop.time(), ticket)
        self._set_timer()
        try:
            await asker.granted
        except BaseException:
            self._scheduler.on_cancel(self._loop.time(), ticket)
            self._release(ticket)
            raise
        finally:
            del self._askers[ticket]

    def _release(self, ticket: Ticket) -> None:
        self._scheduler.on_release(self._loop.time(), ticket)
        self._set_timer()

    # what the scheduler has done: its `Effects`, called by nobody else

    def load_runner(self, runner: Runner) -> None:
        self._spawn(self._load(runner))

    def unload_runner(self, runner: Runner) -> None:
        self._spawn(self._unload(runner))

    def grant(self, ticket: Ticket) -> None:
        asker = self._askers[ticket]
        if not asker.granted.done():
            asker.granted.set_result(None)

    def refuse(self, ticket: Ticket, error: LlmsiteError) -> None:
        asker = self._askers[ticket]
        if not asker.granted.done():
            asker.granted.set_exception(error)

    def report(self, ticket: Ticket, phase: Phase) -> None:
        self._askers[ticket].on_phase(phase)

    def free_memory(self) -> MemoryNow:
        free = MemoryNow(host_free_bytes(), tuple(each.free_bytes for each in self._devices.gpus))
        taken = MemoryNow(0, (0,) * len(free.gpu_free_bytes)).without(each.placement for each in self._loaded_since_probe)
        gpus = tuple(max(0, all_ - ours) for all_, ours in zip(free.gpu_free_bytes, taken.gpu_free_bytes, strict=True))
        return MemoryNow(free.host_free_bytes, gpus)

    # processes

    async def _probe(self) -> None:
        self._devices = await probe(self._config.environ)
        self._loaded_since_probe.clear()
        self._scheduler.set_gpus([each.total_bytes for each in self._devices.gpus])
        logger.info("models run on %s", self._devices.summary)
        if self._devices.unused_gpu:
            logger.warning("%s", self._devices.unused_gpu)
        if not self._devices.gpus and not sandbox.is_available():
            logger.warning("this kernel has no Landlock: the process of a model can open files beyond the model's own")

    async def _load(self, runner: Runner) -> None:
        """Start a process and load the model into it."""
        limits, stall = self._config.limits, self._config.load_timeout_seconds
        child = RunnerProcess(limits, runner.spec.name, lambda: self._on_ending(runner), lambda: self._on_ended(runner))
        self._processes[runner] = child
        try:
            await child.start(self._command, self._config.environ)
            if self._is_stopping or not runner.is_wanted():  # nobody waits for it any longer
                await child.stop()
                return
            ready = await child.load(self._frame(runner), stall, lambda part: self._scheduler.on_loading(runner, part))
        except LlmsiteError as error:
            self._on_load_failed(runner, child, error)
            return
        except Exception:
            logger.exception("loading %s failed", runner.spec.name)
            self._on_load_failed(runner, child, LoadFailed("the model could not be loaded; the server log says why"))
            return
        if not runner.is_wanted():
            return
        self._readies[runner] = ready
        if ready.vram_bytes:
            self._loaded_since_probe.append(runner)
        self._scheduler.on_ready(
            self._loop.time(),
            runner,
            num_slots=ready.num_slots,
            size_bytes=ready.memory_bytes or runner.size_bytes,
            vram_bytes=ready.vram_bytes,
        )
        self._set_timer()

    def _on_load_failed(self, runner: Runner, child: RunnerProcess, error: LlmsiteError) -> None:
        """`on_ended` did nothing for a runner that was loading; one that was being stopped it has reported already."""
        logger.error("%s could not be loaded: %s", runner.spec.name, error)
        if runner.state == "stopping":
            if not child.is_started:
                self._forget(runner)
            return
        self._processes.pop(runner, None)
        is_fault = not isinstance(error, Busy | NotEnoughMemory) or child.was_killed
        self._scheduler.on_load_failed(self._loop.time(), runner, error, is_fault=is_fault)
        self._set_timer()

    async def _unload(self, runner: Runner) -> None:
        child = self._processes.get(runner)
        if child is not None and child.is_started:
            await child.stop()

    def _on_ending(self, runner: Runner) -> None:
        if runner.state == "ready":
            self._scheduler.on_ending(runner)

    def _on_ended(self, runner: Runner) -> None:
        """The process is gone. On a GPU the memory comes back a little later, so look there first."""
        if runner.state == "loading":
            return
        if self._devices.gpus and not self._is_stopping:
            self._spawn(self._forget_after_probe(runner))
        else:
            self._forget(runner)

    async def _forget_after_probe(self, runner: Runner) -> None:
        await self._probe()
        self._forget(runner)

    def _forget(self, runner: Runner) -> None:
        self._processes.pop(runner, None)
        self._readies.pop(runner, None)
        self._scheduler.on_stopped(self._loop.time(), runner)
        self._set_timer()

    def _frame(self, runner: Runner) -> wire.Load:
        """The first command. Without GPUs weights are read rather than mapped, unless asked (catalogue 3, use_mmap)."""
        spec, options, config = runner.spec, runner.options, self._config
        placement, shape = runner.placement, runner.placement.shape
        return wire.Load(
            model_path=spec.model_path,
            num_ctx=shape.num_ctx,
            num_slots=shape.num_slots,
            num_batch=shape.num_batch,
            num_threads=options.num_thread,
            num_gpu_layers=placement.num_gpu_layers,
            main_gpu=options.main_gpu,
            tensor_split=() if options.main_gpu is not None else placement.tensor_split,
            use_mmap=placement.num_gpu_layers > 0 if options.use_mmap is None else options.use_mmap,
            adapters=spec.adapters,
            projector_path=spec.projector_path,
            kv_cache_type=config.kv_cache_type,
            flash_attention=config.flash_attention,
            prefix_cache_bytes=self._prefix_cache_bytes,
            prefix_sharing=config.prefix_sharing,
            is_confined=not self._devices.gpus,  # drivers open files of their own, whenever they like
        )

    # tasks and timers

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that belongs to no request: in an empty context, or it would keep the request's thread."""
        task = self._loop.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the supervisor failed", exc_info=error)

    def _set_timer(self) -> None:
        """The clock's part: one timer for the earliest deadline."""
        if self._timer is not None:
            self._timer.cancel()
        when = None if self._is_stopping else self._scheduler.next_wake()
        self._timer = None if when is None else self._loop.call_at(when, self._tick, context=contextvars.Context())

    def _tick(self) -> None:
        self._scheduler.on_tick(self._loop.time())
        self._set_timer()
