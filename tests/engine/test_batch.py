"""How many prompt tokens a step takes, and who gets them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsite.engine.batch import LONGEST_ALONE_SECONDS, LONGEST_SECONDS, MIN_CHUNK, PLAIN_STEPS, StepCosts, share_budget


def learned(plain: float, per_token: float) -> StepCosts:
    costs = StepCosts()
    for _ in range(20):
        costs.learn(3, 0, plain)
        costs.learn(3, 64, plain + 64 * per_token)
    return costs


def test_alone_a_prompt_takes_the_whole_batch() -> None:
    assert learned(0.033, 0.0057).prompt_budget(0, 512) == 512


def test_beside_writers_reading_keeps_to_the_time_budget() -> None:
    budget = learned(0.033, 0.0057).prompt_budget(3, 512)
    assert MIN_CHUNK <= budget <= LONGEST_SECONDS / 0.0057
    assert budget * 0.0057 > LONGEST_SECONDS / 2


def test_a_quick_machine_stays_smooth() -> None:
    budget = learned(0.002, 0.0001).prompt_budget(3, 2048)
    assert budget * 0.0001 <= PLAIN_STEPS * 0.002 * 1.01


def test_a_slow_machine_still_reads() -> None:
    assert learned(0.5, 0.07).prompt_budget(3, 512) == MIN_CHUNK


@pytest.mark.parametrize("num_writers", [0, 1])
def test_before_anything_is_known_chunks_are_short(num_writers: int) -> None:
    assert StepCosts().prompt_budget(num_writers, 512) == MIN_CHUNK


def test_a_huge_model_gives_signs_of_life_while_it_reads_alone() -> None:
    budget = learned(2, 1).prompt_budget(0, 512)
    assert budget == MIN_CHUNK
    assert learned(2, 0.2).prompt_budget(0, 512) == pytest.approx(LONGEST_ALONE_SECONDS / 0.2, rel=0.05)


def test_a_batch_never_overflows() -> None:
    assert learned(0.033, 1e-9).prompt_budget(8, 32) == 24
    assert learned(0.033, 1e-9).prompt_budget(32, 32) == 0


def test_costs_follow_the_machine() -> None:
    costs = learned(0.01, 0.001)
    for _ in range(30):
        costs.learn(3, 64, 0.01 + 64 * 0.004)
    assert costs.prompt_token_seconds == pytest.approx(0.004, rel=0.05)


def test_a_prompt_read_alone_teaches_without_a_plain_step() -> None:
    costs = StepCosts()
    costs.learn(0, 512, 2.56)
    assert costs.prompt_token_seconds == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("remaining", "budget", "expected"),
    [
        pytest.param([1000], 44, [44], id="one reader takes all"),
        pytest.param([10], 44, [10], id="no more than it needs"),
        pytest.param([1000, 20, 30], 44, [22, 20, 2], id="earliest has half, then the shortest"),
        pytest.param([1000, 5], 44, [39, 5], id="what is left goes back to the earliest"),
        pytest.param([5, 1000], 44, [5, 39], id="a short earliest leaves the rest"),
        pytest.param([32] * 8, 512, [32] * 8, id="all fit"),
        pytest.param([10, 10], 0, [0, 0], id="no budget"),
        pytest.param([], 44, [], id="nobody"),
    ],
)
def test_the_budget_is_shared(remaining: list[int], budget: int, expected: list[int]) -> None:
    assert share_budget(remaining, budget) == expected


@given(st.lists(st.integers(1, 2000), max_size=8), st.integers(0, 600))
def test_shares_never_exceed_budget_or_need_and_waste_nothing(remaining: list[int], budget: int) -> None:
    shares = share_budget(remaining, budget)
    assert sum(shares) == min(budget, sum(remaining))
    assert all(0 <= share <= need for share, need in zip(shares, remaining, strict=True))
