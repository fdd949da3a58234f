"""The limited process that quantizes and merges: `python -m llmsite.engine.quantize_child`, started by `quantize.py` only.

It takes one task as a line of JSON on its standard input and answers with lines on its standard output. It holds no secrets; its
memory and the size of what it writes are bounded by the kernel, and it can open no other files than the task's. When its input
ends, its parent is gone: it removes the unfinished file and ends, whatever it is doing.
"""

from __future__ import annotations

import os
import re
import resource
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from llmsite.engine import llama
from llmsite.engine.cores import count_threads
from llmsite.engine.quantize import Advanced, Check, Finished, Merge, Planned, Quantize, Refused, Reply, Task
from llmsite.priority import step_back
from llmsite.sandbox import allow_only, code_folders
from llmsite.store.disk import reporting_full_disk
from llmsite.store.gguf import gather_facts
from llmsite.store.gguf_copy import check_quantized
from llmsite.store.gguf_header import TENSOR_TYPES, GgufHeader, read_header, round_up
from llmsite.store.gguf_merge import read_parts
from llmsite.types.errors import EngineError, LlmsiteError, NotEnoughMemory, StorageFull, to_wire
from llmsite.types.limits import MIB, Limits

_FILES: Final = 32
_THREAD_BYTES: Final = 16 * MIB
_LEAST_CPU_SECONDS: Final = 600
_BYTES_PER_CPU_SECOND: Final = 100_000
"""Far below the slowest type on a slow machine (IQ3_S on one AVX-512 core: 5 MB): a bound for files that would take for ever."""
_ALIGNMENT: Final = 32
_NEW_KEYS_BYTES: Final = 4096
"""What the header may grow by: the file type, the version, padding."""
_PLAIN: Final = frozenset({"F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"})
_SIZES: Final = {name: (block, block_bytes) for name, block, block_bytes in TENSOR_TYPES.values()}
_TENSOR: Final = re.compile(r"\[ *\d+/ *\d+\] (\S+) ")
_NEW_TYPE: Final = re.compile(r"size = .* -> .*\((\w+)\)\s*$")


class Channel:
    """The way back to the parent: our standard output, which nobody else in this process writes to any more."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "wb", buffering=0)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def send(self, reply: Reply) -> None:
        self._file.write(msgspec.json.encode(reply) + b"\n")


def carry_out(task: Task, channel: Channel, num_threads: int) -> None:
    """Raises from `types/errors.py`, `MemoryError`, `OSError`."""
    match task:
        case Quantize():
            _quantize(task, channel, num_threads)
        case Check():
            check_quantized(_read(task.source, task.limits), _read(task.target, task.limits))
        case Merge():
            _merge(task, channel)


def confine(task: Task) -> int:
    """Give up all that the task does not need: memory, time, files, the network. Returns how many threads may work."""
    num_threads = count_threads(0)
    sources = task.parts if isinstance(task, Merge) else (task.source,)
    source_bytes = sum(Path(path).stat().st_size for path in sources)
    mapped_bytes = _address_space_bytes() + num_threads * _THREAD_BYTES + (source_bytes if isinstance(task, Quantize) else 0)
    for kind, value in (
        (resource.RLIMIT_AS, mapped_bytes + task.limits.quantize_memory_bytes),
        (resource.RLIMIT_CPU, _LEAST_CPU_SECONDS + source_bytes // _BYTES_PER_CPU_SECOND),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # some systems know no limit on memory
            resource.setrlimit(kind, (value, value))
    if isinstance(task, Check):
        _bound_files(0)
    else:
        Path(task.target).touch()  # it must exist to be allowed
    readable, folder = (*code_folders(), *sources, task.target), Path(task.target).parent
    allow_only(readable=readable, writable=(task.target,), removable_in=(folder,))
    return num_threads


def _address_space_bytes() -> int:
    """What this process has mapped; 0 where the system does not tell."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


