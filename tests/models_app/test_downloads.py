"""The page of downloads, the dock beside every page and what a tab is told: for administrators, live, and never twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import AsyncClient

from chat import pages
from llmsite import backend
from llmsite.accounts.models import User
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Progress
from llmsite.types.codec import to_builtins
from llmsite.types.errors import StorageFailed
from models_app import jobs, transfers
from models_app.download import Download, downloads_of
from models_app.models import Job, JobState
from models_app.progress import DownloadsFollower, board_of
from models_app.watching import look_now, view_of
from tests.chat.conftest import model, quiet_room  # noqa: F401 - fixtures
from tests.chat.tab import Page, Tab, signed_in
from tests.registry.fake_registry import FakeRegistry, running_registry
from tests.store.gguf_files import GgufFile

HTMX = {"HX-Request": "true"}
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NAME = "registry.ollama.ai/library/qwen3:8b"


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the chat offers is of no interest here."""

    async def no_choices() -> list[Any]:
        return []

    monkeypatch.setattr(pages, "list_choices", no_choices)


@pytest.fixture
def root(transactional_db: None) -> User:
    return get_user_model().objects.create_superuser("root", "", "secret-of-root")


@pytest.fixture
def alice(transactional_db: None) -> User:
    return get_user_model().objects.create_user("alice", password="secret-of-alice")


@pytest.fixture
async def browser(root: User, model: Any) -> AsyncClient:  # noqa: F811
    client = AsyncClient()
    await client.aforce_login(root)
    return client


def make(name: str = NAME, state: str = JobState.RUNNING, *frames: Progress, **more: Any) -> Job:
    return Job.objects.create(kind="pull", name=name, state=state, frames=to_builtins(frames), **more)


amake = Job.objects.acreate
sign_in = sync_to_async(signed_in)


def shown(*jobs_: Job) -> list[Download]:
    return downloads_of([view_of(job) for job in jobs_])


# what is shown


@pytest.mark.django_db
def test_a_download_shows_its_phase_and_its_bytes() -> None:
    frames = (Progress("pulling manifest"), Progress("pulling " + "a" * 12, DIGEST, 1000, 420))
    (found,) = shown(make(NAME, JobState.RUNNING, *frames))
    assert (found.name, found.mark, found.phase) == ("qwen3:8b", "loading", "Layer 1")
    assert (found.percent, found.completed, found.total, found.eighths, found.kept) == (42, 420, 1000, 3, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "more", "mark", "phase"),
    [
        ("queued", {}, "queued", "Waiting"),
        ("queued", {"fence": 1}, "queued", "Paused by a restart, goes on by itself"),
        ("running", {}, "loading", "Starting"),
        ("running", {"is_cancel_requested": True}, "stopping", "Stopping"),
        ("done", {}, "done", "Done"),
        ("canceled", {}, "stopped", "Stopped"),
        ("failed", {"error": "why", "error_class": "RegistryError"}, "failed", "Failed"),
    ],
)
def test_each_state_has_a_mark_and_a_word(state: str, more: dict[str, Any], mark: str, phase: str) -> None:
    (found,) = shown(make(NAME, state, **more))
    said = found.failure.sentence if found.failure else ""
    assert (found.mark, found.phase, said) == (mark, phase, more.get("error", ""))


@pytest.mark.django_db
def test_who_waits_is_told_how_many_are_ahead_and_what_stopped_keeps_its_bytes() -> None:
    first, second = make("h/n/a:t", "queued"), make("h/n/b:t", "queued")
    frames = (Progress("pulling a", DIGEST, 10, 10), Progress("pulling b", OTHER, 100, 30))
    stopped = make("h/n/c:t", "canceled", *frames)
    by_name = {each.name: each for each in shown(first, second, stopped)}
    assert (by_name["h/n/a:t"].phase, by_name["h/n/b:t"].phase) == ("Waiting", "Waiting, 1 ahead")
    assert by_name["h/n/c:t"].kept == 30, "whole layers are in the store already"


