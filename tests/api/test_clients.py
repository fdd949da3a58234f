"""Ollama's own clients against a running site: PyPI `ollama`, sync and async, and npm `ollama` under Node."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import aclosing
from pathlib import Path

import ollama
import pytest

pytestmark = [pytest.mark.process, pytest.mark.model]

NODE = Path(__file__).parent / "node"
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


@pytest.fixture(scope="session")
def node_client():
    """Folder with the Node script and its installed client; kept between runs."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no node and npm: the npm client is not tried")
    package = (NODE / "package.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmsite-tests"
    folder = cache / f"node-{hashlib.sha256(package).hexdigest()[:12]}"
    if not (folder / "node_modules" / "ollama").is_dir():
        _install(npm, package, folder)
    shutil.copy(NODE / "client.mjs", folder)
    return folder


def _install(npm, package, folder):
    """Install beside the folder and move it there whole, so that a broken install leaves nothing behind."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        (Path(fresh) / "package.json").write_bytes(package)
        command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode:
            reason = f"npm cannot install the ollama client: {done.stderr.strip().splitlines()[-1:]}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
        shutil.copytree(fresh, folder, dirs_exist_ok=True)


def test_the_npm_client_does_the_same(serve, node_client):
    command = ["node", "client.mjs", serve.url]
    done = subprocess.run(command, cwd=node_client, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    answer = {"text": HELLO, "done": True, "reason": "stop", "count": 16}
    assert [seen[name] for name in ("chat", "chatStream", "generate", "generateStream")] == [answer] * 4
    assert "starter:latest" in seen["list"]
    assert "starter:latest" in seen["ps"]
    assert seen["missing"] == {"status": 404, "text": "model 'nope' not found"}
    assert seen["aborted"] == "AbortError"
