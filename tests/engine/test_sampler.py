"""Which samplers a request gets (catalogue 3), in llama.cpp's order."""

from typing import Any

import pytest

from llmsite.engine.sampler import choose_parts, fold_seed
from llmsite.engine.wire import Sampling


@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param({}, ["top_k", "top_p", "temperature", "dist"], id="defaults"),
        pytest.param({"temperature": 0.0}, ["greedy"], id="temperature 0"),
        pytest.param({"temperature": -1.0}, ["greedy"], id="temperature -1"),
        pytest.param({"temperature": 0.0, "repeat_penalty": 1.1}, ["penalties", "greedy"], id="greedy with a penalty"),
        pytest.param({"top_k": 0, "top_p": 1.0, "temperature": 1.0}, ["dist"], id="all neutral"),
        pytest.param({"top_k": -1}, ["top_p", "temperature", "dist"], id="top_k -1"),
        pytest.param(
            {"repeat_penalty": 1.3, "repeat_last_n": 0}, ["top_k", "top_p", "temperature", "dist"], id="repeat_last_n 0"
        ),
        pytest.param(
            {"presence_penalty": 0.5, "typical_p": 0.9, "min_p": 0.1},
            ["penalties", "top_k", "typical_p", "top_p", "min_p", "temperature", "dist"],
            id="every part",
        ),
    ],
)
def test_neutral_parts_are_left_out(options: dict[str, Any], names: list[str]) -> None:
    assert [name for name, _ in choose_parts(Sampling(seed=1, **options), 100)] == names


@pytest.mark.parametrize(("last_n", "expected"), [(-1, 100), (64, 64), (1000, 100)])
def test_penalties_look_back_at_most_a_context(last_n: int, expected: int) -> None:
    parts = choose_parts(Sampling(repeat_penalty=1.1, repeat_last_n=last_n), 100)
    assert parts[0][1][0] == expected


def test_a_repeat_penalty_llama_cpp_does_not_know_is_none() -> None:
    parts = choose_parts(Sampling(repeat_penalty=-2, presence_penalty=1), 100)
    assert parts[0] == ("penalties", (64, 1.0, 0.0, 1))


def test_seeds_fit_into_32_bits_and_none_draws_by_itself() -> None:
    assert fold_seed(7) == 7
    assert fold_seed(2**32 - 1) == 0  # llama.cpp's word for "draw one"
    assert fold_seed(2**63 - 1) == fold_seed(2**63 - 1) < 2**32 - 1
    assert len({fold_seed(-1) for _ in range(8)}) > 1
