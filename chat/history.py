"""The prompt of an answer: exactly the path on screen, as `types.Message`."""

from __future__ import annotations

from collections.abc import Iterable

from asgiref.sync import sync_to_async

from chat.models import Conversation, Message, Role
from llmsite.types import message as types
from llmsite.types.errors import Canceled
from llmsite.types.request import ChatRequest


def path_to(leaf: Message) -> list[Message]:
    """Root to leaf. Two queries, however long the path."""
    parents = dict(Message.objects.filter(conversation_id=leaf.conversation_id).values_list("id", "parent_id"))
    ids: list[str] = []
    current: str | None = leaf.id
    while current is not None and current in parents:
        ids.append(current)
        current = parents[current]
    on_path = set(ids)
    if len(on_path) == len(parents):
        rows = Message.objects.filter(conversation_id=leaf.conversation_id)
        return list(rows)
    by_id: dict[str, Message] = {}
    for start in range(0, len(ids), 500):
        by_id |= Message.objects.in_bulk(ids[start : start + 500])
    return [by_id[each] for each in reversed(ids) if each in by_id]


def prompt_of(path: Iterable[Message]) -> tuple[types.Message, ...]:
    """Turns to send. Answers without a word are left out; questions that then touch become one, since templates want turns
    to alternate. Thoughts of earlier turns are not sent.
    """
    turns: list[types.Message] = []
    for each in path:
        if each.role == Role.ASSISTANT and not each.content.strip():
            continue
        if turns and turns[-1].role == each.role:
            turns[-1] = types.Message(each.role, turns[-1].content + "\n\n" + each.content)
        else:
            turns.append(types.Message(each.role, each.content))
    return tuple(turns)


def _request_for(answer_id: str) -> ChatRequest:
    answer = Message.objects.select_related("conversation", "parent").filter(pk=answer_id).first()
    if answer is None or answer.parent is None:
        raise Canceled("the conversation was deleted")
    return ChatRequest(
        model=answer.model,
        messages=prompt_of(path_to(answer.parent)),
        think=answer.think,
        user=queue_key(answer.conversation),
    )


request_for = sync_to_async(_request_for)
"""The request that answers the question above this row. Raises `Canceled` when the row is gone."""


def queue_key(conversation: Conversation) -> str:
    """The name under which the owner's requests wait, the same as over REST (`Principal.queue_key`)."""
    return f"user:{conversation.owner_id}"
