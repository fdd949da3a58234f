"""Quantizing with the real llama.cpp in the real child, and what becomes of children that are killed, cancelled, or lie."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import psutil
import pytest

from llmsite.engine import llama
from llmsite.engine import quantize as module
from llmsite.engine.quantize import QUANTIZED_TYPES, find_type, merge, quantize
from llmsite.store.gguf import FILE_TYPES, GgufFacts, gather_facts
from llmsite.store.gguf_header import GgufHeader, read_header
from llmsite.types.errors import (
    Canceled,
    EngineError,
    InvalidModelFile,
    LlmsiteError,
    NotEnoughMemory,
    ProtocolError,
    StorageFull,
)
from llmsite.types.limits import MIB, Limits
from tests.engine.known import ANSWERS, STARTER, chat
from tests.engine.runner_harness import ROOT, RunnerProcess, generate, load
from tests.store.test_gguf_merge import split

pytestmark = pytest.mark.model

SOURCE = ROOT / STARTER
NEEDS_MATRIX = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "Q2_K_S")


def write_llama(path: Path, width: int = 256, hidden: int = 256, alignment: int = 32, **changes: Any) -> Path:
    """A llama of one block with random numbers in F16; four heads, two of them for keys. `changes` are keys, `_` for `.`."""
    writer = gguf.GGUFWriter(path, "llama")
    if alignment != 32:
        writer.add_custom_alignment(alignment)
    numbers = {"context_length": 64, "embedding_length": width, "block_count": 1, "feed_forward_length": hidden}
    numbers |= {"attention.head_count": 4, "attention.head_count_kv": 2}
    for key, number in numbers.items():
        writer.add_uint32(f"llama.{key}", number)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    for key, number in changes.items():
        writer.add_uint16(key.replace("_", "."), number)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(64)
    draw = np.random.default_rng(3)
    shapes = {"token_embd": (64, width), "blk.0.attn_q": (width, width), "blk.0.attn_output": (width, width)}
    shapes |= {f"blk.0.attn_{name}": (width // 2, width) for name in "kv"}
    shapes |= {"blk.0.ffn_down": (width, hidden), "blk.0.ffn_up": (hidden, width), "blk.0.ffn_gate": (hidden, width)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", draw.normal(size=shape).astype(np.float16))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def make(
    source: Path,
    target: Path,
    file_type: str,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    is_canceled: Callable[[], bool] = lambda: False,
    limits: Limits | None = None,
) -> Path:
    quantize(source, target, file_type, on_progress=on_progress, is_canceled=is_canceled, limits=limits or Limits())
    return target


def read(path: Path) -> GgufHeader:
    with path.open("rb") as file:
        return read_header(file, path.stat().st_size, Limits())


def facts(path: Path) -> GgufFacts:
    return gather_facts(read(path))


def types(path: Path) -> dict[str, str]:
    return {tensor.name.removesuffix(".weight"): tensor.type for tensor in read(path).tensors}


# what comes out


def test_2_18_q8_0_has_ollamas_bytes(tmp_path: Path) -> None:
    """The digest is the one that the real Ollama answered with for the starter (create.quantize in the recordings)."""
    copy = make(SOURCE, tmp_path / "copy", "q8_0")
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == "361d7b65de2ef4c2e6426c38d523bfc5a88fc9ac607bc0cd313cbb7209d8a8f7"


@pytest.mark.parametrize("file_type", ["q4_K_M", "q8_0"])
def test_the_starter_still_answers(file_type: str, tmp_path: Path) -> None:
    copy = make(SOURCE, tmp_path / "copy", file_type)
    assert facts(copy).file_type == file_type.upper()
    with RunnerProcess(load(model_path=str(copy))) as runner:
        runner.start()
        for number, (question, answer) in enumerate(ANSWERS.items(), start=1):
            assert runner.ask(generate(number, chat(question)))[0] == answer


@pytest.mark.parametrize("file_type", QUANTIZED_TYPES)
def test_2_18_every_type_can_be_made(file_type: str, tmp_path: Path) -> None:
    """From F16 in one process, and the file says what it is."""
    llama.initialize()
    target = tmp_path / "copy"
    work = llama.Quantization(
        str(write_llama(tmp_path / "source")),
        str(target),
        QUANTIZED_TYPES[file_type],
        num_threads=1,
        most_bytes=MIB,
        alignment=None,
    )
    lines: list[str] = []
    work.run(lines.append)
    found = facts(target)
    assert found.file_type == (file_type if file_type != "F32" else "unknown")
    assert read(target).data_end == found.file_size_bytes
    assert sum("attn_q.weight" in line for line in lines) == 1


@pytest.mark.parametrize("file_type", NEEDS_MATRIX)
def test_the_types_left_out_need_an_importance_matrix(file_type: str, tmp_path: Path) -> None:
    llama.initialize()
    number = next(number for number, name in FILE_TYPES.items() if name == file_type)
    work = llama.Quantization(
        str(write_llama(tmp_path / "source")),
        str(tmp_path / "copy"),
        number,
        num_threads=1,
        most_bytes=MIB,
        alignment=None,
    )
    with pytest.raises(EngineError, match="this quantization requires an imatrix"):
        work.run(lambda line: None)


def test_progress_counts_the_bytes_of_the_source(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make(SOURCE, tmp_path / "copy", "q8_0", on_progress=lambda done, total: seen.append((done, total)))
    total = sum(tensor.size_bytes for tensor in read(SOURCE).tensors)
    assert seen[0] == (0, total)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) == len(read(SOURCE).tensors) + 1


def test_there_and_back(tmp_path: Path) -> None:
    """F16 to F32 to F16, and by BF16, whose sources are taken too."""
    wide = make(SOURCE, tmp_path / "wide", "f32")
    assert set(types(wide).values()) == {"F32"}
    back = make(wide, tmp_path / "back", "F16")
    assert types(back) == types(SOURCE)
    assert (
        hashlib.sha256(back.read_bytes()).digest() == hashlib.sha256(make(SOURCE, tmp_path / "f16", "F16").read_bytes()).digest()
    )
    brain = make(SOURCE, tmp_path / "brain", "bf16")
    assert types(brain)["blk.0.attn_q"] == "BF16"
    assert types(make(brain, tmp_path / "small", "Q4_K"))["blk.0.attn_q"] == "Q4_K"


def test_a_file_that_llama_gguf_split_merged(tmp_path: Path) -> None:
    """It still has the keys of a split one, with a count of 0."""
    source = write_llama(tmp_path / "source", split_no=0, split_count=0)
    assert facts(make(source, tmp_path / "copy", "q8_0")).split_count == 0


def test_rows_that_hold_no_whole_block_get_another_type(tmp_path: Path) -> None:
    """64 numbers a row are no block of 256, and 48 no block of 32."""
    copy = make(write_llama(tmp_path / "source", width=64, hidden=48), tmp_path / "copy", "q4_K_M")
    found = types(copy)
    assert (found["blk.0.attn_q"], found["token_embd"], found["blk.0.ffn_down"]) == ("Q5_0", "Q8_0", "F16")
    assert facts(copy).file_type == "Q4_K_M"


@pytest.mark.parametrize("alignment", [16, 64, 4096])
def test_a_source_with_another_alignment(alignment: int, tmp_path: Path) -> None:
    """llama.cpp writes with 32 whatever the file says, so the copy must say 32."""
    source = write_llama(tmp_path / "source", alignment=alignment)
    assert read(source).alignment == alignment
    copy = make(source, tmp_path / "copy", "q8_0")
    assert read(copy).alignment == 32


# what is refused


@pytest.mark.parametrize("name", ["q9_9", "IQ2_XXS", "", "Q4_K_M ", "q4-k-m", "15", "MXFP4_MOE"])
def test_2_18_an_unknown_type(name: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        make(SOURCE, tmp_path / "copy", name)
    assert str(caught.value) == (
        f"unsupported quantization type {name.upper()} - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0"
    )


@pytest.mark.parametrize(("name", "found"), [("q4_k", "Q4_K_M"), ("Q4_K", "Q4_K_M"), ("q4_k_m", "Q4_K_M"), ("f16", "F16")])
def test_2_18_names_are_upper_cased_and_q4_k_is_q4_k_m(name: str, found: str) -> None:
    assert find_type(name) == (found, QUANTIZED_TYPES[found])


def test_2_18_a_source_that_is_quantized_already(tmp_path: Path) -> None:
    copy = make(SOURCE, tmp_path / "copy", "q8_0")
    with pytest.raises(EngineError, match=r"^quantization is only supported for F16, BF16 and F32 models$"):
        make(copy, tmp_path / "again", "q4_K_M")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_part_of_a_split_file(tmp_path: Path) -> None:
    source = write_llama(tmp_path / "model-00001-of-00002.gguf", split_no=0, split_count=2)
    with pytest.raises(EngineError, match="a part of a split GGUF cannot be quantized"):
        make(source, tmp_path / "copy", "q8_0")


def test_T12_a_tensor_outside_the_file_and_nothing_is_written(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(SOURCE.read_bytes()[:-1])
    started: list[int] = []
    with pytest.raises(InvalidModelFile, match=r'tensor "[^"]+" lies outside the file'):
        make(source, tmp_path / "copy", "q8_0", on_progress=lambda done, total: started.append(done))
    assert not started
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    source = write_llama(tmp_path / "source")
    tensor = next(tensor for tensor in read(source).tensors if "ffn_up" in tensor.name)
    with source.open("r+b") as file:
        file.seek(tensor.offset)
        file.write(np.full(256, np.nan, np.float16).tobytes())
    with pytest.raises(EngineError, match=r"^the model could not be quantized: \S.*(invalid|validation)"):
        make(source, tmp_path / "copy", "q8_0")


# bounds


def test_a_row_larger_than_the_memory(tmp_path: Path) -> None:
    """One row must be held at once, as numbers of 4 bytes too: here 128 MiB."""
    source = write_wide(tmp_path / "source")
    limits = Limits(quantize_memory_bytes=64 * MIB)
    with pytest.raises(NotEnoughMemory, match=r"^this takes more than the 67108864 bytes of memory it may use$"):
        make(source, tmp_path / "copy", "q8_0", limits=limits)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def write_wide(path: Path) -> Path:
    """The model above with an embedding of rows of 32 million numbers, which the disk holds as a hole."""
    width = 1 << 25
    writer = gguf.GGUFWriter(path, "llama")
    numbers = {"context_length": 64, "embedding_length": width, "block_count": 1, "feed_forward_length": 32}
    for key, number in (numbers | {"attention.head_count": 4, "attention.head_count_kv": 2}).items():
        writer.add_uint32(f"llama.{key}", number)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_tensor_info("token_embd.weight", (2, width), np.dtype(np.float16), 4 * width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, (path.stat().st_size + 31) // 32 * 32 + 4 * width)
    return path


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    started: list[int] = []
    with pytest.raises(StorageFull, match=r"^not enough space in the model store: \d+ more bytes are needed$"):
        make(
            write_wide(tmp_path / "source"),
            tmp_path / "copy",
            "f16",
            limits=Limits(disk_floor_bytes=1 << 60),
            on_progress=lambda done, total: started.append(done),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_F10_a_disk_that_fills_up(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.symlink_to("/dev/full")
    with pytest.raises(EngineError, match=r"^the model could not be quantized: the new file could not be written$"):
        make(SOURCE, target, "q8_0")
    assert list(tmp_path.iterdir()) == []


# ends


class Pipe:
    """A target that the child opens but cannot finish writing to, since nobody reads: it is in the middle for sure."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "copy"
        os.mkfifo(self.path)
        self.is_open = threading.Event()
        self._thread = threading.Thread(target=self._open)
        self._thread.start()

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_RDONLY)
        self.is_open.set()

    def drain(self) -> None:
        """Returns when no process has it open for writing any more."""
        self._thread.join()
        with os.fdopen(self._descriptor, "rb") as file:
            while file.read(MIB):
                pass


