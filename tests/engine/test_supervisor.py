"""The supervisor over real processes: queues, loads, deaths and goodbyes, with runners that have no model."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from llmsite.engine.devices import Device, Devices
from llmsite.engine.supervisor import Lease, Supervisor
from llmsite.engine.wire import Piece
from llmsite.types.chunk import Phase
from llmsite.types.errors import Busy, Canceled, LlmsiteError, LoadFailed, LoadTimeout, NotEnoughMemory, RunnerDied
from llmsite.types.limits import GIB, Limits
from llmsite.types.options import Options
from tests.engine.conftest import MakeSupervisor
from tests.engine.fake_effects import make_spec

PLAIN = make_spec("plain", model_path="/models/plain")
FOREVER = "n=100000 wait=0.002"


def scripted(words: str) -> Any:
    """A model whose runner behaves as these words say (`fake_runner.py`)."""
    return make_spec("scripted", model_path=f"/models/{words}")


async def write(lease: Lease, prompt: str = "n=3") -> str:
    """The text of one answer."""
    async with aclosing(lease.generate(prompt)) as events:
        return "".join([event.text async for event in events if isinstance(event, Piece)])


async def answer(supervisor: Supervisor, prompt: str = "n=3", spec: Any = PLAIN, **asked: Any) -> str:
    async with supervisor.lease(spec, asked.pop("options", Options()), **asked) as lease:
        return await write(lease, prompt)


async def begin(supervisor: Supervisor, spec: Any = PLAIN, **asked: Any) -> asyncio.Task[str]:
    """An answer without end, of which the first piece is there."""
    has_begun = asyncio.Event()

    async def read() -> str:
        text = ""
        async with (
            supervisor.lease(spec, Options(), **asked) as lease,
            aclosing(lease.generate(FOREVER)) as events,
        ):
            async for event in events:
                if isinstance(event, Piece):
                    text += event.text
                    has_begun.set()
        return text

    task = asyncio.ensure_future(read())
    waiting = asyncio.ensure_future(has_begun.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return task


async def give_up(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def pids(log: Path) -> list[int]:
    """Processes that have loaded, as the runners wrote them down."""
    return [int(line.split()[3]) for line in log.read_text().splitlines()]


def pid_of(supervisor: Supervisor) -> int:
    (child,) = supervisor._processes.values()
    return child.pid


async def test_it_loads_once_and_answers(make_supervisor: MakeSupervisor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    spec = scripted(f"log={str(log).replace('/', '+')}")
    supervisor = await make_supervisor()
    assert supervisor.running() == []
    assert await answer(supervisor, "n=3", spec) == "0 1 2 "
    assert await answer(supervisor, "n=2", spec) == "0 1 "
    assert len(pids(log)) == 1
    (model,) = supervisor.running()
    assert (model.name, model.size_bytes, model.num_ctx, model.num_slots) == ("scripted:latest", 123_456, 4096, 4)


async def test_a_lease_knows_its_model(make_supervisor: MakeSupervisor) -> None:
    supervisor = await make_supervisor()
    async with supervisor.lease(PLAIN, Options(num_ctx=100)) as lease:
        assert (lease.num_ctx, lease.adds_bos, lease.bos_text) == (100, True, "<s>")
        assert lease.load_ns > 0
        assert await lease.count_tokens(["a b", "c"]) == [2, 1]
        assert await lease.tokenize("a b c") == (0, 1, 2)
        assert await lease.detokenize([7, 8]) == "7 8"


class TestQueue:
    async def test_a_fifth_and_sixth_queue_and_answer(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor()
        answers = await asyncio.gather(*(answer(supervisor, f"n={number} wait=0.005") for number in range(1, 7)))
        assert [len(text.split()) for text in answers] == [1, 2, 3, 4, 5, 6]

    async def test_64_at_once_all_answer(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor()
        assert await asyncio.gather(*(answer(supervisor, "n=3") for _ in range(64))) == ["0 1 2 "] * 64

    async def test_with_max_queue_8_the_surplus_is_refused_at_once(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(max_queue=8)
        writing = [await begin(supervisor) for _ in range(4)]
        waiting = [asyncio.ensure_future(answer(supervisor)) for _ in range(8)]
        await asyncio.sleep(0)
        surplus = await asyncio.gather(*(answer(supervisor) for _ in range(20)), return_exceptions=True)
        assert {type(error) for error in surplus} == {Busy}
        assert str(surplus[0]) == "server busy, please try again.  maximum pending requests exceeded"
        assert not any(task.done() for task in (*writing, *waiting))
        await give_up(*writing)
        assert await asyncio.gather(*waiting) == ["0 1 2 "] * 8

    async def test_t85_a_greedy_user_does_not_keep_another_waiting(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(num_parallel=1)
        order: list[str] = []

        async def ask(user: str) -> None:
            await answer(supervisor, "n=2", user=user)
            order.append(user)

        async with supervisor.lease(PLAIN, Options(), user="alice"):
            tasks = [asyncio.ensure_future(ask("alice")) for _ in range(20)]
            await asyncio.sleep(0)
            tasks.append(asyncio.ensure_future(ask("bob")))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert order.index("bob") <= 2

    async def test_phases_tell_of_loading_and_places(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(num_parallel=1)
        phases: list[list[Phase]] = [[], [], []]
        spec = scripted("seconds=0.02")
        await asyncio.gather(*(answer(supervisor, "n=2", spec, on_phase=each.append) for each in phases))
        names = [[phase.name for phase in each] for each in phases]
        assert set(names[0]) == {"loading"}
        assert [phase.position for phase in phases[2] if phase.name == "queued"] == [1, 0]

    async def test_counting_tokens_needs_no_slot(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(num_parallel=1)
        writing = await begin(supervisor)
        async with supervisor.lease(PLAIN, Options(), needs_slot=False) as lease:
            assert await lease.count_tokens(["a b"]) == [2]
        await give_up(writing)


class TestLeaving:
    async def test_while_queued(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(num_parallel=1, max_queue=1)
        writing = await begin(supervisor)
        gone = asyncio.ensure_future(answer(supervisor))
        await asyncio.sleep(0)
        await give_up(gone)
        stays = asyncio.ensure_future(answer(supervisor))
        await asyncio.sleep(0)
        assert supervisor.running()[0].num_queued == 1
        await give_up(writing)
        assert await stays == "0 1 2 "

    async def test_while_loading_ends_the_load_when_nobody_else_waits(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor()
        is_loading = asyncio.Event()
        spec = scripted("end=hang")
        tasks = [
            asyncio.ensure_future(answer(supervisor, "n=1", spec, on_phase=lambda phase: phase.fraction and is_loading.set()))
            for _ in range(2)
        ]
        await is_loading.wait()
        pid = pid_of(supervisor)
        await give_up(tasks[0])
        assert supervisor.running()[0].is_loading
        await give_up(tasks[1])
        assert await answer(supervisor) == "0 1 2 "  # the next load begins when the hanging one is gone
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_before_the_process_has_even_started(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor()
        await supervisor.unload(PLAIN)  # the probe has answered
        task = asyncio.ensure_future(answer(supervisor))
        for _ in range(2):
            await asyncio.sleep(0)
        await give_up(task)
        assert await answer(supervisor) == "0 1 2 "

    async def test_while_generating_frees_the_slot(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(num_parallel=2)
        writing = [await begin(supervisor) for _ in range(2)]
        waiting = asyncio.ensure_future(answer(supervisor))
        await give_up(writing[0])
        assert await waiting == "0 1 2 "
        assert supervisor.running()[0].num_busy_slots == 1
        await give_up(writing[1])

    async def test_a_second_answer_of_a_lease_waits_for_the_end_of_the_first(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(num_parallel=1)
        async with supervisor.lease(PLAIN, Options()) as lease:
            async with aclosing(lease.generate(FOREVER)) as events:
                await anext(events)
            assert await write(lease, "n=2") == "0 1 "

    async def test_many_who_come_and_go_leave_nothing_behind(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(num_parallel=2)
        for turn in range(10):
            tasks = [asyncio.ensure_future(answer(supervisor, "n=50 wait=0.001")) for _ in range(6)]
            for _ in range(turn * 3):
                await asyncio.sleep(0.001)
            await give_up(*tasks)
        assert await asyncio.gather(*(answer(supervisor) for _ in range(4))) == ["0 1 2 "] * 4
        (model,) = supervisor.running()
        assert (model.num_busy_slots, model.num_queued) == (0, 0)


class TestDeath:
    async def test_f02_kill_9_ends_its_own_requests_and_the_next_loads_again(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(num_parallel=2)
        other = make_spec("other", model_path="/models/other")
        undisturbed = asyncio.ensure_future(answer(supervisor, "n=100 wait=0.002", other))
        writing = await begin(supervisor)
        waiting = asyncio.ensure_future(answer(supervisor, "n=2"))
        (pid,) = [child.pid for runner, child in supervisor._processes.items() if runner.spec is PLAIN]
        second = await begin(supervisor)
        os.kill(pid, signal.SIGKILL)
        for task in (writing, second):
            with pytest.raises(RunnerDied, match=r"^model runner has unexpectedly stopped"):
                await task
        assert await waiting == "0 1 "
        assert len((await undisturbed).split()) == 100
        assert await answer(supervisor) == "0 1 2 "

    async def test_it_can_die_again_and_again(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor()
        for _ in range(5):
            writing = await begin(supervisor)
            os.kill(pid_of(supervisor), signal.SIGKILL)
            with pytest.raises(RunnerDied):
                await writing

    async def test_a_lease_whose_runner_died_before_it_asked(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor()
        async with supervisor.lease(PLAIN, Options()) as lease:
            os.kill(pid_of(supervisor), signal.SIGKILL)
            with pytest.raises(RunnerDied):
                await write(lease)
        assert await answer(supervisor) == "0 1 2 "

    async def test_f03_a_hanging_runner_is_replaced(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(limits=Limits(stall_seconds=0.5))
        with pytest.raises(RunnerDied, match="no sign of life"):
            await answer(supervisor, "n=1 end=hang")
        assert await answer(supervisor) == "0 1 2 "

    @pytest.mark.parametrize("end", ["foreign", "huge", "garbage", "late", "flood"])
    async def test_f41_a_lying_runner_is_replaced(self, make_supervisor: MakeSupervisor, end: str) -> None:
        supervisor = await make_supervisor()
        writing = await begin(supervisor)
        lying = asyncio.ensure_future(answer(supervisor, f"n=1 end={end}"))
        with pytest.raises(RunnerDied, match="broke the protocol"):
            await writing
        await asyncio.gather(lying, return_exceptions=True)
        assert await answer(supervisor) == "0 1 2 "


class TestLoad:
    @pytest.mark.parametrize(
        ("words", "error"),
        [("end=exit", LoadFailed), ("end=refuse", LoadFailed), ("end=memory", NotEnoughMemory), ("end=kill", NotEnoughMemory)],
    )
    async def test_f04_all_who_wait_hear_of_it(
        self, make_supervisor: MakeSupervisor, words: str, error: type[LlmsiteError]
    ) -> None:
        supervisor = await make_supervisor()
        spec = scripted(words)
        heard = await asyncio.gather(*(answer(supervisor, "n=1", spec) for _ in range(3)), return_exceptions=True)
        assert {type(each) for each in heard} == {error}
        assert supervisor.running() == []
        assert await answer(supervisor) == "0 1 2 "

    async def test_f04_no_more_than_three_starts(self, make_supervisor: MakeSupervisor, tmp_path: Path) -> None:
        log = tmp_path / "log"
        supervisor = await make_supervisor()
        spec = scripted(f"end=exit,log={str(log).replace('/', '+')}")
        for _ in range(6):
            with pytest.raises(LoadFailed):
                await answer(supervisor, "n=1", spec)
        assert len(pids(log)) == 3
        with pytest.raises(LoadFailed, match="failed to start 3 times in a row and is not tried again for 10 min"):
            await answer(supervisor, "n=1", spec)

    async def test_f05_out_of_memory_is_tried_again_smaller(self, make_supervisor: MakeSupervisor, tmp_path: Path) -> None:
        log = tmp_path / "log"
        supervisor = await make_supervisor()
        spec = scripted(f"end=kill,times=1,log={str(log).replace('/', '+')}")
        assert await answer(supervisor, "n=1", spec) == "0 "
        assert [line.split()[0] for line in log.read_text().splitlines()] == ["4", "1"]

    async def test_no_progress(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(load_timeout_seconds=0.3)
        with pytest.raises(LoadTimeout, match=r"^timed out waiting for llama-server to start - loading"):
            await answer(supervisor, "n=1", scripted("end=hang"))

    async def test_f38_no_process_can_be_started(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(command=("/nonexistent",))
        for _ in range(5):  # never the model's fault
            with pytest.raises(Busy):
                await answer(supervisor)

    async def test_another_num_ctx_reloads_when_the_old_one_is_free(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor()
        writing = await begin(supervisor)
        larger = asyncio.ensure_future(answer(supervisor, options=Options(num_ctx=8192)))
        await asyncio.sleep(0.05)
        assert not larger.done()
        await give_up(writing)
        assert await larger == "0 1 2 "
        assert supervisor.running()[0].num_ctx == 8192

    async def test_a_model_makes_room_for_another(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(max_loaded_models=1)
        assert await answer(supervisor) == "0 1 2 "
        assert await answer(supervisor, "n=1", scripted("other")) == "0 "
        assert [model.name for model in supervisor.running()] == ["scripted:latest"]


class TestGpu:
    async def test_layers_go_there_and_its_memory_is_looked_at_again_when_a_model_left(
        self, make_supervisor: MakeSupervisor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free = [24 * GIB, 20 * GIB, 23 * GIB]

        async def one_gpu(_: object) -> Devices:
            return Devices((Device("CUDA0", "Fake", "CUDA", "gpu", free.pop(0), 24 * GIB),))

        monkeypatch.setattr("llmsite.engine.supervisor.probe", one_gpu)
        supervisor = await make_supervisor()
        await answer(supervisor)
        (model,) = supervisor.running()
        assert (model.size_vram_bytes, model.num_ctx) == (11_000, 8192)  # 32768 by its 24 GiB, trained on 8192
        taken = supervisor._scheduler.runners[0].placement.vram_bytes
        assert supervisor.free_memory().gpu_free_bytes == (24 * GIB - taken,)
        await supervisor.unload(PLAIN)
        await answer(supervisor, "n=1", scripted("other"))  # loaded only once the memory was looked at
        assert supervisor.free_memory().gpu_free_bytes == (20 * GIB - taken,)
        assert free == [23 * GIB]


class TestKeepAlive:
    async def test_zero_unloads_when_idle(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor()
        await answer(supervisor, keep_alive=0)
        child = next(iter(supervisor._processes.values()), None)
        if child is not None:
            await child.stop()
        assert supervisor.running() == []

    async def test_the_timer_unloads(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(keep_alive_seconds=0.1)
        await answer(supervisor)
        assert len(supervisor.running()) == 1
        child = next(iter(supervisor._processes.values()))
        async with asyncio.timeout(20):
            await asyncio.shield(child._life)
        assert supervisor.running() == []

    async def test_unload_waits_for_an_idle_model_to_go(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(keep_alive_seconds=float("inf"))
        await answer(supervisor)
        pid = pid_of(supervisor)
        await supervisor.unload(PLAIN)
        assert supervisor.running() == []
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_unload_of_a_busy_model_returns_at_once_and_lets_it_finish(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor()
        async with supervisor.lease(PLAIN, Options()) as lease:
            await supervisor.unload(PLAIN)
            assert await write(lease) == "0 1 2 "
            (model,) = supervisor.running()
        await supervisor.unload(PLAIN)
        assert supervisor.running() == []
        assert model.num_busy_slots == 1


class TestStop:
    async def test_it_ends_all_processes_and_all_who_wait(self, make_supervisor: MakeSupervisor) -> None:
        supervisor = await make_supervisor(num_parallel=1)
        writing = await begin(supervisor)
        queued = asyncio.ensure_future(answer(supervisor))
        loading = asyncio.ensure_future(answer(supervisor, "n=1", scripted("end=hang")))
        while len(supervisor._processes) < 2:  # noqa: ASYNC110 (no event says so)
            await asyncio.sleep(0.001)
        children = list(supervisor._processes.values())
        await supervisor.stop()
        for task in (writing, queued, loading):
            with pytest.raises(Canceled):
                await task
        assert all(child._process.returncode is not None for child in children if child.is_started)
        with pytest.raises(Canceled, match="the server is shutting down"):
            await answer(supervisor)
