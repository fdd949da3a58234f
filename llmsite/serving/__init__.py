"""Daphne with bodies that flow: the only package that knows daphne and twisted (DESIGN section 2).

What differs from stock Daphne:
- `flow.py`: `Body` hands a request's pieces over and pauses the socket; `send` waits at a `Gate` while the peer does not read.
- `channel.py`: limits and deadlines before anything is parsed far, refusals that the client gets to read; the application
  starts at the end of the headers.
- `websocket.py`: the same for websockets, with bounds on size, rate and silence.
- `server.py`: one listener, run around a main coroutine that says when to stop. Signals belong to `serve.py`.

Uploads (`POST /api/blobs/…`, and pushes below `/v2/…/blobs/uploads/`) get their body as `scope["body"]`, an async
iterator of bytes, and an empty body otherwise.
"""

from daphne import server as _installs_the_asyncio_reactor  # noqa: F401  # isort: skip - before anything else of twisted

from llmsite.serving.flow import Disconnected
from llmsite.serving.server import AddressInUse, Application, Server

__all__ = ["AddressInUse", "Application", "Disconnected", "Server"]
