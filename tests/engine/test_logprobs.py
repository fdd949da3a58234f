"""Log-softmax of raw logits, against the definition."""

import ctypes
import math
import random

import pytest

from llmsite.engine.llama import lib
from llmsite.engine.logprobs import LogprobReader


@pytest.fixture
def reader() -> LogprobReader:
    lib.llama_backend_init()
    return LogprobReader(5000)


def test_values_are_the_log_softmax_and_the_best_come_first(reader: LogprobReader) -> None:
    draw = random.Random(3)
    for _ in range(3):  # the arrays are used again
        values = [draw.gauss(0, 4) for _ in range(5000)]
        logits = (ctypes.c_float * 5000)(*values)
        norm = math.log(math.fsum(math.exp(value) for value in logits))
        ranked = sorted(range(5000), key=lambda token: -logits[token])
        chosen, top = reader.read(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), ranked[9], 3)
        assert chosen == pytest.approx(logits[ranked[9]] - norm, abs=1e-4)
        assert [token for token, _ in top] == ranked[:3]
        assert [value for _, value in top] == pytest.approx([logits[token] - norm for token in ranked[:3]], abs=1e-4)


def test_the_chosen_token_alone(reader: LogprobReader) -> None:
    logits = (ctypes.c_float * 5000)(*([0.0] * 5000))
    assert reader.read(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), 7, 0) == (
        pytest.approx(-math.log(5000), abs=1e-4),
        [],
    )
