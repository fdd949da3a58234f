"""Models, blobs and jobs in the admin: to look at, to search, and for jobs what can be done to them."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from llmsite.store.model import ModelStore
from models_app import catalogue
from models_app.models import Blob, Job, Model
from tests.models_app.test_catalogue import add

pytestmark = pytest.mark.django_db
JOBS = "/admin/rows/models_app/job/"


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(
        get_user_model().objects.create_superuser("root", "", "x"), backend="django.contrib.auth.backends.ModelBackend"
    )
    return client


def act(browser: Client, action: str, *jobs: Job) -> str:
    response = browser.post(JOBS, {"action": action, "_selected_action": [job.pk for job in jobs]}, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_rows_are_listed_searched_filtered_and_never_edited(store: ModelStore, browser: Client) -> None:
    add(store, "h/n/wanted:t")
    add(store, "other", system="s")
    catalogue.sync()
    job = Job.objects.create(kind="pull", name="h/n/wanted:t", frames=[{"status": "a", "digest": "", "total": 9, "completed": 4}])
    Job.objects.create(kind="create", name="unwanted")
    listed = browser.get("/admin/rows/models_app/model/", {"q": "wanted", "usable": "yes"}).content.decode()
    assert "h/n/wanted:t" in listed
    assert "other:latest" not in listed
    blobs = browser.get(
        "/admin/rows/models_app/blob/", {"q": Model.objects.get(model="wanted").blobs.first().pk}
    ).content.decode()
    assert "1 blob" in blobs
    found = browser.get(JOBS, {"q": "wanted", "kind__exact": "pull"}).content.decode()
    assert "a 4/9" in found
    assert "unwanted" not in found
    for path in (f"{JOBS}{job.pk}/change/", f"/admin/rows/models_app/blob/{Blob.objects.first().pk.replace(':', '_3A')}/change/"):
        page = browser.get(path).content.decode()
        assert 'name="_save"' not in page
        assert browser.post(path, {"name": "changed"}).status_code == 403


def test_jobs_are_cancelled_resumed_and_forgotten(browser: Client) -> None:
    waiting = Job.objects.create(kind="pull", name="h/n/a:t")
    done = Job.objects.create(kind="pull", name="h/n/b:t", state="done")
    assert "2 jobs" in act(browser, "cancel", waiting, done)
    waiting.refresh_from_db()
    assert waiting.state == "canceled"
    told = act(browser, "resume", waiting, done)
    assert "1 job" in told
    assert "this job did not stop" in told
    told = act(browser, "discard", waiting, done)
    assert "cancel it first" in told
    assert list(Job.objects.all()) == [waiting]


def test_the_rows_are_made_from_the_disk_again(store: ModelStore, browser: Client) -> None:
    add(store, "a")
    catalogue.sync()
    add(store, "b", system="s")
    path = "/admin/rows/models_app/model/"
    browser.post(path, {"action": "read_again", "_selected_action": [Model.objects.get().pk]}, follow=True)
    assert Model.objects.count() == 2
