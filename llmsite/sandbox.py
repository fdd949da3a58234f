"""What a limited process of ours gives up for good: files it was not given, TCP, and signals to others. Linux's Landlock.

Needs no privileges. Where the kernel has no Landlock (before Linux 5.13, other systems) nothing happens, and the other bounds of
such a process remain. Numbers are those of linux/landlock.h; the system calls have the same numbers on every architecture.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_NO_NEW_PRIVILEGES: Final = 38

_WRITE, _READ, _LIST, _REMOVE, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 14
# by version of the interface: how many rights on files it knows, which are the lowest bits
_NUM_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_ALL_FILE_RIGHTS: Final = 16
_TCP_SINCE, _BOTH_TCP_RIGHTS = 4, 0b11
_SCOPES_SINCE, _BOTH_SCOPES = 6, 0b11  # abstract unix sockets, and signals


def allow_only(
    *, readable: Iterable[Path | str] = (), writable: Iterable[Path | str] = (), removable_in: Iterable[Path | str] = ()
) -> bool:
    """From now on this thread and all it starts can open only these files, which must exist. False where that cannot be had.

    What is open already stays usable. A folder in `readable` stands for all beneath it; `removable_in` are folders whose files
    may be removed. Raises `OSError`.
    """
    version = _version()
    if version < 1:
        return False
    handled = (1 << _NUM_FILE_RIGHTS.get(version, _ALL_FILE_RIGHTS)) - 1
    ruleset = _create(handled, version)
    try:
        for path in readable:
            _add(ruleset, path, _READ | _LIST if os.path.isdir(path) else _READ)
        for path in writable:
            _add(ruleset, path, (_WRITE | _TRUNCATE) & handled)
        for path in removable_in:
            _add(ruleset, path, _REMOVE)
        _restrict(ruleset)
    finally:
        os.close(ruleset)
    return True


def is_available() -> bool:
    """Whether this kernel can confine a process."""
    return _version() >= 1


def code_folders() -> list[str]:
    """Where Python finds modules: libraries import some of theirs only when they are needed."""
    return [path for path in sys.path if os.path.isdir(path)]


def _version() -> int:
    """Of the kernel's Landlock; below 1 when there is none."""
    if sys.platform != "linux":
        return 0
    return int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_GET_VERSION)))


def _create(handled: int, version: int) -> int:
    """A ruleset that denies `handled` and, as far as this version can, TCP and reaching other processes."""
    fields = [handled]
    if version >= _TCP_SINCE:
        fields.append(_BOTH_TCP_RIGHTS)
    if version >= _SCOPES_SINCE:
        fields.append(_BOTH_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    return _checked(_libc().syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)))


def _add(ruleset: int, path: Path | str, rights: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, beneath)
        _checked(_libc().syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0)))
    finally:
        os.close(beneath)


def _restrict(ruleset: int) -> None:
    zero = ctypes.c_ulong(0)
    _checked(_libc().prctl(ctypes.c_int(_NO_NEW_PRIVILEGES), ctypes.c_ulong(1), zero, zero, zero))
    _checked(_libc().syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
