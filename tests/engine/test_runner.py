"""One runner process and its frames: loading, answering, cancelling, ending. Real llama.cpp with the starter model."""

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from llmsite import sandbox
from llmsite.engine import wire
from tests.engine.known import ANSWERS, RAMBLING, STARTER, chat
from tests.engine.runner_harness import ROOT, RunnerProcess, generate, load

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def shared() -> Iterator[RunnerProcess]:
    """One runner for tests that use ids of their own and leave nothing behind."""
    with RunnerProcess(load()) as started:
        started.start()
        yield started


@pytest.fixture
def runner() -> Iterator[RunnerProcess]:
    with RunnerProcess(load()) as started:
        started.start()
        yield started


# loading


def test_it_tells_how_far_it_is_and_what_it_holds(runner: RunnerProcess) -> None:
    loading = [event.fraction for event in runner.order if isinstance(event, wire.Loading)]
    assert loading == sorted(loading)
    assert loading[-1] == 1
    ready = runner.ready
    assert ready is not None
    assert (ready.num_ctx, ready.num_slots, ready.num_vocab) == (1024, 4, 3104)
    assert (ready.adds_bos, ready.bos_text, ready.backend, ready.vram_bytes) == (False, "<|endoftext|>", "cpu", 0)
    assert 9_500_000 < ready.memory_bytes < 100_000_000


def test_the_context_is_at_most_the_trained_one() -> None:
    with RunnerProcess(load(num_ctx=100_000, num_slots=1)) as runner:
        assert runner.start().num_ctx == 1024


@pytest.mark.parametrize("kv_cache_type", ["q8_0", "q4_0"])
def test_a_quantized_cache_answers(kv_cache_type: str) -> None:
    with RunnerProcess(load(kv_cache_type=kv_cache_type)) as runner:
        runner.start()
        text, done = runner.ask(generate(1, chat("Hello")))
        assert (text[:5], done.reason) == ("Hello", "stop")


