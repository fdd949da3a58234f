"""Limits of a request: how its prompt is cut (catalogue 5.5), how long its answer may be (catalogue 3), why it ends."""

from typing import Any

import pytest

from llmsite.engine.sequence import keep_count, make_sequence
from llmsite.engine.wire import Generate
from llmsite.types.errors import PromptTooLong


def request(**changes: Any) -> Generate:
    return Generate(**({"id": 1, "prompt": "", "num_ctx": 0} | changes))


@pytest.mark.parametrize(
    ("num_keep", "num_prompt", "num_ctx", "adds_bos", "expected"),
    [
        pytest.param(4, 100, 64, False, 4, id="num_keep"),
        pytest.param(4, 100, 64, True, 5, id="BOS on top"),
        pytest.param(-1, 40, 64, False, 40, id="below 0 the whole prompt"),
        pytest.param(-1, 100, 64, False, 60, id="four cells stay free"),
        pytest.param(500, 100, 64, True, 60, id="more than the context"),
        pytest.param(4, 2, 64, False, 2, id="more than the prompt"),
        pytest.param(0, 100, 64, False, 0, id="nothing"),
    ],
)
def test_tokens_kept_at_the_front(num_keep: int, num_prompt: int, num_ctx: int, adds_bos: bool, expected: int) -> None:
    assert keep_count(num_keep, num_prompt, num_ctx, adds_bos) == expected


@pytest.mark.parametrize(
    ("num_prompt", "num_ctx", "num_keep", "total"),
    [
        pytest.param(3009, 512, 4, 512 - 254, id="cat 5.5: half of the rest"),
        pytest.param(512, 512, 4, 512 - 254, id="as long as the context"),
        pytest.param(600, 512, 508, 510, id="hardly anything may go"),
        pytest.param(100, 4, 0, 2, id="the smallest context"),
    ],
)
def test_a_long_prompt_loses_its_middle(num_prompt: int, num_ctx: int, num_keep: int, total: int) -> None:
    tokens = list(range(num_prompt))
    prompt = make_sequence(request(num_keep=num_keep), tokens, num_ctx, False).prompt
    assert len(prompt) == total
    assert prompt[:num_keep] == tokens[:num_keep]
    assert prompt[num_keep:] == tokens[len(tokens) - (total - num_keep) :]


def test_a_prompt_that_fits_is_left_alone() -> None:
    tokens = list(range(511))
    assert make_sequence(request(), tokens, 512, False).prompt == tokens


@pytest.mark.parametrize("flags", [{"truncate": False}, {"shift": False}, {"truncate": False, "shift": False}])
def test_a_long_prompt_is_refused_when_it_may_not_be_cut(flags: dict[str, bool]) -> None:
    with pytest.raises(PromptTooLong, match="longer than the context length currently available"):
        make_sequence(request(**flags), list(range(512)), 512, False)


@pytest.mark.parametrize(
    ("asked", "loaded", "expected"), [(0, 512, 512), (100, 512, 100), (1000, 512, 512), (1, 512, 4), (-5, 512, 512)]
)
def test_a_request_may_ask_for_less_context_than_is_loaded(asked: int, loaded: int, expected: int) -> None:
    assert make_sequence(request(num_ctx=asked), [1, 2], loaded, False).num_ctx == expected


@pytest.mark.parametrize(
    ("num_predict", "expected"),
    [(5, 5), (0, 5120), (-1, 5120), (-2, 5120), (10**9, 5120)],
    ids=lambda each: f"num_predict={each}",
)
def test_answers_are_bounded_at_ten_contexts(num_predict: int, expected: int) -> None:
    assert make_sequence(request(num_predict=num_predict), [1], 512, False).num_predict == expected


def answer(sequence: Any, *tokens: tuple[int, bytes, bool]) -> str:
    return "".join(sequence.take(*token, now_ns=10) for token in tokens)


def test_an_end_token_counts_and_shows_nothing() -> None:
    sequence = make_sequence(request(want_context=True), [1, 2], 512, False)
    assert answer(sequence, (5, b"Hi", False), (3062, b"<end>", True)) == "Hi"
    assert (sequence.reason, sequence.num_generated, sequence.generated) == ("stop", 2, [5])


def test_the_limit_ends_with_length() -> None:
    sequence = make_sequence(request(num_predict=2), [1, 2], 512, False)
    assert answer(sequence, (5, b"a", False), (6, b"b", False)) == "ab"
    assert sequence.reason == "length"


def test_an_end_token_at_the_limit_is_a_stop() -> None:
    sequence = make_sequence(request(num_predict=2), [1, 2], 512, False)
    answer(sequence, (5, b"a", False), (6, b"", True))
    assert sequence.reason == "stop"


def test_without_shift_prompt_and_answer_fill_the_context() -> None:
    sequence = make_sequence(request(shift=False), list(range(6)), 8, False)
    answer(sequence, (5, b"a", False))
    assert sequence.reason == ""
    answer(sequence, (5, b"b", False))
    assert (sequence.reason, sequence.num_generated) == ("length", 2)


def test_what_a_stop_string_held_back_comes_at_the_limit() -> None:
    sequence = make_sequence(request(num_predict=1, stop=("END",)), [1], 512, False)
    assert answer(sequence, (5, b"a E", False)) == "a E"


def test_durations_split_at_the_first_token() -> None:
    sequence = make_sequence(request(), [1], 512, False)
    sequence.started_ns = 100
    sequence.take(5, b"a", False, 130)
    sequence.take(6, b"", True, 190)
    done = sequence.done()
    assert (done.prompt_ns, done.generate_ns) == (30, 60)


def test_durations_of_a_request_canceled_in_the_queue_are_zero() -> None:
    sequence = make_sequence(request(), [1], 512, False)
    sequence.end("canceled", 5000)
    assert (sequence.done().prompt_ns, sequence.done().generate_ns, sequence.done().reason) == (0, 0, "canceled")
