"""POST /api/pull and /api/push: Ollama's recorded answers, and a model that goes from one site to another and back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import ollama
import pytest

from llmsite.types.limits import MIB
from tests.conftest import Site, start_site
from tests.inference.stock import read_rows
from tests.registry.fake_registry import Handler, running_registry

pytestmark = pytest.mark.process

ROWS: Final = {row["name"]: row for row in read_rows() if row["path"] in ("/api/pull", "/api/push")}
SUCCESS: Final = {"status": "success"}
OURS: Final = {
    # a name instead of a path of the server (threats (a), rule 9)
    "name/api/push.nope": "open registry.ollama.ai/library/nope:latest: no such file or directory",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: Any) -> Iterator[Site]:
    """A site without a model."""
    site = start_site(tmp_path_factory.mktemp("pull") / "home")
    httpx.request("DELETE", f"{site.url}/api/delete", json={"model": "starter"})
    yield site
    site.stop()


@pytest.fixture(scope="module")
def key(site: Site) -> str:
    """A key for the site, which also keeps it, as somebody who pushes there does."""
    assert site.llmsite("user", "add", "alice", stdin="a long enough secret\n").returncode == 0
    scopes = ("models:read", "models:write", "models:push")
    key = site.llmsite("key", "add", "alice", *(word for scope in scopes for word in ("--scope", scope))).stdout.strip()
    assert site.llmsite("login", site.url, stdin=f"{key}\n").returncode == 0
    return key


@pytest.fixture(scope="module")
def headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def http(site: Site, headers: dict[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, headers=headers, timeout=60) as client:
        yield client


def lines(reply: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reply.text.splitlines()]


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_an_answer_is_the_recorded_one(http: httpx.Client, row: dict[str, Any]) -> None:
    body = row["body"]
    content = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    reply = http.post(row["path"], content=content)
    error = OURS.get(row["name"], row["answer"]["error"])
    assert (reply.status_code, reply.headers["content-type"]) == (row["status"], row["type"]), reply.text
    assert reply.content == json.dumps({"error": error}, separators=(",", ":"), ensure_ascii=False).encode()


def test_a_model_comes_from_another_site(site: Site, http: httpx.Client, serve: Site) -> None:
    name = f"{serve.url.removeprefix('http://')}/library/starter"
    reply = http.post("/api/pull", json={"name": name, "insecure": True})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/x-ndjson")
    told = lines(reply)
    statuses = list(dict.fromkeys(frame["status"] for frame in told))
    assert statuses[0] == "pulling manifest"
    assert statuses[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    pulled = [frame for frame in told if frame["status"].startswith("pulling ") and "digest" in frame]
    assert {frame["status"] for frame in pulled} == {f"pulling {frame['digest'][7:19]}" for frame in pulled}
    assert all(list(frame) in (["status", "digest", "total"], ["status", "digest", "total", "completed"]) for frame in pulled)
    assert {frame["digest"] for frame in pulled if frame.get("completed") == frame["total"]} == {
        frame["digest"] for frame in pulled
    }
    theirs = {each["name"]: each["digest"] for each in httpx.get(f"{serve.url}/api/tags").json()["models"]}
    mine = {each["name"]: each["digest"] for each in http.get("/api/tags").json()["models"]}
    assert mine[f"{name}:latest"] == theirs["starter:latest"]
    again = http.post("/api/pull", json={"model": name, "insecure": True, "stream": False})
    assert (again.status_code, again.headers["content-type"]) == (200, "application/json")
    assert again.content == b'{"status":"success"}'


def test_a_model_goes_back_under_another_name(site: Site, http: httpx.Client, serve: Site) -> None:
    source = f"{serve.url.removeprefix('http://')}/library/starter"
    http.post("/api/pull", json={"model": source, "insecure": True, "stream": False})
    target = f"{site.url.removeprefix('http://')}/mine/returned"
    assert http.post("/api/copy", json={"source": source, "destination": target}).status_code == 200
    told = lines(http.post("/api/push", json={"model": target, "insecure": True}))
    statuses = [frame.get("status") for frame in told]
    assert statuses[0] == "retrieving manifest", told
    assert statuses[-2:] == ["pushing manifest", "success"], told


def test_the_python_client_pulls_and_pushes_with_progress(site: Site, serve: Site, headers: dict[str, str]) -> None:
    source = f"{serve.url.removeprefix('http://')}/library/starter"
    target = f"{site.url.removeprefix('http://')}/mine/by-client"
    with ollama.Client(host=site.url, headers=headers) as client:
        pulled = list(client.pull(source, insecure=True, stream=True))
        assert pulled[-1].status == "success"
        assert any(each.digest and each.completed == each.total for each in pulled)
        client.copy(source, target)
        assert client.push(target, insecure=True).status == "success"
        with pytest.raises(ollama.ResponseError, match="file does not exist"):
            client.pull(f"{serve.url.removeprefix('http://')}/library/nope", insecure=True)


def test_the_npm_client_pulls_and_pushes_with_progress(site: Site, serve: Site, key: str, run_node: Callable[..., Any]) -> None:
    target = f"{site.url.removeprefix('http://')}/mine/by-npm"
    seen = run_node("pull_push.mjs", site.url, key, f"{serve.url}/library/starter", target)
    pulled = [frame for frame in seen["pull"] if "digest" in frame]
    assert len({frame["digest"] for frame in pulled}) > 1
    assert {frame["digest"] for frame in pulled if frame.get("completed") == frame["total"]} == {
        frame["digest"] for frame in pulled
    }
    assert (seen["pull"][0], seen["pull"][-1], seen["again"]) == ({"status": "pulling manifest"}, SUCCESS, SUCCESS)
    assert seen["missing"] == "pull model manifest: file does not exist"
    assert (seen["create"][-1], seen["show"], seen["copy"]) == (SUCCESS, "Be brief.", SUCCESS)
    assert [seen["push"][0], *seen["push"][-2:]] == [{"status": "retrieving manifest"}, {"status": "pushing manifest"}, SUCCESS]
    sent = [frame for frame in seen["push"] if "digest" in frame]
    assert {frame["digest"] for frame in sent if frame.get("completed") == frame["total"]} > {
        frame["digest"] for frame in pulled if frame["total"] > MIB
    }
    assert {"by-npm:latest", f"{target}:latest", "mine/by-npm:latest"} <= set(seen["list"])
    assert set(seen["list"]) - set(seen["left"]) == {"by-npm:latest"}
    assert seen["gone"] == "model 'by-npm:latest' not found"
    for each in ("mine/by-npm", target):
        reply = httpx.post(f"{site.url}/api/show", json={"model": each})
        assert reply.json()["system"] == "Be brief."


@pytest.mark.parametrize(
    ("path", "first", "error"),
    [
        ("/api/pull", "pulling manifest", "pull model manifest: file does not exist"),
        ("/api/push", "retrieving manifest", "open {host}/library/nope:latest: no such file or directory"),
    ],
)
def test_an_error_after_the_first_frame_is_the_last_line(
    http: httpx.Client, serve: Site, path: str, first: str, error: str
) -> None:
    host = serve.url.removeprefix("http://")
    reply = http.post(path, json={"model": f"{host}/library/nope", "insecure": True})
    assert reply.status_code == 200
    told = lines(reply)
    assert told[0] == {"status": first}
    assert told[-1] == {"error": error.format(host=host)}
    whole = http.post(path, json={"model": f"{host}/library/nope", "insecure": True, "stream": False})
    assert (whole.status_code, whole.headers["content-type"]) == (500, "application/json")
    assert whole.json() == {"error": error.format(host=host)}


def test_pushing_needs_a_right(serve: Site) -> None:
    reply = httpx.post(f"{serve.url}/api/push", json={"model": "starter"})
    assert reply.status_code == 401
    assert "API key" in reply.json()["error"]


@pytest.mark.parametrize("stream", [True, False])
def test_rule_6_an_answer_ends_when_its_key_is_removed(site: Site, key: str, stream: bool) -> None:
    """The key is removed by another process, as an administrator does it; the fixture has made the account."""
    mine = site.llmsite("key", "add", "alice", "--scope", "models:write").stdout.strip()
    with running_registry() as registry, ThreadPoolExecutor() as pool:
        asked = threading.Event()

        def silence(handler: Handler) -> None:
            asked.set()
            handler.registry.closing.wait()

        registry.script(silence, path="/v2/", times=100)
        body = {"name": f"{registry.host}/library/never", "insecure": True, "stream": stream}
        sent = {"Authorization": f"Bearer {mine}"}
        answer = pool.submit(httpx.post, f"{site.url}/api/pull", json=body, headers=sent, timeout=120)
        assert asked.wait(30)
        assert site.llmsite("key", "remove", mine[:16]).returncode == 0
        reply = answer.result(60)
    assert reply.status_code == (200 if stream else 401)
    assert lines(reply)[-1]["error"].startswith("the right to this has ended")
