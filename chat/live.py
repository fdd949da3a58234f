"""What one tab has of one chat, and what it needs next: turns the log of a running answer into batches for socket and poll.

A follower reads only. It is told that something changed (`load` when the path moved, `collect` when the log grew) and remembers
what it sent; a tab that was away begins a new one with its cursor. However much was missed, the next batch makes up for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import translation

from chat import fragments, generation, history, services
from chat.answer import AnswerLog, AnswerView, Cursor, view_of_row
from chat.markdown import Block
from chat.models import ID_CHARS, Conversation, Message
from chat.pages import mark_of, turn_of
from llmsite.accounts.models import User
from llmsite.types.errors import NotFound

_NOTHING = Cursor("", 0, 0)


def parse_cursor(value: Any) -> Cursor | None:
    """The cursor as a tab sends it; None when there is none or it is none of ours."""
    if not isinstance(value, dict):
        return None
    g, n, seq = value.get("g"), value.get("n"), value.get("seq")
    if not isinstance(g, str) or len(g) > ID_CHARS or type(n) is not int or type(seq) is not int:
        return None
    return Cursor(g, n, seq)


def parse_topic(topic: Any) -> tuple[str, str] | None:
    """`c:<chat>` or `u:<user>` as kind and id; one spelling only."""
    if not isinstance(topic, str) or len(topic) > 2 + ID_CHARS or topic[:2] not in ("c:", "u:"):
        return None
    name = topic[2:]
    is_plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return (topic[0], name) if is_plain else None


def parse_cursor_text(text: str) -> Cursor | None:
    try:
        return parse_cursor(json.loads(text))
    except ValueError:
        return None


@dataclass
class _Shown:
    """What the tab has of the answer `g`. None means: not known, since another follower sent it."""

    g: str
    n: int
    seq: int
    last_html: str | None = None
    last_code: str | None = None
    thinking_chars: int | None = None
    thinking_summary: str = ""
    status: tuple[Any, ...] | None = None
    state: str = ""


class ChatFollower:
    """One tab and one chat. `load` may ask the database, `collect` never does."""

    def __init__(self, user: User, conversation_id: str, cursor: Cursor | None, language: str) -> None:
        self.conversation_id = conversation_id
        self._user = user
        self._language = language
        start = cursor or _NOTHING
        self._shown = _Shown(start.g, start.n, start.seq)
        self._conversation: Conversation | None = None
        self._leaf: Message | None = None
        self._log: AnswerLog | None = None
        self._missing: list[Message] = []
        self._is_below = False

    async def load(self) -> None:
        """Read where the chat stands. Raises `NotFound` when it is not this person's, now."""
        self._conversation, self._leaf, self._missing, self._is_below = await _read_chat(
            self._user, self.conversation_id, self._shown.g
        )
        if self._conversation is None and self._shown.g:
            raise NotFound("the chat was deleted")
        # a log that is gone from the room has been saved, so the row that was read before may be behind it: the log stays
        found = generation.find(self._leaf.id) if self._leaf else None
        if found is not None or self._log is None or self._leaf is None or self._log.message_id != self._leaf.id:
            self._log = found

    @property
    def user_id(self) -> int:
        return self._user.pk

    @property
    def is_local(self) -> bool:
        """Whether this process writes the answer, so that `collect` sees all of it without `load`."""
        return self._log is not None

    def collect(self, *, is_hidden: bool = False) -> str:
        """The next batch, "" when the tab has everything. A hidden tab gets changes of state only."""
        if self._leaf is None or self._conversation is None or not self._leaf.is_answer:
            return ""
        view = self._log.view() if self._log else view_of_row(self._leaf)
        with translation.override(self._language):
            if view.message_id != self._shown.g:
                parts = self._turns(self._conversation, self._leaf, view)
            elif view.seq == self._shown.seq:
                self._shown.state = view.state
                return ""
            elif is_hidden and view.state == self._shown.state:
                return ""
            else:
                parts = self._changes(self._conversation, self._leaf, view)
            self._shown.seq, self._shown.state = view.seq, view.state
            return "".join([*parts, fragments.cursor(self.conversation_id, view)])

    # a turn that the tab does not have

    def _turns(self, conversation: Conversation, leaf: Message, view: AnswerView) -> list[str]:
        turns = [turn_of(each) for each in self._missing]
        self._missing = []
        self._remember(view)
        return [
            fragments.new_turns(turns) if self._is_below else fragments.all_turns(turns),
            fragments.composer_tokens(leaf),
            fragments.composer_actions(conversation, view),
        ]

    # an answer that it has

    def _changes(self, conversation: Conversation, leaf: Message, view: AnswerView) -> list[str]:
        is_new_state = view.state != self._shown.state
        if self._is_out_of_step(view):
            self._remember(view)
            return [fragments.article(leaf, view), fragments.composer_actions(conversation, view)]
        parts = [*self._thinking(leaf, view), *self._blocks(leaf, view), *self._status(leaf, view)]
        if is_new_state:
            parts.append(fragments.composer_actions(conversation, view))
            if not view.is_active:
                parts.append(fragments.foot(leaf, view))
        return parts

    def _is_out_of_step(self, view: AnswerView) -> bool:
        """A tab that has nothing yet, or has what the server lost, gets the article whole; it then knows where it stands."""
        is_resuming = self._shown.last_html is None and self._shown.last_code is None
        is_first = self._shown.n == 0 and is_resuming and self._shown.status is None
        return is_first or self._shown.n > len(view.blocks) or self._shown.seq > view.seq

    def _remember(self, view: AnswerView) -> None:
        """The tab gets the article as it is in this view."""
        self._shown = _Shown(view.message_id, 0, view.seq, thinking_chars=len(view.thinking), status=_status_key(view))
        self._note_blocks(view.blocks)
        self._shown.state = view.state

    def _note_blocks(self, blocks: list[Block]) -> None:
        last = blocks[-1] if blocks else None
        self._shown.n = len(blocks)
        self._shown.last_code = last.open_code if last else None
        self._shown.last_html = last.html if last and last.open_code is None else None

    def _blocks(self, leaf: Message, view: AnswerView) -> list[str]:
        blocks, n = view.blocks, self._shown.n
        parts = []
        if n > 0 and (change := self._last_block(leaf, blocks[n - 1])):
            parts.append(change)
        if len(blocks) > n:
            parts.append(fragments.new_blocks(leaf, blocks[n:]))
        self._note_blocks(blocks)
        return parts

    def _last_block(self, leaf: Message, block: Block) -> str:
        """What the tab's last block, the only one that can have changed, has become."""
        known = self._shown.last_code
        if block.open_code is not None and known is not None:
            more = block.open_code[len(known) :]
            return fragments.more_code(block.code_id, more) if more else ""
        if block.open_code is None and block.html == self._shown.last_html:
            return ""
        return fragments.block(leaf, block)

    def _thinking(self, leaf: Message, view: AnswerView) -> list[str]:
        known = self._shown.thinking_chars
        if not view.thinking:
            return []
        self._shown.thinking_chars = len(view.thinking)
        if not known:
            self._shown.thinking_summary = fragments.thinking_summary(leaf, view)
            return [fragments.thinking(leaf, view)]
        parts = [fragments.more_thinking(leaf, view.thinking[known:])] if len(view.thinking) > known else []
        if view.state != self._shown.state or parts:
            summary = fragments.thinking_summary(leaf, view)
            if summary != self._shown.thinking_summary:
                self._shown.thinking_summary = summary
                parts.append(summary)
        return parts

    def _status(self, leaf: Message, view: AnswerView) -> list[str]:
        key = _status_key(view)
        if key == self._shown.status:
            return []
        self._shown.status = key
        return [fragments.status(leaf, view)]


