"""Jobs with a real worker process: each step is done once whoever dies, and who watches hears everything."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import environment_of
from tests.models_app.job_kinds import DIGEST
from tests.test_serve import wait_until

pytestmark = pytest.mark.process
PATIENCE = 60


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "tests.models_app.job_process", *argv]


@dataclass
class JobSite:
    """A home with a database, in which workers and askers are started and killed."""

    home: Path
    lease_seconds: str = "60"
    broker_url: str = ""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        ours = {
            "DJANGO_SETTINGS_MODULE": "llmsite.settings",
            "LLMSITE_LIMIT_JOB_SWEEP_SECONDS": "0.3",
            "LLMSITE_LIMIT_JOB_BEAT_SECONDS": "0.3",
            "LLMSITE_LIMIT_JOB_LEASE_SECONDS": self.lease_seconds,
            "LLMSITE_BROKER_URL": self.broker_url,
        }
        return environment_of(self.home, "http://127.0.0.1:1") | ours

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(command(*argv), env=self.environ, text=True, **options)
        self.processes.append(process)
        return process

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """A worker, as `serve` starts one: it leaves when the pipe closes."""
        reading, writing = os.pipe()
        process = self.start("worker", "--fd", str(reading), pass_fds=(reading,))
        os.close(reading)
        worker = Worker(process, writing)
        try:
            yield worker
        finally:
            worker.leave()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def asker(self) -> Asker:
        return Asker(self.start("asker", stdin=subprocess.PIPE, stdout=subprocess.PIPE))


@dataclass
class Worker:
    process: subprocess.Popen[str]
    fd: int

    def leave(self) -> int:
        """As when `serve` stops: steps see it and give their job back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)


