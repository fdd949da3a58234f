"""A process that pulls and may be killed: reads orders from its input, a JSON line each, and forks for every one of them.

The fork is what gets killed. It pulls in a moment, since everything is imported already; `kill_at` has it end before its n-th
change of the disk, `kill_after` after so many seconds, with nothing tidied up.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmsite.registry.config import RegistryConfig
from llmsite.registry.pull import pull
from llmsite.store import disk
from llmsite.store.model import ModelStore
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName

CHANGES = ("make_folder", "create", "write", "write_at", "truncate", "sync", "rename", "remove", "sync_folder")


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _pull(order)
        _, status = os.waitpid(child, 0)
        _tell({"status": os.waitstatus_to_exitcode(status)})


def _tell(answer: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _pull(order: dict[str, Any]) -> None:
    limits = Limits(**order["limits"])
    root = Path(order["root"])
    disk.sync = disk.sync_folder = lambda _: None  # a kill loses nothing that was written; power cuts are tested with the store
    if order["kill_at"]:
        _die_at(order["kill_at"])
    signal.setitimer(signal.ITIMER_REAL, order["kill_after"])  # its signal, not handled, ends the process as a kill does
    code = 1
    try:
        pull(
            ModelStore(root / "models", limits),
            ModelName.parse(order["name"]),
            insecure=True,
            report=lambda _: None,
            check=lambda: None,
            config=RegistryConfig(home=root / "home", limits=limits),
        )
        code = 0
    finally:
        os._exit(code)


def _die_at(number: int) -> None:
    """End without a word before the change of that number."""
    left = [number]

    def before(change: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments)

        return act

    for name in CHANGES:
        setattr(disk, name, before(getattr(disk, name)))


if __name__ == "__main__":
    main()
