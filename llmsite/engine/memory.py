"""What a model needs and how many of its layers fit on GPUs. Pure arithmetic on facts; nothing is measured or loaded here.

Checked against llama.cpp's own figures for the starter and a 0.5 B model; what a loaded runner reports replaces the estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from llmsite.engine.spec import ModelSpec, SupervisorConfig
from llmsite.store.gguf import GgufFacts
from llmsite.types.limits import GIB, MIB
from llmsite.types.options import Options

COMFORTABLE: Final = 0.8
"""A load whose estimate exceeds this share of the free memory first sends another model away (catalogue 12)."""
TIGHT: Final = 0.95
"""What a model may take of a GPU when nobody is left to send away."""

KV_TYPE_BYTES: Final = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
PROCESS_BYTES: Final = 64 * MIB
"""A runner without a model: Python, the bindings, llama.cpp."""

_CELL_STEP: Final = 256
_MICRO_BATCH: Final = 512
_LEAST_CTX: Final = 4
_LEAST_CTX_VISION: Final = 2048
_LARGE_CTX: Final = ((47 * GIB, 262_144), (23 * GIB, 32_768))
_SMALL_CTX: Final = 4096
_SLOTS: Final = (4, 2, 1)


@dataclass(frozen=True, slots=True)
class MemoryNow:
    """Free bytes of the host and of each GPU in llama.cpp's order."""

    host_free_bytes: int
    gpu_free_bytes: tuple[int, ...] = ()

    def without_overhead(self, overhead_bytes: int) -> MemoryNow:
        """The same with so much left alone on each GPU."""
        return MemoryNow(self.host_free_bytes, tuple(max(0, each - overhead_bytes) for each in self.gpu_free_bytes))

    def without(self, placements: Iterable[Placement]) -> MemoryNow:
        """The same once these models are gone."""
        host, gpus = self.host_free_bytes, list(self.gpu_free_bytes)
        for each in placements:
            host += each.host_bytes
            split = each.tensor_split or (1.0,) * len(gpus)
            for gpu, part in enumerate(split[: len(gpus)]):
                gpus[gpu] += int(each.vram_bytes * part / sum(split))
        return MemoryNow(host, tuple(gpus))