class Asker:
    """A process that asks for jobs, as a server does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.frames: dict[str, list[Any]] = {}
        self.news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if "watch" not in message:
            self.answers.put(message)
            return
        with self.news:
            told = ("end", message["end"]) if "end" in message else message["frame"]
            self.frames.setdefault(message["watch"], []).append(told)
            self.news.notify_all()

    def ask(self, do: str, **arguments: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self.answers.get(timeout=PATIENCE)
        if "error" in answer:
            raise AssertionError(tuple(answer["error"]))
        return answer["answer"]

    def row(self, job_id: int) -> dict[str, Any]:
        return self.ask("row", job_id=job_id)

    def hears(self, watch: str, is_enough: Callable[[list[Any]], bool]) -> list[Any]:
        """What this watcher heard, once it is enough."""
        with self.news:
            assert self.news.wait_for(lambda: is_enough(self.frames.get(watch, [])), PATIENCE), self.frames.get(watch)
            return list(self.frames[watch])

    def ends(self, watch: str) -> list[Any]:
        return self.hears(watch, lambda told: bool(told) and isinstance(told[-1], tuple))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("jobs") / "home"
    subprocess.run(command("migrate"), env=JobSite(home).environ, check=True)
    return home


@pytest.fixture
def site(migrated: Path) -> Iterator[JobSite]:
    site = JobSite(migrated)
    yield site
    site.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def job(folder: Path, total: int = 3, kind: str = "steps", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": folder.parent.name, "request": {"folder": str(folder), "total": total}, **more}


def allow(folder: Path, *numbers: int) -> None:
    for number in numbers:
        (folder / f"{number}.go").touch()


def done(folder: Path) -> list[str]:
    return (folder / "done").read_text().split()


def num_starts(folder: Path) -> int:
    return len((folder / "starts").read_text().split())


def has_done(completed: int) -> Callable[[list[Any]], bool]:
    return lambda told: any(isinstance(each, dict) and each["completed"] >= completed for each in told)


def lines(told: list[Any]) -> list[str]:
    return [each["status"] for each in told if isinstance(each, dict) and not each["digest"]]


def test_who_watches_hears_every_line_and_the_end(site: JobSite, folder: Path) -> None:
    asker = site.asker()
    with site.worker():
        job_id = asker.ask("start", **job(folder))
        asker.ask("watch", watch="first", job_id=job_id)
        allow(folder, 0)
        asker.hears("first", has_done(1))
        asker.ask("watch", watch="late", job_id=job_id)
        allow(folder, 1, 2)
        for watch in ("first", "late"):
            told = asker.ends(watch)
            assert lines(told) == ["begin", "step 0", "step 1", "step 2", "success"]
            assert told[-1] == ("end", None)
            assert {"status": "steps", "digest": DIGEST, "total": 3, "completed": 3} in told
        asker.ask("watch", watch="after", job_id=job_id)
        assert lines(asker.ends("after")) == ["begin", "step 0", "step 1", "step 2", "success"]
    assert done(folder) == ["0", "1", "2"]


def test_F32_a_killed_worker_leaves_its_job_to_the_next_one(site: JobSite, folder: Path) -> None:
    asker = site.asker()
    with site.worker() as first:
        job_id = asker.ask("start", **job(folder))
        asker.ask("watch", watch="w", job_id=job_id)
        allow(folder, 0)
        asker.hears("w", has_done(1))
        first.kill()
    with site.worker():
        allow(folder, 1, 2)
        told = asker.ends("w")
    assert lines(told) == ["begin", "step 0", "step 1", "step 2", "success"], "the second start tells nothing twice"
    assert done(folder) == ["0", "1", "2"]
    assert num_starts(folder) == 2
    assert asker.row(job_id)["fence"] == 2


def test_F32_a_job_goes_on_when_worker_and_server_were_killed(site: JobSite, folder: Path) -> None:
    asker = site.asker()
    with site.worker() as worker:
        job_id = asker.ask("start", **job(folder, leaves_with_watchers=True))
        asker.ask("watch", watch="w", job_id=job_id)
        allow(folder, 0)
        asker.hears("w", has_done(1))
        worker.kill()
        asker.kill()
    asker = site.asker()
    assert asker.row(job_id)["state"] == "running", "nobody has looked yet"
    with site.worker():
        asker.ask("watch", watch="again", job_id=job_id)
        allow(folder, 1, 2)
        assert asker.ends("again")[-1] == ("end", None)
    assert done(folder) == ["0", "1", "2"]


def test_F32_a_killed_server_does_not_stop_its_jobs(site: JobSite, folder: Path) -> None:
    asker = site.asker()
    with site.worker():
        job_id = asker.ask("start", **job(folder, leaves_with_watchers=True))
        asker.ask("watch", watch="w", job_id=job_id)
        allow(folder, 0)
        asker.hears("w", has_done(1))
        asker.kill()
        asker = site.asker()
        allow(folder, 1, 2)
        asker.ask("watch", watch="again", job_id=job_id)
        assert asker.ends("again")[-1] == ("end", None)
    assert num_starts(folder) == 1


def test_F32_two_workers_never_run_one_job(site: JobSite, tmp_path: Path) -> None:
    asker = site.asker()
    folders = [tmp_path / f"f{number}" for number in range(4)]
    with site.worker(), site.worker():
        for each in folders:
            each.mkdir()
            allow(each, 0, 1, 2)
            job_id = asker.ask("start", kind="steps", name=str(each), request={"folder": str(each), "total": 3})
            asker.ask("watch", watch=each.name, job_id=job_id)
        for each in folders:
            assert asker.ends(each.name)[-1] == ("end", None)
    assert [(num_starts(each), done(each)) for each in folders] == [(1, ["0", "1", "2"])] * 4


def test_F32_a_worker_that_stood_still_too_long_writes_nothing_more(site: JobSite, folder: Path) -> None:
    site.lease_seconds = "2"
    asker = site.asker()
    with site.worker() as still:
        job_id = asker.ask("start", **job(folder))
        asker.ask("watch", watch="w", job_id=job_id)
        allow(folder, 0)
        asker.hears("w", has_done(1))
        still.process.send_signal(signal.SIGSTOP)
        with site.worker():
            assert wait_until(lambda: num_starts(folder) == 2, PATIENCE), "its lease ran out"
            still.process.send_signal(signal.SIGCONT)
            assert wait_until((folder / "stopped").exists, PATIENCE), "it sees that the job is no longer its own"
            assert asker.row(job_id)["fence"] == 2
            allow(folder, 1, 2)
            assert asker.ends("w")[-1] == ("end", None)
    assert done(folder) == ["0", "1", "2"]


def test_F32_a_job_that_kills_its_workers_is_given_up(site: JobSite, folder: Path) -> None:
    asker = site.asker()
    job_id = asker.ask("start", **job(folder, kind="kills"))
    asker.ask("watch", watch="w", job_id=job_id)
    for _ in range(3):
        with site.worker() as worker:
            assert worker.process.wait(PATIENCE) == -signal.SIGKILL
    with site.worker():
        name, text = asker.ends("w")[-1][1]
    assert name == "EngineError"
    assert "its worker ended 3 times before it got any further" in text
    assert num_starts(folder) == 3
    assert asker.row(job_id)["state"] == "failed"


def test_F33_a_job_whose_message_was_lost_is_found(site: JobSite, folder: Path) -> None:
    asker = site.asker()
    allow(folder, 0, 1, 2)
    with site.worker():
        asker.ask("start", **job(folder / "x", total=0))  # the worker is there and has swept
        job_id = asker.ask("start", **job(folder))
        for message in (site.home / "broker").glob("*.celery.msg"):
            message.unlink(missing_ok=True)
        asker.ask("watch", watch="w", job_id=job_id)
        assert asker.ends("w")[-1] == ("end", None)
    assert done(folder) == ["0", "1", "2"]


def test_F36_a_leaving_worker_gives_its_jobs_back(site: JobSite, folder: Path) -> None:
    asker = site.asker()
    with site.worker() as worker:
        job_id = asker.ask("start", **job(folder))
        asker.ask("watch", watch="w", job_id=job_id)
        allow(folder, 0)
        asker.hears("w", has_done(1))
        assert worker.leave() == 0, "nothing was still running"
    row = asker.row(job_id)
    assert (row["state"], row["owner"]) == ("queued", "")
    allow(folder, 1, 2)
    with site.worker():
        assert asker.ends("w")[-1] == ("end", None)
    assert done(folder) == ["0", "1", "2"]


def test_a_cancelled_job_ends_for_everybody_and_can_go_on(site: JobSite, folder: Path) -> None:
    asker = site.asker()
    with site.worker():
        job_id = asker.ask("start", **job(folder))
        asker.ask("watch", watch="w", job_id=job_id)
        allow(folder, 0)
        asker.hears("w", has_done(1))
        asker.ask("cancel", job_id=job_id)
        assert asker.ends("w")[-1] == ("end", ["Canceled", "the steps was cancelled"])
        assert asker.row(job_id)["state"] == "canceled"
        allow(folder, 1, 2)
        asker.ask("resume", job_id=job_id)
        asker.ask("watch", watch="again", job_id=job_id)
        assert asker.ends("again")[-1] == ("end", None)
    assert done(folder) == ["0", "1", "2"]


def test_the_last_watcher_takes_the_job_along_and_no_other(site: JobSite, folder: Path) -> None:
    asker, other = site.asker(), site.asker()
    with site.worker():
        wanted = job(folder, leaves_with_watchers=True)
        job_id = asker.ask("start", **wanted)
        assert other.ask("start", **wanted) == job_id, "the same download is one job"
        asker.ask("watch", watch="a", job_id=job_id)
        allow(folder, 0)
        asker.hears("a", has_done(1))
        asker.ask("leave", watch="a")
        assert asker.row(job_id)["state"] == "running", "the other one has asked for it, and is about to watch"
        other.ask("watch", watch="b", job_id=job_id)
        other.hears("b", has_done(1))
        other.ask("leave", watch="b")
        asker.ask("watch", watch="c", job_id=job_id)
        assert asker.ends("c")[-1][1][0] == "Canceled"
    assert done(folder) == ["0"], "what was done stays for the next time"


def test_a_job_that_a_page_asked_for_too_stays(site: JobSite, folder: Path) -> None:
    asker = site.asker()
    with site.worker():
        job_id = asker.ask("start", **job(folder, leaves_with_watchers=True))
        asker.ask("watch", watch="w", job_id=job_id)
        assert asker.ask("start", **job(folder)) == job_id
        asker.hears("w", bool)
        asker.ask("leave", watch="w")
        allow(folder, 0, 1, 2)
        asker.ask("watch", watch="page", job_id=job_id)
        assert asker.ends("page")[-1] == ("end", None)


@pytest.mark.parametrize(
    ("how", "name", "text"),
    [
        ("name", "ModelNotFound", "what a person should know"),
        ("bad", "InvalidRequest", "what a person should know"),
        ("fault", "EngineError", "internal error (id "),
    ],
)
def test_watchers_are_raised_the_error_that_the_job_ended_with(
    site_with_worker: Asker, folder: Path, how: str, name: str, text: str
) -> None:
    asker = site_with_worker
    job_id = asker.ask("start", kind="fails", name=how, request={"how": how})
    asker.ask("watch", watch=how, job_id=job_id)
    told = asker.ends(how)
    assert lines(told) == ["begin"]
    assert told[-1][1][0] == name
    assert text in told[-1][1][1]
    assert "ZeroDivision" not in told[-1][1][1]


@pytest.fixture(scope="module")
def site_with_worker(migrated: Path) -> Iterator[Asker]:
    site = JobSite(migrated)
    with site.worker():
        yield site.asker()
    site.close()


def test_lines_are_kept_and_counts_are_written_four_times_a_second(site_with_worker: Asker, folder: Path) -> None:
    asker = site_with_worker
    job_id = asker.ask("start", **job(folder, kind="floods"))
    asker.ask("watch", watch="flood", job_id=job_id)
    told = asker.ends("flood")
    num_lines = int((folder / "lines").read_text())
    assert lines(told) == [f"line {number}" for number in range(1, num_lines + 1)]
    # one write for the claim and one for the end; every line one at most, and counts four a second
    assert asker.row(job_id)["seq"] <= 1 + 2 + num_lines + 2 * 4


def test_more_than_may_run_wait_their_turn_and_too_many_are_refused(site_with_worker: Asker, tmp_path: Path) -> None:
    asker = site_with_worker
    folders = [tmp_path / f"f{number}" for number in range(5)]
    ids = []
    for each in folders:
        each.mkdir()
        ids.append(asker.ask("start", kind="steps", name=str(each), request={"folder": str(each), "total": 1}))
        asker.ask("watch", watch=each.name, job_id=ids[-1])
        if len(ids) <= 2:
            asker.hears(each.name, bool)
    assert [asker.row(job_id)["state"] for job_id in ids] == ["running"] * 2 + ["queued"] * 3
    with pytest.raises(AssertionError, match=r"Busy.*3 jobs"):
        asker.ask("start", kind="steps", name="one more", request={"folder": str(tmp_path), "total": 1})
    asker.ask("cancel", job_id=ids[2])
    assert asker.ends("f2")[-1][1][0] == "Canceled", "a waiting job needs no worker to end"
    for each in folders:
        allow(each, 0)
    assert [asker.ends(each.name)[-1] for each in (*folders[:2], *folders[3:])] == [("end", None)] * 4
