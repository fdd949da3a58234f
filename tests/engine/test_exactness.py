"""Answers together, on reused prefixes and in odd chunks are those given alone: token for token, with a real runner."""

from collections.abc import Iterator

import pytest

from llmsite.engine import wire
from tests.engine.known import ANSWERS, RAMBLING, chat, follow_up
from tests.engine.runner_harness import RunnerProcess, generate, load

pytestmark = pytest.mark.model

LONG_SYSTEM = "You are a helpful assistant. " * 24


@pytest.fixture
def runner() -> Iterator[RunnerProcess]:
    with RunnerProcess(load(prefix_cache_bytes=64 << 20)) as started:
        started.start()
        yield started


@pytest.fixture(scope="module")
def alone() -> dict[str, str]:
    """What each question is answered after a long system prompt by a runner that nobody else uses, its cache empty."""
    answers = {}
    for question in ANSWERS:
        with RunnerProcess(load(num_slots=1)) as fresh:
            fresh.start()
            answers[question], _ = fresh.ask(generate(1, chat(question, LONG_SYSTEM)))
    return answers


@pytest.mark.parametrize("question", ANSWERS)
def test_known_answers_alone(runner: RunnerProcess, question: str) -> None:
    text, done = runner.ask(generate(1, chat(question)))
    assert text == ANSWERS[question]
    assert done.reason == "stop"


def test_four_prompts_sent_together_answer_as_alone(runner: RunnerProcess) -> None:
    questions = list(ANSWERS)[:4]
    runner.send(*(generate(number, chat(question)) for number, question in enumerate(questions, 1)))
    runner.finish(1, 2, 3, 4)
    assert [runner.text(number) for number in (1, 2, 3, 4)] == [ANSWERS[question] for question in questions]
    steps = [event for event in runner.order if isinstance(event, wire.Step)]
    assert max(len(step.pieces) for step in steps) == 4, "they were not written together"


def test_more_prompts_than_slots_wait_and_answer_as_alone(runner: RunnerProcess) -> None:
    numbered = list(enumerate([*ANSWERS] * 3, 1))
    runner.send(*(generate(number, chat(question)) for number, question in numbered))
    runner.finish(*(number for number, _ in numbered))
    assert [runner.text(number) for number, _ in numbered] == [ANSWERS[question] for _, question in numbered]


def test_the_next_turn_reuses_its_own_slot_and_answers_as_alone(runner: RunnerProcess) -> None:
    first = chat("My name is Alice.")
    answer, before = runner.ask(generate(1, first))
    assert answer == "Nice to meet you, Alice!"
    prompt = follow_up(first, answer, "What is my name?")
    text, done = runner.ask(generate(2, prompt))
    assert text == "Your name is Alice."
    assert done.num_cached == before.num_prompt + before.num_generated - 1  # all but the end token, which nobody computed


def test_a_prefix_of_another_conversation_gives_the_same_answer(runner: RunnerProcess, alone: dict[str, str]) -> None:
    for number, question in enumerate(ANSWERS, 1):
        text, done = runner.ask(generate(number, chat(question, LONG_SYSTEM)))
        assert text == alone[question]
        assert done.num_cached >= (100 if number > 1 else 0)


def test_a_prefix_still_being_read_by_a_neighbour_is_waited_for(runner: RunnerProcess, alone: dict[str, str]) -> None:
    questions = list(ANSWERS)[:4]
    runner.send(*(generate(number, chat(question, LONG_SYSTEM)) for number, question in enumerate(questions, 1)))
    runner.finish(1, 2, 3, 4)
    assert [runner.text(number) for number in (1, 2, 3, 4)] == [alone[question] for question in questions]
    assert [runner.started(number).num_cached >= 100 for number in (1, 2, 3, 4)] == [False, True, True, True]


def test_a_conversation_that_moved_to_host_memory_goes_on_as_alone(runner: RunnerProcess) -> None:
    first = chat("My name is Alice.", LONG_SYSTEM)
    answer, _ = runner.ask(generate(1, first))
    for number in range(2, 7):  # other people take all slots
        runner.ask(generate(number, f"<|im_start|>system\n{number} {'word ' * 60}<|im_end|>\n{chat('Hello')}"))
    prompt = follow_up(first, answer, "What is my name?")
    text, done = runner.ask(generate(7, prompt))
    assert done.num_cached >= 150
    with RunnerProcess(load(num_slots=1)) as fresh:
        fresh.start()
        assert fresh.ask(generate(1, prompt)) == (text, fresh.done(1))
        assert fresh.done(1).num_cached == 0


