"""POST /api/pull and /api/push: Ollama's recorded answers, and a model that goes from one site to another and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import ollama
import pytest

from tests.conftest import Site, start_site
from tests.inference.stock import read_rows

pytestmark = pytest.mark.process

ROWS: Final = {row["name"]: row for row in read_rows() if row["path"] in ("/api/pull", "/api/push")}
OURS: Final = {
    # a name instead of a path of the server (threats (a), rule 9)
    "name/api/push.nope": "open registry.ollama.ai/library/nope:latest: no such file or directory",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: Any) -> Iterator[Site]:
    """A site without a model, whose neighbours on this machine may push."""
    site = start_site(tmp_path_factory.mktemp("pull") / "home", LLMSITE_REGISTRY_PUSH="loopback")
    httpx.request("DELETE", f"{site.url}/api/delete", json={"model": "starter"})
    yield site
    site.stop()


@pytest.fixture(scope="module")
def http(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=60) as client:
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


def test_the_python_client_pulls_and_pushes_with_progress(site: Site, serve: Site) -> None:
    source = f"{serve.url.removeprefix('http://')}/library/starter"
    target = f"{site.url.removeprefix('http://')}/mine/by-client"
    with ollama.Client(host=site.url) as client:
        pulled = list(client.pull(source, insecure=True, stream=True))
        assert pulled[-1].status == "success"
        assert any(each.digest and each.completed == each.total for each in pulled)
        client.copy(source, target)
        assert client.push(target, insecure=True).status == "success"
        with pytest.raises(ollama.ResponseError, match="file does not exist"):
            client.pull(f"{serve.url.removeprefix('http://')}/library/nope", insecure=True)


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