@pytest.mark.django_db
def test_only_the_newest_of_a_name_is_shown_and_open_ones_come_first() -> None:
    make("h/n/m:t", "failed", error="x")
    board = board_of([view_of(each) for each in (make("h/n/M:t", "done"), make("h/n/o:t", "running"), *Job.objects.all())])
    assert [each.name for each in board.downloads] == ["h/n/o:t", "h/n/M:t"]
    assert (board.num_open, board.num_stopped) == (1, 0)


# pages


async def test_the_page_lists_downloads_and_every_page_of_an_administrator_has_the_dock(browser: AsyncClient) -> None:
    job = await amake(kind="pull", name=NAME, state="failed", error="the <registry> went away")
    text = (await browser.get("/downloads")).content.decode()
    assert text.startswith("<!doctype html>")
    assert f'id="dl-{job.pk}"' in text
    assert "the &lt;registry&gt; went away" in text
    home = (await browser.get("/", headers={"Accept": "text/html"})).content.decode()
    assert 'id="dock"' in home
    assert "Pull a model" in home, "nothing is installed, so it leads here"
    part = (await browser.get("/downloads", headers=HTMX)).content.decode()
    assert 'id="rail"' not in part
    assert 'id="main"' in part


@pytest.mark.parametrize(
    "path", ["/downloads", "/models/-/pull", "/models/-/preview", "/pulls/1/cancel", "/pulls/1/resume", "/pulls/1/discard"]
)
async def test_nobody_else_sees_or_does_anything(alice: User, path: str) -> None:
    await amake(pk=1, kind="pull", name=NAME, state="running")
    client = AsyncClient()
    await client.aforce_login(alice)
    method = client.get if path == "/downloads" else client.post
    assert (await method(path)).status_code == 403
    assert (await Job.objects.aget(pk=1)).is_cancel_requested is False
    home = (await client.get("/", headers={"Accept": "text/html"})).content.decode()
    assert 'id="dock"' not in home
    assert "/downloads" not in home


async def test_a_pull_starts_from_the_page_and_joins_the_one_that_runs(browser: AsyncClient, root: User) -> None:
    first = await browser.post("/models/-/pull", {"name": "qwen3:8b"})
    assert (first.status_code, first["Location"]) == (302, "/downloads")
    again = await browser.post("/models/-/pull", {"name": " QWEN3:8b "}, headers=HTMX)
    job = await Job.objects.aget()
    assert (job.kind, job.name, job.state, job.user_id) == ("pull", NAME, "queued", root.pk)
    assert (job.request["insecure"], job.leaves_with_watchers) == (False, False)
    assert f'id="dl-{job.pk}"' in again.content.decode()
    await browser.post("/models/-/pull", {"name": "http://h:1/n/m"})
    assert (await Job.objects.alatest("pk")).request["insecure"] is True


@pytest.mark.parametrize("headers", [{}, HTMX])
async def test_a_bad_name_is_told_beside_the_field(browser: AsyncClient, headers: dict[str, str]) -> None:
    response = await browser.post("/models/-/pull", {"name": "no name<"}, headers=headers)
    assert response.status_code == 422
    assert 'id="pull-error"' in response.content.decode()
    assert 'value="no name&lt;"' in response.content.decode()
    assert not await Job.objects.aexists()


async def test_a_name_that_wants_two_sources_is_a_bad_one(browser: AsyncClient) -> None:
    assert (await browser.post("/models/-/pull", {"name": "x:local:cloud"})).status_code == 422


async def test_too_many_are_refused_with_a_sentence(browser: AsyncClient) -> None:
    for number in range(22):
        await amake(kind="pull", name=f"h/n/m{number}:t", state="queued")
    response = await browser.post("/models/-/pull", {"name": "one-more"}, headers=HTMX)
    assert response.status_code == 422
    assert "Too many downloads" in response.content.decode()


