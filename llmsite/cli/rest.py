"""The server over REST: a Transport for `inference/client.py`, and the plain calls of the verbs. The CLI's door to httpx."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import Any, Final, Self

import httpx
import msgspec

from llmsite import env
from llmsite.cli.address import BadAddress, server_url
from llmsite.cli.arguments import PROGRAM
from llmsite.cli.tables import parse_timestamp
from llmsite.inference.client import Client
from llmsite.types.chunk import Chunk, Metrics, ModelDetails, Reply, RunningModel, RunningModels
from llmsite.types.errors import EngineError, LlmsiteError
from llmsite.types.message import Message, ToolCall
from llmsite.types.request import ChatRequest, GenerateRequest, PsRequest, Request

_NDJSON: Final = "application/x-ndjson"
_METRICS: Final = tuple(name for name in Metrics.__dataclass_fields__ if name != "cached_count")


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


class RestTransport:
    """Carries requests of a `Client` to a server over REST."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def send(self, request: Request) -> AsyncGenerator[Reply, None]:
        """Replies in order; closing the generator closes the connection, which frees the slot over there."""
        if isinstance(request, PsRequest):
            response = await _send(self._http, self._http.build_request("GET", "/api/ps"), self._url)
            yield _running_models(await _read_plain(response))
        elif isinstance(request, GenerateRequest):
            async for chunk in self._stream("/api/generate", _generate_body(request)):
                yield chunk
        elif isinstance(request, ChatRequest):
            async for chunk in self._stream("/api/chat", _chat_body(request)):
                yield chunk
        else:
            raise EngineError("the server cannot be asked this over REST")

    async def _stream(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        prepared = self._http.build_request("POST", path, json=body, headers={"Accept": _NDJSON})
        response = await _send(self._http, prepared, self._url, stream=True)
        try:
            if response.is_error:
                await response.aread()
                raise ServerError(response.status_code, _error_text(response))
            async for line in response.aiter_lines():
                if line:
                    yield _chunk(line)
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
    return _decode(response.content)


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


def _chunk(line: str) -> Chunk:
    """One frame of generate or chat. Raises `EngineError` for the error line that ends a stream."""
    frame = _decode(line)
    if frame.get("error"):
        raise EngineError(str(frame["error"]))
    message = frame.get("message") or {}
    metrics = Metrics(**{name: frame[name] for name in _METRICS if name in frame})
    return Chunk(
        content=message.get("content") or frame.get("response") or "",
        thinking=message.get("thinking") or frame.get("thinking") or "",
        tool_calls=tuple(_tool_call(each) for each in message.get("tool_calls") or frame.get("tool_calls") or ()),
        done=bool(frame.get("done")),
        done_reason=frame.get("done_reason"),
        context=tuple(frame.get("context") or ()),
        metrics=metrics if frame.get("done") else None,
    )


def _tool_call(frame: dict[str, Any]) -> ToolCall:
    function = frame.get("function") or {}
    return ToolCall(function.get("name", ""), function.get("arguments") or {}, function.get("index", 0), frame.get("id", ""))


def _running_models(frame: dict[str, Any]) -> RunningModels:
    return RunningModels(tuple(_running_model(each) for each in frame.get("models") or ()))


def _running_model(frame: dict[str, Any]) -> RunningModel:
    return RunningModel(
        name=frame["name"],
        digest=frame["digest"],
        details=ModelDetails(),
        size_bytes=frame["size"],
        size_vram_bytes=frame["size_vram"],
        num_ctx=frame.get("context_length", 0),
        expires_at=parse_timestamp(frame["expires_at"]),
    )


def _generate_body(request: GenerateRequest) -> dict[str, Any]:
    body = _shared_body(request) | {"prompt": request.prompt}
    if request.suffix:
        body["suffix"] = request.suffix
    if request.system is not None:
        body["system"] = request.system
    if request.raw:
        body["raw"] = True
    return body


def _chat_body(request: ChatRequest) -> dict[str, Any]:
    return _shared_body(request) | {"messages": [_message(each) for each in request.messages]}


def _shared_body(request: GenerateRequest | ChatRequest) -> dict[str, Any]:
    """What is set; the server knows the defaults."""
    body: dict[str, Any] = {"model": request.model}
    if request.format is not None:
        body["format"] = request.format
    if request.think is not None:
        body["think"] = request.think
    if request.keep_alive is not None:
        body["keep_alive"] = -1 if math.isinf(request.keep_alive) else request.keep_alive
    if request.options:
        body["options"] = request.options
    return body


def _message(message: Message) -> dict[str, Any]:
    body = {"role": message.role, "content": message.content}
    return body | ({"thinking": message.thinking} if message.thinking else {})
