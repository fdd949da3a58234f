"""The process tree of `llmsite serve`: the server, the job worker beside it, and the order of coming and leaving.

Children run in sessions of their own and leave when their pipe from here ends, so a kill of this process leaves none behind.
Importing this module installs twisted's reactor; only the process that serves does.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from django.conf import settings

from chat import generation
from llmsite import __version__, backend, startup
from llmsite.asgi import application, make_application
from llmsite.serving import AddressInUse, Application, Server
from models_app import jobs

_BACKOFF_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
_HEALTHY_SECONDS: Final = 60.0
"""A worker that lived so long is started again without a wait."""
_WORKER_SECONDS: Final = 5.0
"""How long the worker may take to leave."""
_ANSWER_SECONDS: Final = 2.0
"""How long answers may take to end once their models are gone."""
_SERVICE_RESTART: Final = 1012

Say = Callable[[str], None]

log = logging.getLogger(__name__)


def main(say: Say) -> int:
    """Serve until a signal comes. Blocks; returns the exit code. `say` prints a line for the person at the terminal."""
    os.umask(0o077)
    try:
        startup.check_safe(settings.LLMSITE_HOME)
        with startup.only_one(settings.LLMSITE_HOME, settings.LLMSITE_ADDRESS.url):
            return _serve(say)
    except startup.Refused as refusal:
        sys.stderr.write(f"llmsite: {refusal}\n")
        return refusal.exit_code


def _serve(say: Say) -> int:
    address = settings.LLMSITE_ADDRESS
    try:
        # listening comes first: a taken port is found before anything changes, and early callers wait instead of failing
        server = Server(application, startup.resolve(address), address.port, settings.LLMSITE_LIMITS)
    except AddressInUse as error:
        raise startup.Refused(f"cannot listen on {address.url}: {error}", 1) from error
    startup.prepare(say)
    url = address.url.replace("://0.0.0.0:", "://127.0.0.1:")
    link = startup.owner_link(url)
    site = Site(server, lambda: _greet(say, url, link))
    server.application = site.when_ready(make_application())
    server.run(site.run)
    return 0


def _greet(say: Say, url: str, link: str) -> None:
    say(f"llmsite {__version__} is serving on {url}")
    if link:
        minutes = round(settings.LLMSITE_LIMITS.owner_link_seconds / 60)
        say(f"make yourself the owner within {minutes} minutes, with this link that works once:")
        say(f"  {link}")


class Site:
    """What runs on the event loop beside the requests."""

    def __init__(self, server: Server, greet: Callable[[], None]) -> None:
        self._server = server
        self._greet = greet
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()

    def when_ready(self, application: Application) -> Application:
        """The application for callers that may come before the engine runs: they wait that moment."""

        async def wait_first(*scope_receive_send: Any) -> None:
            await self._ready.wait()
            await application(*scope_receive_send)

        return wait_first

    async def run(self) -> None:
        """Start the engine, then the worker; wait for a signal; leave in order."""
        self._take_signals()
        await backend.start()
        gc.freeze()  # what is here now stays; looking through all of it would hold everybody up for a tenth of a second
        self._ready.set()
        self._greet()
        worker = asyncio.create_task(keep_worker(self._stop))
        await self._stop.wait()
        try:
            async with asyncio.timeout(settings.LLMSITE_LIMITS.shutdown_seconds):
                await self._leave(worker)
        except TimeoutError:
            log.error("stopping took longer than %g s; leaving now", settings.LLMSITE_LIMITS.shutdown_seconds)
            os._exit(1)

    async def _leave(self, worker: asyncio.Task[None]) -> None:
        # 1. nobody new, 2. answers of the chat, 3. who watches jobs, and models, so that REST answers end with an error line,
        # 4. what is left
        await self._server.stop_listening()
        await generation.shutdown()
        jobs.close_watches()
        await backend.stop()
        self._server.close_sockets(_SERVICE_RESTART)
        await self._server.drain(_ANSWER_SECONDS)
        await worker

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(each, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            os._exit(130)  # asked twice: children leave by themselves
        self._stop.set()


async def keep_worker(stop: asyncio.Event) -> None:
    """Keep one job worker alive until `stop`; a dead one is started again, later each time it dies soon."""
    num_deaths = 0
    while not stop.is_set():
        began = time.monotonic()
        await _run_worker(stop)
        if stop.is_set():
            return
        num_deaths = 0 if time.monotonic() - began > _HEALTHY_SECONDS else num_deaths + 1
        wait = _BACKOFF_SECONDS[min(num_deaths, len(_BACKOFF_SECONDS) - 1)]
        log.warning("the job worker ended; starting it again in %g s", wait)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)


async def _run_worker(stop: asyncio.Event) -> None:
    """One worker from its start to its end. It holds the reading end of a pipe and leaves when we close ours."""
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "llmsite.celery", "--fd", str(reading)),
            pass_fds=(reading,),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        log.error("the job worker could not be started: %s", error)
        os.close(writing)
        return
    finally:
        os.close(reading)
    ended, stopped = asyncio.ensure_future(process.wait()), asyncio.ensure_future(stop.wait())
    await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    os.close(writing)
    if not ended.done():
        await asyncio.wait((ended,), timeout=_WORKER_SECONDS)
    if not ended.done():
        process.kill()
        await ended
