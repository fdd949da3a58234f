"""The memory of what was hashed: shared by processes, worthless lines left out, never growing for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmsite.store.verified import VerifiedBlobs

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")


@pytest.fixture
def status(tmp_path: Path) -> os.stat_result:
    (tmp_path / "blob").write_bytes(b"x")
    return (tmp_path / "blob").stat()


def test_it_remembers_across_processes(tmp_path: Path, status: os.stat_result) -> None:
    path = tmp_path / "verified"
    first, second = VerifiedBlobs(path), VerifiedBlobs(path)
    assert not second.knows(ONE, status)
    first.add(ONE, status)
    assert second.knows(ONE, status)
    second.add(TWO, status)
    assert first.knows(TWO, status)
    assert VerifiedBlobs(path).knows(ONE, status)


def test_without_a_file_it_remembers_for_itself(status: os.stat_result) -> None:
    memory = VerifiedBlobs()
    memory.add(ONE, status)
    assert memory.knows(ONE, status)
    assert not VerifiedBlobs().knows(ONE, status)


@pytest.mark.parametrize("junk", [b"", b"{", b"[1,2]\n", b"\xff\n", b'["sha256:x","a",1,2]\n', b"\0" * 100])
def test_lines_that_cannot_be_read_count_as_none(tmp_path: Path, status: os.stat_result, junk: bytes) -> None:
    path = tmp_path / "verified"
    VerifiedBlobs(path).add(ONE, status)
    path.write_bytes(path.read_bytes() + junk)
    memory = VerifiedBlobs(path)
    assert memory.knows(ONE, status)
    assert not memory.knows(TWO, status)


def test_what_is_gone_is_forgotten(tmp_path: Path, status: os.stat_result) -> None:
    path = tmp_path / "verified"
    memory, other = VerifiedBlobs(path), VerifiedBlobs(path)
    for _ in range(100):
        memory.add(ONE, status)
        memory.add(TWO, status)
    assert other.knows(TWO, status)
    memory.keep_only({ONE})
    assert path.read_bytes().count(b"\n") == 1
    assert memory.knows(ONE, status)
    assert not memory.knows(TWO, status)
    assert not VerifiedBlobs(path).knows(TWO, status)


def test_a_memory_that_cannot_be_written_is_no_error(
    tmp_path: Path, status: os.stat_result, caplog: pytest.LogCaptureFixture
) -> None:
    memory = VerifiedBlobs(tmp_path / "nowhere" / "verified")
    memory.add(ONE, status)
    assert memory.knows(ONE, status)
    assert "is not remembered" in caplog.text
