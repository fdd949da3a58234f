"""Parts of the page as they travel to a tab: the same partials that the page includes, marked to be swapped out of band.

A batch is a string of elements with ids; its last one is the cursor. Only markup is decided here, what to send is in `live.py`.
To be called with the reader's language active.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from django.template.loader import get_template

from chat.answer import AnswerView
from chat.markdown import Block
from chat.models import Conversation, Message
from chat.pages import Turn

PONG: Final = '<i id="pong" hidden hx-swap-oob="true"></i>'


def partial(name: str, context: dict[str, Any]) -> str:
    return get_template(f"chat/{name}.html").render(context).strip()


def cursor(conversation_id: str, view: AnswerView) -> str:
    return partial("_cursor", {"chat_id": conversation_id, "cursor": view.cursor, "oob": "true"})


def gone(conversation_id: str) -> str:
    """The same for a chat that does not exist and for somebody else's."""
    return f'<i id="cur-c:{escape(conversation_id)}" hidden data-state="gone" hx-swap-oob="true"></i>'


def article(message: Message, view: AnswerView) -> str:
    """The whole answer, for a tab that is out of step."""
    return partial("_message_assistant", {"message": message, "view": view, "blocks": view.blocks, "oob": "true"})


def new_turns(turns: Sequence[Turn]) -> str:
    """Turns that go below the others."""
    return f'<div id="messages" hx-swap-oob="beforeend">{partial("_turns", {"turns": turns})}</div>'


def all_turns(turns: Sequence[Turn]) -> str:
    return partial("_messages", {"turns": turns, "oob": "true"})


def block(message: Message, each: Block) -> str:
    return partial("_block", {"message": message, "block": each, "n": each.n, "oob": "true"})


def new_blocks(message: Message, blocks: Sequence[Block]) -> str:
    inner = "".join(partial("_block", {"message": message, "block": each, "n": each.n}) for each in blocks)
    return f'<div id="m-{message.id}-body" hx-swap-oob="beforeend">{inner}</div>'


def more_code(code_id: str, text: str) -> str:
    return f'<code id="{code_id}" hx-swap-oob="beforeend">{escape(text, quote=False)}</code>'


def thinking(message: Message, view: AnswerView) -> str:
    return partial("_thinking", {"message": message, "view": view, "oob": "true"})


def more_thinking(message: Message, text: str) -> str:
    return f'<div id="m-{message.id}-think-body" hx-swap-oob="beforeend">{escape(text, quote=False)}</div>'


def thinking_summary(message: Message, view: AnswerView) -> str:
    inner = partial("_thinking_summary", {"message": message, "view": view})
    return f'<summary id="m-{message.id}-think-sum" hx-swap-oob="innerHTML">{inner}</summary>'


def status(message: Message, view: AnswerView) -> str:
    return partial("_status", {"message": message, "view": view, "oob": "true"})


def foot(message: Message, view: AnswerView) -> str:
    return partial("_foot", {"message": message, "view": view, "oob": "true"})


def composer_actions(conversation: Conversation, view: AnswerView) -> str:
    return partial("_composer_actions", {"conversation": conversation, "view": view, "oob": "true"})


def composer_tokens(leaf: Message) -> str:
    """The next message of this tab goes below the new leaf."""
    return partial("_composer_tokens", {"send_token": secrets.token_urlsafe(16), "parent_id": leaf.id, "oob": "true"})


def rail_item(conversation: Conversation, mark: str, *, is_current: bool, is_moved: bool) -> str:
    """The chat's line in the rail; `is_moved` takes it to the top, where it also appears for the first time."""
    name = "_rail_moved" if is_moved else "_rail_item"
    return partial(name, {"conversation": conversation, "mark": mark, "current": is_current, "oob": "true"})


def rail_item_gone(conversation_id: str) -> str:
    return f'<li id="rail-item-{escape(conversation_id)}" hx-swap-oob="delete"></li>'