async def test_a_download_is_cancelled_resumed_and_discarded(browser: AsyncClient) -> None:
    job = await amake(kind="pull", name=NAME, state="queued")
    cancelled = await browser.post(f"/pulls/{job.pk}/cancel", headers=HTMX)
    assert f'id="dl-{job.pk}" data-state="stopped"' in cancelled.content.decode()
    resumed = await browser.post(f"/pulls/{job.pk}/resume", headers=HTMX)
    assert f'id="dl-{job.pk}" data-state="queued"' in resumed.content.decode()
    await browser.post(f"/pulls/{job.pk}/discard", headers=HTMX)
    assert await Job.objects.aexists(), "what is open is not thrown away"
    await browser.post(f"/pulls/{job.pk}/cancel")
    gone = await browser.post(f"/pulls/{job.pk}/discard")
    assert (gone.status_code, gone["Location"]) == (302, "/downloads")
    assert not await Job.objects.aexists()
    assert (await browser.post(f"/pulls/{job.pk}/cancel")).status_code == 404


# live


async def test_a_tab_hears_of_downloads_as_they_go_and_not_twice(browser: AsyncClient, root: User) -> None:
    job = await amake(kind="pull", name=NAME, state="running")
    page = Page(
        (await browser.get("/downloads")).content.decode().partition("<body")[2].partition(">")[2].rpartition("</body>")[0]
    )
    tab = Tab(await sign_in(root), page)
    await tab.socket.connect()
    await tab.say({"t": "sub", "topic": "pulls", "cur": cursor(page)})
    for seq, completed in ((2, 420), (3, 880)):
        frames = (Progress("pulling manifest"), Progress("pulling " + "a" * 12, DIGEST, 1000, completed))
        await Job.objects.filter(pk=job.pk).aupdate(frames=to_builtins(frames), seq=seq)
        look_now()
        percent = f"{completed // 10}%"
        await tab.run(lambda percent=percent: percent in text(page, f"dl-{job.pk}"))
        assert percent in text(page, f"pull-{job.pk}")
        assert percent in text(page, "rail-downloads")
    assert len(tab.batches) == 2, "the page had the rest"
    assert 'id="downloads"' not in tab.batches[-1], "only the row came"
    await tab.say({"t": "unsub", "topic": "pulls"})
    await tab.leave()


async def test_a_new_download_appears_in_open_tabs(root: User, browser: AsyncClient) -> None:
    page = Page('<div id="dock-rows"></div><i id="cur-pulls"></i>')
    tab = Tab(await sign_in(root), page)
    await tab.socket.connect()
    await tab.say({"t": "sub", "topic": "pulls"})
    job_id = await jobs.astart("pull", NAME, {"insecure": False, "is_restricted": False})
    await tab.run(lambda: page.find(f"pull-{job_id}"))
    await tab.leave()


async def test_others_hear_nothing_of_downloads(alice: User, browser: AsyncClient) -> None:
    tab = Tab(await sign_in(alice), Page('<i id="pong"></i>'))
    await tab.socket.connect()
    await tab.say({"t": "sub", "topic": "pulls"})
    await amake(kind="pull", name=NAME, state="running")
    look_now()
    await tab.say({"t": "ping"})
    assert "pong" in await tab.socket.receive_from(timeout=20)
    assert await tab.socket.receive_nothing()
    await tab.leave()
    client = AsyncClient()
    await client.aforce_login(alice)
    assert (await client.get("/live/poll", {"topic": "pulls"})).status_code == 404


async def test_polling_brings_what_the_page_lacks(browser: AsyncClient) -> None:
    job = await amake(kind="pull", name=NAME, state="running")
    page = Page('<div id="dock-rows"></div><i id="cur-pulls"></i>')
    page.apply((await browser.get("/live/poll", {"topic": "pulls", "cur": ""})).content.decode())
    assert page.find(f"pull-{job.pk}")
    await Job.objects.filter(pk=job.pk).aupdate(state="failed", error="gone", seq=2)
    response = await browser.get("/live/poll", {"topic": "pulls", "cur": json.dumps(cursor(page))})
    page.apply(response.content.decode())
    assert "gone" in text(page, f"pull-{job.pk}")