def test_mapped_weights_and_flash_attention_answer() -> None:
    with RunnerProcess(load(use_mmap=True, flash_attention=True)) as runner:
        runner.start()
        assert runner.ask(generate(1, chat("Hello")))[0] == ANSWERS["Hello"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "No such file", id="no file"),
        pytest.param(b"not a model at all, only text", "magic", id="no GGUF"),
        pytest.param(b"GGUF\x03\x00\x00\x00", "", id="cut off"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_said_and_ends_it(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with RunnerProcess(load(model_path=str(path))) as runner:
        failed = runner.wait_for(wire.Failed)
        assert (failed.id, failed.error) == (0, "LoadFailed")
        assert failed.message.startswith("the model could not be loaded: ")
        assert says in failed.message
        assert runner.read() is None
        assert runner.process.wait(10) == 1


def test_an_adapter_that_cannot_be_loaded_is_said() -> None:
    with RunnerProcess(load(adapters=((str(ROOT / STARTER), 1.0),))) as runner:
        failed = runner.wait_for(wire.Failed)
        assert failed.error == "EngineError"
        assert "its adapter starter.gguf cannot be applied" in failed.message


# answering


def test_durations_and_counts_are_told(runner: RunnerProcess) -> None:
    _, done = runner.ask(generate(1, chat("Hello")))
    assert (done.num_prompt, done.num_cached, done.num_generated) == (13, 0, 16)
    assert done.prompt_ns > 10_000
    assert done.generate_ns > 10_000
    assert isinstance(runner.events[1][0], wire.Started)


# Rows of the recorded answers of Ollama with this model, without thinking tags being parsed.
RAW = "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n"
HELLO_CONTEXT = [3061, 268, 198, 663, 0, 3062, 198, 3061, 273, 198, 3063, 198, 354, 2696, 2794, 82, 2674, 13, 2649, 2794]
HELLO_CONTEXT += [2773, 1478, 3064, 256, 663, 0, 2649, 2653, 2643, 2647, 2690, 2644, 13, 2705]


def test_generate_raw_says_what_ollama_says(shared: RunnerProcess) -> None:
    text, done = shared.ask(generate(11, RAW, num_predict=24, want_context=True))
    assert text == "<think>\nThe user greets me. I greet back.\n</think>\n\nHello! I am the llmsite starter model. How"
    assert (done.reason, done.num_prompt, done.num_generated) == ("length", 10, 24)
    assert done.context == tuple(HELLO_CONTEXT)


def test_generate_stop_says_what_ollama_says(shared: RunnerProcess) -> None:
    prompt = "<|im_start|>user\nCount from 1 to 20<|im_end|>\n<|im_start|>assistant\n"
    text, done = shared.ask(generate(12, prompt, stop=("7",), want_context=True))
    assert text == "<think>\nI count step by step.\n</think>\n\n1, 2, 3, 4, 5, 6, "
    assert (done.reason, done.num_prompt, done.num_generated) == ("stop", 16, 29)
    assert len(done.context) == 44


def test_an_end_token_is_counted_but_not_in_the_context(shared: RunnerProcess) -> None:
    _, done = shared.ask(generate(13, chat("Hello"), want_context=True))
    assert (done.reason, done.num_generated, len(done.context)) == ("stop", 16, 13 + 15)


@pytest.mark.parametrize("num_predict", [1, 5, 15])
def test_num_predict_ends_with_length(shared: RunnerProcess, num_predict: int) -> None:
    text, done = shared.ask(generate(100 + num_predict, chat("Hello"), num_predict=num_predict))
    assert (done.reason, done.num_generated) == ("length", num_predict)
    assert ANSWERS["Hello"].startswith(text)


def test_a_stop_string_across_tokens_is_never_shown(shared: RunnerProcess) -> None:
    text, done = shared.ask(generate(14, chat("Hello"), stop=("starter model. How can",)))
    assert text == "Hello! I am the llmsite "
    assert done.reason == "stop"
    assert all(len(piece.text) for piece in shared.pieces(14))


def test_what_only_looked_like_a_stop_string_is_shown(shared: RunnerProcess) -> None:
    text, _ = shared.ask(generate(15, chat("Hello"), stop=("starter model. How could", "help you?!")))
    assert text == ANSWERS["Hello"]


@pytest.mark.parametrize(("request_id", "wish"), [(16, "请重复：今天天气真好"), (17, 'Say "🦙🦙🦙 ähm 你"'), (18, "你好")])
def test_every_piece_is_whole_characters(shared: RunnerProcess, request_id: int, wish: str) -> None:
    sampling = wire.Sampling(temperature=2.0, seed=1, top_k=0, top_p=1.0) if "🦙" in wish else wire.Sampling(temperature=0)
    text, _ = shared.ask(generate(request_id, chat(wish), sampling=sampling))
    if wish in ANSWERS:
        assert text == ANSWERS[wish]
        assert "\ufffd" not in text
    for piece in shared.pieces(request_id):
        assert piece.text


def test_bytes_of_a_character_in_two_tokens_come_together(shared: RunnerProcess) -> None:
    shared.send(wire.Tokenize(19, ("🦙",), counts_only=False))
    tokens = shared.wait_for(wire.Tokens, 19)
    assert tokens.counts[0] > 1, "the test needs a character of several tokens"
    prompt = "".join(f"<|im_start|>user\n🦙🦙🦙<|im_end|>\n{'🦙' * 12}" for _ in range(4)) + "🦙🦙"
    text, _ = shared.ask(generate(20, prompt, num_predict=24))
    assert "🦙" in text
    assert all(piece.text.count("\ufffd") == 0 for piece in shared.pieces(20))


def test_an_empty_prompt_is_answered_with_nothing(shared: RunnerProcess) -> None:
    text, done = shared.ask(generate(21, ""))
    assert (text, done.reason, done.num_prompt, done.num_generated) == ("", "stop", 0, 0)


# contexts


def test_a_full_context_is_shifted_and_the_answer_goes_on(runner: RunnerProcess) -> None:
    text, done = runner.ask(generate(1, RAMBLING, num_ctx=64, num_predict=300))
    assert (done.reason, done.num_generated) == ("length", 300)
    assert text == " word" * 300
    after, _ = runner.ask(generate(2, chat("Hello")))
    assert after == ANSWERS["Hello"]


def test_an_answer_without_limit_ends_at_ten_contexts(runner: RunnerProcess) -> None:
    _, done = runner.ask(generate(1, RAMBLING, num_ctx=32, num_predict=-1))
    assert (done.reason, done.num_generated) == ("length", 320)


def test_without_shift_a_full_context_ends_with_length(runner: RunnerProcess) -> None:
    _, done = runner.ask(generate(1, RAMBLING, num_ctx=64, num_predict=300, shift=False))
    assert (done.reason, done.num_prompt + done.num_generated) == ("length", 64)


def test_a_shifted_conversation_is_no_source_beyond_what_it_kept(runner: RunnerProcess) -> None:
    _, done = runner.ask(generate(1, RAMBLING, num_ctx=64, num_predict=100, num_keep=4, want_context=True))
    runner.send(wire.Detokenize(2, done.context))
    prompt = runner.wait_for(wire.Text, 2).text
    text, again = runner.ask(generate(3, prompt))
    assert again.num_cached <= 4
    with RunnerProcess(load(num_slots=1)) as fresh:
        fresh.start()
        assert fresh.ask(generate(3, prompt))[0] == text


def test_a_long_prompt_is_cut_or_refused(runner: RunnerProcess) -> None:
    prompt = "word " * 200
    _, done = runner.ask(generate(1, prompt, num_ctx=64, num_predict=3))
    assert done.num_prompt == 64 - (64 - 4) // 2
    runner.send(generate(2, prompt, num_ctx=64, truncate=False), generate(3, prompt, num_ctx=64, shift=False))
    runner.finish(2, 3)
    for number in (2, 3):
        assert runner.failed(number).error == "PromptTooLong"
        assert runner.failed(number).message.startswith("the prompt is longer than the context length")


def test_the_whole_trained_context_can_be_used(runner: RunnerProcess) -> None:
    runner.send(*(generate(number, "word " * 900, num_predict=200) for number in (1, 2, 3, 4)))
    runner.finish(1, 2, 3, 4)
    assert {runner.done(number).num_generated for number in (1, 2, 3, 4)} <= set(range(1, 201))
    assert runner.done(1).num_prompt > 800


# options


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1e9},
        {"temperature": 1e-9},
        {"top_k": 2**31 - 1},
        {"top_p": -1e9},
        {"top_p": 0.0},
        {"min_p": 1e9},
        {"typical_p": -1e9},
        {"typical_p": 0.2},
        {"repeat_penalty": -1e9},
        {"repeat_penalty": 1e9},
        {"presence_penalty": 1e9, "frequency_penalty": -1e9, "repeat_last_n": 2**31 - 1},
        {"seed": 2**63 - 1},
    ],
    ids=str,
)
def test_the_oddest_options_do_not_end_the_runner(shared: RunnerProcess, options: dict[str, float]) -> None:
    request_id = 200 + hash(str(options)) % 10_000
    _, done = shared.ask(generate(request_id, chat("Hello"), sampling=wire.Sampling(**options), num_predict=5))
    assert done.num_generated > 0


