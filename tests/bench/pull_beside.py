"""A pull of 1 GiB through `llmsite serve`: what it costs in memory, and what it takes from an answer beside it.

First everybody may use every core; then the answer computes with one thread, and job worker and registry share the last core.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import threading
import urllib.request
from pathlib import Path
from statistics import median
from time import perf_counter

import psutil

from llmsite.types.limits import GIB, MIB
from tests.bench.figures import REPEATS, Figure, digits
from tests.bench.model import bench_model
from tests.bench.pull import fill, registry
from tests.bench.servers import Running, llmsite
from tests.bench.streams import Stream, ask

_SAMPLE_SECONDS = 0.02
_NUM_ALONE = 60
"""Tokens before the pull, and again behind it, whose speed is that of the answer alone."""
_NUM_TOKENS = 1000


def measure(size_bytes: int = GIB) -> list[Figure]:
    """Growth of the server with its worker in the first pull; speed of an answer beside a pull ÷ alone."""
    with tempfile.TemporaryDirectory() as folder:
        blob = Path(folder) / "blob"
        fill(blob, size_bytes)
        with registry(blob) as host, llmsite(bench_model(), "bench") as ours:
            growth, rest = _growth(ours, host)
            free_beside, free_alone = _medians(ours, host, os.cpu_count() or 1)
            _share_last_core()
            beside, alone = _medians(ours, host, 1)
    return [
        Figure("server and worker memory during a 1 GiB pull, MiB more", growth, "≤ 128", growth, rest, "MiB"),
        Figure("an answer beside a pull ÷ alone, one core each", beside / alone, "≥ 0.90", beside, alone, "tokens/s"),
        Figure(
            "an answer beside a pull ÷ alone, all cores", free_beside / free_alone, "≥ 0.75", free_beside, free_alone, "tokens/s"
        ),
    ]


def _pull(ours: Running, host: str) -> tuple[float, float]:
    """When a pull began and ended. The model is removed again."""
    name = f"http://{host}/library/bench"
    began = perf_counter()
    reply = _call(ours, "POST", "pull", {"model": name, "insecure": True, "stream": False})
    ended = perf_counter()
    assert json.loads(reply) == {"status": "success"}, reply
    _call(ours, "DELETE", "delete", {"model": name})
    return began, ended


def _call(ours: Running, method: str, path: str, body: dict[str, object]) -> bytes:
    url = f"http://127.0.0.1:{ours.target.port}/api/{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as reply:
        return bytes(reply.read())


def _growth(ours: Running, host: str) -> tuple[float, float]:
    """MiB that server and worker grow by at most while they pull, and what they had before."""
    processes = [psutil.Process(ours.process.pid), *_workers()]
    before = peak = _resident(processes)
    is_over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(_SAMPLE_SECONDS):
            peak = max(peak, _resident(processes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _pull(ours, host)
    finally:
        is_over.set()
        watcher.join()
    return (peak - before) / MIB, before / MIB


def _medians(ours: Running, host: str, num_thread: int) -> tuple[float, float]:
    rates = [asyncio.run(_rates(ours, host, num_thread)) for _ in range(REPEATS)]
    beside, alone = (median(each) for each in zip(*rates, strict=True))
    return beside, alone


async def _rates(ours: Running, host: str, num_thread: int) -> tuple[float, float]:
    """Tokens per second of one answer beside the pull, and around it: an answer slows down as its context grows."""
    stream = Stream(mark=_NUM_ALONE)
    answer = asyncio.create_task(ask(ours.target, digits(32), _NUM_TOKENS, stream, num_thread=num_thread, num_ctx=2048))
    await stream.reached.wait()
    began, ended = await asyncio.to_thread(_pull, ours, host)
    stream.mark_next(_NUM_ALONE)
    await stream.reached.wait()
    answer.cancel()
    beside = [each for each in stream.arrivals if began <= each <= ended]
    return _rate(beside), (_rate(stream.arrivals[:_NUM_ALONE]) + _rate(stream.arrivals[-_NUM_ALONE:])) / 2


def _rate(arrivals: list[float]) -> float:
    return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])


def _resident(processes: list[psutil.Process]) -> int:
    return sum(each.memory_info().rss for each in processes)


def _workers() -> list[psutil.Process]:
    below = psutil.Process().children(recursive=True)
    workers = [each for each in below if "llmsite.celery" in each.cmdline()]
    assert workers, "the job worker should run"
    return workers


def _share_last_core() -> None:
    """Hold the worker and the registry to one core, with every thread that they have."""
    core = {max(os.sched_getaffinity(0))}
    registries = [each for each in psutil.Process().children() if "tests.bench.pull" in each.cmdline()]
    for process in (*_workers(), *registries):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, core)
