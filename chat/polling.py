"""The held request that stands in for the websocket of a tab: it passes on what the followers of `live.py` collect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from chat import connections, generation
from chat.live import ChatFollower, RailFollower, parse_cursor_text, parse_topic
from llmsite.accounts.authorize import Action, may, principal_of
from llmsite.accounts.language import choose_language
from llmsite.accounts.models import User
from llmsite.accounts.pages import user_of
from llmsite.types.errors import NotFound
from models_app import progress
from models_app.progress import DownloadsFollower, parse_seq_text

POLL_SECONDS: Final = 20.0


async def poll(request: HttpRequest) -> HttpResponse:
    """`GET /live/poll?topic=c:<id>&cur=<JSON>`: the next batch, waited for at most twenty seconds; 204 when there was none.

    A page without a chat gives no topic and hears of the rail. `pulls` are the downloads, for administrators.
    """
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    user = user_of(request)
    language = choose_language(request, user)
    try:
        if request.GET.get("topic") == progress.TOPIC:
            follower = DownloadsFollower(language, parse_seq_text(request.GET.get("cur", "")))
            return _answer(await _next_downloads_batch(user, follower))
        match parse_topic(request.GET.get("topic") or f"u:{user.pk}"):
            case ("c", conversation_id):
                cursor = parse_cursor_text(request.GET.get("cur", ""))
                return _answer(await _next_chat_batch(ChatFollower(user, conversation_id, cursor, language)))
            case ("u", name) if name == str(user.pk):
                return _answer(await _next_rail_batch(user, RailFollower(user, language)))
            case _:
                return _answer("", HTTPStatus.NOT_FOUND)
    except TimeoutError:
        return _answer("")
    except NotFound:
        return _answer("", HTTPStatus.NOT_FOUND)
    except PermissionError:
        return _answer("", HTTPStatus.UNAUTHORIZED)


async def _next_chat_batch(follower: ChatFollower) -> str:
    connections.watch(follower.conversation_id)
    try:
        async with _hints(generation.chat_group(follower.conversation_id)) as receive:
            await follower.load()
            batch = follower.collect()
            while not batch:
                await receive()
                await _confirm(follower.user_id)
                await follower.load()
                batch = follower.collect()
            return batch
    finally:
        connections.unwatch(follower.conversation_id)


async def _next_rail_batch(user: User, follower: RailFollower) -> str:
    async with _hints(generation.user_group(user.pk)) as receive:
        hint = await receive()
        await _confirm(user.pk)
        return await follower.collect(hint["conversation"], is_moved=hint["is_moved"], is_current=False)


async def _next_downloads_batch(user: User, follower: DownloadsFollower) -> str:
    if not may(principal_of(user), Action.MANAGE):
        raise NotFound("there is no such topic")
    async with asyncio.timeout(POLL_SECONDS), aclosing(follower.batches()) as batches:
        batch = await anext(batches)
        if not await _may_manage(user.pk):
            raise NotFound("there is no such topic any more")
        return batch


@asynccontextmanager
async def _hints(group: str) -> AsyncGenerator[Callable[[], Awaitable[dict[str, Any]]], None]:
    """Hints of a group for as long as a poll may be held. Raises `TimeoutError` then."""
    layer = get_channel_layer()
    assert layer is not None
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    try:
        async with asyncio.timeout(POLL_SECONDS):
            yield lambda: layer.receive(channel)
    finally:
        await layer.group_discard(group, channel)


@sync_to_async
def _confirm(user_id: int) -> None:
    """Rights may have ended while the request was held. Raises `PermissionError`."""
    user = User.objects.filter(pk=user_id).first()
    if user is None or not principal_of(user).is_person:
        raise PermissionError


@sync_to_async
def _may_manage(user_id: int) -> bool:
    """The same of the right to downloads."""
    user = User.objects.filter(pk=user_id).first()
    return user is not None and may(principal_of(user), Action.MANAGE)


def _answer(batch: str, status: HTTPStatus | None = None) -> HttpResponse:
    response = HttpResponse(batch, status=status or (HTTPStatus.OK if batch else HTTPStatus.NO_CONTENT))
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response
