"""Jobs whose messages go over a Redis server: they end as with the folder, whoever dies, and Redis may come and go."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Site, free_port, start_site
from tests.models_app.test_jobs import JobSite, allow, command, done, has_done, job, num_starts
from tests.models_app.test_transfers import (
    MIB,
    PATIENCE,
    SLACK_BYTES,
    Caller,
    has,
    installed,
    is_over,
    slow,
    store_is_clean,
    weights,
    worker_of,
)
from tests.registry.fake_registry import FakeRegistry, running_registry
from tests.test_serve import wait_until

pytestmark = [pytest.mark.process, pytest.mark.redis]


@dataclass
class Redis:
    """A Redis server that keeps nothing on disk."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @classmethod
    def start(cls, folder: Path, port: int = 0) -> Redis:
        port = port or free_port()
        argv = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder))
        redis = cls(folder, port, subprocess.Popen(["redis-server", *argv], stdout=subprocess.DEVNULL))
        assert wait_until(redis.answers, PATIENCE), "redis-server did not start"
        return redis

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def stand_still(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def come_back(self) -> None:
        """Whatever became of it: an empty server when it was stopped."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        else:
            self.process = Redis.start(self.folder, self.port).process


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server (Debian package redis-server): jobs over Redis are not tried")
    redis = Redis.start(tmp_path_factory.mktemp("redis"))
    yield redis
    redis.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis: Redis) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("over-redis") / "home"
    site = start_site(home, LLMSITE_BROKER_URL=redis.url, LLMSITE_LIMIT_JOB_SWEEP_SECONDS="0.3")
    yield site
    site.stop()
    assert not (home / "broker").exists(), "no message was a file"
    assert "Traceback" not in "".join(site.lines)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running_registry() as registry:
        yield registry


def create(site: Site, name: str, **more: Any) -> dict[str, Any]:
    body = {"model": name, "from": "starter", "system": name, "stream": False}
    reply: dict[str, Any] = httpx.post(f"{site.url}/api/create", json=body | more, timeout=PATIENCE).json()
    return reply


def test_a_model_is_made(site: Site) -> None:
    assert create(site, "made") == {"status": "success"}
    assert "made:latest" in installed(site)


def test_F07_a_pull_goes_on_when_its_worker_is_killed(site: Site, registry: FakeRegistry) -> None:
    data = weights(16 * MIB)
    registry.add_model("library/m", data)
    caller = Caller(site, f"{registry.host}/library/m")
    with slow(registry):
        caller.start()
        caller.wait(has(8 * MIB))
        worker_of(site).kill()
    caller.wait(is_over)
    statuses = [line["status"] for line in caller.lines if "digest" not in line]
    assert statuses == ["pulling manifest", "verifying sha256 digest", "writing manifest", "success"], "told once each"
    assert sum(registry.sent.values()) <= 1.02 * len(data) + SLACK_BYTES
    assert store_is_clean(site.home)


def test_F32_a_killed_worker_leaves_its_job_to_the_next_one(redis: Redis, tmp_path: Path) -> None:
    site = JobSite(tmp_path / "home", broker_url=redis.url.removesuffix("0") + "1")
    subprocess.run(command("migrate"), env=site.environ, check=True)
    try:
        asker = site.asker()
        with site.worker() as first:
            job_id = asker.ask("start", **job(tmp_path))
            asker.ask("watch", watch="w", job_id=job_id)
            allow(tmp_path, 0)
            asker.hears("w", has_done(1))
            first.kill()
        with site.worker(), site.worker():
            allow(tmp_path, 1, 2)
            assert asker.ends("w")[-1] == ("end", None)
        assert done(tmp_path) == ["0", "1", "2"]
        assert num_starts(tmp_path) == 2
        assert asker.row(job_id)["fence"] == 2
    finally:
        site.close()


@pytest.mark.parametrize("fault", [Redis.stop, Redis.stand_still])
def test_F33_jobs_end_although_redis_was_away(site: Site, redis: Redis, registry: FakeRegistry, fault: Any) -> None:
    registry.add_model("library/m", weights(4 * MIB))
    running = Caller(site, f"{registry.host}/library/m")
    waiting = Caller(site, f"{registry.host}/library/n")
    registry.add_model("library/n", weights(MIB))
    with slow(registry):
        running.start()
        running.wait(has(MIB))
        fault(redis)
        try:
            num_lines = len(site.lines)
            waiting.start()
            assert wait_until(lambda: "no worker could be woken for job" in "".join(site.lines[num_lines:]), PATIENCE)
            running.wait(is_over)
            assert running.lines[-1] == {"status": "success"}, "what runs needs no message"
            assert not waiting.lines or not is_over(waiting.lines[-1])
        finally:
            redis.come_back()
    waiting.wait(is_over)
    assert waiting.lines[-1] == {"status": "success"}
    assert create(site, f"after-{fault.__name__}") == {"status": "success"}
