"""The handle on one runner: what becomes of loads and requests when it is slow, dies, hangs or lies (threats F02 to F05, F41)."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from llmsite.engine import process, wire
from llmsite.engine.endings import DIED
from llmsite.engine.mailbox import Mailbox, Reply
from llmsite.engine.process import RunnerProcess
from llmsite.types.errors import (
    Busy,
    Canceled,
    EngineError,
    LlmsiteError,
    LoadFailed,
    LoadTimeout,
    NotEnoughMemory,
    PromptTooLong,
    RequestTooLarge,
    RunnerDied,
)
from llmsite.types.limits import Limits
from tests.engine.conftest import FAKE_RUNNER


@dataclass
class Runner:
    """A process and what it was heard to say."""

    process: RunnerProcess
    endings: list[str] = field(default_factory=list)
    fractions: list[float] = field(default_factory=list)
    is_loading: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self, words: str = "plain", stall_seconds: float = 30.0) -> wire.Ready:
        return await self.process.load(wire.Load(f"/models/{words}", 4096, 4), stall_seconds, self._on_progress)

    def _on_progress(self, fraction: float) -> None:
        self.fractions.append(fraction)
        self.is_loading.set()

    async def generate(self, prompt: str) -> Mailbox:
        return await self.process.generate(wire.Generate(0, prompt, 4096), 1000, lambda: self.endings.append("freed"))

    async def answer(self, prompt: str) -> str:
        """The text of an answer read to its end."""
        return "".join([event.text for event in await read(await self.generate(prompt)) if isinstance(event, wire.Piece)])


async def read(box: Mailbox) -> list[Reply]:
    """All events of a request."""
    events = [await box.get()]
    while not isinstance(events[-1], wire.Done):
        events.append(await box.get())
    return events


@pytest.fixture
async def runner(request: pytest.FixtureRequest) -> AsyncIterator[Runner]:
    """A started runner; parametrize indirectly with other `Limits`."""
    endings: list[str] = []
    limits = getattr(request, "param", Limits())
    child = RunnerProcess(limits, "fake:latest", lambda: endings.append("ending"), lambda: endings.append("ended"))
    await child.start(FAKE_RUNNER)
    yield Runner(child, endings)
    await child.stop()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class TestLoad:
    async def test_progress_then_ready(self, runner: Runner) -> None:
        ready = await runner.load("seconds=0.05")
        assert (ready.num_slots, ready.bos_text, ready.memory_bytes) == (4, "<s>", 123_456)
        assert runner.fractions == [tenth / 10 for tenth in range(10)]

    @pytest.mark.parametrize(
        ("end", "error", "text"),
        [
            ("kill", NotEnoughMemory, "model requires more system memory than is available: its process was killed"),
            ("segv", LoadFailed, "the model could not be loaded: it ended by SIGSEGV"),
            ("exit", LoadFailed, "the model could not be loaded: it ended with code 3: something is wrong with me"),
            ("silent", LoadFailed, "the model could not be loaded: it ended with code 0"),
            ("memory", NotEnoughMemory, "no memory for this"),
            ("refuse", LoadFailed, "unknown architecture: this model may be incompatible with your version of Ollama. "),
            ("figures", LoadFailed, "the model could not be loaded: it reported impossible figures"),
            ("garbage", LoadFailed, "the model could not be loaded: it broke the protocol: a frame cannot be read"),
            ("huge", LoadFailed, "the model could not be loaded: it broke the protocol: a frame of 4194305 bytes exceeds"),
        ],
    )
    async def test_f04_it_dies_or_refuses(self, runner: Runner, end: str, error: type[LlmsiteError], text: str) -> None:
        with pytest.raises(error) as caught:
            await runner.load(f"end={end}")
        assert str(caught.value).startswith(text)
        assert not is_running(runner.process.pid)
        assert runner.process.was_killed == (end == "kill")

    async def test_a_refused_file_names_the_pull_that_may_help(self, runner: Runner) -> None:
        with pytest.raises(LoadFailed, match=r"try updating it by running `ollama pull fake:latest`$"):
            await runner.load("end=refuse")

    async def test_no_progress_is_a_timeout_with_the_last_line_of_its_log(self, runner: Runner) -> None:
        with pytest.raises(LoadTimeout, match=r"^timed out waiting for llama-server to start - loading /models/end=hang$"):
            await runner.load("end=hang", stall_seconds=0.3)
        assert not is_running(runner.process.pid)

    async def test_progress_resets_the_timeout(self, runner: Runner) -> None:
        await runner.load("seconds=1.5", stall_seconds=0.75)  # ten steps of 0.15 s

    async def test_f03_a_stopped_process_is_found(self, runner: Runner) -> None:
        os.kill(runner.process.pid, signal.SIGSTOP)
        with pytest.raises(LoadTimeout):
            await runner.load(stall_seconds=0.3)
        assert not is_running(runner.process.pid)

    async def test_f38_no_process_can_be_started(self) -> None:
        child = RunnerProcess(Limits(), "fake", lambda: None, lambda: None)
        with pytest.raises(Busy, match="server busy, please try again"):
            await child.start(("/nonexistent/runner",))

    async def test_it_inherits_one_descriptor_and_no_secrets(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LLMSITE_SECRET", "canary")
        report = tmp_path / "report"
        program = f"""
