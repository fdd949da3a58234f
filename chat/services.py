"""What people do with conversations. All functions may be awaited from views; each is one short transaction.

Nothing here waits for a model: `generation.py` does, in a task of its own.
Foreign and missing ids raise the same `NotFound`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chat.models import Conversation, Message
from llmsite.accounts.models import User
from llmsite.types.request import Think


@dataclass(frozen=True, slots=True)
class SendResult:
    """`is_new` is False when the token had been used before: the same result again, nothing was written."""

    conversation: Conversation
    question: Message
    answer: Message
    is_new: bool


def new_conversation_id(user: User) -> str:
    """Id for a chat that has no row yet; the new-chat page carries it. Only this user can create the row."""
    raise NotImplementedError


async def get_conversation(user: User, conversation_id: str) -> Conversation:
    """Raises `NotFound`."""
    raise NotImplementedError


async def list_conversations(user: User, before: tuple[datetime, str] | None = None, limit: int = 40) -> list[Conversation]:
    """Newest first. `before` is `(updated_at, id)` of the last one shown."""
    raise NotImplementedError


async def visible_path(conversation: Conversation) -> list[Message]:
    """Root to active leaf."""
    raise NotImplementedError


async def get_message(user: User, message_id: str) -> Message:
    """With its conversation. Raises `NotFound`."""
    raise NotImplementedError


async def send(
    user: User, conversation_id: str, text: str, model: str, parent_id: str, send_token: str, think: Think = None
) -> SendResult:
    """Save the question with its answer (state queued) and start the answer. The first send creates the conversation.

    `parent_id` is the leaf the user saw ("" in a new chat). Raises `NotFound`, `InvalidRequest` (empty or too long),
    `Conflict` when the leaf moved or an answer is being written.
    """
    raise NotImplementedError


async def stop(user: User, message_id: str) -> Message:
    """Ask the answer to stop; may be repeated. Raises `NotFound`."""
    raise NotImplementedError


async def regenerate(user: User, message_id: str, model: str = "") -> Message:
    """A sibling of this answer, started. Also runs an answer that is `waiting`. Raises `NotFound`, `Conflict`."""
    raise NotImplementedError


async def rename(user: User, conversation_id: str, title: str) -> Conversation:
    """Raises `NotFound`, `InvalidRequest` when empty."""
    raise NotImplementedError


async def delete(user: User, conversation_id: str) -> None:
    """The conversation with all messages; a running answer ends. Raises `NotFound`."""
    raise NotImplementedError


async def mark_seen(conversation: Conversation) -> None:
    """The owner has the chat before him: no dot in the rail."""
    raise NotImplementedError


def recover() -> int:
    """At start, before the server listens: answers that a dead process left become `interrupted`. Returns how many."""
    raise NotImplementedError
