"""Makers of models that are killed, or find no room: the old model stays whole or the new one is, and nothing else (F08, F10)."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from llmsite.store.model import ModelStore
from llmsite.types.codec import to_builtins
from llmsite.types.request import CreateRequest
from tests.conftest import Site, environment_of, start_site
from tests.small_disk import files_of, fill, on_small_disk, seen_by
from tests.store.listing import list_models

pytestmark = [pytest.mark.process, pytest.mark.model]

HOUR = 3600.0


COMMAND = (sys.executable, "-m", "tests.models_app.create_process")


class Maker:
    """The process of `create_process.py`, and the store it works on. `prefix` is a command that starts it."""

    def __init__(self, home: Path, *prefix: str) -> None:
        self._process = subprocess.Popen(
            [*prefix, *COMMAND],
            env=environment_of(home, "http://127.0.0.1:1") | {"DJANGO_SETTINGS_MODULE": "llmsite.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # as that process sees it, which may have mounted something there
        self.store = ModelStore(seen_by(self._process, home / "models") if prefix else home / "models")
        self.error: tuple[str, str] | None = None

    def make(self, model: str, how: dict[str, Any] | None = None, **fields: Any) -> int:
        """Make a model of the starter in a child that dies as told; returns how it ended, and keeps its `error`."""
        request = to_builtins(CreateRequest(model, "starter", **fields))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"request": request} | (how or {})) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        self.error = answer["error"] and (answer["error"][0], answer["error"][1])
        return int(answer["end"])

    def close(self) -> None:
        self._process.communicate(timeout=30)

    def wait_for_quantizers(self) -> None:
        """Until nothing is left of what dead children had started: a quantizer ends by itself when its parent is gone."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            orphans = psutil.Process(self._process.pid).children()
            if not any(is_alive(each) for each in orphans):
                return
            time.sleep(0.02)
        pytest.fail("a quantizing child outlived its parent")

    # what must hold at any time

    def check_whole(self) -> None:
        """Every model that is listed has all its blobs, and each of these is what its name says."""
        manifests = [file.name.shortest for file in self.store.manifests.files()]
        models = {model.name.shortest: model for model in list_models(self.store)}
        assert sorted(models) == sorted(manifests), "a manifest cannot be read"
        for digest in {digest for model in models.values() for digest in model.manifest.digests}:
            assert f"sha256:{hashlib.sha256(self.store.blobs.path(digest).read_bytes()).hexdigest()}" == digest

    def check_clean(self) -> None:
        """An hour later the sweep has left nothing but what models use."""
        self.wait_for_quantizers()
        self.store.sweep(time.time() + 2 * HOUR)
        used = {digest.replace(":", "-") for model in list_models(self.store) for digest in model.manifest.digests}
        assert {path.name for path in self.store.blobs.folder.iterdir()} == used
        assert list(self.store.manifests.folder.rglob(".new-*")) == []


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    maker = Maker(tmp_path_factory.mktemp("made") / "home")
    yield maker
    maker.close()


def texts(number: int) -> dict[str, Any]:
    """Texts that no other attempt has, so that each of them is new to the store."""
    return {"system": f"system {number}", "licenses": (f"license {number}",), "parameters": {"seed": number}}


def test_F08_a_maker_killed_at_any_touch_of_the_store_leaves_the_old_or_the_new_model(maker: Maker) -> None:
    assert maker.make("made", system="old") == 0
    ends: list[int] = []
    for number in range(1, 200):
        before = maker.store.find("made").system
        ends.append(maker.make("made", {"at_touch": number}, **texts(number)))
        maker.check_whole()
        assert maker.store.find("made").system in (before, f"system {number}")
        if ends[-1] == 0:
            break
        maker.check_clean()
    assert ends[-1] == 0, "it was always killed: the last touch was never reached"
    assert set(ends[:-1]) == {-signal.SIGKILL}
    assert len(ends) > 30, "too few points to speak of any"
    assert maker.make("made", **texts(0)) == 0
    assert maker.store.find("made").system == "system 0"