@dataclass(frozen=True, slots=True)
class Shape:
    """What a context looks like: tokens per slot, slots, tokens per batch, KV type and whether flash attention is on."""

    num_ctx: int
    num_slots: int
    num_batch: int
    kv_type: str = "f16"
    flash_attention: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes. `layers` are weights and cache of each block, `output` what is computed after the last one."""

    layers: tuple[int, ...]
    output: int
    compute: int
    extra: int = 0

    @property
    def total_bytes(self) -> int:
        return sum(self.layers) + self.output + self.compute + self.extra


@dataclass(frozen=True, slots=True)
class Placement:
    """How a model is to be loaded. `num_gpu_layers` counts the output as one more layer; `tensor_split` is layers per GPU."""

    shape: Shape
    host_bytes: int
    vram_bytes: int = 0
    num_gpu_layers: int = 0
    tensor_split: tuple[float, ...] = ()

    @property
    def size_bytes(self) -> int:
        return self.host_bytes + self.vram_bytes


def choose_ctx(spec: ModelSpec, options: Options, config: SupervisorConfig, gpu_total_bytes: int) -> tuple[int, ...]:
    """Context lengths to try, largest first: one if asked for (by request or server), else by GPU memory (catalogue 2.20, 3)."""
    asked, default = options.num_ctx, config.context_length
    trained = spec.facts.num_ctx_train or asked or default or _LARGE_CTX[0][1]
    least = _LEAST_CTX_VISION if spec.projector_path else _LEAST_CTX
    if asked is not None or default:
        return (min(max(default if asked is None else asked, least), trained),)
    tiers = [ctx for total, ctx in _LARGE_CTX if gpu_total_bytes >= total] or [_SMALL_CTX]
    smaller = [ctx for _, ctx in _LARGE_CTX if ctx < tiers[0]] + [_SMALL_CTX]
    return tuple(dict.fromkeys(min(ctx, trained) for ctx in (tiers[0], *smaller) if ctx <= tiers[0]))


def choose_batch(facts: GgufFacts, num_ctx: int, asked: int | None) -> int:
    """Tokens read at once (catalogue 3, num_batch)."""
    if asked is not None:
        return asked
    if facts.has_pooling:
        return min(2048, num_ctx)
    if num_ctx <= _SMALL_CTX:
        return 512
    return 1024 if num_ctx <= _LARGE_CTX[1][1] else 2048


def choose_shapes(spec: ModelSpec, options: Options, config: SupervisorConfig, ctx_choices: tuple[int, ...]) -> list[Shape]:
    """Shapes to try, the largest first. Slots are fewer when memory is short, unless the server says how many."""
    slots = (config.num_parallel,) if config.num_parallel else _SLOTS
    return [
        Shape(ctx, count, choose_batch(spec.facts, ctx, options.num_batch), config.kv_cache_type, bool(config.flash_attention))
        for ctx in ctx_choices
        for count in ((1,) if spec.facts.has_pooling else slots)
    ]


def estimate(facts: GgufFacts, shape: Shape, *, extra_bytes: int = 0, is_mapped: bool = False) -> Estimate:
    """What a model takes in this shape. Sliding windows are counted as full caches: an upper bound.

    `is_mapped`: the weights stay in the file and need no memory of their own.
    """
    if is_mapped:
        facts = replace(facts, layer_bytes=(), other_bytes=0)
    cells = _round_up(shape.num_ctx, _CELL_STEP) * shape.num_slots
    per_head = cells * (facts.head_dim_k + facts.head_dim_v) * KV_TYPE_BYTES[shape.kv_type]
    cache = [int(heads * per_head) for heads in _per_layer(facts.kv_heads, facts.num_layers)]
    weights = _per_layer(facts.layer_bytes, facts.num_layers)
    layers = tuple(weight + kept for weight, kept in zip(weights, cache, strict=True))
    return Estimate(layers, facts.other_bytes, _compute_bytes(facts, shape), extra_bytes)


def _compute_bytes(facts: GgufFacts, shape: Shape) -> int:
    """llama.cpp's compute buffer: the larger of the feed-forward part and, without flash attention, the scores of one layer."""
    tokens = min(shape.num_batch, _MICRO_BATCH)
    feed_forward, scores = 20 * facts.num_embd, 6 * facts.num_embd + (facts.num_heads + 1) * shape.num_ctx
    values = feed_forward + shape.num_ctx // 2 if shape.flash_attention else max(feed_forward, scores)
    return 4 * (values * tokens + facts.num_vocab * shape.num_slots)


def place(
    spec: ModelSpec, options: Options, shapes: Sequence[Shape], memory: MemoryNow, *, is_spread: bool = False
) -> Placement | None:
    """The first shape that is comfortable: all layers on GPUs if there are any (as few as possible), else all on the host.

    None when each takes more than `COMFORTABLE` of what is free. `num_gpu` ≥ 0 is the asker's number of layers.
    """
    for shape in shapes:
        need = _need(spec, options, shape, memory)
        counts: list[int] | None = _asked_layers(need, options, memory)
        if options.num_gpu < 0 and memory.gpu_free_bytes:
            counts = _fill_fewest(need, [int(free * COMFORTABLE) for free in memory.gpu_free_bytes], is_spread=is_spread)
        if counts is None:
            continue
        placement = _on_gpus(need, shape, counts)
        if placement.host_bytes <= memory.host_free_bytes * COMFORTABLE:
            return placement
    return None


