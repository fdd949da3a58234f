"""The parts of a split GGUF become the file they were made of, byte for byte, and parts that do not belong together nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import gguf
import numpy as np
import pytest

from llmsite.store.gguf import gather_facts, read_header
from llmsite.store.gguf_header import TENSOR_TYPES
from llmsite.store.gguf_merge import read_parts
from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import Limits
from tests.store.gguf_files import I32, U16, U32, GgufFile, Tensor, model_metadata, scalar

STARTER = Path(__file__).parents[2] / "llmsite" / "starter" / "starter.gguf"
NUMBERS = {name: number for number, (name, _, _) in TENSOR_TYPES.items()}


def split(source: Path, folder: Path, ends: Sequence[int], alignment: int = 32) -> list[Path]:
    """As `llama-gguf-split --split` does: metadata in the first part only; a part holds the tensors before each of `ends`."""
    data = source.read_bytes()
    header = read_header(io.BytesIO(data), len(data), Limits())
    paths = []
    for number, (start, end) in enumerate(zip((0, *ends), (*ends, len(header.tensors)), strict=True)):
        metadata = {key: header.record(key)[8 + len(key.encode()) :] for key in header.metadata} if number == 0 else {}
        metadata |= {"split.no": scalar(U16, number), "split.count": scalar(U16, len(ends) + 1)}
        metadata |= {"split.tensors.count": scalar(I32, len(header.tensors))}
        weights, tensors = bytearray(), []
        for tensor in header.tensors[start:end]:
            tensors.append(Tensor(tensor.name, tensor.shape, NUMBERS[tensor.type], len(weights)))
            weights += data[tensor.offset : tensor.offset + tensor.size_bytes]
            weights += bytes(-len(weights) % (alignment if number == 0 else 32))
        file = GgufFile(metadata, tensors, data_bytes=0, alignment=alignment if number == 0 else 32)
        path = folder / f"{source.stem}-{number + 1:05}-of-{len(ends) + 1:05}.gguf"
        path.write_bytes(file.encode() + weights)
        paths.append(path)
    return paths


def merge(parts: Sequence[Path]) -> bytes:
    target = io.BytesIO()
    merger = read_parts(parts, Limits())
    merger.write(target, lambda done, total: None)
    assert merger.size_bytes == len(target.getvalue())
    return target.getvalue()


@pytest.mark.parametrize("ends", [(), (1,), (39,), (0,), (0, 10, 10, 20)], ids=str)
def test_the_starter_comes_back_byte_for_byte(ends: tuple[int, ...], tmp_path: Path) -> None:
    parts = split(STARTER, tmp_path, ends)
    assert merge(parts) == STARTER.read_bytes()
    assert merge(parts[::-1]) == STARTER.read_bytes()


def test_the_files_own_alignment_is_kept(tmp_path: Path) -> None:
    file = GgufFile(model_metadata() | {"general.alignment": scalar(U32, 128)}, alignment=128)
    (tmp_path / "whole").write_bytes(file.encode())
    assert merge(split(tmp_path / "whole", tmp_path, (1, 2), alignment=128)) == file.encode()


def test_what_the_gguf_package_splits(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama", split_max_tensors=2)
    writer.add_block_count(1)
    values = {f"blk.0.t{number}.weight": np.full((4, 32), number, np.float32) for number in range(5)}
    for name, value in values.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(tmp_path.iterdir())
    assert len(parts) == 3
    (tmp_path / "whole").write_bytes(merge(parts))
    reader = gguf.GGUFReader(tmp_path / "whole")
    assert {tensor.name: tensor.data.tolist() for tensor in reader.tensors} == {n: v.tolist() for n, v in values.items()}
    assert not any(key.startswith("split.") for key in reader.fields)


def test_progress_counts_the_weights(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    read_parts(split(STARTER, tmp_path, (20,)), Limits()).write(io.BytesIO(), lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 9_479_168)
    assert seen[-1] == (9_479_168, 9_479_168)
    assert len(seen) == 40


def test_a_later_part_is_told_apart(tmp_path: Path) -> None:
    first, second = split(STARTER, tmp_path, (20,))
    for path, index, architecture in ((first, 0, "llama"), (second, 1, "")):
        with path.open("rb") as file:
            found = gather_facts(read_header(file, path.stat().st_size, Limits()))
        assert (found.kind, found.split_count, found.split_index, found.architecture) == ("model", 2, index, architecture)


def replace_bytes(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def number_of(key: str, kind: int, number: int) -> bytes:
    return key.encode() + scalar(kind, number)


def shorten(parts: list[Path]) -> None:
    parts[1].write_bytes(parts[1].read_bytes()[:-64])


WRONG: dict[str, tuple[Callable[[list[Path]], object], str]] = {
    "one is missing": (lambda parts: parts.pop(), "^a split GGUF has 3 parts, but 2 were given$"),
    "one too many": (lambda parts: parts.append(parts[0]), "^a split GGUF has 3 parts, but 4 were given$"),
    "one twice": (lambda parts: parts.__setitem__(2, parts[1]), "^part 3 of 3 of a split GGUF is missing$"),
    "another number of parts": (
        lambda parts: replace_bytes(parts[1], number_of("split.count", U16, 3), number_of("split.count", U16, 4)),
        "^the parts of a split GGUF do not agree how many they are$",
    ),
    "another number of tensors": (
        lambda parts: replace_bytes(
            parts[0], number_of("split.tensors.count", I32, 39), number_of("split.tensors.count", I32, 40)
        ),
        "split.tensors.count is 40, but the parts hold 39 tensors",
    ),
    "one tensor twice": (
        lambda parts: replace_bytes(parts[2], b"blk.3.ffn_up", b"blk.0.ffn_up"),
        "^a tensor stands in two parts of a split GGUF$",
    ),
    "one is shorter": (shorten, 'tensor "[^"]+" lies outside the file'),
    "one is no part": (lambda parts: parts.__setitem__(0, STARTER), "do not agree how many they are|architecture"),
    "the first says not what it is": (
        lambda parts: replace_bytes(parts[0], b"general.architecture", b"general.architectura"),
        "general.architecture is missing",
    ),
}


@pytest.mark.parametrize(("change", "problem"), WRONG.values(), ids=WRONG)
def test_T12_parts_that_do_not_belong_together(change: Callable[[list[Path]], object], problem: str, tmp_path: Path) -> None:
    parts = split(STARTER, tmp_path, (10, 20))
    change(parts)
    with pytest.raises(InvalidModelFile, match=problem):
        read_parts(parts, Limits())


def test_T11_more_tensors_than_the_limit_in_all_parts(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelFile, match="tensor count is 39 in all parts; 1 to 20 are allowed"):
        read_parts(split(STARTER, tmp_path, (19,)), Limits(gguf_tensors=20))


def test_a_file_that_was_never_split() -> None:
    with pytest.raises(InvalidModelFile, match="a split GGUF has 0 parts, but 1 were given"):
        read_parts([STARTER], Limits())
