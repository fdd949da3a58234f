"""The server over REST: a Transport for `inference/client.py`, and the plain calls of the verbs. The CLI's door to httpx."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final, Self

import httpx
import msgspec

from llmsite import env
from llmsite.cli.address import BadAddress, server_url
from llmsite.cli.arguments import PROGRAM
from llmsite.cli.frames import chat_body, generate_body, read_chunk, read_progress, read_running_models
from llmsite.inference.client import Client
from llmsite.types.chunk import Progress, Reply
from llmsite.types.errors import EngineError, LlmsiteError
from llmsite.types.request import ChatRequest, GenerateRequest, PsRequest, Request

_NDJSON: Final = "application/x-ndjson"


class NoServer(LlmsiteError):
    """Nobody listens at the address."""


class ServerError(LlmsiteError):
    """An answer with an error status; `text` is the server's sentence.

    Ollama's command line puts the status in front of errors of streaming calls only, so `str()` has it and plain calls raise
    with `is_plain`.
    """

    def __init__(self, status: int, text: str, *, is_plain: bool = False) -> None:
        self.status = status
        self.text = text
        super().__init__(text if is_plain else f"{status} {_phrase(status)}: {text}")


class Server:
    """One connection pool to the server that OLLAMA_HOST names. Close it (`async with`, or `close`)."""

    def __init__(self) -> None:
        try:
            self._url = server_url()
        except BadAddress as error:
            raise LlmsiteError(str(error)) from error
        key = env.read("OLLAMA_API_KEY")
        self._http = httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=None,  # noqa: S113 - a model may think for as long as it likes; Ctrl+C ends it
            trust_env=False,
            verify=self._url.startswith("https:"),
        )
        self.client = Client(RestTransport(self._http, self._url))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def greet(self) -> None:
        """See that a server answers, as every verb does first. Raises `NoServer`, `LlmsiteError`."""
        response = await _send(self._http, self._http.build_request("HEAD", "/"), self._url)
        if response.is_error:
            raise LlmsiteError(f"something went wrong, please see the {PROGRAM} server logs for details")

    async def get(self, path: str) -> dict[str, Any]:
        """JSON of a GET. Raises `NoServer`, `ServerError`."""
        response = await _send(self._http, self._http.build_request("GET", path), self._url)
        return await _read_plain(response)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """JSON of a POST that is not streamed. Raises `NoServer`, `ServerError`."""
        response = await _send(self._http, self._http.build_request("POST", path, json=body), self._url)
        return await _read_plain(response)

    async def delete(self, path: str, body: Mapping[str, Any]) -> None:
        """A DELETE with a body. Raises `NoServer`, `ServerError`."""
        await _read_plain(await _send(self._http, self._http.build_request("DELETE", path, json=body), self._url))

    async def watch(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Progress, None]:
        """Start a create, pull or push and follow it; closing the generator leaves. Raises `LlmsiteError`."""
        frames = _frames(self._http, self._url, path, body)
        async with aclosing(frames):
            async for frame in frames:
                yield read_progress(frame)

    async def has_blob(self, digest: str) -> bool:
        """Whether the server's store holds it."""
        response = await _send(self._http, self._http.build_request("HEAD", f"/api/blobs/{digest}"), self._url)
        return response.is_success

    async def upload_blob(self, digest: str, size_bytes: int, pieces: AsyncIterable[bytes]) -> None:
        """Send a file of that size piece by piece. Raises `NoServer`, `ServerError`."""
        headers = {"Content-Length": str(size_bytes), "Content-Type": "application/octet-stream"}
        request = self._http.build_request("POST", f"/api/blobs/{digest}", content=pieces, headers=headers)
        await _read_plain(await _send(self._http, request, self._url))


class RestTransport:
    """Carries requests of a `Client` to a server over REST."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def send(self, request: Request) -> AsyncGenerator[Reply, None]:
        """Replies in order; closing the generator closes the connection, which frees the slot over there."""
        if isinstance(request, PsRequest):
            response = await _send(self._http, self._http.build_request("GET", "/api/ps"), self._url)
            yield read_running_models(await _read_plain(response))
            return
        if isinstance(request, GenerateRequest):
            frames = _frames(self._http, self._url, "/api/generate", generate_body(request))
        elif isinstance(request, ChatRequest):
            frames = _frames(self._http, self._url, "/api/chat", chat_body(request))
        else:
            raise EngineError("the server cannot be asked this over REST")
        async with aclosing(frames):
            async for frame in frames:
                yield read_chunk(frame)


async def _frames(http: httpx.AsyncClient, url: str, path: str, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    """The objects of a streamed answer. Raises `ServerError` before the first, `EngineError` for the error that ends a stream."""
    prepared = http.build_request("POST", path, json=body, headers={"Accept": _NDJSON})
    response = await _send(http, prepared, url, stream=True)
    try:
        if response.is_error:
            await response.aread()
            raise ServerError(response.status_code, _error_text(response))
        async for line in response.aiter_lines():
            if not line:
                continue
            frame = _decode(line)
            if frame.get("error"):
                raise EngineError(str(frame["error"]))
            yield frame
    except httpx.TransportError as error:
        raise EngineError(f"the connection to the server broke: {_reason(error)}") from error
    finally:
        await response.aclose()


async def _send(http: httpx.AsyncClient, request: httpx.Request, url: str, *, stream: bool = False) -> httpx.Response:
    try:
        return await http.send(request, stream=stream)
    except httpx.ConnectError as error:
        if "Name or service not known" in str(error) or "getaddrinfo" in str(error) or "name resolution" in str(error):
            raise LlmsiteError(f'{request.method.title()} "{url}{request.url.path}": {error}') from error
        raise NoServer(f"could not connect to {PROGRAM} server, run '{PROGRAM} serve' to start it") from error
    except httpx.TransportError as error:
        raise LlmsiteError(f'{request.method.title()} "{request.url}": {_reason(error)}') from error


def _reason(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__


async def _read_plain(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise ServerError(response.status_code, _error_text(response), is_plain=True)
    return _decode(response.content) if response.content else {}


def _error_text(response: httpx.Response) -> str:
    try:
        return str(_decode(response.content)["error"])
    except (EngineError, KeyError):
        return response.text.strip() or _phrase(response.status_code)


def _decode(body: bytes | str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise EngineError("the server's answer cannot be read; is that the right address?") from error


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