@pytest.fixture
def pipe(tmp_path: Path) -> Pipe:
    return Pipe(tmp_path)


def test_cancel_ends_the_child_and_removes_the_file(pipe: Pipe) -> None:
    with pytest.raises(Canceled):
        make(SOURCE, pipe.path, "q8_0", is_canceled=pipe.is_open.is_set)
    pipe.drain()
    assert not pipe.path.exists()
    assert not children()


def test_an_error_of_the_callback_ends_the_child(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyError("the worker shuts down")

    with pytest.raises(KeyError):
        make(SOURCE, tmp_path / "copy", "q8_0", on_progress=stop)
    assert list(tmp_path.iterdir()) == []
    assert not children()


def children() -> list[str]:
    return [" ".join(each.cmdline()) for each in psutil.Process().children() if "quantize" in " ".join(each.cmdline())]


PARENT = """
import sys
from pathlib import Path
from llmsite.engine.quantize import quantize
from llmsite.types.limits import Limits
quantize(
    Path(sys.argv[1]), Path(sys.argv[2]), "q8_0", on_progress=lambda *_: None, is_canceled=lambda: False, limits=Limits()
)
"""


def test_F08_a_killed_parent_leaves_no_child_and_no_file(pipe: Pipe) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(SOURCE), str(pipe.path)], cwd=ROOT)
    pipe.is_open.wait(60)
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    pipe.drain()
    psutil.wait_procs([child], 30)
    assert not child.is_running()
    assert not pipe.path.exists()


