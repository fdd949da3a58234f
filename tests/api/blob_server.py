"""A process for test_registry_load.py: the site's application on its real server, over the store it is given, watching its loop.

Usage: python -m tests.api.blob_server (OLLAMA_MODELS says where the store is); prints its port. For each line of its input it
prints, as JSON, the most processor seconds that the loop spent between two turns of a task since the line before, and the
resident memory and its peak in KiB. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from llmsite.serving import Server  # isort: skip - installs the reactor before Django comes
from llmsite.asgi import make_application
from llmsite.types.limits import Limits


def memory() -> dict[str, int]:
    words = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
    found = {each[0]: int(each[1]) for each in words if each[0] in ("VmRSS:", "VmHWM:")}
    return {"rss_kib": found["VmRSS:"], "peak_kib": found["VmHWM:"]}


async def watch(longest: list[float]) -> None:
    while True:
        before = time.thread_time()
        await asyncio.sleep(0.002)
        longest[0] = max(longest[0], time.thread_time() - before)


async def main(server: Server) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), lambda: lines.put_nowait(sys.stdin.readline()))
    longest = [0.0]
    watcher = asyncio.create_task(watch(longest))
    say(server.address[1])
    while await lines.get():
        say(json.dumps({"busy": longest[0]} | memory()))
        longest[0] = 0.0
    watcher.cancel()
    await server.stop_listening()
    await server.drain(0.1)


def say(what: Any) -> None:
    print(what, flush=True)  # noqa: T201


if __name__ == "__main__":
    site = Server(make_application(), "127.0.0.1", 0, Limits())
    site.run(lambda: main(site))
