"""What the templates of the chat are given: turns, rail, models to choose from, suggestions. Reads only; made for one request."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from chat import generation, services
from chat.answer import AnswerView, Cursor
from chat.markdown import Block
from chat.models import Conversation, Message
from chat.picker import Choice, list_choices, pick
from llmsite.accounts.models import User
from llmsite.accounts.pages import is_htmx, user_of

RAIL_LIMIT: Final = 40
ZONE_COOKIE: Final = "llmsite_zone"
"""Set by the page's script: the reader's time zone, so that "Today" is theirs."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message on screen; an answer has a view and its blocks."""

    message: Message
    view: AnswerView | None = None
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RailItem:
    """A chat in the rail. `mark` is the state of an answer being written, "unseen", or nothing."""

    conversation: Conversation
    mark: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True)
class RailGroup:
    """Chats of one stretch of time; a continued group has no label."""

    key: str
    label: str
    items: list[RailItem]


@dataclass(frozen=True, slots=True)
class Rail:
    groups: list[RailGroup]
    more_url: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    title: str
    text: str


async def chat_context(request: HttpRequest, conversation: Conversation | None, **more: Any) -> dict[str, Any]:
    """Everything on the page of a chat, or of a new one without `conversation`."""
    user = user_of(request)
    choices = await list_choices()
    path = await services.visible_path(conversation) if conversation else []
    turns = [turn_of(message) for message in path]
    chosen = pick(choices, conversation.model if conversation else "", path)
    context = {
        "conversation": conversation,
        "chat_id": conversation.id if conversation else services.new_conversation_id(user),
        "models": choices,
        "model": chosen,
        "think": path[-1].think is not False if path else True,
        "greeting": _greeting(user),
        "suggestions": suggestions(chosen) if not turns else [],
        **turns_context(turns),
    }
    if "rail" not in more and not is_htmx(request):
        context["rail"] = await rail_of(request, current=conversation)
    return context | more


def turns_context(turns: list[Turn]) -> dict[str, Any]:
    """The turns with what the composer needs to know of the last one."""
    last = turns[-1].view if turns else None
    return {
        "turns": turns,
        "view": last,
        "cursor": cursor_of(last),
        "send_token": secrets.token_urlsafe(16),
        "parent_id": turns[-1].message.id if turns else "",
    }


def turn_of(message: Message) -> Turn:
    """A message as it is now. To be called on the event loop: blocks of a running answer are shared with the sockets."""
    if not message.is_answer:
        return Turn(message)
    view = generation.snapshot(message)
    return Turn(message, view, view.blocks)


def cursor_of(view: AnswerView | None) -> Cursor | None:
    return view.cursor if view else None


# the rail


async def rail_of(request: HttpRequest, current: Conversation | None = None) -> Rail:
    """One page of the person's chats, after the one named by `?before=` and under the same headings."""
    before = _before(request)
    found = await services.list_conversations(user_of(request), before=before, limit=RAIL_LIMIT)
    zone = zone_of(request)
    today = timezone.localtime(timezone=zone).date()
    items = [RailItem(each, each.mark, current is not None and each.id == current.id) for each in found]
    groups = _grouped(items, today, zone, request.GET.get("group", ""))
    if len(found) < RAIL_LIMIT or not groups:
        return Rail(groups)
    last = found[-1]
    query = urlencode({"before": last.updated_at.isoformat(), "id": last.id, "group": groups[-1].key})
    return Rail(groups, f"{reverse('chat:rail')}?{query}")


def mark_of(conversation: Conversation) -> str:
    """State of the answer being written there, "unseen", or nothing. Asks no database."""
    log = generation.find(conversation.active_leaf_id or "")
    if log is not None and not log.is_finished:
        return str(log.state)
    return "unseen" if conversation.is_unseen else ""


def _before(request: HttpRequest) -> tuple[datetime, str] | None:
    moment = parse_datetime(request.GET.get("before", "")[:40])
    return (moment, request.GET.get("id", "")[:22]) if moment and timezone.is_aware(moment) else None


def _grouped(items: Iterable[RailItem], today: date, zone: tzinfo, shown_key: str) -> list[RailGroup]:
    groups: list[RailGroup] = [] if shown_key else [RailGroup("today", _("Today"), [])]
    for item in items:
        key, label = _heading(timezone.localtime(item.conversation.updated_at, zone).date(), today)
        if not groups or groups[-1].key != key:
            groups.append(RailGroup(key, "" if key == shown_key else label, []))
        groups[-1].items.append(item)
    return groups


def _heading(day: date, today: date) -> tuple[str, str]:
    age = (today - day).days
    if age <= 0:
        return "today", _("Today")
    if age == 1:
        return "yesterday", _("Yesterday")
    if age <= 7:
        return "week", _("Previous 7 days")
    key = f"{day.year}-{day.month:02}"
    if today - day < timedelta(days=330):
        return key, date_format(day, "F")
    return key, date_format(day, "YEAR_MONTH_FORMAT")


def zone_of(request: HttpRequest) -> tzinfo:
    """The reader's time zone as their browser says, else the server's."""
    name = request.COOKIES.get(ZONE_COOKIE, "")
    try:
        return ZoneInfo(name) if name else timezone.get_default_timezone()
    except (KeyError, ValueError, OSError):  # no such zone, or no such thing as a zone
        return timezone.get_default_timezone()


# a new chat


def _greeting(user: User) -> str:
    return _("Hello, %(name)s.") % {"name": user.first_name or user.get_username()}


def suggestions(model: Choice | None) -> list[Suggestion]:
    """Four things to ask that this model can answer."""
    if model is None:
        return []
    if model.is_starter:
        return [
            Suggestion(_("Ask what it can do"), _("What can you do?")),
            Suggestion(_("Let it work something out"), _("What is 47 + 38?")),
            Suggestion(_("Learn your way around"), _("How do I download a model?")),
            Suggestion(_("See how an answer looks"), _("Show me a markdown example")),
        ]
    return [
        Suggestion(_("Have something explained"), _("Explain how vaccines work, in five sentences.")),
        Suggestion(_("Draft a reply"), _("Write a short, friendly reply that declines an invitation.")),
        Suggestion(_("Compare two options"), _("Compare SQLite and PostgreSQL for a small website, as a table.")),
        Suggestion(_("Write some code"), _("Write a Python function that finds duplicate files in a folder.")),
    ]