def test_without_host_memory_the_conversation_is_read_again() -> None:
    with RunnerProcess(load(num_slots=1, prefix_cache_bytes=0)) as runner:
        runner.start()
        first = chat("My name is Alice.")
        answer, _ = runner.ask(generate(1, first))
        runner.ask(generate(2, f"<|im_start|>system\n{'word ' * 60}<|im_end|>\n{chat('Hello')}"))
        text, done = runner.ask(generate(3, follow_up(first, answer, "What is my name?")))
        assert (text, done.num_cached < 10) == ("Your name is Alice.", True)


@pytest.mark.parametrize("num_batch", [32, 33, 47, 100])
def test_odd_chunks_answer_as_alone(num_batch: int, alone: dict[str, str]) -> None:
    questions = list(ANSWERS)[:4]
    with RunnerProcess(load(num_batch=num_batch)) as runner:
        runner.start()
        runner.send(*(generate(number, chat(question, LONG_SYSTEM)) for number, question in enumerate(questions, 1)))
        runner.finish(1, 2, 3, 4)
        assert [runner.text(number) for number in (1, 2, 3, 4)] == [alone[question] for question in questions]
        reading = [event for event in runner.events[1] if isinstance(event, wire.Reading)]
        assert [event.num_read for event in reading[:2]] == [32, 32 + num_batch]  # the first step is short: nothing is known yet
        assert reading[0].num_prompt == runner.done(1).num_prompt


def test_a_prompt_read_beside_writers_answers_as_alone_and_does_not_stop_them() -> None:
    prompt = chat("Hello", LONG_SYSTEM * 5)
    with RunnerProcess(load(num_slots=1)) as fresh:
        fresh.start()
        alone, _ = fresh.ask(generate(1, prompt))
    with RunnerProcess(load(num_batch=64)) as runner:  # small, so that the prompt takes many steps on any machine
        runner.start()
        runner.send(*(generate(number, RAMBLING, num_predict=300) for number in (1, 2, 3)))
        runner.wait_for(wire.Step, 3)
        text, done = runner.ask(generate(4, prompt))
        assert (text, done.num_prompt > 700) == (alone, True)
        after = runner.order[runner.order.index(runner.started(4)) :]
        reading = [index for index, event in enumerate(after) if isinstance(event, wire.Reading)]
        between = after[reading[0] : reading[10]]
        assert sum(isinstance(event, wire.Step) for event in between) == 10, "a writer had to wait"
        runner.finish(1, 2, 3)
        assert runner.text(1) == runner.text(2) == runner.text(3) == " word" * 300


def test_prefixes_kept_to_their_user_are_not_reused_by_another() -> None:
    with RunnerProcess(load(prefix_sharing="user")) as runner:
        runner.start()
        runner.ask(generate(1, chat("Hello", LONG_SYSTEM), user="alice"))
        assert runner.ask(generate(2, chat("Hello", LONG_SYSTEM), user="bob"))[1].num_cached == 0
        assert runner.ask(generate(3, chat("Hello", LONG_SYSTEM), user="alice"))[1].num_cached > 100


def test_a_seed_reproduces_a_request_run_alone_from_a_cold_cache() -> None:
    def ask(seed: int) -> str:
        sampling = wire.Sampling(seed=seed, temperature=2.0, top_k=0, top_p=1.0)
        with RunnerProcess(load()) as fresh:
            fresh.start()
            return fresh.ask(generate(1, chat("Tell me a joke."), sampling=sampling))[0]

    assert ask(42) == ask(42) != ask(43)


def test_no_seed_draws_one(runner: RunnerProcess) -> None:
    sampling = wire.Sampling(temperature=2.0, top_k=0, top_p=1.0)
    numbers = range(1, 9)
    runner.send(*(generate(number, chat("Hello"), sampling=sampling, num_predict=20) for number in numbers))
    runner.finish(*numbers)
    assert len({runner.text(number) for number in numbers}) > 1, "two may agree by chance, eight do not"


def test_a_step_takes_streams_in_the_order_of_their_slots() -> None:
    with RunnerProcess(load(num_slots=2)) as runner:
        runner.start()
        runner.send(generate(1, chat("Hello"), num_predict=4), generate(2, RAMBLING))
        runner.finish(1)
        runner.ask(generate(3, chat("Hello"), num_predict=20))  # sits where the first one sat
        runner.finish(2)
        together = [[piece.id for piece in event.pieces] for event in runner.order if isinstance(event, wire.Step)]
        assert [3, 2] in together
        assert [2, 3] not in together
