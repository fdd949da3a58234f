"""Who a process is, for rows that say who works on them: machine, pid and start time, so that a dead one is known at once.

The start time is counted from the start of the machine: neither a jump of the clock nor a reused pid makes two processes one.
"""

from __future__ import annotations

import os
import platform
from functools import cache

import psutil

_SEPARATOR = "|"


def this_process() -> str:
    """The name of this process, the same for as long as it lives."""
    return _name_of(os.getpid())


@cache
def _name_of(pid: int) -> str:
    return _SEPARATOR.join((platform.node(), str(pid), _mark(psutil.Process(pid))))


def is_dead(owner: str) -> bool:
    """Whether that process is known to be gone. Processes of other machines are not known: their lease decides."""
    node, _, rest = owner.rpartition(_SEPARATOR)[0].rpartition(_SEPARATOR)
    if node != platform.node():
        return False
    try:
        process = psutil.Process(int(rest))
        return process.status() == psutil.STATUS_ZOMBIE or not owner.endswith(_SEPARATOR + _mark(process))
    except psutil.NoSuchProcess:
        return True


def _mark(process: psutil.Process) -> str:
    """psutil's hash is that of pid and start time, without the clock of the wall."""
    return f"{hash(process) & 0xFFFFFFFFFFFF:x}"