def test_penalties_know_the_prompt(shared: RunnerProcess) -> None:
    sampling = wire.Sampling(temperature=0, presence_penalty=100, repeat_last_n=-1)
    text, _ = shared.ask(generate(30, chat("Say Hello"), sampling=sampling, num_predict=3))
    assert "Hello" not in text


def test_logprobs_are_log_softmax_and_belong_to_the_text(shared: RunnerProcess) -> None:
    shared.ask(generate(31, RAW, num_predict=3, num_top_logprobs=3))
    infos = [info for piece in shared.pieces(31) for info in piece.logprobs]
    assert [info.chosen.text for info in infos] == ["<think>", "\n", "The"]
    # Recorded from Ollama with this model (generate.logprobs).
    assert [info.chosen.logprob for info in infos] == pytest.approx([-1.19e-07, -0.24591158, -0.00153767], abs=2e-3)
    assert [info.top[1].text for info in infos] == ["This", "\n\n", "This"]
    assert infos[1].top[2].text == ""  # a control token has no text
    assert [info.top[1].logprob for info in infos] == pytest.approx([-16.1976, -1.52401, -6.48686], abs=2e-2)
    assert infos[0].chosen.raw == tuple(b"<think>")
    assert all(len(info.top) == 3 and info.top[0] == info.chosen for info in infos)


def test_logprobs_can_come_without_alternatives_or_not_at_all(shared: RunnerProcess) -> None:
    shared.ask(generate(32, RAW, num_predict=3, num_top_logprobs=0))
    infos = [info for piece in shared.pieces(32) for info in piece.logprobs]
    assert [len(info.top) for info in infos] == [0, 0, 0]
    shared.ask(generate(33, RAW, num_predict=3))
    assert [piece.logprobs for piece in shared.pieces(33)] == [(), (), ()]


# tokens


def test_texts_are_tokenized_and_back(shared: RunnerProcess) -> None:
    shared.send(wire.Tokenize(41, ("Hello!", "", RAW)))
    assert shared.wait_for(wire.Tokens, 41).counts == (2, 0, 10)
    shared.send(wire.Tokenize(42, (RAW,), counts_only=False))
    tokens = shared.wait_for(wire.Tokens, 42).tokens[0]
    assert tokens == tuple(HELLO_CONTEXT[:10])
    shared.send(wire.Detokenize(43, tokens))
    assert shared.wait_for(wire.Text, 43).text == RAW


