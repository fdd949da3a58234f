"""After a change to the store the rows follow at once; nobody waits for the files of others, and nothing fails for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.test import Client

from llmsite.store.model import ModelStore
from llmsite.types.codec import to_builtins
from llmsite.types.name import ModelName
from llmsite.types.request import CreateRequest
from models_app import catalogue, job_rows, services, tasks
from models_app.job_run import JobRun
from models_app.job_worker import JobWorker
from models_app.models import Job, Model
from tests.models_app.test_catalogue import add, add_files

pytestmark = pytest.mark.django_db
MINE, OTHER = ModelName.parse("mine"), ModelName.parse("other")


def create(refresh: Callable[[], None] = tasks.refresh) -> Job:
    """A creation as the worker does it."""
    request = to_builtins(CreateRequest("made", "mine", system="S"))
    job = Job.objects.create(kind="create", name="made", request=request)
    claim = job_rows.claim(job.pk, {"create": 1})
    assert claim is not None
    JobWorker(lambda _: None, refresh)._work(JobRun(claim, lambda: None))
    job.refresh_from_db()
    return job


def look_again() -> None:
    """The action of the admin's page."""
    root = get_user_model().objects.create_superuser("root", "", "x")
    browser = Client()
    browser.force_login(root)
    path = "/admin/rows/models_app/model/"
    browser.post(path, {"action": "read_again", "_selected_action": [Model.objects.get().pk]}, follow=True)


CHANGES: dict[str, tuple[Callable[[], object], set[str]]] = {
    "create and pull": (create, {"mine", "made"}),
    "copy": (lambda: services._copy(MINE, OTHER), {"mine", "other"}),
    "delete": (lambda: services._delete(MINE), set()),
    "a pushed manifest": (async_to_sync(services.refresh), {"mine"}),
    "the admin's action": (look_again, {"mine"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_does_not_wait_for_the_files_of_others(store: ModelStore, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    add(store, "mine")
    catalogue.sync()
    add_files(store, 3)
    asked: list[str] = []
    quickly = catalogue.sync_quickly
    monkeypatch.setattr(catalogue, "sync_quickly", lambda: quickly(patience_seconds=0))
    monkeypatch.setattr(catalogue, "complete", lambda: pytest.fail("it waited for the files of others"))
    monkeypatch.setattr(tasks.complete_catalogue, "apply_async", lambda **_: asked.append("complete"))
    act, left = CHANGES[change]
    act()
    assert set(Model.objects.values_list("model", flat=True)) == {"m0", "m1", "m2"} | left
    assert asked == ["complete"]


def test_a_job_that_is_done_stays_so_when_the_rows_cannot_follow(store: ModelStore, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise OSError("the disk is gone")

    add(store, "mine")
    catalogue.sync()
    assert create(refuse).state == "done"
    assert "the disk is gone" in caplog.text
    assert {model.name for model in services.list_models_now()} == {"mine:latest", "made:latest"}
