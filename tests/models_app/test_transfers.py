"""Pulls of a whole site, whose worker or server dies half way: each byte comes once, and everybody who waits hears of it."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from llmsite.store.model import ModelStore
from models_app import transfers
from models_app.job_rows import Claim
from models_app.job_run import JobRun
from tests.conftest import Site, start_site
from tests.registry.fake_registry import FakeRegistry, running_registry
from tests.store.gguf_files import GgufFile
from tests.test_serve import wait_until

pytestmark = pytest.mark.process

MIB = 1 << 20
SLACK_BYTES = 6 * MIB
"""What may come twice for each kill: the step of the records of four connections, and what the pipes hold."""
PATIENCE = 60


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running_registry() as registry:
        yield registry


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose worker is killed; it starts another one."""
    site = start_site(tmp_path_factory.mktemp("transfers") / "home", LLMSITE_LIMIT_JOB_SWEEP_SECONDS="0.3")
    yield site
    site.stop()


def weights(size_bytes: int) -> bytes:
    """A GGUF file with so many bytes of nothing behind it."""
    return GgufFile().encode() + random.Random(size_bytes).randbytes(size_bytes)


@dataclass
class Caller:
    """A client that pulls and keeps every line."""

    site: Site
    name: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    is_leaving: bool = False

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        return thread

    def run(self) -> None:
        with suppress(httpx.HTTPError), httpx.Client(timeout=PATIENCE) as client:
            body = {"model": self.name, "insecure": True}
            with client.stream("POST", f"{self.site.url}/api/pull", json=body) as reply:
                for line in reply.iter_lines():
                    with self.news:
                        self.lines.append(json.loads(line))
                        self.news.notify_all()
                    if self.is_leaving:
                        return

    def wait(self, is_enough: Callable[[dict[str, Any]], bool]) -> None:
        with self.news:
            assert self.news.wait_for(lambda: any(map(is_enough, self.lines)), PATIENCE), self.lines[-3:]


def has(num_bytes: int) -> Callable[[dict[str, Any]], bool]:
    return lambda line: line.get("completed", 0) >= num_bytes


def is_over(line: dict[str, Any]) -> bool:
    return line.get("status") == "success" or "error" in line


def worker_of(site: Site) -> psutil.Process:
    for child in psutil.Process(site.process.pid).children():
        if "llmsite.celery" in " ".join(child.cmdline()):
            return child
    raise AssertionError("there is no worker")


def installed(site: Site) -> list[str]:
    return [each["name"] for each in httpx.get(f"{site.url}/api/tags", timeout=PATIENCE).json()["models"]]


def store_is_clean(home: Path) -> bool:
    return not [path.name for path in (home / "models" / "blobs").iterdir() if "partial" in path.name]


@contextmanager
def slow(registry: FakeRegistry, pace_seconds: float = 0.005) -> Iterator[None]:
    registry.pace_seconds = pace_seconds
    yield
    registry.pace_seconds = 0


def test_F18_twenty_callers_are_one_download_and_hear_all_of_it(site: Site, registry: FakeRegistry) -> None:
    data = weights(4 * MIB)
    registry.add_model("library/m", data)
    name = f"{registry.host}/library/m:latest"
    callers = [Caller(site, name) for _ in range(20)]
    with slow(registry):
        for each in callers:
            each.start()
        for each in callers:
            each.wait(lambda line: "digest" in line)
        for each in callers[:10]:
            each.is_leaving = True
    for each in callers[10:]:
        each.wait(is_over)
        assert each.lines[0] == {"status": "pulling manifest"}
        assert each.lines[-1] == {"status": "success"}, each.lines[-1]
    assert installed(site)[0] == name
    assert sum(registry.sent.values()) <= 1.05 * (len(data) + 1024)


def test_F07_a_pull_goes_on_when_its_worker_is_killed(site: Site, registry: FakeRegistry) -> None:
    data = weights(24 * MIB)
    registry.add_model("library/m", data)
    caller = Caller(site, f"{registry.host}/library/m")
    with slow(registry):
        caller.start()
        for reached in (8, 16):
            caller.wait(has(reached * MIB))
            worker_of(site).kill()
    caller.wait(is_over)
    assert caller.lines[-1] == {"status": "success"}
    statuses = [line["status"] for line in caller.lines if "digest" not in line]
    assert statuses == ["pulling manifest", "verifying sha256 digest", "writing manifest", "success"], "told once each"
    assert sum(registry.sent.values()) <= 1.02 * len(data) + 2 * SLACK_BYTES
    assert store_is_clean(site.home)


def test_F07_a_pull_goes_on_when_everything_is_killed_and_when_the_site_is_stopped(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    data = weights(24 * MIB)
    registry.add_model("library/m", data)
    with slow(registry, 0.01):
        site = start_site(tmp_path / "home")
        caller = Caller(site, f"{registry.host}/library/m")
        caller.start()
        caller.wait(has(6 * MIB))
        worker_of(site).kill()
        site.process.kill()
        site.process.wait()
        site = start_site(tmp_path / "home")
        caller = Caller(site, f"{registry.host}/library/m")
        caller.start()
        caller.wait(has(12 * MIB))
        registry.pace_seconds = 0.5
        assert site.stop() == 0, "it leaves in order"
        assert caller.lines[-1] == {"error": "the server is stopping; this goes on by itself when it is back"}
        assert states(site.home, caller.name) == ["queued"], "the job waits for the next start"
    site = start_site(tmp_path / "home")
    try:
        caller = Caller(site, f"{registry.host}/library/m")
        caller.start()
        caller.wait(is_over)
        assert caller.lines[-1] == {"status": "success"}
        assert f"{registry.host}/library/m:latest" in installed(site)
        assert sum(registry.sent.values()) <= 1.02 * len(data) + 2 * SLACK_BYTES
        assert store_is_clean(site.home)
    finally:
        site.stop()


def test_the_last_caller_takes_the_download_along_and_the_next_one_goes_on(site: Site, registry: FakeRegistry) -> None:
    data = weights(16 * MIB)
    registry.add_model("library/m", data)
    caller = Caller(site, f"{registry.host}/library/m")
    with slow(registry, 0.05):
        caller.start()
        caller.wait(has(MIB))
        caller.is_leaving = True
        assert wait_until(lambda: states(site.home, caller.name) == ["canceled"], PATIENCE)
    assert sum(registry.sent.values()) < len(data), "it stopped half way"
    late = Caller(site, f"{registry.host}/library/m")
    late.start()
    late.wait(is_over)
    assert late.lines[-1] == {"status": "success"}
    assert sum(registry.sent.values()) <= 1.02 * len(data)
    assert store_is_clean(site.home)


@pytest.mark.django_db
def test_1_3_a_pull_takes_the_spelling_that_is_installed(store: ModelStore, registry: FakeRegistry) -> None:
    registry.add_model("library/Model", weights(0))
    registry.add_model("library/Model", weights(0), tag="New")
    for asked in ("library/Model:latest", "Library/MODEL:New"):
        transfers.run_pull(JobRun(Claim(1, "", 1, "pull", f"{registry.host}/{asked}", {"insecure": True}, ()), lambda: None))
    names = {str(file.name) for file in store.manifests.files()}
    assert names == {f"{registry.host}/library/Model:latest", f"{registry.host}/library/Model:New"}


def states(home: Path, name: str) -> list[str]:
    """Of all jobs of that name, as the database has them."""
    with closing(sqlite3.connect(home / "db.sqlite3")) as database:
        found = database.execute("SELECT state FROM models_app_job WHERE name LIKE ? ORDER BY id", (f"{name}%",))
        return [state for (state,) in found]
