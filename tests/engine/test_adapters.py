"""LoRA adapters are applied to every sequence of a runner, with their scales, and disturb nobody who does not ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from llmsite.engine.memory import MemoryNow, Shape, place
from llmsite.engine.spec import ModelSpec, SupervisorConfig
from llmsite.engine.supervisor import Supervisor
from llmsite.engine.wire import Done, Piece, Sampling
from llmsite.types.errors import EngineError, LoadFailed
from llmsite.types.options import Options
from tests.engine.known import ANSWERS, chat
from tests.engine.runner_harness import RunnerProcess, generate, load
from tests.engine.test_supervised_model import make_starter

pytestmark = pytest.mark.model

RANK = 4
WIDTH = 256
NAME = "sha256-" + "a" * 64
QUERY = "blk.0.attn_q.weight"


def write_adapter(
    path: Path,
    architecture: str = "llama",
    name: str = QUERY,
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((RANK, WIDTH), (WIDTH, RANK)),
    halves: str = "ab",
    invocation_tokens: list[int] | None = None,
    **changes: str,
) -> Path:
    """A LoRA of random numbers: enough to confuse a tiny model."""
    draw = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, architecture)
    fields = {"general.type": "adapter", "adapter.type": "lora"} | {key.replace("_", "."): text for key, text in changes.items()}
    for key, text in fields.items():
        writer.add_string(key, text)
    writer.add_float32("adapter.lora.alpha", float(RANK))
    if invocation_tokens:
        kinds = gguf.GGUFValueType
        writer.add_key_value("adapter.alora.invocation_tokens", invocation_tokens, kinds.ARRAY, kinds.UINT32)
    for half, shape in zip("ab", shapes, strict=True):
        if half in halves:
            writer.add_tensor(f"{name}.lora_{half}", draw.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On the first block's query matrix."""
    return write_adapter(tmp_path_factory.mktemp("lora") / NAME)


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(SupervisorConfig())
    await supervisor.start()
    yield supervisor
    await supervisor.stop()


def adapted(path: Path, name: str = "adapted:latest", scale: float = 1.0) -> ModelSpec:
    return replace(make_starter(), name=name, digest="e" * 64, adapters=((str(path), scale),), extra_bytes=path.stat().st_size)


async def ask(supervisor: Supervisor, spec: ModelSpec, prompt: str = chat("Hello")) -> tuple[str, int]:
    """The answer, and how many of the prompt's tokens were in a cache."""
    text, num_cached = "", -1
    async with (
        supervisor.lease(spec, Options(num_thread=1)) as lease,
        aclosing(lease.generate(prompt, sampling=Sampling(temperature=0), num_predict=20)) as events,
    ):
        async for event in events:
            if isinstance(event, Piece):
                text += event.text
            elif isinstance(event, Done):
                num_cached = event.num_cached
    return text, num_cached


async def test_both_names_are_loaded_and_neither_disturbs_the_other(supervisor: Supervisor, adapter: Path) -> None:
    base, with_adapter = make_starter(), adapted(adapter)
    right, num_cached = await ask(supervisor, base)
    assert (right, num_cached) == (ANSWERS["Hello"], 0)
    changed, num_cached = await ask(supervisor, with_adapter)
    assert changed != right
    assert num_cached == 0, "a prefix was read with other weights"
    assert sorted(model.name for model in supervisor.running()) == ["adapted:latest", "starter:latest"]
    again = [await ask(supervisor, spec) for spec in (base, with_adapter, base)]
    assert [text for text, _ in again] == [right, changed, right]
    assert all(num_cached > 0 for _, num_cached in again)


async def test_two_names_with_the_same_adapter_share_a_runner_and_another_scale_does_not(
    supervisor: Supervisor, adapter: Path
) -> None:
    changed, _ = await ask(supervisor, adapted(adapter))
    text, num_cached = await ask(supervisor, adapted(adapter, "other:latest"))
    assert text == changed
    assert num_cached > 0
    text, num_cached = await ask(supervisor, adapted(adapter, "none:latest", scale=0.0))
    assert (text, num_cached) == (ANSWERS["Hello"], 0)


