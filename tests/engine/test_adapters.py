"""LoRA adapters are applied to every sequence of a runner, with their scales."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.engine.known import ANSWERS, chat
from tests.engine.runner_harness import RunnerProcess, generate, load

pytestmark = pytest.mark.model

RANK = 4


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA of random numbers on the first block's query matrix: enough to confuse a tiny model."""
    path = tmp_path_factory.mktemp("lora") / "adapter.gguf"
    draw = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    writer.add_tensor("blk.0.attn_q.weight.lora_a", draw.normal(size=(RANK, 256)).astype(np.float32))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", draw.normal(size=(256, RANK)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def ask(adapters: tuple[tuple[str, float], ...]) -> str:
    with RunnerProcess(load(num_slots=1, adapters=adapters)) as runner:
        runner.start()
        return runner.ask(generate(1, chat("Hello"), num_predict=20))[0]


def test_an_adapter_changes_the_answer(adapter: Path) -> None:
    assert ask(((str(adapter), 1.0),)) != ANSWERS["Hello"]


def test_at_scale_0_the_answer_is_the_models_own(adapter: Path) -> None:
    assert ask(((str(adapter), 0.0),)) == ANSWERS["Hello"]
