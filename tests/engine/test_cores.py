"""How many threads are worth computing with, from files laid out as Linux has them."""

import os
from pathlib import Path

import pytest

from llmsite.engine.cores import count_threads


@pytest.fixture
def topology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four CPUs on two cores, all of which we may use."""
    for cpu in range(4):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text("0\n")
        (folder / "core_id").write_text(f"{cpu // 2}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    return tmp_path


def quota(folder: Path, text: str) -> Path:
    path = folder / "cpu.max"
    path.write_text(text)
    return path


def test_a_wish_is_obeyed(topology: Path) -> None:
    assert count_threads(7, topology, topology / "none") == 7


def test_two_cpus_of_a_core_count_once(topology: Path) -> None:
    assert count_threads(0, topology, topology / "none") == 2


def test_affinity_counts(topology: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3}, raising=False)
    assert count_threads(0, topology, topology / "none") == 1


@pytest.mark.parametrize(
    ("text", "expected"), [("100000 100000", 1), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 2), ("", 2)]
)
def test_a_containers_quota_counts(topology: Path, text: str, expected: int) -> None:
    assert count_threads(0, topology, quota(topology, text)) == expected


def test_without_linux_files_all_cpus_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert count_threads(0, tmp_path / "none", tmp_path / "none") == 3
