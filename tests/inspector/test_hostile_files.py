"""Every crafted file that we have, read by one child: it lives, stays small and quick, and each refusal names a field."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from llmsite.inspector.pool import BlockingInspector
from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import KIB, MIB, Limits
from tests.store.gguf_files import ARRAY, TEXT, U8, GgufFile, Tensor, array, model_metadata, text
from tests.store.hostile_headers import t10, t11, t12, t13, t14

SMALL = [*t10(), *t11(), *t12(), *t13(), *t14()]
CPU_SECONDS = 2.0
GROWTH_BYTES = 32 * MIB


@pytest.fixture(scope="module")
def inspector() -> Iterator[BlockingInspector]:
    with BlockingInspector(Limits()) as inspector:
        yield inspector


def process_of(inspector: BlockingInspector) -> psutil.Process:
    return psutil.Process(inspector._child._process.pid)


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def peak_bytes(process: psutil.Process) -> int:
    """The most memory it ever had, as Linux tells."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * KIB


def test_T10_to_T14_crafted_files_cost_little_and_are_told_apart(inspector: BlockingInspector, tmp_path: Path) -> None:
    """More than 200 files below 4 kB. Processor time instead of the clock's, so that a busy machine changes nothing."""
    assert len(SMALL) >= 200
    child, server = process_of(inspector), psutil.Process()
    child_before, server_before = peak_bytes(child), server.memory_info().rss
    for case in SMALL:
        assert len(case.data) < 4096, case.id
        (tmp_path / "file").write_bytes(case.data)
        started = cpu_seconds(child)
        with pytest.raises(InvalidModelFile, match=case.problem) as caught:
            inspector.read_gguf(tmp_path / "file")
        assert cpu_seconds(child) - started < CPU_SECONDS, case.id
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300
    assert peak_bytes(child) - child_before < GROWTH_BYTES
    assert server.memory_info().rss - server_before < GROWTH_BYTES


def long_bytes(path: Path) -> None:
    """Four arrays of 64 Mi bytes: one byte more of metadata than a header may have."""
    most = Limits()
    with path.open("wb") as file:
        file.write(GgufFile({}, [], num_keys=5).header())
        for number in range(4):
            file.write(text(f"key {number}") + struct.pack("<IIQ", ARRAY, U8, most.gguf_array))
            file.seek(most.gguf_array, os.SEEK_CUR)
        file.truncate(most.gguf_metadata_bytes * 2)


def many_texts(path: Path) -> None:
    """Five million empty texts, and then no tensors."""
    with path.open("wb") as file:
        file.write(GgufFile(model_metadata(), [], num_keys=16).header())
        file.write(text("k") + struct.pack("<IIQ", ARRAY, TEXT, 5_000_000))
        file.seek(8 * 5_000_000, os.SEEK_CUR)
        file.truncate()


def many_keys(path: Path) -> None:
    most = Limits().gguf_keys
    keys = {f"key {number}": array(TEXT, []) for number in range(most)} | model_metadata()
    path.write_bytes(GgufFile(keys, tensors=[], data_bytes=0, num_keys=most).encode())


def many_tensors(path: Path) -> None:
    """As many as may be, of which the last one is wrong."""
    most = Limits().gguf_tensors
    tensors = [Tensor(f"t{number}", (1,), 0, number * 32) for number in range(most)]
    tensors[-1].offset += 1
    path.write_bytes(GgufFile(tensors=tensors, data_bytes=32 * most).encode())


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (long_bytes, "ends beyond 268435456 bytes of metadata|has more elements than the file or the limit allows"),
        (many_texts, "tensor count is 0"),
        (many_keys, "general.architecture is missing"),
        (many_tensors, 'tensor "t65535" has offset'),
    ],
)
def test_T11_a_header_that_is_really_long_stays_within_the_childs_memory(
    write: Callable[[Path], None], problem: str, inspector: BlockingInspector, tmp_path: Path
) -> None:
    write(tmp_path / "file")
    with pytest.raises(InvalidModelFile, match=problem):
        inspector.read_gguf(tmp_path / "file")
    assert peak_bytes(process_of(inspector)) < Limits().inspector_memory_bytes