def test_what_an_adapter_takes_is_counted_on_the_host(adapter: Path) -> None:
    with RunnerProcess(load(num_slots=1)) as plain, RunnerProcess(load(num_slots=1, adapters=((str(adapter), 1.0),))) as other:
        without, ready = plain.start(), other.start()
    assert (ready.backend, ready.vram_bytes) == ("cpu", 0)
    assert 4 * 2 * RANK * WIDTH <= ready.memory_bytes - without.memory_bytes < 100_000


def test_the_estimate_counts_it_too(adapter: Path) -> None:
    shapes, memory = [Shape(1024, 1, 512)], MemoryNow(1 << 40)
    base, other = (place(spec, Options(), shapes, memory) for spec in (make_starter(), adapted(adapter)))
    assert base is not None
    assert other is not None
    assert other.host_bytes - base.host_bytes == adapter.stat().st_size


WRONG: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another architecture": (lambda path: write_adapter(path, "qwen2"), "model arch and LoRA arch mismatch"),
    "another width": (
        lambda path: write_adapter(path, shapes=((RANK, 128), (WIDTH, RANK))),
        "has incorrect shape (hint: maybe wrong base model?)",
    ),
    "a tensor that the model has not": (
        lambda path: write_adapter(path, name="blk.9.attn_q.weight"),
        "does not exist in base model (hint: maybe wrong base model?)",
    ),
    "half a pair": (lambda path: write_adapter(path, halves="a"), "is missing one component"),
    "a model": (lambda path: write_adapter(path, general_type="model"), "expect general.type to be 'adapter'"),
    "no LoRA": (lambda path: write_adapter(path, adapter_type="dora"), "expect adapter.type to be 'lora'"),
    "no GGUF": (lambda path: path.write_bytes(b"GGUF" * 100) and path, "failed to load lora adapter from file"),
}


async def test_F04_a_wrong_adapter_is_named_and_costs_only_its_own_load(supervisor: Supervisor, tmp_path: Path) -> None:
    assert (await ask(supervisor, make_starter()))[0] == ANSWERS["Hello"]
    for number, (case, (write, problem)) in enumerate(WRONG.items()):
        name = f"sha256-{number:064}"
        with pytest.raises(EngineError) as caught:
            await ask(supervisor, adapted(write(tmp_path / name)))
        message = str(caught.value)
        assert message.startswith(f"the model could not be loaded: its adapter {name} cannot be applied: "), case
        assert problem in message, case
        assert str(tmp_path) not in message, case
    text, num_cached = await ask(supervisor, make_starter())
    assert text == ANSWERS["Hello"]
    assert num_cached > 0, "the model was unloaded"


async def test_F04_a_wrong_adapter_does_not_put_the_model_aside(supervisor: Supervisor, tmp_path: Path) -> None:
    wrong = adapted(write_adapter(tmp_path / NAME, "qwen2"))
    for _ in range(3):
        with pytest.raises(EngineError, match="arch mismatch"):
            await ask(supervisor, wrong)
    with pytest.raises(LoadFailed, match="'adapted:latest' failed to start 3 times in a row and is not tried again"):
        await ask(supervisor, wrong)
    assert (await ask(supervisor, make_starter()))[0] == ANSWERS["Hello"]


def test_an_adapter_for_some_tokens_only_is_refused(tmp_path: Path) -> None:
    """One that is to be applied behind certain words only (aLoRA); on every token it would answer nonsense."""
    path = write_adapter(tmp_path / NAME, invocation_tokens=[1, 2])
    with RunnerProcess(load(num_slots=1, adapters=((str(path), 1.0),))) as runner:
        runner.finish(0)
        assert "adapters that only some tokens activate are not supported" in runner.failed(0).message


def test_at_scale_0_the_answer_is_the_models_own(adapter: Path) -> None:
    with RunnerProcess(load(num_slots=1, adapters=((str(adapter), 0.0),))) as runner:
        runner.start()
        assert runner.ask(generate(1, chat("Hello"), num_predict=20))[0] == ANSWERS["Hello"]
