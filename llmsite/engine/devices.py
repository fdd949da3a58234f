"""Devices: which GPUs llama.cpp can use here, and how much memory is free; asks a short-lived probe child and the system."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import psutil

from llmsite.env import scrubbed
from llmsite.types.limits import GIB

logger = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-P", "-m", "llmsite.engine.probe")
PROBE_SECONDS: Final = 60.0

_ANSWER_BYTES: Final = 1 << 20
_UNLIMITED: Final = 1 << 60
_SIGNS: Final = (
    ("dev/nvidia0", "an NVIDIA GPU", "-DGGML_CUDA=on"),
    ("dev/nvidiactl", "an NVIDIA GPU", "-DGGML_CUDA=on"),
    ("usr/lib/wsl/lib/libcuda.so.1", "an NVIDIA GPU", "-DGGML_CUDA=on"),
    ("dev/kfd", "an AMD GPU", "-DGGML_HIP=on"),
)


@dataclass(frozen=True, slots=True)
class Device:
    """One device by ggml's name and kind: cpu, gpu, igpu (shares the host's memory), accel or meta."""

    name: str
    description: str
    backend: str
    kind: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Devices:
    """What the probe found. `unused_gpu` is a sentence about a GPU that is here and that llama.cpp was not built for."""

    found: tuple[Device, ...] = ()
    unused_gpu: str = ""

    @property
    def gpus(self) -> tuple[Device, ...]:
        """Where llama.cpp puts layers, in its order: GPUs, and an integrated one only if there is no other."""
        own = tuple(each for each in self.found if each.kind == "gpu")
        return own or tuple(each for each in self.found if each.kind == "igpu")[:1]

    @property
    def summary(self) -> str:
        """For the log and the start-up lines: `CUDA: NVIDIA H100 (79.2 GiB)` or `CPU`."""
        names = [f"{each.backend}: {each.description} ({each.total_bytes / GIB:.1f} GiB)" for each in self.gpus]
        return ", ".join(names) or "CPU"


async def probe(environ: Mapping[str, str] | None = None, command: tuple[str, ...] = COMMAND) -> Devices:
    """Ask the probe child. A child that fails or takes longer than `PROBE_SECONDS` means: no GPU, logged."""
    unused = unused_gpu(Path("/"))
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=scrubbed(environ),
            cwd="/",
            start_new_session=True,
            limit=_ANSWER_BYTES,
        )
    except OSError as error:
        logger.error("the device probe could not be started: %s", error)
        return Devices(unused_gpu=unused)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            answer, _ = await process.communicate()
        found = msgspec.json.decode(answer, type=tuple[Device, ...])
    except (TimeoutError, msgspec.DecodeError) as error:
        logger.error("the device probe failed, so no GPU is used: %s", str(error) or "it took too long")
        return Devices(unused_gpu=unused)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    devices = Devices(found)
    return devices if devices.gpus else Devices(found, unused)


def unused_gpu(root: Path) -> str:
    """A sentence when the system shows a GPU, for the case that llama.cpp does not."""
    for sign, what, flag in _SIGNS:
        if (root / sign).exists():
            return f"{what} is here, but llama.cpp was not built for it; reinstall llama-cpp-python with CMAKE_ARGS={flag}"
    return ""


def host_free_bytes(root: Path = Path("/")) -> int:
    """Memory a new process can have: what the system calls available, within the limits of this process's cgroups."""
    return max(0, min(psutil.virtual_memory().available, _cgroup_free_bytes(root)))


def _cgroup_free_bytes(root: Path) -> int:
    """Room left in the tightest memory cgroup (version 2, then 1) that this process is in; file pages can be taken back."""
    free = _UNLIMITED
    for line in _read_text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            folder, names = root / "sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            folder, names = root / "sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        inner = folder / path.lstrip("/")
        for each in (inner, *inner.parents):
            if each == folder.parent:
                break
            free = min(free, _room(each, *names))
    return free


def _room(folder: Path, limit_name: str, usage_name: str) -> int:
    limit, usage = _read_text(folder / limit_name).strip(), _read_text(folder / usage_name).strip()
    if not limit.isdigit() or not usage.isdigit():
        return _UNLIMITED
    pages = dict(line.split(" ", 1) for line in _read_text(folder / "memory.stat").splitlines() if " " in line)
    reclaimable = pages.get("total_inactive_file", pages.get("inactive_file", "0"))
    return int(limit) - int(usage) + int(reclaimable)


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
