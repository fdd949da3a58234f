"""A store that Ollama left is served at once; others pull from it over /v2; damage is found, told and repaired while we serve."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.registry.config import RegistryConfig
from llmsite.registry.keys import KEPT_KEYS
from llmsite.registry.pull import pull
from llmsite.registry.push import push
from llmsite.store.model import ModelStore
from llmsite.types.errors import RegistryError
from llmsite.types.name import ModelName
from tests.conftest import Site, start_site
from tests.inference.stock import STARTER, starter_facts
from tests.store.foreign import lay_out, sha256

pytestmark = [pytest.mark.process, pytest.mark.model]

WEIGHTS = STARTER.read_bytes()
BLOB = f"/v2/library/ping/blobs/sha256:{sha256(WEIGHTS)}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: Any) -> Iterator[Site]:
    """A site over a hand-made store of an old release: blobs named with a colon, and the namespace a link to another place."""
    home = tmp_path_factory.mktemp("foreign")
    models, elsewhere = home / "ollama", home / "elsewhere"
    lay_out(models, WEIGHTS, ":")
    library = models / "manifests/registry.ollama.ai/library"
    library.rename(elsewhere)
    library.symlink_to(elsewhere)
    for place in ("a", "b/b", "c/c/c", "e/e/e/e/e"):
        path = models / "manifests" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((elsewhere / "ping/latest").read_bytes())
    site = start_site(home / "home", OLLAMA_MODELS=str(models))
    yield site
    site.stop()


def ask(site: Site, path: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, bytes, Any]:
    """Status, body and headers."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(site.url + path, data, names, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read(), reply.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def generate(site: Site) -> tuple[int, Any]:
    status, body, _ = ask(site, "/api/generate", {"model": "ping", "prompt": "Hi", "stream": False})
    return status, json.loads(body)


def test_10_1_it_is_listed_and_answers(site: Site) -> None:
    _, body, _ = ask(site, "/api/tags")
    assert {model["name"] for model in json.loads(body)["models"]} == {"ping:latest", "starter:latest"}
    status, answer = generate(site)
    assert (status, answer.get("response")) == (200, "PING"), answer


def test_11_1_it_is_pulled_from_as_ollama_does(site: Site) -> None:
    """The requests of Ollama's own pull, one by one, over a real connection."""
    status, manifest, headers = ask(site, "/v2/library/ping/manifests/latest")
    assert (status, headers["Docker-Content-Digest"]) == (200, f"sha256:{sha256(manifest)}")
    status, body, headers = ask(site, BLOB, method="HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(WEIGHTS)))
    status, body, headers = ask(site, BLOB)
    assert (status, headers["Location"], sha256(body)) == (200, BLOB, sha256(WEIGHTS))
    size = len(WEIGHTS) // 3
    parts = [ask(site, BLOB, range=f"bytes={start}-{start + size - 1}") for start in range(0, len(WEIGHTS), size)]
    assert {status for status, _, _ in parts} == {206}
    assert b"".join(body for _, body, _ in parts) == WEIGHTS
    status, body, headers = ask(site, BLOB, range=f"bytes={len(WEIGHTS)}-")
    assert (status, body, headers["Content-Range"]) == (416, b"", f"bytes */{len(WEIGHTS)}")


def test_pushing_is_for_those_with_a_key(site: Site, tmp_path: Path) -> None:
    """With the client of another site, which keeps the key as `llmsite login` does; and pulled back from there."""
    assert ask(site, "/v2/library/pushed/blobs/uploads/", b"")[0] == 401
    assert site.llmsite("user", "add", "alice", stdin="a long enough secret\n").returncode == 0
    key = site.llmsite("key", "add", "alice", "--scope", "models:push", "--scope", "models:read").stdout.strip()
    host = site.url.removeprefix("http://")
    name = ModelName.parse(f"{host}/mine/pushed:v1")
    other = ModelStore(tmp_path / "models")
    digest = other.blobs.put(WEIGHTS + bytes(32))
    create_model(other, name, Recipe((Part(digest, starter_facts()),), system="pushed"))
    config = RegistryConfig(tmp_path)
    with pytest.raises(RegistryError):
        push(other, name, insecure=True, report=lambda progress: None, check=lambda: None, config=config)
    (tmp_path / KEPT_KEYS).write_text(json.dumps({host: key}))
    told: list[str] = []
    push(other, name, insecure=True, report=lambda progress: told.append(progress.status), check=lambda: None, config=config)
    assert told[-2:] == ["pushing manifest", "success"]
    installed = {model["name"]: model["digest"] for model in json.loads(ask(site, "/api/tags")[1])["models"]}
    assert installed["mine/pushed:v1"] == other.find(name).digest
    empty = ModelStore(tmp_path / "empty")
    pull(empty, name, insecure=True, report=lambda progress: None, check=lambda: None, config=config)
    assert empty.find(name).digest == other.find(name).digest


def test_F22_damage_is_found_told_and_repaired_while_it_is_served(site: Site) -> None:
    (blob,) = Path(site.home.parent, "ollama", "blobs").glob(f"sha256-{sha256(WEIGHTS)}")
    ask(site, "/api/generate", {"model": "ping", "keep_alive": 0, "stream": False})
    blob.write_bytes(WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]))
    status, answer = generate(site)
    assert (status, answer) == (500, {"error": "model data is damaged, pull it again"})
    environ = {"OLLAMA_MODELS": str(blob.parent.parent)}
    found = site.llmsite("check", **environ)
    assert found.returncode == 1, found.stderr
    assert "ping:latest is damaged" in found.stdout
    assert ask(site, f"/api/blobs/sha256:{sha256(WEIGHTS)}", WEIGHTS, "POST")[0] == 201
    repaired = site.llmsite("check", "--quick", **environ)
    assert (repaired.returncode, "everything is whole" in repaired.stdout) == (0, True), repaired.stdout
    status, answer = generate(site)
    assert (status, answer.get("response")) == (200, "PING"), answer
