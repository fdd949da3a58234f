"""A model is removed while jobs work on it: its name goes, they end with the reason, and nothing dangles (fault F20)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.gguf import GgufFacts
from llmsite.store.model import ModelStore
from llmsite.types.codec import to_builtins
from llmsite.types.errors import Conflict, ModelNotFound
from llmsite.types.name import ModelName
from llmsite.types.request import CreateRequest
from models_app import creation, job_rows, services
from models_app.job_run import JobRun
from models_app.job_worker import look
from models_app.models import Job
from tests.conftest import environment_of
from tests.store.gguf_files import GgufFile

ROUNDS = 200
REASON = "conflict: model is being removed"
M = ModelName.parse("m")


def add(store: ModelStore, name: str) -> None:
    part = Part(store.blobs.put(GgufFile().encode()), GgufFacts(architecture="llama", file_type="F16"))
    create_model(store, ModelName.parse(name), Recipe((part,), system=name))


@pytest.mark.process
def test_F20_a_model_that_is_removed_at_any_moment_is_gone_and_nothing_dangles(tmp_path: Path) -> None:
    environ = environment_of(tmp_path / "home", "http://127.0.0.1:1") | {"DJANGO_SETTINGS_MODULE": "llmsite.settings"}
    command = [sys.executable, "-m", "tests.models_app.removal_process", str(ROUNDS)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rounds = json.loads(done.stdout)
    assert len(rounds) == ROUNDS
    assert [each for each in rounds if each["is_there"] or not each["is_whole"]] == []
    outcomes = Counter((each["act"], each["outcome"]) for each in rounds)
    assert {outcome for _, outcome in outcomes} <= {"done", REASON, "not found"}, outcomes
    for act in ("pull", "push", "create from it", "create it"):
        assert outcomes[act, REASON], f"no {act} was ever hindered: {outcomes}"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "name", "request_", "ends"),
    [
        ("pull", "registry.ollama.ai/library/M:latest", {}, True),
        ("push", "m", {}, True),
        ("push", "no:name:at/all", {}, False),
        ("create", "M", {"source": "other"}, True),
        ("create", "other", {"source": "m:latest"}, True),
        ("create", "other", {"source": "m:local"}, True),
        ("create", "other", {"source": "m:local:cloud"}, False),
        ("create", "other", {"source": None, "files": {"m": "sha256:"}}, False),
        ("pull", "m:other", {}, False),
    ],
)
@pytest.mark.parametrize("state", ["queued", "running"])
def test_F20_the_jobs_that_work_on_it_end(
    store: ModelStore, kind: str, name: str, request_: dict[str, Any], ends: bool, state: str
) -> None:
    add(store, "m")
    job = Job.objects.create(kind=kind, name=name, request=request_, state=state)
    services._delete(M)
    job.refresh_from_db()
    assert (job.error == REASON, job.is_cancel_requested) == (ends, ends)
    job_rows.recover()  # its worker is gone, too
    job.refresh_from_db()
    assert (job.state, job.error_class) == (("failed", "Conflict") if ends else ("queued", ""))


@pytest.mark.django_db
def test_F20_a_job_that_has_not_heard_of_it_yet_writes_nothing(store: ModelStore) -> None:
    for name in ("m", "base"):
        add(store, name)
    services.list_models_now()
    request = to_builtins(CreateRequest("m", "base", system="new"))
    job = Job.objects.create(kind="create", name="m", request=request)
    claim = job_rows.claim(job.pk, {"create": 1})
    assert claim is not None
    run = JobRun(claim, lambda: None, look)
    services._delete(M)
    run.check()
    with pytest.raises(Conflict, match=REASON):
        creation.run(run)
    assert [file.name.shortest for file in store.manifests.files()] == ["base:latest"]


@pytest.mark.django_db
def test_what_is_not_there_is_not_removed_and_hinders_nobody(store: ModelStore) -> None:
    job = Job.objects.create(kind="pull", name="m")
    with pytest.raises(ModelNotFound):
        services._delete(M)
    job.refresh_from_db()
    assert job.state == "queued"