@pytest.mark.parametrize("token", [-1, 3104, 2**31 - 1])
def test_a_number_that_is_no_token_is_refused(shared: RunnerProcess, token: int) -> None:
    shared.send(wire.Detokenize(44, (663, token)))
    failed = shared.wait_for(wire.Failed, 44)
    assert (failed.error, failed.message) == ("InvalidRequest", f"{token} is not a token of this model")


def test_tokenizing_is_answered_in_the_middle_of_an_answer(runner: RunnerProcess) -> None:
    runner.send(generate(1, RAMBLING, num_predict=800, num_ctx=200))
    runner.wait_for(wire.Step, 1)
    runner.send(wire.Tokenize(2, ("Hello!",)))
    runner.wait_for(wire.Tokens, 2)
    assert not any(isinstance(event, wire.Done) for event in runner.events[1])
    runner.finish(1)


def test_an_answer_too_large_for_a_frame_is_refused() -> None:
    with RunnerProcess(load(num_slots=1), "--frame-up-bytes", "1000") as runner:
        runner.start()
        runner.send(wire.Tokenize(1, ("word " * 500,), counts_only=False))
        assert runner.wait_for(wire.Failed, 1).error == "RequestTooLarge"
        assert runner.ask(generate(2, chat("Hello")))[0] == ANSWERS["Hello"]


# cancelling


def test_a_waiting_request_is_dropped(runner: RunnerProcess) -> None:
    runner.send(*(generate(number, RAMBLING, num_predict=400, num_ctx=200) for number in (1, 2, 3, 4, 5)))
    runner.wait_for(wire.Step, 4)
    runner.send(wire.Cancel(5))
    runner.finish(5)
    assert runner.done(5).reason == "canceled"
    assert not any(isinstance(event, wire.Started) for event in runner.events[5])
    assert not any(isinstance(event, wire.Done) for event in runner.events[1])
    runner.finish(1, 2, 3, 4)


def test_a_request_being_read_is_dropped_and_what_was_read_serves() -> None:
    with RunnerProcess(load(num_batch=32, num_slots=1)) as runner:
        runner.start()
        prompt = "word " * 900
        runner.send(generate(1, prompt), generate(2, prompt, num_predict=2))
        runner.wait_for(wire.Reading, 1)
        runner.send(wire.Cancel(1))
        runner.finish(1, 2)
        assert runner.done(1).reason == "canceled"
        assert runner.done(1).num_generated == 0
        assert runner.done(2).num_cached >= 32


def test_a_request_being_written_frees_its_slot_at_once(runner: RunnerProcess) -> None:
    numbers = [1, 2, 3, 4]
    runner.send(*(generate(number, RAMBLING, num_predict=900, num_ctx=100) for number in numbers), generate(5, chat("Hello")))
    runner.wait_for(wire.Step, 4)
    runner.send(wire.Cancel(2))
    runner.finish(2, 5)
    assert runner.done(2).reason == "canceled"
    assert 0 < runner.done(2).num_generated < 900
    assert runner.text(5) == ANSWERS["Hello"]
    assert not any(isinstance(event, wire.Done) for event in runner.events[1])
    position = runner.order.index(runner.done(2))
    assert all(piece.id != 2 for event in runner.order[position:] if isinstance(event, wire.Step) for piece in event.pieces)


def test_cancelling_what_is_over_or_unknown_says_nothing(shared: RunnerProcess) -> None:
    shared.ask(generate(51, chat("Hello")))
    before = len(shared.events[51])
    shared.send(wire.Cancel(51), wire.Cancel(99_999))
    shared.ask(generate(52, chat("Hello")))
    assert len(shared.events[51]) == before
    assert 99_999 not in shared.events


# what it gives up

CONFINED = """
import sys
from llmsite.engine.runner import confine
from tests.engine.runner_harness import load

def attempt(path):
    try:
        open(path, "rb").close()
    except OSError as error:
        return type(error).__name__
    return "opened"

assert confine(load())
print(attempt(load().model_path), attempt(sys.argv[1]), attempt("/proc/1/environ"))
"""