import os, sys, json
names = [int(name) for name in os.listdir("/proc/self/fd")]
kinds = {{fd: os.readlink(f"/proc/self/fd/{{fd}}") for fd in names if os.path.exists(f"/proc/self/fd/{{fd}}")}}
open({str(report)!r}, "w").write(json.dumps([dict(os.environ), kinds, os.getsid(0) == os.getpid(), os.getcwd()]))
"""
        child = RunnerProcess(Limits(), "fake", lambda: None, lambda: None)
        await child.start((sys.executable, "-c", program), {"EXTRA": "1"})
        with pytest.raises(LoadFailed):
            await child.load(wire.Load("/m", 1, 1), 30, lambda _: None)
        environ, descriptors, is_own_session, folder = wire.msgspec.json.decode(report.read_bytes())
        assert "canary" not in environ.values()
        assert environ["EXTRA"] == "1"
        assert sum(target.startswith("socket:") for target in descriptors.values()) == 1
        assert not any("sqlite" in target for target in descriptors.values())
        assert is_own_session
        assert folder == "/"


class TestAnswers:
    async def test_events_in_order(self, runner: Runner) -> None:
        await runner.load()
        events = await read(await runner.generate("n=3"))
        assert [type(event).__name__ for event in events] == ["Started", "Piece", "Piece", "Piece", "Done"]
        assert runner.endings == ["freed"]

    async def test_several_at_once(self, runner: Runner) -> None:
        await runner.load()
        answers = await asyncio.gather(*(runner.answer(f"n={number}") for number in (1, 2, 3, 4)))
        assert answers == ["0 ", "0 1 ", "0 1 2 ", "0 1 2 3 "]

    async def test_a_refused_request_ends_alone(self, runner: Runner) -> None:
        await runner.load()
        with pytest.raises(PromptTooLong, match="too long"):
            await runner.answer("n=1 end=fail")
        assert await runner.answer("n=1") == "0 "

    async def test_cancel_frees_the_slot_when_the_runner_has_dropped_it(self, runner: Runner) -> None:
        await runner.load()
        box = await runner.generate("n=100000 wait=0.001")
        assert isinstance(await box.get(), wire.Started)
        runner.process.cancel(box)
        runner.process.cancel(box)
        assert runner.endings == []
        assert await runner.answer("n=1") == "0 "
        assert runner.endings == ["freed", "freed"]

    async def test_tokens_and_text(self, runner: Runner) -> None:
        await runner.load()
        assert (await runner.process.tokenize(("a b", "c"), counts_only=True)).counts == (2, 1)
        assert (await runner.process.tokenize(("a b",), counts_only=False)).tokens == ((0, 1),)
        assert await runner.process.detokenize((4, 5)) == "4 5"

    async def test_a_question_whose_asker_left_is_answered_to_nobody(self, runner: Runner) -> None:
        await runner.load()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await runner.process.detokenize((1,))
        assert await runner.process.detokenize((2,)) == "2"

    @pytest.mark.parametrize("runner", [Limits(frame_down_bytes=1000)], indirect=True)
    async def test_a_command_beyond_the_frame_limit_is_refused(self, runner: Runner) -> None:
        await runner.load()
        with pytest.raises(RequestTooLarge):
            await runner.generate("n=1 " + "x" * 2000)
        assert await runner.answer("n=1") == "0 "

    async def test_a_large_prompt_waits_for_a_runner_that_is_slow_to_read(self, runner: Runner) -> None:
        await runner.load()
        answers = await asyncio.gather(*(runner.answer("n=1 " + "x" * 4_000_000) for _ in range(4)))
        assert answers == ["0 "] * 4


class TestDeath:
    async def test_f02_killed_in_mid_answer(self, runner: Runner) -> None:
        await runner.load()
        boxes = [await runner.generate("n=100000 wait=0.001") for _ in range(3)]
        asking = asyncio.ensure_future(read(boxes[0]))
        await boxes[1].get()
        os.kill(runner.process.pid, signal.SIGKILL)
        with pytest.raises(RunnerDied) as caught:
            await asking
        assert str(caught.value) == f"{DIED}: it was killed (SIGKILL), most likely because memory ran out"
        for box in boxes[1:]:
            with pytest.raises(RunnerDied):
                await read(box)
        assert runner.endings == ["ending", "ended", "freed", "freed", "freed"]
        with pytest.raises(RunnerDied):
            await runner.generate("n=1")
        with pytest.raises(RunnerDied):
            await runner.process.detokenize((1,))

    @pytest.mark.parametrize(
        ("end", "why"),
        [
            ("exit", "it ended with code 3: something is wrong with me"),
            ("segv", "it ended by SIGSEGV: loading /models/plain"),
            pytest.param("huge", "it broke the protocol: a frame of 4194305 bytes exceeds the limit of 4194304", id="F41 huge"),
            pytest.param("garbage", "it broke the protocol: a frame cannot be read: ", id="F41 bad JSON, no UTF-8"),
            pytest.param("foreign", "it broke the protocol: the runner spoke of request 1002, which does not run", id="F41 id"),
            pytest.param("late", "it broke the protocol: the runner spoke of request 2, which does not run", id="F41 after stop"),
            pytest.param("reason", "it broke the protocol: the runner ended an answer with impossible figures", id="F41 reason"),
            pytest.param("flood", "it broke the protocol: the runner sent more text than it was asked for", id="F41 flood"),
        ],
    )
    async def test_it_says_why(self, runner: Runner, end: str, why: str) -> None:
        await runner.load()
        other = await runner.generate("n=100000 wait=0.01")
        await runner.generate(f"n=1 end={end}")
        with pytest.raises(RunnerDied) as caught:
            await read(other)
        assert str(caught.value).startswith(f"{DIED}: {why}")
        assert not is_running(runner.process.pid)

    async def test_f03_a_silent_runner_with_work_is_killed(self) -> None:
        child = RunnerProcess(Limits(stall_seconds=0.4), "fake", lambda: None, lambda: None)
        await child.start(FAKE_RUNNER)
        runner = Runner(child)
        await runner.load()
        with pytest.raises(RunnerDied, match=r"it gave no sign of life for 0\.4 s$"):
            await runner.answer("n=1 end=hang")
        assert not is_running(child.pid)

    @pytest.mark.parametrize("runner", [Limits(stall_seconds=1.2)], indirect=True)
    async def test_f03_a_slow_runner_that_still_writes_is_left_alone(self, runner: Runner) -> None:
        await runner.load()
        assert await runner.answer("n=8 wait=0.2") == "0 1 2 3 4 5 6 7 "

    @pytest.mark.parametrize("runner", [Limits(stall_seconds=0.2)], indirect=True)
    async def test_a_silent_runner_without_work_is_left_alone(self, runner: Runner) -> None:
        await runner.load()
        assert await runner.answer("n=1") == "0 "
        await asyncio.sleep(0.5)
        assert await runner.answer("n=1") == "0 "

    async def test_a_runner_that_closes_its_stream_is_ended(self, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "END_SECONDS", 0.2)
        await runner.load()
        with pytest.raises(RunnerDied, match="it ended by SIGTERM"):
            await runner.answer("n=1 end=close")


class TestStop:
    async def test_it_leaves_at_the_end_of_its_stream(self, runner: Runner) -> None:
        await runner.load()
        box = await runner.generate("n=100000 wait=0.001")
        await runner.process.stop()
        assert not is_running(runner.process.pid)
        with pytest.raises(Canceled):
            await read(box)

    async def test_one_that_ignores_everything_is_killed(self, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "END_SECONDS", 0.2)
        await runner.load("deaf=1")
        await asyncio.gather(runner.process.stop(), runner.process.stop())
        assert not is_running(runner.process.pid)

    async def test_a_stopped_one_is_killed(self, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "END_SECONDS", 0.2)
        await runner.load()
        os.kill(runner.process.pid, signal.SIGSTOP)
        await runner.process.stop()
        assert not is_running(runner.process.pid)

    async def test_stopping_during_a_load_ends_the_load(self, runner: Runner) -> None:
        loading = asyncio.ensure_future(runner.load("end=hang"))
        await runner.is_loading.wait()
        await runner.process.stop()
        with pytest.raises(EngineError, match="it was no longer wanted"):
            await loading
        assert not is_running(runner.process.pid)


async def test_its_log_lines_are_cut_and_cleaned(caplog: pytest.LogCaptureFixture) -> None:
    program = r"import sys; sys.stderr.buffer.write(b'A' * 100_000 + b'\n\x1b[31mred\xff\nlast words'); sys.exit(9)"
    child = RunnerProcess(Limits(), "fake", lambda: None, lambda: None)
    with caplog.at_level(logging.INFO, logger="llmsite.engine.process"):
        await child.start((sys.executable, "-c", program))
        with pytest.raises(LoadFailed, match=r"it ended with code 9: last words$"):
            await child.load(wire.Load("/m", 1, 1), 30, lambda _: None)
    lines = [record.getMessage() for record in caplog.records]
    assert all(len(line) < 2200 for line in lines)
    assert f"runner {child.pid}: [31mred\ufffd" in lines
