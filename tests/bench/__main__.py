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

from tests.bench import bare_loop, figures
from tests.bench.figures import NUM_CTX, NUM_SLOTS, Figure
from tests.bench.llama_server import find_llama_server
from tests.bench.model import STARTER, bench_model
from tests.bench.servers import Running, get_json, llama_server, llmsite
from tests.bench.streams import ask

SLOTS = {"OLLAMA_NUM_PARALLEL": str(NUM_SLOTS), "OLLAMA_CONTEXT_LENGTH": str(NUM_CTX)}


def main() -> None:
    arguments = _parse()
    yardstick = find_llama_server()
    if yardstick is None:
        print("No llama-server: `make llama-server` builds one. Measuring against a bare decode loop instead.")
    results = _bench_model_figures(yardstick, arguments.quick)
    results += _starter_figures(yardstick)
    _print_table(results)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": _machine(), "figures": [asdict(each) for each in results]}, indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the long contexts")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


def _bench_model_figures(yardstick: Path | None, quick: bool) -> list[Figure]:
    model = bench_model()
    with llmsite(model, "bench", **SLOTS) as ours:
        rest_bytes = ours.memory_bytes
        results = [asyncio.run(figures.full_cache(ours.target))]
    with ExitStack() as stack:
        ours = stack.enter_context(llmsite(model, "bench", **SLOTS))
        results += [
            Figure("start: seconds to the first /api/version", ours.start_seconds, "≤ 3", ours.start_seconds, 1, "s"),
            Figure("server memory at rest, MB", rest_bytes / 1e6, "≤ 160", rest_bytes / 1e6, 1, "MB"),
        ]
        theirs = stack.enter_context(llama_server(yardstick, model, NUM_SLOTS, NUM_CTX)) if yardstick else None
        results += asyncio.run(_against(ours, theirs, quick))
        if theirs:
            results.append(figures.runner_memory(ours, theirs))
        results.append(_server_memory(ours))
    if yardstick is None:
        results.append(bare_loop.one_stream(model, next(each.ours for each in results if "beside" in each.name)))
    return results


async def _against(ours: Running, theirs: Running | None, quick: bool) -> list[Figure]:
    results = [await figures.cached_prefix(ours.target)]
    results += await figures.gap(ours.target, theirs.target if theirs else None)
    if theirs is None:
        return results
    pair = ours.target, theirs.target
    results.append(await figures.one_stream(*pair))
    results += await figures.eight_streams(*pair)
    results.append(await figures.shared_prefix(*pair))
    if not quick:
        results.append(await figures.eight_contexts(*pair, num_tokens=1000))
        results.append(await figures.eight_contexts(*pair, num_tokens=3000, shared=True))
    return results


def _starter_figures(yardstick: Path | None) -> list[Figure]:
    with ExitStack() as stack:
        ours = stack.enter_context(llmsite(STARTER, "small"))
        results = [_load_time(ours)]
        if yardstick:
            theirs = stack.enter_context(llama_server(yardstick, STARTER, 4, 1024))
            results.append(asyncio.run(figures.starter_stream(ours.target, theirs.target)))
    return results


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


def _print_table(results: list[Figure]) -> None:
    width = max(len(each.name) for each in results)
    print(f"\n{'figure':<{width}}  {'ratio':>8}  {'aim':<8} {'':<4} {'ours':>10}  {'other':>10}")
    for each in results:
        mark = "ok" if each.holds else "MISS"
        print(
            f"{each.name:<{width}}  {each.ratio:8.3f}  {each.aim:<8} {mark:<4} {each.ours:10.3f}  {each.other:10.3f} {each.unit}"
        )


if __name__ == "__main__":
    main()