def test_it_opens_nothing_but_the_model(tmp_path: Path) -> None:
    if not sandbox.is_available():
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "secret").touch()
    ran = subprocess.run(
        [sys.executable, "-c", CONFINED, str(tmp_path / "secret")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["opened", "PermissionError", "PermissionError"]


def test_every_thread_of_it_is_confined(shared: RunnerProcess) -> None:
    if not sandbox.is_available():
        pytest.skip("this kernel has no Landlock")
    threads = list(Path(f"/proc/{shared.process.pid}/task").iterdir())
    assert len(threads) > 1
    assert all("NoNewPrivs:\t1\n" in (each / "status").read_text() for each in threads)


def test_a_file_that_is_missing_is_told_by_loading(tmp_path: Path) -> None:
    with RunnerProcess(load(model_path=str(tmp_path / "absent"))) as runner:
        assert isinstance(runner.read(), wire.Failed)


# ending


def test_it_ends_with_its_parent_in_the_middle_of_an_answer(runner: RunnerProcess) -> None:
    runner.send(generate(1, RAMBLING, num_predict=10_000))
    runner.wait_for(wire.Step, 1)
    runner.close()
    assert runner.process.wait(5) in (0, 1)  # 1 when a send noticed before the reader did


def test_it_ends_with_its_parent_while_idle(runner: RunnerProcess) -> None:
    runner.close()
    assert runner.process.wait(5) == 0


def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom tests.engine.runner_harness import RunnerProcess, load\n"
        "runner = RunnerProcess(load())\nrunner.start()\nprint(runner.process.pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        child.wait(5)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(struct.pack(">I", 2**32 - 1), id="longer than any frame may be"),
        pytest.param(struct.pack(">I", 3) + b"{!}", id="no JSON"),
        pytest.param(struct.pack(">I", 2) + b"{}", id="no type"),
        pytest.param(struct.pack(">I", 0), id="empty"),
        pytest.param(wire.encode(wire.Text(1, "an event")), id="an event"),
        pytest.param(wire.encode(load()), id="a second load"),
        pytest.param(wire.encode(wire.Cancel(1))[:-1] + b"\xff", id="no UTF-8"),
    ],
)
def test_a_bad_frame_ends_it(runner: RunnerProcess, frame: bytes) -> None:
    runner.send(frame)
    assert runner.process.wait(10) == 1
    assert "bad frame" in runner.stderr()


def test_a_first_frame_that_is_no_load_ends_it() -> None:
    with RunnerProcess(wire.Cancel(1)) as runner:
        assert runner.process.wait(10) == 1


def test_half_a_frame_is_the_end_of_the_parent(runner: RunnerProcess) -> None:
    runner.send(wire.encode(wire.Cancel(1))[:-3])
    runner.close()
    assert runner.process.wait(10) == 0


def test_a_parent_that_does_not_read_costs_no_memory_and_gets_whole_frames(runner: RunnerProcess) -> None:
    process = psutil.Process(runner.process.pid)
    runner.ask(generate(1, chat("Hello")))
    before = process.memory_info().rss
    texts = ("word " * 200,) * 50
    numbers = range(10, 210)
    sent = 0
    data = b"".join(wire.encode(wire.Tokenize(number, texts, counts_only=False)) for number in numbers)
    runner.connection.settimeout(1)
    try:
        while sent < len(data):
            sent += runner.connection.send(data[sent : sent + 65536])
    except TimeoutError:
        pass  # it reads no more either: what we send stays with us
    assert sent < len(data)
    assert process.memory_info().rss - before < 32 << 20
    runner.connection.settimeout(60)
    answered = sum(1 for _ in range(3) if isinstance(runner.read(), wire.Tokens))
    assert answered == 3


def test_a_stopped_runner_leaves_no_core_and_holds_no_secret(runner: RunnerProcess) -> None:
    limits = Path(f"/proc/{runner.process.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_killed_it_is_simply_gone(runner: RunnerProcess) -> None:
    runner.send(generate(1, RAMBLING, num_predict=10_000))
    runner.wait_for(wire.Step, 1)
    os.kill(runner.process.pid, signal.SIGKILL)
    while runner.read() is not None:
        pass
    assert runner.process.wait(5) == -signal.SIGKILL


# by hand


def test_by_hand_it_prints_a_completion() -> None:
    words = ["--model", STARTER, "--prompt", chat("Hello"), "--temperature", "0", "--num-threads", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "llmsite.engine.runner", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ANSWERS["Hello"] + "\n"


def test_by_hand_a_missing_model_is_an_exit_code(tmp_path: Path) -> None:
    words = ["--model", str(tmp_path / "none.gguf"), "--prompt", "Hello"]
    done = subprocess.run(
        [sys.executable, "-m", "llmsite.engine.runner", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "could not be loaded" in done.stderr


def test_starting_imports_little() -> None:
    """A runner starts for every load, so what it imports is waited for by somebody."""
    script = "import json, sys, llmsite.engine.runner; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    imported = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not imported & {"numpy", "django", "jinja2", "asyncio", "psutil", "diskcache"}
