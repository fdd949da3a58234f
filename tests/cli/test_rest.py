"""The command line's side of REST, against a server that says what a test scripts: errors in every place."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
import pytest_asyncio

from llmsite.cli.rest import NoServer, Server, ServerError
from llmsite.types.chunk import Chunk, Metrics
from llmsite.types.duration import FOREVER
from llmsite.types.errors import EngineError, LlmsiteError
from llmsite.types.message import Message
from llmsite.types.request import ChatRequest, GenerateRequest, TokenizeRequest

NDJSON = "application/x-ndjson"


class Scripted:
    """Answers every connection with the bytes of `reply` and closes; `seen` is what was asked."""

    def __init__(self) -> None:
        self.reply = b""
        self.seen = b""
        self.gone = asyncio.Event()
        self.hangs = False

    def answer(self, status: str, content_type: str, body: str, length: int | None = None) -> None:
        size = len(body.encode()) if length is None else length
        self.reply = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n{body}".encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
        self.seen = head + await reader.readexactly(length)
        writer.write(self.reply)
        await writer.drain()
        if self.hangs:
            await reader.read()
            self.gone.set()
        writer.close()


@pytest_asyncio.fixture
async def scripted(monkeypatch):
    script = Scripted()
    listener = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    monkeypatch.setenv("OLLAMA_HOST", f"http://127.0.0.1:{port}/prefix")
    async with listener:
        yield script


async def chunks(server, request):
    replies = server.client.chat(request) if isinstance(request, ChatRequest) else server.client.generate(request)
    return [each async for each in replies]


async def test_frames_become_chunks(scripted):
    scripted.answer(
        "200 OK",
        NDJSON,
        '{"response":"a","thinking":"t","done":false}\n\n'
        '{"response":"","done":true,"done_reason":"stop","context":[1],"total_duration":5,"eval_count":2}\n',
    )
    async with Server() as server:
        got = await chunks(server, GenerateRequest("m", "p", think="low", keep_alive=FOREVER, format="json"))
    assert got == [
        Chunk("a", "t"),
        Chunk(done=True, done_reason="stop", context=(1,), metrics=Metrics(total_duration=5, eval_count=2)),
    ]
    assert scripted.seen.startswith(b"POST /prefix/api/generate HTTP/1.1\r\n")
    assert scripted.seen.endswith(b'{"model":"m","format":"json","think":"low","keep_alive":-1,"prompt":"p"}')


async def test_a_conversation_is_sent_with_its_thoughts(scripted):
    scripted.answer("200 OK", NDJSON, '{"message":{"role":"assistant","content":"a"},"done":true}\n')
    async with Server() as server:
        got = await chunks(server, ChatRequest("m", (Message("user", "q"), Message("assistant", "a", thinking="t"))))
    assert got[0].content == "a"
    assert b'"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","thinking":"t"}]' in scripted.seen


@pytest.mark.parametrize(
    ("status", "content_type", "body", "text"),
    [
        ("400 Bad Request", "application/json", '{"error":"no"}', "400 Bad Request: no"),
        ("503 Service Unavailable", "application/json", '{"error":"busy"}', "503 Service Unavailable: busy"),
        ("502 Bad Gateway", "text/html", "<h1>proxy</h1>", "502 Bad Gateway: <h1>proxy</h1>"),
        ("500 X", "text/plain", "", "500 Internal Server Error: Internal Server Error"),
    ],
)
async def test_an_error_status_of_a_streaming_call_is_put_in_front(scripted, status, content_type, body, text):
    scripted.answer(status, content_type, body)
    async with Server() as server:
        with pytest.raises(ServerError) as caught:
            await chunks(server, GenerateRequest("m", "p"))
        assert str(caught.value) == text
        with pytest.raises(ServerError) as plain:
            await server.get("/api/ps")
    assert str(plain.value) == text.partition(": ")[2]


@pytest.mark.parametrize(
    ("body", "length", "text"),
    [
        ('{"response":"a"}\n{"error":"it stopped"}\n', None, "it stopped"),
        ('{"response":"a"}\nnonsense\n', None, "the server's answer cannot be read; is that the right address?"),
        ('{"response":"a"}\n', 1000, "the connection to the server broke"),
    ],
    ids=["error line", "no JSON", "cut off"],
)
async def test_an_error_in_mid_stream_is_raised_behind_what_came(scripted, body, length, text):
    scripted.answer("200 OK", NDJSON, body, length)
    async with Server() as server, aclosing(server.client.generate(GenerateRequest("m", "p"))) as replies:
        assert await anext(replies) == Chunk("a")
        with pytest.raises(EngineError) as caught:
            await anext(replies)
    assert str(caught.value).startswith(text)


async def test_leaving_an_answer_closes_the_connection(scripted):
    scripted.answer("200 OK", NDJSON, '{"response":"a"}\n', 1000)
    scripted.hangs = True
    async with Server() as server:
        async with aclosing(server.client.generate(GenerateRequest("m", "p"))) as replies:
            assert await anext(replies) == Chunk("a")
        await scripted.gone.wait()


async def test_a_key_is_sent_as_a_bearer_token(scripted, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", "secret")
    scripted.answer("200 OK", "text/plain", "")
    async with Server() as server:
        await server.greet()
    assert b"Authorization: Bearer secret\r\n" in scripted.seen
    assert scripted.seen.startswith(b"HEAD /prefix/ HTTP/1.1\r\n")


async def test_nobody_there_is_told_with_the_way_out(monkeypatch, unused_tcp_port):
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{unused_tcp_port}")
    async with Server() as server:
        with pytest.raises(NoServer, match="could not connect to llmsite server, run 'llmsite serve' to start it"):
            await server.greet()


async def test_a_proxy_of_the_environment_is_not_asked(scripted, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    scripted.answer("200 OK", "text/plain", "")
    async with Server() as server:
        await server.greet()


async def test_what_rest_cannot_ask_is_an_error(scripted):
    async with Server() as server:
        with pytest.raises(LlmsiteError, match="over REST"):
            await server.client.count_tokens(TokenizeRequest("m"))
