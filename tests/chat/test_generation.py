"""A running answer: what is saved when, how it ends, and that it belongs to nobody's request."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError
from django.test import override_settings

from chat import generation, services
from chat.models import Conversation, Message, State
from llmsite.accounts import revocation
from llmsite.accounts.models import User
from llmsite.types.chunk import Chunk, Phase
from llmsite.types.errors import Busy, ModelNotFound
from tests.chat.conftest import Ask, finished, until
from tests.inference.fake_transport import METRICS, FakeTransport, answer, final


def state_of(message_id: str) -> str:
    log = generation.find(message_id)
    return log.state if log else "gone"


async def saved(message_id: str, **values: str) -> None:
    """Wait until the row has these values."""
    async with asyncio.timeout(10):
        while not await Message.objects.filter(pk=message_id, **values).aexists():  # noqa: ASYNC110 - rows tell nobody
            await asyncio.sleep(0.01)


async def test_states_follow_the_engine_and_the_row_follows_the_states(ask: Ask, model: FakeTransport) -> None:
    gates = [asyncio.Event() for _ in range(5)]
    steps = [
        (Phase("queued", position=2), State.QUEUED),
        (Phase("loading", fraction=0.5), State.LOADING),
        (Phase("reading", num_tokens=5, num_total=9, digest="d" * 64), State.READING),
        (Chunk(thinking="Hm."), State.THINKING),
        (Chunk(content="So."), State.WRITING),
    ]
    script: list[Any] = []
    for (reply, _), gate in zip(steps, gates, strict=True):
        script += [reply, gate]
    model.queue(*script, final())
    result = await ask()
    for (_, state), gate in zip(steps, gates, strict=True):
        await until(lambda state=state: state_of(result.answer.id) == state)
        await saved(result.answer.id, state=state)
        gate.set()
    done = await finished(result.answer.id)
    assert (done.state, done.content, done.thinking) == (State.DONE, "So.", "Hm.")
    assert done.model_digest == "d" * 64
    assert done.eval_count == METRICS.eval_count
    assert done.prompt_eval_count == METRICS.prompt_eval_count
    assert done.finished_at is not None


async def test_text_is_in_the_row_at_most_a_flush_later(ask: Ask, model: FakeTransport) -> None:
    gate = asyncio.Event()
    model.queue(Chunk(content="Half"), gate, Chunk(content=" whole."), final())
    result = await ask()
    await saved(result.answer.id, content="Half")
    gate.set()
    assert (await finished(result.answer.id)).content == "Half whole."


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([], State.WAITING),
        ([Phase("queued", position=1)], State.WAITING),
        ([Phase("loading", fraction=0.1)], State.STOPPED),
        ([Phase("reading", num_tokens=1, num_total=9)], State.STOPPED),
        ([Chunk(thinking="Hm")], State.STOPPED),
        ([Chunk(content="So")], State.STOPPED),
    ],
    ids=["before anything", "queued", "loading", "reading", "thinking", "writing"],
)
async def test_stop_in_each_phase_keeps_what_was_written(
    ask: Ask, alice: User, model: FakeTransport, steps: list[Any], state: State
) -> None:
    model.queue(*steps, asyncio.Event())
    result = await ask()
    await until(lambda: len(model.requests) == 1 and (log := generation.find(result.answer.id)) and log.seq >= len(steps))
    for _ in range(3):
        await services.stop(alice, result.answer.id)
    row = await finished(result.answer.id)
    assert row.state == state
    assert row.content == "".join(each.content for each in steps if isinstance(each, Chunk))
    assert (model.closed, model.running) == (1, 0)
    await services.stop(alice, result.answer.id)
    assert (await Message.objects.aget(pk=row.pk)).state == state


@pytest.mark.parametrize("change", [{"state": User.State.DISABLED}, {"is_active": False}])
async def test_rule_6_an_answer_stops_when_its_owner_may_no_longer_chat(
    ask: Ask, alice: User, model: FakeTransport, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.setattr(revocation, "CHECK_SECONDS", 0.02)
    model.queue(Chunk(content="So far."), asyncio.Event())
    result = await ask()
    await until(lambda: state_of(result.answer.id) == State.WRITING)
    await User.objects.filter(pk=alice.pk).aupdate(**change)
    done = await finished(result.answer.id)
    assert (done.state, done.content) == (State.STOPPED, "So far.")


async def test_stop_before_the_task_had_its_first_turn_ends_it_too(ask: Ask, alice: User, model: FakeTransport) -> None:
    result = await ask()
    generation.stop(result.answer.id)
    assert (await finished(result.answer.id)).state == State.WAITING
    assert model.requests == []


async def test_an_answer_that_waits_can_be_run_itself(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(asyncio.Event())
    result = await ask()
    await until(lambda: model.requests)
    await services.stop(alice, result.answer.id)
    await finished(result.answer.id)
    model.queue(*answer("At last."))
    again = await services.regenerate(alice, result.answer.id)
    assert again.id == result.answer.id
    row = await finished(again.id)
    assert (row.state, row.content) == (State.DONE, "At last.")


@pytest.mark.parametrize(
    ("steps", "state", "error"),
    [
        ([Chunk(content="a"), Chunk(done=True, done_reason="length", metrics=METRICS)], State.LIMIT, ""),
        ([Chunk(content="a"), ModelNotFound("model 'x' not found")], State.FAILED, "model 'x' not found"),
        ([Busy("server busy, please try again.")], State.FAILED, "server busy, please try again."),
        ([Chunk(content="a")], State.FAILED, "The model stopped in the middle of its answer. Please try again."),
        ([Chunk(content="a"), TimeoutError("slow disk")], State.FAILED, "slow disk"),
    ],
)
async def test_every_end_has_its_state_and_keeps_the_text(
    ask: Ask, model: FakeTransport, steps: list[Any], state: State, error: str
) -> None:
    model.queue(*steps)
    row = await finished((await ask()).answer.id)
    assert (row.state, row.error) == (state, error)
    assert row.content == "".join(each.content for each in steps if isinstance(each, Chunk))


async def test_an_unknown_fault_is_logged_and_told_without_its_text(
    ask: Ask, model: FakeTransport, caplog: pytest.LogCaptureFixture
) -> None:
    model.queue(Chunk(content="a"), KeyError("secret path"))
    row = await finished((await ask()).answer.id)
    assert row.state == State.FAILED
    assert "secret" not in row.error
    assert "secret path" in caplog.text


async def test_a_silent_engine_is_shown_and_then_given_up(
    ask: Ask, model: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.answer.SILENT_SECONDS", 0.05)
    limits = settings.LLMSITE_LIMITS
    model.queue(Chunk(content="a"), asyncio.Event())
    with override_settings(LLMSITE_LIMITS=replace(limits, stall_seconds=2.5)):
        result = await ask()
        await until(lambda: (log := generation.find(result.answer.id)) and log.is_silent)
        row = await finished(result.answer.id)
    assert (row.state, row.content) == (State.FAILED, "a")
    assert row.error == "No word from the engine for 2.5 s. What was written is kept."


async def test_f01_a_killed_server_leaves_what_was_saved_and_recover_marks_it(
    ask: Ask, alice: User, model: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.queue(Chunk(content="Kept"), asyncio.Event())
    result = await ask()
    await saved(result.answer.id, content="Kept")
    # the process is gone: nothing of its memory is left, and nobody saves any more
    log = generation.find(result.answer.id)
    assert log is not None
    assert log.task is not None
    saved_seq = log.seq
    generation._running.clear()
    log.task.cancel()
    assert await sync_to_async(services.recover)() == 1
    row = await Message.objects.aget(pk=result.answer.id)
    assert (row.state, row.content, row.eval_count) == (State.INTERRUPTED, "Kept", 1)
    assert row.seq > saved_seq
    assert await sync_to_async(services.recover)() == 0
    model.queue(*answer("Again."))
    again = await services.regenerate(alice, row.pk)
    assert (await finished(again.id)).content == "Again."


async def test_shutdown_marks_running_answers_interrupted_and_starts_no_more(ask: Ask, model: FakeTransport) -> None:
    model.queue(Chunk(content="Half"), asyncio.Event())
    result = await ask()
    await until(lambda: (log := generation.find(result.answer.id)) and log.content)
    await generation.shutdown()
    row = await Message.objects.aget(pk=result.answer.id)
    assert (row.state, row.content) == (State.INTERRUPTED, "Half")
    later = await ask("Later", result.conversation.id)
    assert generation.find(later.answer.id) is None
    assert await sync_to_async(services.recover)() == 1


async def test_a_row_that_nobody_writes_can_be_stopped(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    result = await ask()
    await finished(result.answer.id)
    await Message.objects.filter(pk=result.answer.id).aupdate(state=State.WRITING)
    assert (await services.stop(alice, result.answer.id)).state == State.STOPPED


async def test_a_failed_save_is_tried_again_and_nothing_is_lost(
    ask: Ask, model: FakeTransport, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save, failures = generation._save, [OperationalError("disk full"), OperationalError("disk full")]

    async def fail_first(rows: Any, unseen: Any) -> None:
        if failures:
            raise failures.pop()
        await save(rows, unseen)

    monkeypatch.setattr(generation, "_save", fail_first)
    monkeypatch.setattr(generation, "FLUSH_SECONDS", 0.02)
    model.queue(*answer("All of it."))
    row = await finished((await ask()).answer.id)
    assert (row.state, row.content, failures) == (State.DONE, "All of it.", [])
    assert "could not be saved" in caplog.text


async def test_an_answer_carries_nothing_of_the_request_that_started_it(ask: Ask, model: FakeTransport) -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="clean")
    mark.set("of a request")
    seen: list[str] = []
    send = model.send

    def look(request: Any) -> Any:
        seen.append(mark.get())
        return send(request)

    model.send = look  # type: ignore[method-assign]
    model.queue(*answer("One."))
    await finished((await ask()).answer.id)
    assert seen == ["clean"]


async def test_200_running_answers_need_no_threads_and_one_transaction_a_flush(
    alice: User, model: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saves = generation._save, []

    async def count(rows: Any, unseen: Any) -> None:
        saves.append(len(rows))
        await save(rows, unseen)

    end = asyncio.Event()
    go = [asyncio.Event() for _ in range(200)]
    answers = []
    before = threading.active_count()
    for gate in go:
        model.queue(Chunk(content="a"), gate, Chunk(content="b"), end, final())
        conversation_id = services.new_conversation_id(alice)
        answers.append((await services.send(alice, conversation_id, "Why?", "starter", "", "token")).answer.id)
    await until(lambda: all((log := generation.find(each)) and log.saved_seq == log.seq for each in answers))
    monkeypatch.setattr(generation, "_save", count)
    for gate in go:
        gate.set()
    await until(lambda: sum(saves) >= 200)
    assert saves == [200]
    assert threading.active_count() <= before + 2
    end.set()
    for each in answers:
        assert (await finished(each)).content == "ab"


async def test_an_answer_that_nobody_watched_is_marked_unseen(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    result = await ask()
    await finished(result.answer.id)
    (listed,) = await services.list_conversations(alice)
    assert listed.is_unseen
    await services.mark_seen(alice, listed.pk)
    assert not (await Conversation.objects.aget(pk=listed.pk)).is_unseen
