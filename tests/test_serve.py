"""The process tree for real: starting, refusing to start, leaving, and what is left after a kill."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Site, environment_of, free_port, start_site

pytestmark = pytest.mark.process

PASSWORD = "a long enough secret"
LONG = {"model": "starter", "prompt": "Hello", "raw": True, "options": {"temperature": 50, "top_k": 0, "top_p": 1.0, "seed": 1}}
"""So hot that every token is as likely as any other, the last one too: thousands of tokens."""


def children_of(site: Site) -> list[psutil.Process]:
    return psutil.Process(site.process.pid).children(recursive=True)


def command_of(process: psutil.Process) -> str:
    """Its command line; empty for one that has ended, waited for or not."""
    try:
        return " ".join(process.cmdline()) if process.status() != psutil.STATUS_ZOMBIE else ""
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def named(processes: list[psutil.Process], module: str) -> list[psutil.Process]:
    return [each for each in processes if module in command_of(each)]


def alive(processes: list[psutil.Process]) -> list[str]:
    """Command lines of those that still run."""
    return list(filter(None, map(command_of, processes)))


def wait_until(is_true: Any, seconds: float = 20) -> bool:
    """Poll; whether it came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_true():
            return True
        time.sleep(0.05)
    return False


def ask(site: Site, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(site.url + path, json.dumps(body).encode() if body is not None else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@contextmanager
def answer(site: Site) -> Iterator[http.client.HTTPResponse]:
    """An answer that goes on until somebody ends it, after its first piece."""
    host, port = site.url.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
        connection.request("POST", "/api/generate", json.dumps(LONG))
        with connection.getresponse() as response:
            assert response.status == 200
            assert response.readline()
            yield response


def refuse(home: Path, address: str, **environ: str) -> tuple[int, str]:
    """Exit code and last words of a server that does not start."""
    done = subprocess.run(
        [sys.executable, "-c", "from llmsite.cli.main import main; main()", "serve"],
        env=environment_of(home, address) | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


def add_user(home: Path, name: str, *options: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from llmsite.cli.main import main; main()", "user", "add", name, *options],
        env=environment_of(home, "http://127.0.0.1:1"),
        input=password + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site that the test may break."""
    site = start_site(tmp_path / "home")
    yield site
    if site.process.poll() is None:
        site.process.kill()
        site.process.wait()


# starting


def test_a_fresh_home_answers_prints_its_link_and_rests_small(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(site, "/api/version")[0] == 200
    assert ask(site, "/")[1] == b"Ollama is running"
    assert wait_until(lambda: any("/setup?t=" in line for line in site.lines))
    assert [model["name"] for model in json.loads(ask(site, "/api/tags")[1])["models"]] == ["starter:latest"]
    assert wait_until(lambda: named(children_of(site), "llmsite.celery"))
    rss = psutil.Process(site.process.pid).memory_info().rss / (1 << 20)
    with capsys.disabled():
        print(f"\nserver at rest: {rss:.0f} MiB")  # noqa: T201
    assert rss < 160


def test_the_printed_link_makes_the_owner_and_is_gone_at_the_next_start(site: Site) -> None:
    assert wait_until(lambda: any("/setup?t=" in line for line in site.lines))
    link = re.search(r"http://\S+/setup\?t=\S+", "".join(site.lines))
    assert link
    path = link[0].removeprefix(site.url)
    status, page = ask(site, path, Accept="text/html")
    assert status == 200
    assert b"csrfmiddlewaretoken" in page
    assert add_user(site.home, "alice", "--admin").returncode == 0
    assert ask(site, path)[0] == 200  # the sign-in page: a link is worth nothing once there is an administrator
    assert site.stop() == 0
    again = start_site(site.home)
    assert not any("/setup?t=" in line for line in again.lines)
    assert again.stop() == 0


def test_T64_nobody_else_of_this_machine_can_look_in(serve: Site) -> None:
    assert wait_until((serve.home / "broker").exists)
    models = serve.home / "models"  # may be shared with Ollama, which writes 0644; the home around it is closed
    found = [path for path in (serve.home, *serve.home.rglob("*")) if not path.is_relative_to(models)]
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in found}
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_T64_no_listener_but_one(serve: Site) -> None:
    listening = [
        connection.laddr.port
        for process in (psutil.Process(serve.process.pid), *children_of(serve))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == [int(serve.url.rpartition(":")[2])]


def test_a_dead_worker_is_started_again(serve: Site) -> None:
    assert wait_until(lambda: named(children_of(serve), "llmsite.celery"))
    (first,) = named(children_of(serve), "llmsite.celery")
    first.kill()
    assert wait_until(lambda: [each.pid for each in named(children_of(serve), "llmsite.celery")] not in ([], [first.pid]))


# refusing


def test_F39_a_second_server_on_a_home_or_port_is_refused(serve: Site, tmp_path: Path) -> None:
    code, line = refuse(serve.home, f"http://127.0.0.1:{free_port()}")
    assert code == 1
    assert f"process {serve.process.pid} at {serve.url}" in line
    code, line = refuse(tmp_path / "other", serve.url)
    assert code == 1
    assert line.startswith(f"llmsite: cannot listen on {serve.url}")
    assert ask(serve, "/api/version")[0] == 200


def test_F39_the_lock_of_a_dead_server_is_taken_over(site: Site) -> None:
    site.process.kill()
    site.process.wait()
    again = start_site(site.home)
    assert again.stop() == 0


@pytest.mark.parametrize(
    ("environ", "code", "words"),
    [
        ({}, 2, "llmsite user add NAME --admin"),
        ({"LLMSITE_API_AUTH": "off"}, 2, "LLMSITE_OPEN_API_CONFIRM=i-understand"),
        ({"LLMSITE_API_AUTH": "off", "LLMSITE_OPEN_API_CONFIRM": "yes"}, 2, "LLMSITE_OPEN_API_CONFIRM=i-understand"),
        ({"LLMSITE_DEBUG": "1"}, 2, "LLMSITE_DEBUG"),
        ({"LLMSITE_API_AUTH": "maybe"}, 1, "LLMSITE_API_AUTH='maybe' is not understood: expected one of auto, required, off"),
        ({"OLLAMA_ORIGINS": "site.example"}, 1, "OLLAMA_ORIGINS"),
        ({"LLMSITE_LIMIT_NONSENSE": "1"}, 1, "LLMSITE_LIMIT_NONSENSE is no limit"),
    ],
)
def test_rule_4_open_to_others_has_to_be_meant(environ: dict[str, str], code: int, words: str, tmp_path: Path) -> None:
    found, line = refuse(tmp_path / "home", f"http://0.0.0.0:{free_port()}", **environ)
    assert found == code
    assert words in line


def test_a_broker_that_nothing_here_can_speak_to_is_refused(tmp_path: Path) -> None:
    code, text = refuse(tmp_path / "home", "127.0.0.1:1", LLMSITE_BROKER_URL="carrier-pigeon://loft")
    assert (code, text) == (1, "llmsite: LLMSITE_BROKER_URL cannot be used: nothing here can speak carrier-pigeon://")


def test_rule_4_a_home_that_others_can_read_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    code, line = refuse(home, f"http://0.0.0.0:{free_port()}")
    assert (code, "chmod 700" in line) == (2, True)


def test_rule_4_beyond_loopback_strangers_get_the_door_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert add_user(home, "alice", "--admin").returncode == 0
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", "from llmsite.cli.main import main; main()", "serve"],
        env=environment_of(home, f"http://0.0.0.0:{port}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    site = Site(f"http://127.0.0.1:{port}", home, process)  # type: ignore[arg-type]
    try:
        assert wait_until(lambda: answers(site))
        assert ask(site, "/")[1] == b"Ollama is running"
        for path in ("/api/version", "/api/tags", "/api/ps"):
            assert ask(site, path)[0] == 401
        assert ask(site, "/sign-in", Accept="text/html")[0] == 200
        assert ask(site, "/api/version", Host="rebind.example") == (403, b"")
    finally:
        process.terminate()
        assert process.wait(30) == 0


def answers(site: Site) -> bool:
    try:
        return bool(ask(site, "/")[0])
    except OSError:
        return False


# accounts from the command line


def test_users_are_added_before_the_first_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert add_user(home, "alice", "--admin").returncode == 0
    assert add_user(home, "bob", "--email", "bob@site.example").returncode == 0
    for name, password, words in (
        ("alice", PASSWORD, "taken"),
        ("ALICE", PASSWORD, "taken"),
        ("carol", "short", "8 characters"),
        ("bob@site.example", PASSWORD, "no @"),
    ):
        done = add_user(home, name, password=password)
        assert done.returncode != 0
        assert words in done.stderr
        assert "Traceback" not in done.stderr


# leaving


@pytest.mark.model
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_F36_a_signal_ends_answers_with_a_line_and_leaves_nothing(site: Site, number: int) -> None:
    with answer(site) as response:
        tree = children_of(site)
        assert named(tree, "llmsite.engine.runner")
        site.process.send_signal(number)
        lines = response.read().splitlines()
    assert "error" in json.loads(lines[-1])
    assert site.process.wait(20) == 0
    assert wait_until(lambda: not alive(tree), 5), alive(tree)
    assert "Traceback" not in "".join(site.lines)


@pytest.mark.model
def test_F36_a_second_signal_does_not_wait(site: Site) -> None:
    with answer(site):
        assert wait_until(lambda: named(children_of(site), "llmsite.celery"))
        tree = children_of(site)
        stuck = [*named(tree, "llmsite.engine.runner"), *named(tree, "llmsite.celery")]
        for each in stuck:
            each.suspend()  # so that leaving in order takes its time
        site.process.terminate()
        assert wait_until(lambda: not answers(site))
        site.process.terminate()
        assert site.process.wait(5) == 130
    for each in stuck:
        with suppress(psutil.NoSuchProcess):
            each.resume()
    assert wait_until(lambda: not alive(tree), 8), alive(tree)


@pytest.mark.model
def test_F06_after_a_kill_nothing_is_left_within_five_seconds(site: Site) -> None:
    with answer(site):
        assert wait_until(lambda: named(children_of(site), "llmsite.celery"))
        tree = children_of(site)
        assert named(tree, "llmsite.engine.runner")
        assert named(tree, "llmsite.inspector")
        os.kill(site.process.pid, signal.SIGKILL)
    assert wait_until(lambda: not alive(tree), 5), alive(tree)


@pytest.mark.model
def test_F34_a_client_that_leaves_frees_its_slot(serve: Site) -> None:
    with answer(serve):
        (runner,) = named(children_of(serve), "llmsite.engine.runner")
    assert wait_until(lambda: runner.cpu_percent(0.5) < 20, 15)