def place_tightly(
    spec: ModelSpec, options: Options, shapes: Sequence[Shape], memory: MemoryNow, *, most_gpu_layers: int | None = None
) -> Placement | None:
    """The smallest shape, when nobody is left to send away: as many layers on GPUs as fit, the rest on the host.

    None when the host part is larger than what the host has free.
    """
    shape = shapes[-1]
    need = _need(spec, options, shape, memory)
    if options.num_gpu >= 0 or not memory.gpu_free_bytes:
        counts = _asked_layers(need, options, memory)
    else:
        counts = _fill(need, [int(free * TIGHT) for free in memory.gpu_free_bytes])
    if most_gpu_layers is not None and sum(counts) > most_gpu_layers:
        counts = _share(most_gpu_layers, memory.gpu_free_bytes)
    placement = _on_gpus(need, shape, counts)
    return placement if placement.host_bytes <= memory.host_free_bytes else None


def least_bytes(spec: ModelSpec, options: Options, shapes: Sequence[Shape], memory: MemoryNow) -> int:
    """What the smallest shape needs in all, for error texts."""
    return _need(spec, options, shapes[-1], memory).total_bytes + PROCESS_BYTES


def _need(spec: ModelSpec, options: Options, shape: Shape, memory: MemoryNow) -> Estimate:
    is_mapped = options.use_mmap is True and not memory.gpu_free_bytes
    return estimate(spec.facts, shape, extra_bytes=spec.extra_bytes, is_mapped=is_mapped)


def _asked_layers(need: Estimate, options: Options, memory: MemoryNow) -> list[int]:
    """Layers per GPU as the asker wants them; none without GPUs. Whether they fit there is the asker's business."""
    return _share(max(0, min(options.num_gpu, len(need.layers) + 1)), memory.gpu_free_bytes)


def _from_the_end(need: Estimate) -> list[int]:
    """Costs in the order in which llama.cpp moves them to GPUs: the output first, then the last block."""
    return [need.output, *reversed(need.layers)]


def _fill(need: Estimate, budgets: Sequence[int]) -> list[int]:
    """Layers per GPU, as many as fit; the first GPU holds the lowest blocks. A used GPU also holds a compute buffer."""
    costs, counts, position = _from_the_end(need), [0] * len(budgets), 0
    for gpu in reversed(range(len(budgets))):
        left = budgets[gpu] - need.compute - (need.extra if position == 0 else 0)
        while position < len(costs) and costs[position] <= left:
            left -= costs[position]
            counts[gpu] += 1
            position += 1
    return counts


def _fill_fewest(need: Estimate, budgets: list[int], *, is_spread: bool) -> list[int] | None:
    """All layers on as few GPUs as can hold them, the freest first; None if all together cannot."""
    order = sorted(range(len(budgets)), key=lambda gpu: -budgets[gpu])
    for num_used in [len(budgets)] if is_spread else range(1, len(budgets) + 1):
        used = set(order[:num_used])
        counts = _fill(need, [budget if gpu in used else 0 for gpu, budget in enumerate(budgets)])
        if sum(counts) == len(need.layers) + 1:
            return counts
    return None


def _share(num_layers: int, free: Sequence[int]) -> list[int]:
    """Layers per GPU in proportion to its free memory."""
    total = sum(free) or 1
    ends = [round(num_layers * part / total) for part in accumulate(free)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _on_gpus(need: Estimate, shape: Shape, counts: Sequence[int]) -> Placement:
    num_layers, num_used = sum(counts), sum(1 for count in counts if count)
    if not num_layers:
        return Placement(shape, need.total_bytes + PROCESS_BYTES)
    vram = sum(_from_the_end(need)[:num_layers]) + need.compute * num_used + need.extra
    host = sum(_from_the_end(need)[num_layers:]) + PROCESS_BYTES
    split = tuple(float(count) for count in counts) if len(counts) > 1 else ()
    return Placement(shape, host, vram, num_layers, split)


def _per_layer(values: tuple[int, ...], num_layers: int) -> tuple[int, ...]:
    """One value per block: a file may say it once for all."""
    if len(values) == num_layers:
        return values
    return (values[-1] if values else 0,) * num_layers


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
