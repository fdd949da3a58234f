"""Pulls that are killed, at every change they make to the disk and at random times, and started again (faults F07, F19)."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from llmsite.store import manifest as media
from llmsite.store.model import ModelStore
from llmsite.types.limits import KIB
from llmsite.types.name import ModelName
from tests.registry.conftest import random_bytes, require_right
from tests.registry.fake_registry import CHUNK, FakeRegistry, digest_of

ROOT = Path(__file__).parents[2]
SIZE = 512 * KIB
WEIGHTS = random_bytes(SIZE)
DIGEST = digest_of(WEIGHTS)
LIMITS = {"pull_part_bytes": 64 * KIB, "pull_record_bytes": 16 * KIB, "pull_connections": 4, "pull_backoff_seconds": 0.001}
KILLS_OF_ONE = 15
"""A pull that was killed so often is left to finish, so that a busy machine gets through too."""
LOST_PER_KILL = 4 * (16 * KIB + 32 * KIB + CHUNK + 256 * KIB)
"""For each of four connections: what was not yet recorded, the buffers of both sides, the piece that was just counted."""


class Puller:
    """The process that forks pulls."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.registry.puller"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, root: Path, name: str, *, kill_at: int = 0, kill_after: float = 0) -> None:
        """Start a pull."""
        assert self.process.stdin is not None
        order = {"root": str(root), "name": name, "limits": LIMITS, "kill_at": kill_at, "kill_after": kill_after}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def wait(self) -> int:
        """The exit code of the pull; negative for the signal that ended it."""
        status: int = self._read()["status"]
        return status

    def _read(self) -> dict[str, int]:
        assert self.process.stdout is not None
        answer: dict[str, int] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def puller() -> Iterator[Puller]:
    puller = Puller()
    yield puller
    assert puller.process.stdin is not None
    puller.process.stdin.close()
    puller.process.wait(10)
    assert puller.process.stdout is not None
    puller.process.stdout.close()


@pytest.fixture
def name(registry: FakeRegistry) -> str:
    registry.add_model("library/m", WEIGHTS, texts={media.SYSTEM: b"S"})
    return f"{registry.host}/library/m"


def _require_sound(root: Path, name: str) -> bool:
    """Nothing under its final name is wrong or half there; returns whether the model is installed."""
    blobs = root / "models" / "blobs"
    for path in blobs.iterdir() if blobs.exists() else ():
        if "-partial" not in path.name and not path.name.startswith("upload-"):
            require_right(path)
    store = ModelStore(root / "models")
    if store.manifests.find(ModelName.parse(name)) is None:
        return False
    assert store.find(name).model_path.read_bytes() == WEIGHTS
    return True


def _require_few_bytes(registry: FakeRegistry, num_kills: int) -> None:
    assert registry.sent[DIGEST] <= 1.02 * SIZE + LOST_PER_KILL * num_kills


def test_F07_a_pull_killed_before_each_change_of_the_disk(
    puller: Puller, registry: FakeRegistry, name: str, tmp_path: Path
) -> None:
    """A store for each change of a whole pull: killed there, then pulled again."""
    for kill_at in count(1):
        root = tmp_path / str(kill_at)
        registry.sent.clear()
        puller.start(root, name, kill_at=kill_at)
        if puller.wait() == 0:
            assert kill_at > 50  # as many changes as there are, at least
            return
        _require_sound(root, name)
        puller.start(root, name)
        assert puller.wait() == 0
        assert _require_sound(root, name)
        _require_few_bytes(registry, 1)


def test_F07_a_pull_killed_at_random_times(puller: Puller, registry: FakeRegistry, name: str, tmp_path: Path) -> None:
    chance, num_kills, number = random.Random(7), 0, 0
    registry.pace_seconds = 0.001
    while num_kills < 150:
        root = tmp_path / str(number)
        number += 1
        registry.sent.clear()
        kills = 0
        while not _pull_or_kill(puller, root, name, chance.uniform(0.001, 0.12) if kills < KILLS_OF_ONE else 0):
            _require_sound(root, name)
            kills += 1
        num_kills += kills
        assert _require_sound(root, name)
        _require_few_bytes(registry, kills)


def _pull_or_kill(puller: Puller, root: Path, name: str, kill_after: float) -> bool:
    """Whether the pull got through before so many seconds; 0 lets it go on to its end."""
    puller.start(root, name, kill_after=kill_after)
    status = puller.wait()
    assert status in (0, -signal.SIGALRM)
    return status == 0


def test_F19_several_processes_pull_one_model_into_one_store(registry: FakeRegistry, name: str, tmp_path: Path) -> None:
    registry.pace_seconds = 0.002
    pullers = [Puller() for _ in range(3)]
    for puller in pullers:
        puller.start(tmp_path, name)
    assert [puller.wait() for puller in pullers] == [0, 0, 0]
    assert _require_sound(tmp_path, name)
    assert registry.sent[DIGEST] == SIZE
    for puller in pullers:
        puller.process.communicate()
