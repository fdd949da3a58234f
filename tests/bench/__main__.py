"""`make bench`: starts both servers, measures, prints a table and JSON. `--quick` leaves the long contexts out."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench import bare_loop, figures, pull, pull_beside, stores
from tests.bench.figures import NUM_CTX, NUM_SLOTS, Figure
from tests.bench.llama_server import find_llama_server
from tests.bench.model import STARTER, bench_model
from tests.bench.servers import Running, get_json, llama_server, llmsite
from tests.bench.streams import ask

_NAME_WIDTH = 72
SLOTS = {"OLLAMA_NUM_PARALLEL": str(NUM_SLOTS), "OLLAMA_CONTEXT_LENGTH": str(NUM_CTX)}


class Report:
    """The figures so far. Each is printed once it is known, for a whole run takes a quarter of an hour."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        print(f"{'figure':<{_NAME_WIDTH}}  {'ratio':>8}  {'aim':<8} {'':<4} {'ours':>10}  {'other':>10}")

    def add(self, *figures: Figure) -> None:
        self.figures += figures
        for each in figures:
            mark = "ok" if each.holds else "MISS"
            values = f"{each.ratio:8.3f}  {each.aim:<8} {mark:<4} {each.ours:10.3f}  {each.other:10.3f} {each.unit}"
            print(f"{each.name:<{_NAME_WIDTH}}  {values}", flush=True)


def main() -> None:
    arguments = _parse()
    yardstick = find_llama_server()
    if yardstick is None:
        print("No llama-server: `make llama-server` builds one. Measuring against a bare decode loop instead.")
    report = Report()
    _measure_bench_model(report, yardstick, arguments.quick)
    _measure_starter(report, yardstick)
    report.add(*stores.measure())
    report.add(pull.pull_figure())
    report.add(*pull_beside.measure())
    if arguments.json:
        figures = [asdict(each) for each in report.figures]
        arguments.json.write_text(json.dumps({"machine": _machine(), "figures": figures}, indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the long contexts")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


def _measure_bench_model(report: Report, yardstick: Path | None, quick: bool) -> None:
    model = bench_model()
    with llmsite(model, "bench", **SLOTS) as ours:
        rest_bytes = ours.memory_bytes
        report.add(asyncio.run(figures.full_cache(ours.target)))
    with ExitStack() as stack:
        ours = stack.enter_context(llmsite(model, "bench", **SLOTS))
        report.add(
            Figure("start: seconds to the first /api/version", ours.start_seconds, "≤ 3", ours.start_seconds, 1, "s"),
            Figure("server memory at rest, MB", rest_bytes / 1e6, "≤ 160", rest_bytes / 1e6, 1, "MB"),
        )
        theirs = stack.enter_context(llama_server(yardstick, model, NUM_SLOTS, NUM_CTX)) if yardstick else None
        asyncio.run(_measure_against(report, ours, theirs, quick))
        if theirs:
            report.add(figures.runner_memory(ours, theirs))
        report.add(_server_memory(ours))
    if yardstick is None:
        report.add(bare_loop.one_stream(model, next(each.ours for each in report.figures if "beside" in each.name)))


async def _measure_against(report: Report, ours: Running, theirs: Running | None, quick: bool) -> None:
    report.add(await figures.cached_prefix(ours.target))
    report.add(*await figures.gap(ours.target, theirs.target if theirs else None))
    if theirs is None:
        return
    pair = ours.target, theirs.target
    report.add(await figures.one_stream(*pair))
    report.add(*await figures.eight_streams(*pair))
    report.add(await figures.shared_prefix(*pair))
    if not quick:
        report.add(await figures.eight_contexts(*pair, num_tokens=1000))
        report.add(await figures.eight_contexts(*pair, num_tokens=3000, shared=True))


def _measure_starter(report: Report, yardstick: Path | None) -> None:
    with ExitStack() as stack:
        ours = stack.enter_context(llmsite(STARTER, "small"))
        report.add(_load_time(ours))
        if yardstick:
            theirs = stack.enter_context(llama_server(yardstick, STARTER, 4, 1024))
            report.add(asyncio.run(figures.starter_stream(ours.target, theirs.target)))


def _load_time(ours: Running) -> Figure:
    """load_duration of the starter against llama.cpp's own loading of the same file in a process that is already there."""
    stream = asyncio.run(ask(ours.target, "1", 1))
    seconds = stream.last["load_duration"] / 1e9
    bare = bare_loop.load_seconds(STARTER)
    return Figure("load the starter: seconds beyond llama.cpp's own loading", seconds - bare, "≤ 0.3", seconds, bare, "s")


def _server_memory(ours: Running) -> Figure:
    models = get_json(ours.target.port, "/api/ps")["models"]
    assert models, "the bench model should still be loaded"
    memory = ours.memory_bytes / 1e6
    return Figure("server memory after the run, MB", memory, "≤ 200", memory, 1, "MB")


def _machine() -> dict[str, Any]:
    model = next((line.split(":")[1].strip() for line in _cpu_info() if line.startswith("model name")), platform.processor())
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