def _status_key(view: AnswerView) -> tuple[Any, ...]:
    return (view.state, view.phase, view.is_silent, view.error)


@sync_to_async
def _read_chat(user: User, conversation_id: str, shown_g: str) -> tuple[Conversation | None, Message | None, list[Message], bool]:
    """The conversation, its leaf, the messages a tab that shows the answer `shown_g` lacks, and whether they go below it.

    A new-chat page subscribes before its chat has a row: nothing yet, but not missing either.
    """
    rows = Conversation.objects.select_related("active_leaf__parent", "active_leaf__conversation", "owner")
    conversation = rows.filter(pk=conversation_id, owner=user).first()
    if conversation is None:
        if services.is_issued_to(user, conversation_id) and not Conversation.objects.filter(pk=conversation_id).exists():
            return None, None, [], False
        raise NotFound("there is no such chat")
    leaf = conversation.active_leaf
    if leaf is None or leaf.id == shown_g:
        return conversation, leaf, [], False
    question = leaf.parent
    if question is not None and shown_g and question.parent_id == shown_g:
        return conversation, leaf, [question, leaf], True
    path = history.path_to(leaf)
    for each in path:
        each.conversation = conversation
    return conversation, leaf, path, False


class RailFollower:
    """The rail of one tab: one line of it after each change of a chat."""

    def __init__(self, user: User, language: str) -> None:
        self._user = user
        self._language = language

    async def collect(self, conversation_id: str, *, is_moved: bool, is_current: bool) -> str:
        conversation = await _find(self._user, conversation_id)
        if conversation is None:
            return fragments.rail_item_gone(conversation_id)
        with translation.override(self._language):
            return fragments.rail_item(conversation, mark_of(conversation), is_current=is_current, is_moved=is_moved)


@sync_to_async
def _find(user: User, conversation_id: str) -> Conversation | None:
    return Conversation.objects.select_related("active_leaf").filter(pk=conversation_id, owner=user).first()
