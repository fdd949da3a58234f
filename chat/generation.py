"""Running answers: one task each, one writer for all, hints to whoever watches.

A running answer belongs to no request and no socket. Its task starts in an empty context, so that it holds nobody's thread or
language. Everything happens on the event loop; only the writer and the prompt's query use the database.
Sockets and pages read the log (`snapshot`); hints over the channel layer say that there is something new, never what.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from chat import connections, history
from chat.answer import AnswerLog, AnswerView, view_of_row
from chat.models import Conversation, Message, State
from llmsite import backend
from llmsite.accounts.authorize import Action, Principal
from llmsite.accounts.models import User
from llmsite.accounts.revocation import Use
from llmsite.types.chunk import Chunk
from llmsite.types.errors import LlmsiteError

logger = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 1.0
"""A row is at most so far behind its answer."""
_PACE_SECONDS: Final = 0.05
_QUICK_TOKENS: Final = 150
_FAULT: Final = "Something went wrong inside the server; its log says what. Please try again."

_running: dict[str, AnswerLog] = {}
_background: set[asyncio.Task[Any]] = set()
_writer: asyncio.Task[None] | None = None
_wake: asyncio.Event | None = None
_is_closed = False


def start(answer: Message) -> None:
    """Begin this answer (state queued, conversation loaded). To be called on the event loop; returns at once."""
    if _is_closed:
        return  # recover() marks the row at the next start
    loop = asyncio.get_running_loop()
    log = AnswerLog(answer.id, answer.conversation_id, answer.conversation.owner_id, born=loop.time(), seq=answer.seq)
    log.saved_seq, log.last_event = answer.seq, log.born
    _running[log.message_id] = log
    log.task = _detach(_run(log))
    _ensure_writer()
    announce(log.conversation_id, log.owner_id, is_moved=True)


def find(message_id: str) -> AnswerLog | None:
    """The log of an answer that runs in this process."""
    return _running.get(message_id)


def snapshot(message: Message) -> AnswerView:
    """Row and log merged: the newest that this process knows."""
    log = _running.get(message.id)
    return log.view() if log else view_of_row(message)


def stop(message_id: str) -> bool:
    """Ask a running answer to stop; again and again does no harm. False when it does not run here."""
    log = _running.get(message_id)
    if log is None:
        return False
    if not log.is_finished and log.state != State.STOPPING:
        log.stop()
        _cancel(log)
        _changed(log, is_urgent=True)
    return True


def _cancel(log: AnswerLog) -> None:
    """A task that has not had its first turn is not cancelled, since it would never have one; it looks at `end_state` then."""
    if log.task is not None and log.has_begun:
        log.task.cancel()


async def shutdown() -> None:
    """End all running answers as interrupted and save them. No answer starts afterwards."""
    global _is_closed
    _is_closed = True
    for log in _running.values():
        if not log.is_finished:
            log.end_state = State.INTERRUPTED
            _cancel(log)
    tasks = [log.task for log in _running.values() if log.task is not None]
    await asyncio.gather(*tasks, return_exceptions=True)
    if _writer is not None:
        _wake_writer()
        await _writer


def reopen() -> None:
    """Allow answers again after `shutdown` (a server that starts a second time in one process: tests)."""
    global _is_closed
    _is_closed = False


def announce(conversation_id: str, owner_id: int, *, is_moved: bool = False) -> None:
    """Tell watchers that the path, title or mark of a conversation changed; `is_moved`: it is now the latest of its owner."""
    _tell(chat_group(conversation_id), {"type": "chat.moved", "conversation": conversation_id})
    _tell(user_group(owner_id), {"type": "rail.changed", "conversation": conversation_id, "is_moved": is_moved})


# one answer


async def _run(log: AnswerLog) -> None:
    log.has_begun = True
    try:
        if log.end_state is None:
            with _use_of(log):
                await _converse(log)
        state, error = log.end_state or State.FAILED, ""
        if log.end_state is None:
            error = "The model stopped in the middle of its answer. Please try again."
    except asyncio.CancelledError:
        state, error = log.end_state or State.INTERRUPTED, ""
    except TimeoutError as late:
        state, error = State.FAILED, str(late)
    except LlmsiteError as failure:
        state, error = State.FAILED, str(failure)
    except Exception:  # the outermost turn of an answer: whatever it was, the row must say so
        logger.exception("answer %s failed", log.message_id)
        state, error = State.FAILED, _FAULT
    log.finish(state, timezone.now(), error)
    _changed(log, is_urgent=True)


def _use_of(log: AnswerLog) -> Use:
    """An answer is stopped when its owner may no longer chat."""
    return Use(Principal("user", User(pk=log.owner_id)), Action.CHAT, on_end=partial(stop, log.message_id))


async def _converse(log: AnswerLog) -> None:
    """Ask the model and enter what it says. Raises `TimeoutError` with a sentence after too long a silence or too long a time."""
    loop = asyncio.get_running_loop()
    limits = settings.LLMSITE_LIMITS
    request = await history.request_for(log.message_id)
    wall_end = 0.0
    deadline = asyncio.timeout(None)
    try:
        async with deadline, aclosing(backend.get_client().chat(request)) as replies:
            async for reply in replies:
                now = loop.time()
                is_new_state = log.take(reply, now, timezone.now())
                _changed(log, is_urgent=is_new_state)
                if isinstance(reply, Chunk) or reply.name == "reading":
                    wall_end = wall_end or now + limits.generation_seconds
                    deadline.reschedule(min(now + limits.stall_seconds, wall_end))
    except TimeoutError:
        if not deadline.expired():
            raise
        if loop.time() >= wall_end:
            raise TimeoutError(f"Stopped after {limits.generation_seconds:g} s, the longest time an answer may take.") from None
        raise TimeoutError(f"No word from the engine for {limits.stall_seconds:g} s. What was written is kept.") from None


# hints


def _changed(log: AnswerLog, *, is_urgent: bool = False) -> None:
    """The log grew: watchers hear of it now, or when the pace allows; a new state is saved at once too."""
    loop = asyncio.get_running_loop()
    if is_urgent:
        _wake_writer()
    wait = 0.0 if is_urgent else log.last_hint + _pace(log, loop.time()) - loop.time()
    if wait <= 0:
        _hint(log)
    elif log.hint_timer is None:
        log.hint_timer = loop.call_later(wait, _hint, log)


def _pace(log: AnswerLog, now: float) -> float:
    """Seconds between two hints: 50 ms, 100 ms for quick models, and never more than a twentieth of the time for rendering."""
    writing_seconds = now - log.born - log.first_word_seconds
    is_quick = log.num_tokens > _QUICK_TOKENS * max(writing_seconds, 1)
    cost = max((each.cost_seconds for each in log.renderers.values()), default=0)
    return max(2 * _PACE_SECONDS if is_quick else _PACE_SECONDS, 20 * cost)


def _hint(log: AnswerLog) -> None:
    if log.hint_timer is not None:
        log.hint_timer.cancel()
        log.hint_timer = None
    log.last_hint = asyncio.get_running_loop().time()
    _tell(chat_group(log.conversation_id), {"type": "chat.grew", "conversation": log.conversation_id, "seq": log.seq})


def _tell(group: str, message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    if layer is not None:
        _detach(layer.group_send(group, message))


def chat_group(conversation_id: str) -> str:
    return f"chat.{conversation_id}"


def user_group(user_id: int) -> str:
    return f"user.{user_id}"


# the writer


def _ensure_writer() -> None:
    global _writer, _wake
    if _writer is None or _writer.done():
        _wake = asyncio.Event()
        _writer = _detach(_write_while_running())


def _wake_writer() -> None:
    if _wake is not None:
        _wake.set()


async def _write_while_running() -> None:
    """Save all answers that changed, once a second and when a state changed. Ends with the last running answer."""
    assert _wake is not None
    loop = asyncio.get_running_loop()
    while _running:
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await _wake.wait()
        except TimeoutError:
            for log in _running.values():
                if log.check_silence(loop.time()):
                    _changed(log)
        _wake.clear()
        try:
            await _save_changed()
        except DatabaseError:
            logger.exception("running answers could not be saved; trying again")
            await asyncio.sleep(FLUSH_SECONDS)


async def _save_changed() -> None:
    logs = [log for log in _running.values() if log.seq != log.saved_seq]
    if not logs:
        return
    seqs = [log.seq for log in logs]
    unseen = [each.conversation_id for each in logs if each.is_finished and not connections.is_watched(each.conversation_id)]
    await _save([(log.message_id, log.row()) for log in logs], unseen)
    for log, seq in zip(logs, seqs, strict=True):
        log.saved_seq = seq
        if log.is_finished and log.seq == seq:
            del _running[log.message_id]
            announce(log.conversation_id, log.owner_id)


@sync_to_async
def _save(rows: list[tuple[str, dict[str, Any]]], unseen: list[str]) -> None:
    """One transaction. A row that was deleted meanwhile stays deleted."""
    with transaction.atomic():
        for message_id, values in rows:
            Message.objects.filter(pk=message_id).update(**values)
        if unseen:
            Conversation.objects.filter(pk__in=unseen).update(is_unseen=True)


def _detach(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Run apart from the caller: in an empty context, because a context drags the request's thread and language along."""
    task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
    _background.add(task)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[Any]) -> None:
    _background.discard(task)
    if not task.cancelled() and task.exception() is not None:
        logger.error("background work failed", exc_info=task.exception())