def _bound_files(most_bytes: int) -> None:
    """No file of ours may grow beyond that. A write beyond it fails, for Python ignores the signal."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


def _read(path: str, limits: Limits) -> GgufHeader:
    """A header, checked as the inspector does. Raises `InvalidModelFile`."""
    with open(path, "rb") as file:
        header = read_header(file, os.fstat(file.fileno()).st_size, limits)
    gather_facts(header, limits)
    return header


def _quantize(task: Quantize, channel: Channel, num_threads: int) -> None:
    header = _read(task.source, task.limits)
    if header.metadata.get("split.count", 0) not in (0, 1):
        raise EngineError("a part of a split GGUF cannot be quantized; put the parts together first")
    if any(tensor.type not in _PLAIN for tensor in header.tensors):
        raise EngineError("quantization is only supported for F16, BF16 and F32 models")
    work = llama.Quantization(
        task.source,
        task.target,
        task.file_type,
        num_threads=num_threads,
        most_bytes=task.limits.quantize_memory_bytes // 3,  # a buffer that grows exists twice for a moment
        alignment=_ALIGNMENT if header.alignment != _ALIGNMENT else None,
    )
    planned = _plan(work, header)
    channel.send(Planned(planned))
    _bound_files(planned)
    sizes = {tensor.name: tensor.size_bytes for tensor in header.tensors}
    total, completed = sum(sizes.values()), 0
    del header  # it may be as large as the bound on metadata

    def advance(line: str) -> None:
        nonlocal completed
        if found := _TENSOR.match(line):
            channel.send(Advanced(completed, total))
            completed += sizes.get(found[1], 0)

    try:
        work.run(advance)
    except EngineError as error:
        raise _explain(error, task, planned) from error
    channel.send(Advanced(total, total))


def _merge(task: Merge, channel: Channel) -> None:
    merger = read_parts([Path(part) for part in task.parts], task.limits)
    channel.send(Planned(merger.size_bytes))
    _bound_files(merger.size_bytes)
    with open(task.target, "wb") as target, reporting_full_disk():
        merger.write(target, lambda done, total: channel.send(Advanced(done, total)))
    _read(task.target, task.limits)


def _plan(work: llama.Quantization, header: GgufHeader) -> int:
    """Bytes of the file to come, its header rounded up: a run without writing tells the type of each tensor that changes."""
    shapes = {tensor.name: tensor.num_elements for tensor in header.tensors}
    sizes = {tensor.name: tensor.size_bytes for tensor in header.tensors}
    name = ""

    def note(line: str) -> None:
        nonlocal name
        if found := _TENSOR.match(line):
            name = found[1]
        elif (found := _NEW_TYPE.search(line)) and name in sizes:
            block, block_bytes = _SIZES[found[1].upper()]
            sizes[name] = shapes[name] // block * block_bytes

    work.run(note, is_dry=True)
    return header.data_start + _NEW_KEYS_BYTES + sum(round_up(size, _ALIGNMENT) for size in sizes.values())


def _explain(error: EngineError, task: Quantize, planned: int) -> LlmsiteError:
    """What a failure was for whoever asked: memory, the disk, or what llama.cpp says."""
    if "bad_alloc" in str(error) or "length_error" in str(error):
        return _too_much_memory(task.limits)
    folder = os.statvfs(Path(task.target).parent)
    written = Path(task.target).stat().st_size if Path(task.target).exists() else 0
    missing = planned - written - folder.f_bavail * folder.f_frsize
    if missing > 0:
        return StorageFull(f"not enough space in the model store: {missing} more bytes are needed")
    if "iostream" in str(error):
        return EngineError("the model could not be quantized: the new file could not be written")
    return error


def _too_much_memory(limits: Limits) -> NotEnoughMemory:
    return NotEnoughMemory(f"this takes more than the {limits.quantize_memory_bytes} bytes of memory it may use")


def _end_with_parent(target: str) -> None:
    sys.stdin.buffer.read(1)
    with suppress(OSError):
        os.unlink(target)
    os._exit(1)


def main() -> None:
    channel = Channel()
    step_back()  # people are being answered meanwhile
    llama.initialize()
    task: Task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    try:
        num_threads = confine(task)
        threading.Thread(target=_end_with_parent, args=(task.target,), daemon=True).start()  # confined, too
        carry_out(task, channel, num_threads)
        channel.send(Finished())
    except LlmsiteError as error:
        channel.send(Refused(*to_wire(error)))
    except MemoryError:
        channel.send(Refused(*to_wire(_too_much_memory(task.limits))))
    except OSError as error:
        channel.send(Refused("EngineError", f"the model could not be quantized: {error.strerror}"))
    os._exit(0)  # the thread that waits for the parent needs no farewell


if __name__ == "__main__":
    main()