def test_F08_a_maker_killed_while_it_quantizes_leaves_nothing_and_the_next_one_succeeds(maker: Maker) -> None:
    made: list[bool] = []
    while not any(made) and len(made) < 200:
        assert maker.make("small", {"at_report": len(made) + 1}, quantize="q4_K_M") == -signal.SIGKILL
        maker.check_whole()
        maker.check_clean()
        made.append("small:latest" in [model.name.shortest for model in list_models(maker.store)])
    assert made[-1], "the last report, which comes after the model, was never reached"
    assert len(made) > 5, "too few points to speak of any"
    digest = maker.store.find("small").model_digest
    maker.store.remove(maker.store.find("small").name)
    assert maker.make("small", quantize="q4_K_M") == 0
    assert maker.store.find("small").model_digest == digest
    maker.check_clean()


# a disk that is full

DISK_BYTES = 16 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Maker]:
    """A maker whose store is a small disk of its own, which goes with it."""
    home = tmp_path / "home"
    maker = Maker(home, *on_small_disk(home / "models", DISK_BYTES))
    assert maker.make("made", system="old") == 0
    yield maker
    maker.close()


PAGES = [0, 4096, 8192, 3 * 4096, 4 * 4096]
MEGABYTES = [1, 2, 3]


def test_F10_a_full_disk_says_how_much_is_missing_and_changes_nothing(small: Maker) -> None:
    before = files_of(small.store.root)
    refused = []
    for left in [*PAGES, *(each << 20 for each in MEGABYTES)]:
        is_quantizing = left > PAGES[-1]
        fill(small.store.root, left)
        fields = {"quantize": "q8_0"} if is_quantizing else texts(left)
        end = small.make("made", **fields)
        if end == 0:  # there was room after all
            before = files_of(small.store.root)
            continue
        kind, text = small.error or ("", "")
        assert kind == "StorageFull", text
        refused.append(text)
        assert files_of(small.store.root) == before
        small.check_whole()
    assert len(refused) >= 1 + len(MEGABYTES)
    assert all(re.search(r"not enough space in the model store: \d+ more bytes are needed", text) for text in refused)
    fill(small.store.root, 6 << 20)
    assert small.make("made", quantize="q8_0") == 0, "with room again the same command succeeds"
    small.check_whole()


# a whole site


def create(site: Site, number: int) -> Iterator[dict[str, Any]]:
    """Frames of a creation as they come."""
    body = {"model": f"small{number}", "from": "starter", "quantize": "q4_K_M", "system": f"{number}"}
    with httpx.stream("POST", f"{site.url}/api/create", json=body, timeout=60) as reply:
        for line in reply.iter_lines():
            yield json.loads(line)


def worker_of(site: Site) -> psutil.Process:
    """The job worker of the site."""
    children = psutil.Process(site.process.pid).children()
    (worker,) = [each for each in children if "llmsite.celery" in " ".join(each.cmdline())]
    return worker


def test_F08_a_creation_goes_on_without_its_worker_and_again_without_its_server(tmp_path: Path) -> None:
    home = tmp_path / "home"
    site = start_site(home)
    try:
        frames = create(site, 1)
        seen = [next(frames)]
        worker_of(site).kill()
        seen += frames
        assert [each for each in seen if each.get("status") == "success"] == seen[-1:], "the next worker has made it"

        frames = create(site, 2)
        next(frames)
        site.process.kill()
        site.process.wait()
        with pytest.raises(httpx.HTTPError):
            list(frames)
        site = start_site(home)
        listed = {each["name"] for each in httpx.get(f"{site.url}/api/tags").json()["models"]}
        assert {"starter:latest", "small1:latest"} <= listed <= {"starter:latest", "small1:latest", "small2:latest"}
        assert list(create(site, 2))[-1] == {"status": "success"}
        for number in (1, 2):
            shown = httpx.post(f"{site.url}/api/show", json={"model": f"small{number}"}).json()
            assert (shown["system"], shown["details"]["quantization_level"]) == (f"{number}", "Q4_K_M")
    finally:
        site.stop()
    store = ModelStore(home / "models")
    store.sweep(time.time() + 2 * HOUR)
    assert [each for each in store.blobs.folder.iterdir() if each.name.startswith("upload-")] == []
