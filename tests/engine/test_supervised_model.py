"""The supervisor over real runners with the starter model: known answers, deaths, and no orphans (threats F02, F06)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from llmsite.engine.spec import ModelSpec, SupervisorConfig
from llmsite.engine.supervisor import Supervisor
from llmsite.engine.wire import Piece, Sampling
from llmsite.store.gguf import gather_facts, read_header
from llmsite.types.chunk import ModelDetails
from llmsite.types.errors import LoadFailed, RunnerDied
from llmsite.types.limits import Limits
from llmsite.types.options import Options
from tests.engine.known import ANSWERS, RAMBLING, STARTER, chat

pytestmark = pytest.mark.model

PATH = Path(__file__).parents[2] / STARTER
OPTIONS = Options(num_thread=1)

PARENT = """
import asyncio, sys
from tests.engine.test_supervised_model import begin, make_starter
from llmsite.engine.supervisor import Supervisor, SupervisorConfig

async def main():
    supervisor = Supervisor(SupervisorConfig())
    await supervisor.start()
    await begin(supervisor, make_starter())
    (child,) = supervisor._processes.values()
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def make_starter(path: Path = PATH) -> ModelSpec:
    with PATH.open("rb") as file:
        facts = gather_facts(read_header(file, PATH.stat().st_size, Limits()))
    return ModelSpec("starter:latest", "d" * 64, ModelDetails(), str(path), facts)


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(SupervisorConfig())
    await supervisor.start()
    yield supervisor
    await supervisor.stop()


async def answer(supervisor: Supervisor, question: str, spec: ModelSpec | None = None) -> str:
    async with (
        supervisor.lease(spec or make_starter(), OPTIONS) as lease,
        aclosing(lease.generate(chat(question), sampling=Sampling(temperature=0), num_predict=100)) as events,
    ):
        return "".join([event.text async for event in events if isinstance(event, Piece)])


async def begin(supervisor: Supervisor, spec: ModelSpec) -> asyncio.Task[None]:
    """An answer that does not end by itself, of which the first piece is there."""
    has_begun = asyncio.Event()

    async def read() -> None:
        async with (
            supervisor.lease(spec, OPTIONS) as lease,
            aclosing(lease.generate(RAMBLING, sampling=Sampling(temperature=0))) as events,
        ):
            async for event in events:
                if isinstance(event, Piece):
                    has_begun.set()

    task = asyncio.ensure_future(read())
    await has_begun.wait()
    return task


async def test_more_than_there_are_slots_ask_and_each_hears_its_own_answer(supervisor: Supervisor) -> None:
    answers = await asyncio.gather(*(answer(supervisor, question) for question in ANSWERS))
    assert dict(zip(ANSWERS, answers, strict=True)) == ANSWERS
    (model,) = supervisor.running()
    assert model.num_ctx == 1024
    assert 20_000_000 < model.size_bytes < 200_000_000


async def test_f02_kill_9_in_mid_answer_and_the_next_is_answered(supervisor: Supervisor) -> None:
    for _ in range(3):
        writing = await begin(supervisor, make_starter())
        (child,) = supervisor._processes.values()
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(RunnerDied):
            await writing
        assert await answer(supervisor, "Hello") == ANSWERS["Hello"]


async def test_leaving_in_mid_answer_frees_the_slot(supervisor: Supervisor) -> None:
    writing = [await begin(supervisor, make_starter()) for _ in range(4)]
    waiting = asyncio.ensure_future(answer(supervisor, "Hello"))
    writing[0].cancel()
    assert await waiting == ANSWERS["Hello"]
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)


async def test_tokens_there_and_back(supervisor: Supervisor) -> None:
    async with supervisor.lease(make_starter(), OPTIONS, needs_slot=False) as lease:
        tokens = await lease.tokenize("Hello 你好")
        assert await lease.count_tokens(["Hello 你好"]) == [len(tokens)]
        assert await lease.detokenize(tokens) == "Hello 你好"


async def test_a_file_that_is_no_model(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(PATH.read_bytes()[:100_000])
    for path in (tmp_path / "broken.gguf", tmp_path / "missing.gguf"):
        with pytest.raises(LoadFailed):
            await answer(supervisor, "Hello", make_starter(path))
    assert await answer(supervisor, "Hello") == ANSWERS["Hello"]


async def test_f06_no_runner_outlives_its_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, cwd=PATH.parents[2]
    )
    assert parent.stdout is not None
    runner = psutil.Process(int(await parent.stdout.readline()))
    assert "llmsite.engine.runner" in runner.cmdline()
    parent.kill()
    await parent.wait()
    assert await asyncio.to_thread(psutil.wait_procs, [runner], 5) == ([runner], [])
