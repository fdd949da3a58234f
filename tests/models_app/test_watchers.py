"""Who starts a job to watch it stands in its row from the start, and never stays there when he has gone."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing

import pytest
from django.db import OperationalError

from models_app import jobs, owners, tasks, watchers, watching
from models_app.models import Job

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "h/n/m:t"


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "wake", lambda _: None)


async def start(name: str = NAME) -> int:
    return await jobs.astart("pull", name, {}, leaves_with_watchers=True)


async def state_of(job_id: int) -> tuple[str, list[str]]:
    job = await Job.objects.aget(pk=job_id)
    return job.state, job.watchers


async def test_F34_who_leaves_while_the_job_is_started_takes_it_along(monkeypatch: pytest.MonkeyPatch) -> None:
    is_written, may_go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def wake(_: int) -> None:
        loop.call_soon_threadsafe(is_written.set)
        may_go_on.wait(20)

    monkeypatch.setattr(tasks, "wake", wake)
    asking = asyncio.create_task(start())
    await is_written.wait()
    asking.cancel()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    job = await Job.objects.aget()
    assert (job.state, job.watchers) == ("canceled", [])
    assert not watchers.take_expected(job.pk)


async def test_F34_who_leaves_before_the_first_frame_takes_it_along_and_no_other() -> None:
    job_id = await start()
    assert await start() == job_id, "the same download is one job"
    asking = asyncio.create_task(anext(jobs.watch(job_id)))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await state_of(job_id) == ("queued", [owners.this_process()])
    asking = asyncio.create_task(anext(jobs.watch(job_id)))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await state_of(job_id) == ("canceled", [])


async def test_a_place_is_taken_by_who_watches_first_and_nothing_is_kept_of_it() -> None:
    job_id = await start()
    async with aclosing(jobs.watch(job_id)), aclosing(jobs.watch(job_id)):
        assert not watchers.take_expected(job_id)
    assert watchers._expected == {}


async def test_who_comes_later_enters_and_leaves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    is_in, loop, enter = asyncio.Event(), asyncio.get_running_loop(), watchers.enter

    def enter_and_tell(job_id: int) -> int:
        entered = enter(job_id)
        loop.call_soon_threadsafe(is_in.set)
        return entered

    monkeypatch.setattr(watchers, "enter", enter_and_tell)
    job_id = await start()
    first = jobs.watch(job_id)
    later = asyncio.create_task(anext(jobs.watch(job_id)))
    await is_in.wait()
    assert await state_of(job_id) == ("queued", [owners.this_process()] * 2)
    later.cancel()
    with pytest.raises(asyncio.CancelledError):
        await later
    assert await state_of(job_id) == ("queued", [owners.this_process()])
    await Job.objects.filter(pk=job_id).aupdate(state="failed", error_class="NotFound", error="gone", seq=9)
    watching.look_now()
    with pytest.raises(Exception, match="gone"):
        await anext(first)


async def test_a_look_that_failed_is_taken_again_without_another_change(monkeypatch: pytest.MonkeyPatch) -> None:
    job = await Job.objects.acreate(kind="pull", name=NAME, state="running")
    look, failures = watching._look, [OperationalError("away")]
    has_failed, is_told, told = threading.Event(), threading.Event(), []

    def fail_once() -> bool:
        if told and failures:
            has_failed.set()
            raise failures.pop()
        return look()

    def hear(view: watching.JobView | None) -> None:
        told.append(view.state if view else None)
        if told[-1] == "done":
            is_told.set()

    monkeypatch.setattr(watching, "_look", fail_once)
    with watching.watch_job(job.pk, hear):
        assert await asyncio.to_thread(wait_until_told, told)
        await Job.objects.filter(pk=job.pk).aupdate(state="done", seq=9)
        watching.look_now()
        assert await asyncio.to_thread(has_failed.wait, 20)
        assert await asyncio.to_thread(is_told.wait, 20), "nothing else changes the database"


def wait_until_told(told: list[object]) -> bool:
    end = time.monotonic() + 20
    while not told and time.monotonic() < end:
        time.sleep(0.01)
    return bool(told)
