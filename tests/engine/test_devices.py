"""Devices: the probe child, memory limits of cgroups, and GPUs that llama.cpp was not built for."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from llmsite.engine import devices
from llmsite.engine.devices import Device, Devices, host_free_bytes, probe, unused_gpu
from llmsite.types.limits import GIB, MIB


@pytest.mark.model
async def test_the_probe_names_this_machines_devices() -> None:
    found = (await probe()).found
    assert any(device.kind == "cpu" and device.total_bytes > 0 for device in found)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("import sys; sys.exit(3)", id="fails"),
        pytest.param("print('no JSON')", id="talks nonsense"),
        pytest.param("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", id="crashes"),
        pytest.param("""print('[{"name": "x"}]')""", id="leaves fields out"),
        pytest.param("import time; time.sleep(60)", id="hangs"),
    ],
)
async def test_a_broken_probe_means_no_gpu(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "PROBE_SECONDS", 0.5)
    assert (await probe(command=(sys.executable, "-c", program))).found == ()


async def test_a_probe_that_cannot_start_means_no_gpu() -> None:
    assert (await probe(command=("/nonexistent/probe",))).gpus == ()


def _device(kind: str) -> Device:
    return Device(f"{kind}0", "Some Device", "CUDA", kind, 1 * GIB, 8 * GIB)


def test_an_integrated_gpu_counts_only_without_another() -> None:
    cpu, gpu, integrated = _device("cpu"), _device("gpu"), _device("igpu")
    assert Devices((cpu, gpu, integrated)).gpus == (gpu,)
    assert Devices((cpu, integrated)).gpus == (integrated,)
    assert Devices((cpu,)).gpus == ()


def test_the_summary_is_for_people() -> None:
    assert Devices((_device("cpu"), _device("gpu"))).summary == "CUDA: Some Device (8.0 GiB)"
    assert Devices((_device("cpu"),)).summary == "CPU"


@pytest.mark.parametrize(("sign", "word"), [("dev/nvidia0", "CUDA"), ("dev/kfd", "HIP"), ("dev/null", "")])
def test_a_gpu_that_is_here_but_not_built_for_is_named(tmp_path: Path, sign: str, word: str) -> None:
    (tmp_path / sign).parent.mkdir(parents=True)
    (tmp_path / sign).touch()
    assert (word in unused_gpu(tmp_path)) if word else (unused_gpu(tmp_path) == "")


def _write(root: Path, files: dict[str, object]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def test_a_cgroup_of_version_2_bounds_what_is_free_and_file_pages_come_back(tmp_path: Path) -> None:
    root = _write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/site/app",
            "sys/fs/cgroup/site/memory.max": 100 * MIB,
            "sys/fs/cgroup/site/memory.current": 60 * MIB,
            "sys/fs/cgroup/site/memory.stat": f"anon 1\ninactive_file {10 * MIB}",
            "sys/fs/cgroup/site/app/memory.max": "max",
            "sys/fs/cgroup/site/app/memory.current": 60 * MIB,
        },
    )
    assert host_free_bytes(root) == 50 * MIB


def test_a_cgroup_of_version_1_bounds_what_is_free(tmp_path: Path) -> None:
    root = _write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu:/\n4:memory:/box",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": 100 * MIB,
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": 150 * MIB,
        },
    )
    assert host_free_bytes(root) == 0


def test_without_limits_it_is_what_the_system_has(tmp_path: Path) -> None:
    assert 0 < host_free_bytes(tmp_path) <= psutil.virtual_memory().total
