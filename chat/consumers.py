"""The one websocket of a tab: it passes on what the followers of `live.py` collect (`polling.py` stands in for it).

Up come small JSON messages (ui-spec 7.2), down go batches of HTML (7.3). Nothing that must not be lost travels here. A slow
reader makes `send` wait (`serving/flow.py`); hints that come meanwhile cost nothing, and the next batch holds all since then.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from contextlib import aclosing, suppress
from typing import Any, Final

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http import HttpRequest, parse_cookie

from chat import connections, fragments, generation, services
from chat.live import ChatFollower, RailFollower, parse_cursor, parse_topic
from llmsite import __version__
from llmsite.accounts.authorize import Action, Principal, may
from llmsite.accounts.language import choose_language
from llmsite.accounts.models import User
from llmsite.accounts.sockets import SESSION_ENDED, find_socket_principal
from llmsite.types.errors import NotFound
from models_app import progress
from models_app.progress import DownloadsFollower, parse_seq

BAD_MESSAGE: Final = 4400
BUILD_CHANGED: Final = 4409
TOO_MANY: Final = 4429
TOO_BIG: Final = 1009
TRY_LATER: Final = 1013


class TabConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One tab. Topics: `c:<chat>`, the person's own `u:<id>`, and `pulls` for administrators."""

    async def connect(self) -> None:
        self.user: User = self.scope["user"]
        self.user_id: int = self.user.pk
        self.session_key = _cookies(self.scope).get(settings.SESSION_COOKIE_NAME, "")
        self.auth_hash = self.user.get_session_auth_hash()
        self.language = _language(self.scope, self.user)
        self.chats: dict[str, ChatFollower] = {}
        self.rail: RailFollower | None = None
        self.downloads: asyncio.Task[None] | None = None
        self.is_hidden = False
        self._tokens = float(settings.LLMSITE_LIMITS.socket_message_burst)
        self._last_message = asyncio.get_running_loop().time()
        await self.accept()
        if connections.count() >= settings.LLMSITE_LIMITS.sockets_total:
            await self.close(TRY_LATER)
            return
        connections.add(self)

    async def disconnect(self, code: int) -> None:
        connections.remove(self)
        self._leave_downloads()
        for conversation_id in list(self.chats):
            await self._leave(conversation_id)
        if self.rail is not None:
            await self.channel_layer.group_discard(generation.user_group(self.user_id), self.channel_name)

    async def confirm(self) -> None:
        """The session or the account changed: look closely, and end what has no right to be."""
        principal = await find_socket_principal(self.scope)
        if not principal.is_person or principal.user is None or principal.user.pk != self.user_id:
            await self._drop(SESSION_ENDED)
            return
        self.auth_hash = principal.user.get_session_auth_hash()

    async def _drop(self, code: int) -> None:
        connections.remove(self)
        self._leave_downloads()
        for conversation_id in list(self.chats):
            await self._leave(conversation_id)
        with suppress(ConnectionAbortedError):
            await self.close(code)

    # what the tab says

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        limits = settings.LLMSITE_LIMITS
        if text_data is None or len(text_data) > limits.socket_message_bytes:
            await self._drop(BAD_MESSAGE if text_data is None else TOO_BIG)
            return
        if not self._may_speak():
            await self._drop(TOO_MANY)
            return
        message = _parse(text_data)
        if message is None:
            await self._drop(BAD_MESSAGE)
            return
        await self._obey(message)

    def _may_speak(self) -> bool:
        """A bucket of messages that fills again at the allowed rate."""
        limits = settings.LLMSITE_LIMITS
        now = asyncio.get_running_loop().time()
        refill = (now - self._last_message) * limits.socket_messages_per_second
        self._tokens = min(float(limits.socket_message_burst), self._tokens + refill) - 1
        self._last_message = now
        return self._tokens >= 0

    async def _obey(self, message: dict[str, Any]) -> None:
        match message.get("t"):
            case "ping":
                await self._say(fragments.PONG)
            case "hello":
                if message.get("v") not in (None, "", __version__):
                    await self._drop(BUILD_CHANGED)
            case "sub":
                await self._subscribe(message.get("topic"), message.get("cur"))
            case "unsub":
                await self._unsubscribe(message.get("topic"))
            case "vis":
                await self._set_hidden(message.get("hidden") is True)
            case _:
                pass  # a newer page may say more

    async def _subscribe(self, topic: Any, cursor: Any) -> None:
        principal = await find_socket_principal(self.scope)
        if not principal.is_person or principal.user is None or principal.user.pk != self.user_id:
            await self._drop(SESSION_ENDED)
            return
        self.user = principal.user
        if topic == progress.TOPIC:
            self._follow_downloads(principal, cursor)
            return
        match parse_topic(topic):
            case ("c", conversation_id):
                await self._follow(conversation_id, cursor)
            case ("u", name) if name == str(self.user_id):
                self.rail = RailFollower(self.user, self.language)
                await self.channel_layer.group_add(generation.user_group(self.user_id), self.channel_name)
            case _:
                pass  # like a chat that does not exist, only without a place in the page to say so

    async def _follow(self, conversation_id: str, cursor: Any) -> None:
        if conversation_id not in self.chats and len(self.chats) >= settings.LLMSITE_LIMITS.socket_topics:
            await self._drop(TOO_MANY)
            return
        follower = ChatFollower(self.user, conversation_id, parse_cursor(cursor), self.language)
        # first the group, then the look: what happens in between comes as a hint
        await self.channel_layer.group_add(generation.chat_group(conversation_id), self.channel_name)
        if conversation_id not in self.chats and not self.is_hidden:
            connections.watch(conversation_id)
        self.chats[conversation_id] = follower
        await self._reload(follower)

    def _follow_downloads(self, principal: Principal, cursor: Any) -> None:
        self._leave_downloads()
        if may(principal, Action.MANAGE):
            follower = DownloadsFollower(self.language, parse_seq(cursor))
            self.downloads = asyncio.create_task(self._tell_downloads(follower), context=contextvars.Context())

    async def _tell_downloads(self, follower: DownloadsFollower) -> None:
        async with aclosing(follower.batches()) as batches:
            async for batch in batches:
                principal = await find_socket_principal(self.scope)
                if not may(principal, Action.MANAGE):
                    return  # the next page has no dock
                with suppress(ConnectionAbortedError):
                    await self.send(text_data=batch)

    def _leave_downloads(self) -> None:
        if self.downloads is not None:
            self.downloads.cancel()
            self.downloads = None

    async def _unsubscribe(self, topic: Any) -> None:
        if topic == progress.TOPIC:
            self._leave_downloads()
            return
        parsed = parse_topic(topic)
        if parsed is not None and parsed[0] == "c" and parsed[1] in self.chats:
            await self._leave(parsed[1])

    async def _leave(self, conversation_id: str) -> None:
        if self.chats.pop(conversation_id, None) is not None and not self.is_hidden:
            connections.unwatch(conversation_id)
        await self.channel_layer.group_discard(generation.chat_group(conversation_id), self.channel_name)

    async def _set_hidden(self, is_hidden: bool) -> None:
        if is_hidden == self.is_hidden:
            return
        self.is_hidden = is_hidden
        for conversation_id, follower in list(self.chats.items()):
            if is_hidden:
                connections.unwatch(conversation_id)
                continue
            connections.watch(conversation_id)
            await self._flush(follower)
            await services.mark_seen(self.user, conversation_id)

    # what the layer hints at

    async def chat_grew(self, event: dict[str, Any]) -> None:
        follower = self.chats.get(event["conversation"])
        if follower is None:
            return
        if follower.is_local:
            await self._flush(follower)
        else:
            await self._reload(follower)

    async def chat_moved(self, event: dict[str, Any]) -> None:
        follower = self.chats.get(event["conversation"])
        if follower is not None:
            await self._reload(follower)

    async def rail_changed(self, event: dict[str, Any]) -> None:
        if self.rail is not None:
            conversation_id = event["conversation"]
            is_current = conversation_id in self.chats
            await self._say(await self.rail.collect(conversation_id, is_moved=event["is_moved"], is_current=is_current))

    async def _reload(self, follower: ChatFollower) -> None:
        try:
            await follower.load()
        except NotFound:
            await self._leave(follower.conversation_id)
            await self._say(fragments.gone(follower.conversation_id))
            return
        await self._flush(follower)

    async def _flush(self, follower: ChatFollower) -> None:
        batch = follower.collect(is_hidden=self.is_hidden)
        if batch:
            await self._say(batch)

    async def _say(self, batch: str) -> None:
        try:
            await self.send(text_data=batch)
        except ConnectionAbortedError as error:
            await self.disconnect(1006)
            raise StopConsumer from error


def _parse(text: str) -> dict[str, Any] | None:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _cookies(scope: Any) -> dict[str, str]:
    header = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    return parse_cookie(header)


def _language(scope: Any, user: User) -> str:
    """The same choice as for the page, from the headers of the handshake."""
    request = HttpRequest()
    request.COOKIES = _cookies(scope)
    accepted = next((value for name, value in scope["headers"] if name == b"accept-language"), b"")
    request.META["HTTP_ACCEPT_LANGUAGE"] = accepted.decode("latin-1")
    return choose_language(request, user)
