"""Ollama's own clients against a running site: PyPI `ollama`, sync and async, and npm `ollama` under Node."""

import asyncio
from contextlib import aclosing

import ollama
import pytest

pytestmark = [pytest.mark.process, pytest.mark.model]

OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 24}
MESSAGES = [{"role": "user", "content": "Hello!"}]
HELLO = "Hello! I am the llmsite starter model. How can I help you?"
CHAT = {"model": "starter", "messages": MESSAGES, "options": OPTIONS}
GENERATE = {"model": "starter", "prompt": "Hello!", "options": OPTIONS}


@pytest.fixture
def client(serve):
    client = ollama.Client(host=serve.url)
    yield client
    client._client.close()


def test_chat_answers_at_once(client):
    reply = client.chat(**CHAT, think=False)
    assert (reply.message.role, reply.message.content, reply.done_reason) == ("assistant", HELLO, "stop")
    assert reply.eval_count == 16
    assert reply.total_duration > reply.eval_duration > 0


def test_chat_streams(client):
    parts = list(client.chat(**CHAT, think=False, stream=True))
    assert "".join(part.message.content for part in parts) == HELLO
    assert len(parts) > 10
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


def test_thoughts_stand_beside_the_answer(client):
    reply = client.chat(**CHAT | {"options": OPTIONS | {"num_predict": 64}})
    assert (reply.message.thinking, reply.message.content) == ("The user greets me. I greet back.\n", HELLO)


def test_generate_answers_at_once_and_streams(client):
    assert client.generate(**GENERATE, think=False).response == HELLO
    parts = list(client.generate(**GENERATE, think=False, stream=True))
    assert "".join(part.response for part in parts) == HELLO
    assert parts[-1].context


def test_models_are_listed(client):
    client.generate(model="starter", keep_alive="5m")
    assert "starter:latest" in [model.model for model in client.list().models]
    running = {model.name: model for model in client.ps().models}
    assert running["starter:latest"].context_length == 1024
    assert running["starter:latest"].size > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_missing_model_is_a_response_error(client, stream):
    with pytest.raises(ollama.ResponseError) as caught:
        list(client.chat(model="nope", messages=MESSAGES, stream=stream))
    assert (caught.value.status_code, caught.value.error) == (404, "model 'nope' not found")


def test_a_wrong_option_is_a_response_error(client):
    with pytest.raises(ollama.ResponseError) as caught:
        client.generate(model="starter", prompt="x", options={"num_ctx": "big"})
    assert (caught.value.status_code, caught.value.error) == (500, 'option "num_ctx" must be of type integer')


async def test_the_async_client_does_the_same(serve):
    client = ollama.AsyncClient(host=serve.url)
    async with aclosing(client._client):
        await _try_async(client)


async def _try_async(client):
    reply, generated = await asyncio.gather(client.chat(**CHAT, think=False), client.generate(**GENERATE, think=False))
    assert (reply.message.content, generated.response) == (HELLO, HELLO)
    parts = [part async for part in await client.chat(**CHAT, think=False, stream=True)]
    assert "".join(part.message.content for part in parts) == HELLO
    assert "starter:latest" in [model.model for model in (await client.list()).models]
    assert "starter:latest" in [model.model for model in (await client.ps()).models]
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found"):
        await client.generate(model="nope", prompt="x")


def test_the_npm_client_does_the_same(serve, run_node):
    seen = run_node("client.mjs", serve.url)
    answer = {"text": HELLO, "done": True, "reason": "stop", "count": 16}
    assert [seen[name] for name in ("chat", "chatStream", "generate", "generateStream")] == [answer] * 4
    assert "starter:latest" in seen["list"]
    assert "starter:latest" in seen["ps"]
    assert seen["missing"] == {"status": 404, "text": "model 'nope' not found"}
    assert seen["aborted"] == "AbortError"