# children that lie


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Replaces the child that quantizes by some lines of Python, with `task`, `say` and `honest`; the one that checks is real."""
    real = json.dumps(list(module._COMMAND))

    def install(body: str) -> None:
        script = tmp_path / "fake.py"
        script.write_text(
            "import json, os, subprocess, sys\n"
            "line = sys.stdin.buffer.readline()\n"
            "task = json.loads(line)\n"
            "def say(text): sys.stdout.write(text + '\\n'); sys.stdout.flush()\n"
            "def honest(skipped=b'finished'):\n"
            f"    with subprocess.Popen({real}, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:\n"
            "        process.stdin.write(line); process.stdin.flush()\n"
            "        for reply in process.stdout:\n"
            "            if skipped not in reply: say(reply.decode().strip())\n"
            "if task['type'] == 'check':\n"
            "    honest(b'nothing')\n"
            "    sys.exit()\n" + body
        )
        monkeypatch.setattr(module, "_END_SECONDS", 0.2)
        monkeypatch.setattr(module, "_COMMAND", (sys.executable, str(script)))

    return install


DONE = """\nsay('{"type": "finished"}')"""
LIES = [
    pytest.param("pass", EngineError, "the model could not be quantized: it ended with code 0", id="no word"),
    pytest.param("os.abort()", EngineError, "the model could not be quantized: it ended by SIGABRT", id="abort"),
    pytest.param("sys.exit('oh no')", EngineError, "it ended with code 1: oh no", id="an error"),
    pytest.param("os.kill(os.getpid(), 9)", NotEnoughMemory, "its process was killed", id="F05 killed"),
    pytest.param("say('x')", ProtocolError, "sent what it must not", id="no JSON"),
    pytest.param('say(\'{"type": "planned"}\')', ProtocolError, "sent what it must not", id="a field missing"),
    pytest.param(
        "sys.stdout.write('x' * 200000); sys.stdout.flush(); sys.stdin.read()", ProtocolError, "a line of more", id="long"
    ),
    pytest.param("sys.stdout.close(); os.close(1); os.close(2); sys.stdin.read()", EngineError, "fell silent", id="silence"),
    pytest.param(DONE, InvalidModelFile, "not a valid gguf file", id="nothing written"),
    pytest.param(
        "honest(); open(task['target'], 'ab').write(b'canary')" + DONE,
        InvalidModelFile,
        "size is 5143942 bytes",
        id="T15 appended",
    ),
    pytest.param(
        "data = open(task['source'], 'rb').read().replace(b'by llmsite', b'by canary!')\n"
        "data = data.replace(b'general.author', b'general.canary')\n"
        "open(task['target'], 'wb').write(data)" + DONE,
        InvalidModelFile,
        "metadata has other keys than the source",
        id="T15 another key",
    ),
    pytest.param(
        "data = open(task['source'], 'rb').read().replace(b'<|im_end|>', b'<|canary|>')\n"
        "open(task['target'], 'wb').write(data)" + DONE,
        InvalidModelFile,
        "is another than the source's",
        id="T15 another value",
    ),
    pytest.param(
        "data = open(task['source'], 'rb').read().replace(b'blk.0.attn_q', b'blk.7.canary')\n"
        "open(task['target'], 'wb').write(data)" + DONE,
        InvalidModelFile,
        "tensors are others than the source's",
        id="T15 another tensor",
    ),
]


@pytest.mark.parametrize(("body", "kind", "problem"), LIES)
def test_T15_a_child_that_lies_is_not_believed(
    fake: Callable[[str], None], body: str, kind: type[LlmsiteError], problem: str, tmp_path: Path
) -> None:
    fake(body)
    target = tmp_path / "copy"
    target.touch()
    with pytest.raises(kind, match=problem):
        make(SOURCE, target, "q8_0")
    assert not target.exists()
    assert not children()


def test_T15_the_child_knows_no_secret(fake: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLMSITE_CANARY", "a secret")
    fake("""say(json.dumps({"type": "refused", "error": "EngineError", "message": " ".join(os.environ)}))""")
    with pytest.raises(EngineError, match="MALLOC_ARENA_MAX") as caught:
        make(SOURCE, tmp_path / "copy", "q8_0")
    assert "CANARY" not in str(caught.value)


CONFINED = """
import json, resource, sys
from pathlib import Path
from llmsite.engine.quantize import Quantize
from llmsite.engine.quantize_child import confine
from llmsite.types.limits import Limits

