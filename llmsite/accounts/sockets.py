"""Who opened a websocket. The handshake carries the sign-in cookie; `trust.Guard` has let only our own pages come this far."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, parse_cookie

from llmsite.accounts.authorize import Principal
from llmsite.accounts.middleware import signed_in
from llmsite.accounts.trust import Application, Receive, Scope, Send

SESSION_ENDED: Final = 4401
TRY_LATER: Final = 1013


class SocketIdentity:
    """ASGI application: sets `scope["user"]` and `scope["principal"]`, refuses whom nobody knows or who has too many sockets.

    A refusal is an accepted handshake that is closed at once, since browsers show pages no other code.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._open: Counter[Any] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = await find_socket_principal(scope)
        if not principal.is_person or principal.user is None:
            await _refuse(receive, send, SESSION_ENDED)
            return
        key = principal.user.pk
        if self._open[key] >= settings.LLMSITE_LIMITS.sockets_per_user:
            await _refuse(receive, send, TRY_LATER)
            return
        self._open[key] += 1
        try:
            await self._application({**scope, "user": principal.user, "principal": principal}, receive, send)
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]


async def find_socket_principal(scope: Scope) -> Principal:
    """The principal behind the cookie of a socket's scope, read fresh; consumers ask again before they hand out data."""
    header = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    request = HttpRequest()
    request.COOKIES = parse_cookie(header)
    return await signed_in(request)


async def _refuse(receive: Receive, send: Send, code: int) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": code})
