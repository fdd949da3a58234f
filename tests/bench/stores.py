"""Stores of ten and of a thousand models: the list, the first start, and what a huge vocabulary costs the others.

Alone: `python -m tests.bench.stores`. The models are foreign and each has a file of its own, so that the first start has a
thousand files to look into.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from tests.bench.figures import Figure
from tests.bench.servers import lay_out, llmsite_on
from tests.store.gguf_files import I32, TEXT, U32, GgufFile, array, model_metadata, scalar

FEW, MANY = 10, 1_000
NUM_LISTS: Final = 40
NUM_TOKENS: Final = 200_000


def measure() -> list[Figure]:
    """All figures of this module."""
    few_seconds, few_p95 = _start_and_list(FEW)
    many_seconds, many_p95 = _start_and_list(MANY)
    few_row, many_row = few_p95 / FEW * 1e6, many_p95 / MANY * 1e6
    pause, plain = (seconds * 1e3 for seconds in _pause_of_a_vocabulary())
    return [
        Figure("/api/tags: p95 a row, 1,000 models ÷ 10 models", many_row / few_row, "≤ 1.5", many_row, few_row, "µs"),
        Figure("/api/tags: p95 of 1,000 models, ms", many_p95 * 1e3, "≤ 200", many_p95 * 1e3, few_p95 * 1e3, "ms"),
        Figure("first start: seconds more with 1,000 models", many_seconds - few_seconds, "≤ 1", many_seconds, few_seconds, "s"),
        Figure("verbose show of 200,000 tokens: longest wait of others, ms", pause, "≤ 100", pause, plain, "ms"),
    ]


def _start_and_list(count: int) -> tuple[float, float]:
    """Seconds to the first answer on a store nobody has looked into, and p95 of the list once everything is known."""
    with llmsite_on(partial(_fill, count=count)) as ours, httpx.Client(base_url=f"http://127.0.0.1:{ours.target.port}") as http:
        while any("capabilities" not in each for each in http.get("/api/tags", timeout=60).json()["models"]):
            time.sleep(0.2)  # the worker looks into the files; nothing tells when it is done
        times = []
        for _ in range(NUM_LISTS):
            began = time.perf_counter()
            assert len(http.get("/api/tags").json()["models"]) == count + 1, "and the starter"
            times.append(time.perf_counter() - began)
        return ours.start_seconds, _p95(times)


def _p95(times: list[float]) -> float:
    return sorted(times)[int(0.95 * len(times))]


def _fill(root: Path, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            metadata = model_metadata() | {"llama.context_length": scalar(U32, 100 + number)}
            lay_out(root, _file(Path(folder), GgufFile(metadata)), f"m{number}")


def _file(folder: Path, content: GgufFile) -> Path:
    path = folder / "x.gguf"
    path.write_bytes(content.encode())
    return path


def _fill_with_vocabulary(root: Path) -> None:
    vocabulary = {
        "tokenizer.ggml.tokens": array(TEXT, [f"Ġtoken{number}" for number in range(NUM_TOKENS)]),
        "tokenizer.ggml.merges": array(TEXT, [f"Ġa{number} b{number}" for number in range(2 * NUM_TOKENS)]),
        "tokenizer.ggml.token_type": array(I32, [1] * NUM_TOKENS),
    }
    metadata = {key: value for key, value in model_metadata().items() if key != "tokenizer.ggml.scores"} | vocabulary
    with tempfile.TemporaryDirectory() as folder:
        lay_out(root, _file(Path(folder), GgufFile(metadata)), "vocabulary")


_SHOW: Final = """
import sys, urllib.request
for _ in range(3):
    body = b'{"model":"vocabulary","verbose":true}'
    with urllib.request.urlopen(urllib.request.Request(sys.argv[1], body), timeout=60) as reply:
        assert len(reply.read()) > 8_000_000
"""
"""Run by a process of its own: megabytes that arrive here would hold up the one who measures."""


def _pause_of_a_vocabulary() -> tuple[float, float]:
    """The longest answer to `/api/version` while a huge vocabulary is shown three times, and before."""
    with llmsite_on(_fill_with_vocabulary) as ours:
        base = f"http://127.0.0.1:{ours.target.port}"
        with httpx.Client(base_url=base) as http:
            plain = max(_time_of_version(http) for _ in range(200))
            waits = []
            with subprocess.Popen([sys.executable, "-c", _SHOW, f"{base}/api/show"]) as shown:
                while shown.poll() is None:
                    waits.append(_time_of_version(http))
        assert shown.returncode == 0
        return max(waits), plain


def _time_of_version(http: httpx.Client) -> float:
    began = time.perf_counter()
    http.get("/api/version").raise_for_status()
    return time.perf_counter() - began


def main() -> None:
    for each in measure():
        print(f"{each.name:<60} {each.ratio:9.3f}  {each.aim:<8} {each.ours:9.3f} {each.other:9.3f} {each.unit}")


if __name__ == "__main__":
    main()
