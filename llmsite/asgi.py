"""The one application behind the server: trust first, then Django for HTTP and the consumers for websockets."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmsite.settings")
django.setup()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - these need the app registry
from django.conf import settings  # noqa: E402
from django.core import signals  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.db import close_old_connections, reset_queries  # noqa: E402
from django.http.response import HttpResponseBase  # noqa: E402
from django.urls import Resolver404, resolve  # noqa: E402

from api.endpoint import methods_of  # noqa: E402
from chat.routing import websocket_urlpatterns  # noqa: E402
from llmsite.accounts.sockets import SocketIdentity  # noqa: E402
from llmsite.accounts.trust import Guard  # noqa: E402


class Handler(ASGIHandler):
    """Django's handler, on a server whose `send` fails when the client has gone."""

    chunk_size = 512 * 1024  # a piece of a blob in one message; the server writes it as the peer takes it

    async def send_response(self, response: HttpResponseBase, send: Any) -> None:
        # the content's generator is closed by then, and the caller closes the response
        with suppress(ConnectionAbortedError):
            await super().send_response(response, send)


def methods_of_path(path: str) -> tuple[str, ...]:
    """Methods of the REST route behind a path, none where there is no such route."""
    try:
        match = resolve(path)
    except Resolver404:
        return ()
    return () if match.url_name == "unknown" else methods_of(match.func)


# Every request has a database thread of its own, made when it is first needed, so nothing old can wait there at its start.
# Without these two receivers a streamed answer that needs no database needs no thread either.
signals.request_started.disconnect(close_old_connections)
signals.request_started.disconnect(reset_queries)


def make_application() -> Guard:
    """The middleware for static files looks at them once, when it is made: `serve` makes its own after collecting them."""
    pages = ProtocolTypeRouter({"http": Handler(), "websocket": SocketIdentity(URLRouter(websocket_urlpatterns))})
    return Guard(pages, settings.LLMSITE_TRUST, methods_of_path)


application = make_application()
