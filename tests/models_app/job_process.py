"""Processes of the job tests: `worker --fd N` is the job worker with the tests' kinds, `asker` does what a server does.

The asker reads a JSON command a line (start, cancel, resume, discard, row, watch, leave) and answers with a line; frames of
watched jobs come as lines of their own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from typing import Any

import django

django.setup()

from asgiref.sync import sync_to_async  # noqa: E402
from django.core.management import call_command  # noqa: E402

import tests.models_app.job_kinds  # noqa: E402, F401
from llmsite.celery import run_worker  # noqa: E402
from llmsite.types.codec import to_builtins  # noqa: E402
from llmsite.types.errors import LlmsiteError, to_wire  # noqa: E402
from models_app import jobs  # noqa: E402
from models_app.models import Job  # noqa: E402

_watches: dict[str, asyncio.Task[None]] = {}


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()


async def watch(key: str, job_id: int) -> None:
    try:
        async with aclosing(jobs.watch(job_id)) as frames:
            async for each in frames:
                say(watch=key, frame=to_builtins(each))
        say(watch=key, end=None)
    except LlmsiteError as error:
        say(watch=key, end=to_wire(error))


def row(job_id: int) -> dict[str, Any] | None:
    return Job.objects.filter(pk=job_id).values().first()


ACTIONS: dict[str, Any] = {
    "start": jobs.start,
    "cancel": jobs.cancel,
    "resume": jobs.resume,
    "discard": jobs.discard,
    "row": row,
}


async def obey(command: dict[str, Any]) -> Any:
    act, key = command.pop("do"), command.pop("watch", "")
    match act:
        case "watch":
            _watches[key] = asyncio.create_task(watch(key, command["job_id"]))
            return None
        case "leave":
            _watches[key].cancel()
            await asyncio.wait([_watches.pop(key)])
            return None
        case _:
            return await sync_to_async(ACTIONS[act])(**command)


async def serve() -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            say(answer=await obey(json.loads(line)))
        except LlmsiteError as error:
            say(error=to_wire(error))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["worker", "--fd", fd]:
            run_worker(int(fd))
        case ["asker"]:
            asyncio.run(serve())
        case ["migrate"]:
            call_command("migrate", verbosity=0)
