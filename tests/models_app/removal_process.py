"""A process in which models are removed while jobs and copies work on them (fault F20), each time at another touch of the store.

`rounds` as the only argument; prints a JSON list of what became of each round. It has the site's own kind of database, a file,
which threads may share; jobs run in a `JobWorker` without a broker.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from llmsite import backend  # noqa: E402
from llmsite.store import manifest as media  # noqa: E402
from llmsite.types.codec import to_builtins  # noqa: E402
from llmsite.types.errors import ModelNotFound  # noqa: E402
from llmsite.types.name import ModelName  # noqa: E402
from llmsite.types.request import CreateRequest  # noqa: E402
from models_app import catalogue, jobs, services, tasks  # noqa: E402
from models_app.job_worker import JobWorker  # noqa: E402
from models_app.models import Job  # noqa: E402
from tests.models_app.create_process import TOUCHES  # noqa: E402
from tests.registry.fake_registry import FakeRegistry, running_registry  # noqa: E402
from tests.store.gguf_files import GgufFile  # noqa: E402
from tests.store.listing import list_models  # noqa: E402

PUSH_TOUCHES, TOUCHES_OF_OTHERS = 4, 16
"""About as often an act touches the store; a round removes the model at one of these touches."""
INSECURE = {"insecure": True}


class Touches:
    """Brings one thread that works on the store and one that removes from it together, at the n-th touch of the first."""

    def __init__(self) -> None:
        self._store = os.fspath(settings.LLMSITE_MODELS)
        self._manifests = os.fspath(backend.get_store().manifests.folder)
        self._remover = threading.get_ident()
        self._worker: int | None = None
        self._left = 0
        self._waits = False
        self.is_reached = threading.Event()
        self._is_removing = threading.Event()
        sys.addaudithook(self._see)

    def begin(self, number: int, *, waits: bool) -> None:
        """The calling thread works. At that touch it `waits` until the other one has told the jobs and asks for the lock."""
        self._worker, self._left, self._waits = threading.get_ident(), number, waits

    def end(self) -> None:
        """It has done its work, perhaps with fewer touches."""
        self._worker = None
        self.is_reached.set()

    def clear(self) -> None:
        self.is_reached.clear()
        self._is_removing.clear()

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in TOUCHES or not str(args[0]).startswith(self._store):
            return
        if threading.get_ident() == self._worker:
            self._left -= 1
            if self._left == 0:
                self.is_reached.set()
                assert not self._waits or self._is_removing.wait(20)
        elif threading.get_ident() == self._remover and self.is_reached.is_set() and str(args[0]) == self._manifests:
            self._is_removing.set()


class Rounds:
    """What happens in a round, again and again with another moment of the removal."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry
        self._worker = JobWorker(lambda _: None, tasks.refresh)
        self._touches = Touches()
        self._name = ModelName.parse(f"http://{registry.host}/library/m")
        self._kept = ModelName.parse("kept")
        self._acts: dict[str, Callable[[], str]] = {
            "pull": lambda: self._job("pull", str(self._name), INSECURE),
            "push": lambda: self._job("push", str(self._name), INSECURE),
            "create from it": lambda: self._create("made", str(self._name)),
            "create it": lambda: self._create(str(self._name), "kept"),
            "copy from it": lambda: self._copy(self._name, ModelName.parse("other")),
        }

    def prepare(self) -> None:
        self._offer("kept")
        assert self._job("pull", str(self._name), INSECURE) == "done"
        backend.get_store().copy(self._name, self._kept)
        catalogue.sync()

    def play(self, number: int, chance: random.Random) -> dict[str, Any]:
        """One round: the model is there, something is at work with it, and it is removed."""
        self._offer(f"{number}")
        assert self._job("pull", str(self._name), INSECURE) == "done"
        self._registry.blobs.clear()  # a push has everything to send
        self._offer(f"{number} anew")
        act = list(self._acts)[number % len(self._acts)]
        outcome: list[str] = []
        moment = chance.randint(1, PUSH_TOUCHES if act == "push" else TOUCHES_OF_OTHERS), chance.random() < 0.5
        worker = threading.Thread(target=self._work, args=(act, moment, outcome))
        worker.start()
        self._touches.is_reached.wait()
        services._delete(self._name)
        worker.join()
        self._touches.clear()
        return {"act": act, "outcome": outcome[0], "is_there": self._is_there(), "is_whole": self._is_whole()}

    def _work(self, act: str, moment: tuple[int, bool], outcome: list[str]) -> None:
        number, waits = moment
        try:
            self._touches.begin(number, waits=waits)
            outcome.append(self._acts[act]())
        finally:
            self._touches.end()
            connection.close()

    def _offer(self, system: str) -> None:
        """What the registry has under that name from now on."""
        self._registry.add_model("library/m", GgufFile().encode(), texts={media.SYSTEM: system.encode()})

    def _job(self, kind: str, name: str, request: dict[str, Any]) -> str:
        job_id = jobs.start(kind, name, request)
        self._worker.run(job_id)
        job = Job.objects.get(pk=job_id)
        return job.error or str(job.state)

    def _create(self, name: str, source: str) -> str:
        return self._job("create", name, to_builtins(CreateRequest(name, source, system=f"made of {source}")))

    def _copy(self, source: ModelName, target: ModelName) -> str:
        try:
            services._copy(source, target)
        except ModelNotFound:
            return "not found"
        return "done"

    def _is_there(self) -> bool:
        return backend.get_store().manifests.find(self._name) is not None

    def _is_whole(self) -> bool:
        """Whether every name can be read and has its blobs."""
        store = backend.get_store()
        models = list_models(store)
        have_blobs = all(store.blobs.has(digest) for model in models for digest in model.manifest.digests)
        return len(models) == len(list(store.manifests.files())) and have_blobs


def main(num_rounds: int) -> None:
    call_command("migrate", verbosity=0)
    chance = random.Random(20)
    with running_registry() as registry:
        rounds = Rounds(registry)
        rounds.prepare()
        sys.stdout.write(json.dumps([rounds.play(number, chance) for number in range(num_rounds)]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
