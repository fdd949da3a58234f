"""A disk of a few megabytes for one process and its children: mounted in a namespace of theirs, gone with them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_NAMESPACE = ("unshare", "-Urm")
_MOUNT = 'mkdir -p "$0" && mount -t tmpfs -o size="$1" none "$0" && shift && exec "$@"'


def on_small_disk(folder: Path, size_bytes: int) -> tuple[str, ...]:
    """What to write before a command, so that `folder` is such a disk to it. Skips the test where nobody may mount one."""
    probe = (*_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt")
    if shutil.which("unshare") is None or subprocess.run(probe, check=False, capture_output=True).returncode:
        pytest.skip("nobody may mount a small disk on this machine (unshare -Urm)")
    return (*_NAMESPACE, "sh", "-c", _MOUNT, str(folder), str(size_bytes))


def seen_by(process: subprocess.Popen[str], folder: Path) -> Path:
    """That folder as the process has it."""
    return Path(f"/proc/{process.pid}/root{folder}")


def fill(root: Path, left_bytes: int) -> None:
    """Leave so many bytes of the disk free."""
    filler = root / "filler"
    filler.unlink(missing_ok=True)
    disk = os.statvfs(root)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - left_bytes)


def files_of(root: Path) -> dict[str, int]:
    """Every file on it and its size."""
    return {str(path): path.stat().st_size for path in root.rglob("*") if path.is_file() and path.name != "filler"}
