"""Prefix reuse on models whose memory cannot be cut anywhere: recurrent ones and sliding windows. A cold runner is the judge."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.runner_harness import RunnerProcess, generate, load
from tests.engine.tiny_models import WINDOW, write_recurrent, write_windowed

pytestmark = pytest.mark.model

BASE = "one two three four five six seven eight nine ten\n" * 8
OTHERS = [f"{number} is another " + "prompt word " * 30 for number in range(5)]


@pytest.fixture(scope="module", params=[write_recurrent, write_windowed], ids=["recurrent", "windowed"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    write: Callable[[Path], Path] = request.param
    return write(tmp_path_factory.mktemp("model") / f"{write.__name__}.gguf")


def cold(path: Path, prompt: str) -> str:
    with RunnerProcess(load(model_path=str(path), num_slots=1)) as fresh:
        fresh.start()
        return fresh.ask(generate(1, prompt, num_predict=30))[0]


def test_what_a_slot_holds_whole_is_reused_exactly(path: Path) -> None:
    with RunnerProcess(load(model_path=str(path))) as runner:
        runner.start()
        _, first = runner.ask(generate(1, BASE, num_predict=1))
        text, done = runner.ask(generate(2, BASE + "eleven", num_predict=30))
        assert done.num_cached == first.num_prompt
        assert text == cold(path, BASE + "eleven")


def test_what_moved_to_host_memory_is_reused_exactly(path: Path) -> None:
    with RunnerProcess(load(model_path=str(path), prefix_cache_bytes=64 << 20)) as runner:
        runner.start()
        _, first = runner.ask(generate(1, BASE, num_predict=1))
        for number, prompt in enumerate(OTHERS, 2):
            runner.ask(generate(number, prompt, num_predict=2))
        text, done = runner.ask(generate(20, BASE + "eleven", num_predict=30))
        assert done.num_cached == first.num_prompt
        assert text == cold(path, BASE + "eleven")


def test_a_beginning_that_cannot_be_cut_out_is_read_again_and_exact(path: Path) -> None:
    fork = BASE[: len(BASE) // 2] + "something else"
    with RunnerProcess(load(model_path=str(path), num_batch=32)) as runner:
        runner.start()
        runner.ask(generate(1, BASE * 4, num_predict=60))
        text, done = runner.ask(generate(2, fork, num_predict=30))
        assert done.num_prompt > 2 * WINDOW
        assert done.num_cached < 8
        assert text == cold(path, fork)


def test_many_together_answer_as_alone(path: Path) -> None:
    with RunnerProcess(load(model_path=str(path))) as runner:
        runner.start()
        runner.send(*(generate(number, prompt, num_predict=30) for number, prompt in enumerate(OTHERS, 1)))
        runner.finish(1, 2, 3, 4, 5)
        assert [runner.text(number) for number in range(1, 6)] == [cold(path, prompt) for prompt in OTHERS]


def test_a_full_context_ends_or_goes_on_but_never_breaks(path: Path) -> None:
    with RunnerProcess(load(model_path=str(path))) as runner:
        runner.start()
        _, done = runner.ask(generate(1, OTHERS[0][:80], num_predict=200, num_ctx=64))
        assert done.reason == "length"
        text, _ = runner.ask(generate(2, OTHERS[1], num_predict=30))
        assert text == cold(path, OTHERS[1])