source, target, secret = sys.argv[1:]
confine(Quantize(source, target, 7, Limits()))

def attempt(what):
    try:
        return bool(what())
    except OSError as error:
        return type(error).__name__

print(json.dumps({
    "source": attempt(Path(source).read_bytes),
    "target": attempt(lambda: Path(target).write_bytes(b"x")),
    "secret": attempt(Path(secret).read_bytes),
    "change the source": attempt(lambda: Path(source).write_bytes(b"x")),
    "another file": attempt(lambda: Path(target + "2").write_bytes(b"x")),
    "finite": [resource.getrlimit(kind)[1] > 0 for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU)],
}))
"""


def test_T15_the_child_opens_no_other_files(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(SOURCE.read_bytes())
    (tmp_path / "secret").write_text("canary")
    words = [sys.executable, "-c", CONFINED, *(str(tmp_path / name) for name in ("source", "target", "secret"))]
    found = json.loads(subprocess.run(words, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout)
    if found["secret"] is True:
        pytest.skip("this kernel has no Landlock")
    refused = dict.fromkeys(("secret", "change the source", "another file"), "PermissionError")
    assert found == {"source": True, "target": True, "finite": [True, True]} | refused


def test_its_figures_are_cut_to_what_can_be(fake: Callable[[str], None], tmp_path: Path) -> None:
    figures = ({"completed": 9, "total": 4}, {"completed": -9, "total": -4})
    fake("honest()\n" + "".join(f"say('{json.dumps({'type': 'advanced'} | each)}')\n" for each in figures) + DONE)
    seen: list[tuple[int, int]] = []
    make(SOURCE, tmp_path / "copy", "q8_0", on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-2:] == [(4, 4), (0, 0)]


# merging


def put_together(parts: list[Path], target: Path, **changes: Any) -> Path:
    calls: dict[str, Any] = {"on_progress": lambda done, total: None, "is_canceled": lambda: False, "limits": Limits()}
    merge(parts, target, **(calls | changes))
    return target


def test_the_parts_of_a_split_file_are_put_together(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    parts = split(SOURCE, tmp_path, (10, 20))
    copy = put_together(parts[::-1], tmp_path / "copy", on_progress=lambda done, total: seen.append((done, total)))
    assert copy.read_bytes() == SOURCE.read_bytes()
    assert seen[-1] == (9_479_168, 9_479_168)


def test_parts_that_do_not_belong_together_leave_no_file(tmp_path: Path) -> None:
    parts = split(SOURCE, tmp_path, (10, 20))
    with pytest.raises(InvalidModelFile, match="a split GGUF has 3 parts, but 2 were given"):
        put_together(parts[1:], tmp_path / "copy")
    (tmp_path / "copy").symlink_to("/dev/full")
    with pytest.raises(StorageFull, match=r"^the disk of the model store is full"):
        put_together(parts, tmp_path / "copy")
    assert sorted(tmp_path.iterdir()) == parts


def test_merging_is_cancelled(pipe: Pipe, tmp_path: Path) -> None:
    with pytest.raises(Canceled):
        put_together(split(SOURCE, tmp_path, (10,)), pipe.path, is_canceled=pipe.is_open.is_set)
    pipe.drain()
    assert not pipe.path.exists()
    assert not children()
