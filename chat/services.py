"""What people do with conversations. All functions may be awaited from views; each is one short transaction.

Nothing here waits for a model: `generation.py` does, in a task of its own.
Foreign and missing ids raise the same `NotFound`.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from chat import generation, history
from chat.models import ACTIVE, ID_CHARS, Conversation, Message, Role, State
from llmsite.accounts.models import User
from llmsite.types.errors import Conflict, InvalidRequest, NotFound
from llmsite.types.request import Think

_RANDOM_CHARS: Final = 14
_TITLE_CHARS: Final = 60
_TOKEN_CHARS: Final = 64
_RESTART_GAP: Final = 1_000_000
"""Added to `seq` of an interrupted answer: tabs saw changes that the row had not saved, and must not take new ones for those."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """`is_new` is False when the token had been used before: the same result again, nothing was written."""

    conversation: Conversation
    question: Message
    answer: Message
    is_new: bool


# reading


def new_conversation_id(user: User) -> str:
    """Id for a chat that has no row yet; the new-chat page carries it. Only this user can create the row."""
    random = secrets.token_urlsafe(10)
    return random + _seal(random, user)


def _seal(random: str, user: User) -> str:
    return base64.urlsafe_b64encode(salted_hmac("chat.id", f"{random}:{user.pk}").digest()[:6]).decode()


def is_issued_to(user: User, conversation_id: str) -> bool:
    """Whether this person was given this id, so that a row under it would be theirs."""
    if len(conversation_id) != ID_CHARS:
        return False
    random = conversation_id[:_RANDOM_CHARS]
    return constant_time_compare(conversation_id[_RANDOM_CHARS:], _seal(random, user))


def _find_conversation(user: User, conversation_id: str) -> Conversation:
    found = Conversation.objects.filter(pk=conversation_id, owner=user).first()
    if found is None:
        raise _no_conversation()
    return found


def _no_conversation() -> NotFound:
    return NotFound(_("There is no such chat, or it is not yours."))


@sync_to_async
def get_conversation(user: User, conversation_id: str) -> Conversation:
    """Raises `NotFound`."""
    return _find_conversation(user, conversation_id)


@sync_to_async
def list_conversations(user: User, before: tuple[datetime, str] | None = None, limit: int = 40) -> list[Conversation]:
    """Newest first, each with its `mark`. `before` is `(updated_at, id)` of the last one shown."""
    rows = Conversation.objects.filter(owner=user)
    if before is not None:
        moment, conversation_id = before
        rows = rows.filter(Q(updated_at__lt=moment) | Q(updated_at=moment, pk__lt=conversation_id))
    found = list(rows.order_by("-updated_at", "-pk")[:limit])
    states = dict(Message.objects.filter(conversation__in=found, state__in=ACTIVE).values_list("conversation_id", "state"))
    for each in found:
        each.mark = states.get(each.pk) or ("unseen" if each.is_unseen else "")
    return found


@sync_to_async
def visible_path(conversation: Conversation) -> list[Message]:
    """Root to active leaf."""
    leaf = conversation.active_leaf
    return history.path_to(leaf) if leaf else []


@sync_to_async
def get_message(user: User, message_id: str) -> Message:
    """With its conversation and parent. Raises `NotFound`."""
    return _find_message(user, message_id)


def _find_message(user: User, message_id: str) -> Message:
    rows = Message.objects.select_related("conversation", "parent")
    found = rows.filter(pk=message_id, conversation__owner=user).first()
    if found is None:
        raise NotFound(_("There is no such message, or it is not yours."))
    return found


# asking


async def send(
    user: User, conversation_id: str, text: str, model: str, parent_id: str, send_token: str, think: Think = None
) -> SendResult:
    """Save the question with its answer (state queued) and start the answer. The first send creates the conversation.

    `parent_id` is the leaf the user saw ("" in a new chat). Raises `NotFound`, `InvalidRequest` (empty or too long),
    `Conflict` when the leaf moved or an answer is being written.
    """
    _check_text(text)
    if not model or len(model) > 700:
        raise InvalidRequest(_("Choose a model first."))
    if not 0 < len(send_token) <= _TOKEN_CHARS:
        raise InvalidRequest(_("This page is out of date. Please load it again."))
    result = await _save_question(user, conversation_id, text, model, parent_id, send_token, think)
    if result.is_new:
        generation.start(result.answer)
    return result


def _check_text(text: str) -> None:
    limit = settings.LLMSITE_LIMITS.message_chars
    if not text.strip():
        raise InvalidRequest(_("Write a message first."))
    if len(text) > limit:
        raise InvalidRequest(
            _("The message has %(count)d characters; at most %(limit)d fit.") % {"count": len(text), "limit": limit}
        )
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidRequest(_("The message holds a character that cannot be stored."))


@sync_to_async
def _save_question(
    user: User, conversation_id: str, text: str, model: str, parent_id: str, send_token: str, think: Think
) -> SendResult:
    for is_second_try in (False, True):
        try:
            with transaction.atomic():
                return _save_question_once(user, conversation_id, text, model, parent_id, send_token, think)
        except IntegrityError:
            # the same send came twice at once: now the other one's rows are there
            if is_second_try:
                raise
    raise AssertionError


def _save_question_once(
    user: User, conversation_id: str, text: str, model: str, parent_id: str, send_token: str, think: Think
) -> SendResult:
    conversation = Conversation.objects.filter(pk=conversation_id).first()
    if conversation is None:
        conversation = _new_conversation(user, conversation_id, text, parent_id)
    elif conversation.owner_id != user.pk:
        raise _no_conversation()
    sent = Message.objects.filter(conversation=conversation, send_token=send_token).first()
    if sent is not None:
        answer = Message.objects.filter(parent=sent, role=Role.ASSISTANT).order_by("number")[0]
        return SendResult(conversation, sent, answer, is_new=False)
    if (conversation.active_leaf_id or "") != parent_id:
        raise Conflict(_("This chat went on elsewhere. Load the page again to see it."))
    _refuse_while_writing(conversation)
    number = _next_number(conversation)
    question = Message.objects.create(
        conversation=conversation,
        parent_id=parent_id or None,
        number=number,
        role=Role.USER,
        content=text.replace("\r\n", "\n"),
        send_token=send_token,
    )
    answer = _add_answer(conversation, question, number + 1, model, think)
    return SendResult(conversation, question, answer, is_new=True)


def _new_conversation(user: User, conversation_id: str, text: str, parent_id: str) -> Conversation:
    if parent_id or not is_issued_to(user, conversation_id):
        raise _no_conversation()
    limit = settings.LLMSITE_LIMITS.conversations_per_user
    if Conversation.objects.filter(owner=user).count() >= limit:
        raise InvalidRequest(_("You have %(limit)d chats; delete one first.") % {"limit": limit})
    return Conversation.objects.create(pk=conversation_id, owner=user, title=title_of(text), updated_at=timezone.now())


def title_of(text: str) -> str:
    """First line, cut at a word by 60 characters."""
    line = " ".join(text.strip().split("\n", 1)[0].split())
    if len(line) <= _TITLE_CHARS:
        return line
    cut = line[: _TITLE_CHARS - 1]
    at_word = cut.rpartition(" ")[0] if not line[_TITLE_CHARS - 1].isspace() else cut
    return (at_word if len(at_word) > _TITLE_CHARS // 2 else cut).rstrip() + "…"


def _refuse_while_writing(conversation: Conversation) -> None:
    if Message.objects.filter(conversation=conversation, state__in=ACTIVE).exists():
        raise Conflict(_("An answer is still being written in this chat. Wait for it, or stop it first."))


def _next_number(conversation: Conversation) -> int:
    last = Message.objects.filter(conversation=conversation).aggregate(last=Max("number"))["last"] or 0
    limit = settings.LLMSITE_LIMITS.messages_per_conversation
    if last >= limit:
        raise InvalidRequest(_("This chat has %(limit)d messages, the most it can hold. Start a new one.") % {"limit": limit})
    return int(last) + 1


def _add_answer(conversation: Conversation, question: Message, number: int, model: str, think: Think) -> Message:
    answer = Message.objects.create(
        conversation=conversation,
        parent=question,
        number=number,
        role=Role.ASSISTANT,
        state=State.QUEUED,
        model=model,
        think=think,
    )
    _move_leaf(conversation, answer)
    return answer


def _move_leaf(conversation: Conversation, answer: Message) -> None:
    conversation.active_leaf, conversation.model, conversation.updated_at = answer, answer.model, timezone.now()
    conversation.is_unseen = False
    conversation.save(update_fields=["active_leaf", "model", "updated_at", "is_unseen"])


async def regenerate(user: User, message_id: str, model: str = "") -> Message:
    """A sibling of this answer, started. One that nobody answered yet is run itself. Raises `NotFound`, `Conflict`."""
    answer = await _save_sibling(user, message_id, model)
    generation.start(answer)
    return answer


@sync_to_async
def _save_sibling(user: User, message_id: str, model: str) -> Message:
    with transaction.atomic():
        old = _find_message(user, message_id)
        if old.parent is None or old.role != Role.ASSISTANT:
            raise NotFound(_("Only an answer can be written again."))
        _refuse_while_writing(old.conversation)
        chosen = model or old.model
        if old.state == State.WAITING:
            old.state, old.model, old.error, old.seq = State.QUEUED, chosen, "", old.seq + 1
            old.finished_at = None
            old.save(update_fields=["state", "model", "error", "seq", "finished_at"])
            _move_leaf(old.conversation, old)
            return old
        return _add_answer(old.conversation, old.parent, _next_number(old.conversation), chosen, old.think)


async def stop(user: User, message_id: str) -> Message:
    """Ask the answer to stop; may be repeated. Raises `NotFound`."""
    message = await get_message(user, message_id)
    if not generation.stop(message.id) and message.is_active:
        await _end_orphan(message)
    return message


@sync_to_async
def _end_orphan(message: Message) -> None:
    """A row that says it runs though no task does: only a fault leaves one, and it would block its chat."""
    rows = Message.objects.filter(pk=message.pk, state__in=ACTIVE)
    rows.update(state=State.STOPPED, finished_at=timezone.now(), seq=F("seq") + 1)
    message.refresh_from_db(fields=["state", "finished_at", "seq"])


# keeping order


async def rename(user: User, conversation_id: str, title: str) -> Conversation:
    """Raises `NotFound`, `InvalidRequest` when empty."""
    conversation = await _save_title(user, conversation_id, title)
    generation.announce(conversation.pk, conversation.owner_id)
    return conversation


@sync_to_async
def _save_title(user: User, conversation_id: str, title: str) -> Conversation:
    conversation = _find_conversation(user, conversation_id)
    clean = " ".join(title.replace("\0", "").split())[:200]
    if not clean:
        raise InvalidRequest(_("Give the chat a title."))
    conversation.title = clean
    conversation.save(update_fields=["title"])
    return conversation


async def delete(user: User, conversation_id: str) -> None:
    """The conversation with all messages; a running answer ends. Raises `NotFound`."""
    for answer_id in await _delete_rows(user, conversation_id):
        generation.stop(answer_id)
    generation.announce(conversation_id, user.pk)


@sync_to_async
def _delete_rows(user: User, conversation_id: str) -> list[str]:
    with transaction.atomic():
        conversation = _find_conversation(user, conversation_id)
        running = list(Message.objects.filter(conversation=conversation, state__in=ACTIVE).values_list("pk", flat=True))
        conversation.delete()
    return running


async def mark_seen(user: User, conversation_id: str) -> None:
    """The owner has the chat before them: no dot in the rail, in none of their tabs. Another's chat is left alone."""
    if await _remove_dot(user, conversation_id):
        generation.announce(conversation_id, user.pk)


@sync_to_async
def _remove_dot(user: User, conversation_id: str) -> bool:
    return bool(Conversation.objects.filter(pk=conversation_id, owner=user, is_unseen=True).update(is_unseen=False))


def recover() -> int:
    """At start, before the server listens: answers that a dead process left become `interrupted`. Returns how many."""
    rows = Message.objects.filter(state__in=ACTIVE)
    return rows.update(state=State.INTERRUPTED, finished_at=timezone.now(), seq=F("seq") + _RESTART_GAP)