async def test_T52_a_held_poll_brings_nothing_to_who_is_no_administrator_any_more(
    browser: AsyncClient, root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await amake(kind="pull", name=NAME, state="running")
    is_held, batches = asyncio.Event(), DownloadsFollower.batches

    async def hold(follower: DownloadsFollower) -> AsyncGenerator[str, None]:
        async with aclosing(batches(follower)) as found:
            async for batch in found:
                await User.objects.filter(pk=root.pk).aupdate(is_superuser=False)
                is_held.set()
                yield batch

    monkeypatch.setattr(DownloadsFollower, "batches", hold)
    response = await browser.get("/live/poll", {"topic": "pulls", "cur": ""})
    assert is_held.is_set()
    assert (response.status_code, response.content) == (404, b"")


def body_of(html: str) -> str:
    return html.partition("<body")[2].partition(">")[2].rpartition("</body>")[0]


def cursor(page: Page) -> dict[str, Any]:
    element = page.find("cur-pulls")
    assert element is not None
    return {"g": "pulls", "seq": int(element.attributes["data-seq"])}


def text(page: Page, element_id: str) -> str:
    element = page.find(element_id)
    return element.text() if element else ""


# looking ahead


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running_registry() as registry:
        yield registry


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    monkeypatch.setattr(backend, "get_store", lambda: store)
    return store


async def test_the_form_tells_what_a_name_would_bring(browser: AsyncClient, registry: FakeRegistry, store: ModelStore) -> None:
    registry.add_model("library/m", GgufFile().encode())
    name = f"{registry.host}/library/m:latest"
    response = await browser.post("/models/-/preview", {"name": f"http://{name}"}, headers=HTMX)
    shown_ = Page(response.content.decode())
    outlook = text(shown_, "pull-outlook")
    assert name in outlook
    assert "Not installed" in outlook
    assert "in 2 layers" in outlook
    assert "disabled" not in response.content.decode()


async def test_a_disk_without_room_is_the_one_reason_to_refuse(
    browser: AsyncClient, registry: FakeRegistry, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add_model("library/m", GgufFile().encode())
    monkeypatch.setattr(type(store.blobs), "free_bytes", lambda _: 0)
    response = await browser.post("/models/-/preview", {"name": f"http://{registry.host}/library/m"}, headers=HTMX)
    assert "not enough room on the disk" in text(Page(response.content.decode()), "pull-outlook")
    assert " disabled" in response.content.decode()


@pytest.mark.parametrize(
    ("name", "words"),
    [("", ""), ("no name!", "no name of a model"), ("http://127.0.0.1:9/library/m", "Nothing answers at 127.0.0.1:9")],
)
async def test_what_cannot_be_found_out_is_said_and_may_be_pulled_all_the_same(
    browser: AsyncClient, store: ModelStore, name: str, words: str
) -> None:
    response = await browser.post("/models/-/preview", {"name": name}, headers=HTMX)
    assert response.status_code == 200
    assert words in text(Page(response.content.decode()), "pull-outlook")
    assert " disabled" not in response.content.decode()


async def test_what_cannot_be_done_is_said(browser: AsyncClient, store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = await amake(kind="pull", name=NAME, state="canceled", frames=to_builtins((Progress("pulling a", DIGEST, 10, 3),)))
    for number in range(22):
        await amake(kind="pull", name=f"h/n/m{number}:t", state="queued")
    resumed = await browser.post(f"/pulls/{stopped.pk}/resume", headers=HTMX)
    assert "Too many downloads" in json.loads(resumed["HX-Trigger"])["llmsite:toast"]

    def refuse(*_: object) -> None:
        raise StorageFailed("the disk is read-only")

    monkeypatch.setattr(transfers, "discard_partial", refuse)
    discarded = await browser.post(f"/pulls/{stopped.pk}/discard", headers=HTMX)
    assert "could not be removed" in json.loads(discarded["HX-Trigger"])["llmsite:toast"]
    assert f'id="dl-{stopped.pk}"' in discarded.content.decode(), "one may try again"
