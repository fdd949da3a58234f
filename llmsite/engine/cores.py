"""How many threads are worth computing with: physical cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def count_threads(wished: int, topology: Path = _TOPOLOGY, quota: Path = _QUOTA) -> int:
    """`wished` if above 0; else one for each physical core that affinity and a container's quota leave us."""
    if wished > 0:
        return wished
    return max(1, min(_physical_cores(topology), _quota_cores(quota)))


def _physical_cores(topology: Path) -> int:
    """Cores among the CPUs we may run on; two CPUs of one core count once. Without Linux's files: all CPUs."""
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = set()
    for cpu in cpus:
        folder = topology / f"cpu{cpu}" / "topology"
        try:
            cores.add(((folder / "physical_package_id").read_text(), (folder / "core_id").read_text()))
        except OSError:
            return len(cpus)
    return len(cores)


def _quota_cores(quota: Path) -> int:
    """CPUs' worth of time a container gets (cgroup v2), rounded up."""
    try:
        limit, period = quota.read_text().split()
        return -(-int(limit) // int(period))
    except (OSError, ValueError):  # no file, or "max"
        return os.cpu_count() or 1
