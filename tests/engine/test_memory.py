"""Estimates and placements: plain arithmetic, and llama.cpp's own figures for the models at hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from llmsite.engine.memory import (
    COMFORTABLE,
    MemoryNow,
    Placement,
    Shape,
    choose_batch,
    choose_ctx,
    choose_shapes,
    estimate,
    place,
    place_tightly,
)
from llmsite.engine.spec import SupervisorConfig
from llmsite.store.gguf import gather_facts, read_header
from llmsite.types.limits import GIB, MIB, Limits
from llmsite.types.options import Options
from tests.engine.fake_effects import FACTS, make_spec
from tests.engine.known import STARTER

SPEC = make_spec()
SHAPE = Shape(4096, 4, 512)
LARGE = replace(FACTS, num_ctx_train=1 << 20)


@pytest.mark.parametrize(
    ("shape", "cache_mib", "compute_mib"),
    [
        # llama.cpp 0.3.36, CPU: "KV buffer size", "compute buffer size"
        pytest.param(Shape(1024, 4, 512), 8, 21.01, id="1024 tokens, 4 slots"),
        pytest.param(Shape(4096, 4, 512), 32, 75.01, id="4096 tokens, 4 slots"),
        pytest.param(Shape(4096, 1, 512), 8, 75.01, id="4096 tokens, 1 slot"),
        pytest.param(Shape(8192, 4, 2048), 64, 147.01, id="8192 tokens, batches cut to 512"),
    ],
)
def test_it_agrees_with_llama_cpp_on_the_starter(shape: Shape, cache_mib: float, compute_mib: float) -> None:
    path = Path(__file__).parents[2] / STARTER
    with path.open("rb") as file:
        facts = gather_facts(read_header(file, path.stat().st_size, Limits()))
    need = estimate(facts, shape)
    assert sum(need.layers) - sum(facts.layer_bytes) == cache_mib * MIB
    assert need.compute == pytest.approx(compute_mib * MIB, rel=0.02)


@pytest.mark.parametrize(("kv_type", "part"), [("f16", 1.0), ("q8_0", 34 / 64), ("q4_0", 18 / 64)])
def test_a_quantized_cache_is_smaller(kv_type: str, part: float) -> None:
    plain, other = (estimate(replace(FACTS, layer_bytes=()), replace(SHAPE, kv_type=each)) for each in ("f16", kv_type))
    assert sum(other.layers) == pytest.approx(sum(plain.layers) * part, rel=0.001)


def test_the_cache_is_rounded_up_to_256_cells_and_counts_every_slot() -> None:
    facts = replace(FACTS, layer_bytes=())
    one, two = (sum(estimate(facts, Shape(257, count, 512)).layers) for count in (1, 2))
    assert one == sum(estimate(facts, Shape(512, 1, 512)).layers)
    assert two == 2 * one


def test_layers_without_attention_keep_no_cache() -> None:
    hybrid = replace(FACTS, kv_heads=(4, 0) * 5, layer_bytes=())
    assert estimate(hybrid, SHAPE).layers[1] == 0
    assert sum(estimate(hybrid, SHAPE).layers) * 2 == sum(estimate(replace(FACTS, layer_bytes=()), SHAPE).layers)


@pytest.mark.parametrize(
    ("asked", "default", "gpu_bytes", "expected"),
    [
        pytest.param(None, 0, 0, (4096,), id="CPU"),
        pytest.param(None, 0, 22 * GIB, (4096,), id="below 23 GiB"),
        pytest.param(None, 0, 23 * GIB, (32_768, 4096), id="23 GiB"),
        pytest.param(None, 0, 47 * GIB, (262_144, 32_768, 4096), id="47 GiB"),
        pytest.param(None, 8192, 47 * GIB, (8192,), id="OLLAMA_CONTEXT_LENGTH"),
        pytest.param(2048, 8192, 47 * GIB, (2048,), id="the request wins"),
        pytest.param(1, 0, 0, (4,), id="at least 4"),
        pytest.param(1 << 30, 0, 0, (1 << 20,), id="at most the trained length"),
    ],
)
def test_catalogue_2_20_effective_num_ctx(asked: int | None, default: int, gpu_bytes: int, expected: tuple[int, ...]) -> None:
    config = SupervisorConfig(context_length=default)
    assert choose_ctx(make_spec(facts=LARGE), Options(num_ctx=asked), config, gpu_bytes) == expected


def test_a_short_trained_length_leaves_one_choice() -> None:
    short = make_spec(facts=replace(FACTS, num_ctx_train=1024))
    assert choose_ctx(short, Options(), SupervisorConfig(), 80 * GIB) == (1024,)


@pytest.mark.parametrize(
    ("num_ctx", "asked", "has_pooling", "expected"),
    [
        (4096, None, False, 512),
        (4097, None, False, 1024),
        (32_768, None, False, 1024),
        (32_769, None, False, 2048),
        (512, None, True, 512),
        (8192, None, True, 2048),
        (8192, 77, True, 77),
    ],
)
def test_catalogue_3_num_batch(num_ctx: int, asked: int | None, has_pooling: bool, expected: int) -> None:
    assert choose_batch(replace(FACTS, has_pooling=has_pooling), num_ctx, asked) == expected


@pytest.mark.parametrize(
    ("num_parallel", "has_pooling", "expected"),
    [(0, False, [4, 2, 1]), (1, False, [1]), (32, False, [32]), (8, True, [1])],
)
def test_catalogue_12_slots(num_parallel: int, has_pooling: bool, expected: list[int]) -> None:
    spec = make_spec(facts=replace(FACTS, has_pooling=has_pooling))
    shapes = choose_shapes(spec, Options(), SupervisorConfig(num_parallel=num_parallel), (4096,))
    assert [shape.num_slots for shape in shapes] == expected


def _place(memory: MemoryNow, *, is_spread: bool = False, **options: Any) -> Placement | None:
    return place(SPEC, replace(Options(), **options), [SHAPE], memory, is_spread=is_spread)


class TestPlace:
    need = estimate(FACTS, SHAPE)

    def test_without_gpus_all_is_on_the_host(self) -> None:
        placement = _place(MemoryNow(64 * GIB))
        assert placement is not None
        assert (placement.num_gpu_layers, placement.vram_bytes) == (0, 0)
        assert placement.host_bytes >= self.need.total_bytes

    def test_it_is_comfortable_up_to_four_fifths_of_the_host(self) -> None:
        placement = _place(MemoryNow(64 * GIB))
        assert placement is not None
        just = int(placement.host_bytes / COMFORTABLE)
        assert _place(MemoryNow(just + 2)) is not None
        assert _place(MemoryNow(just - 2)) is None
        assert place_tightly(SPEC, Options(), [SHAPE], MemoryNow(placement.host_bytes)) is not None
        assert place_tightly(SPEC, Options(), [SHAPE], MemoryNow(placement.host_bytes - 1)) is None

    def test_mapped_weights_need_no_memory_of_their_own(self) -> None:
        plain, mapped = _place(MemoryNow(64 * GIB)), _place(MemoryNow(64 * GIB), use_mmap=True)
        assert plain is not None
        assert mapped is not None
        assert plain.host_bytes - mapped.host_bytes == sum(FACTS.layer_bytes) + FACTS.other_bytes

    def test_one_gpu_takes_all_layers_and_the_output(self) -> None:
        placement = _place(MemoryNow(64 * GIB, (24 * GIB,)))
        assert placement is not None
        assert (placement.num_gpu_layers, placement.tensor_split) == (11, ())
        assert placement.vram_bytes == self.need.total_bytes

    def test_of_several_gpus_the_freest_is_enough(self) -> None:
        placement = _place(MemoryNow(64 * GIB, (4 * GIB, 24 * GIB)))
        assert placement is not None
        assert placement.tensor_split == (0.0, 11.0)

    def test_spread_uses_all_of_them(self) -> None:
        placement = _place(MemoryNow(64 * GIB, (1 * GIB, 24 * GIB)), is_spread=True)
        assert placement is not None
        assert sum(placement.tensor_split) == 11

    def test_a_model_larger_than_one_gpu_is_split(self) -> None:
        half = int((self.need.total_bytes * 0.7 + self.need.compute) / COMFORTABLE)
        placement = _place(MemoryNow(64 * GIB, (half, half)))
        assert placement is not None
        assert sum(placement.tensor_split) == placement.num_gpu_layers == 11
        assert min(placement.tensor_split) > 0

    def test_layers_that_do_not_fit_go_to_the_host(self) -> None:
        memory = MemoryNow(64 * GIB, (self.need.total_bytes // 2,))
        assert _place(memory) is None
        placement = place_tightly(SPEC, Options(), [SHAPE], memory)
        assert placement is not None
        assert 0 < placement.num_gpu_layers < 11
        assert placement.vram_bytes <= memory.gpu_free_bytes[0]
        assert placement.size_bytes >= self.need.total_bytes

    def test_more_free_memory_never_means_fewer_layers(self) -> None:
        counts = []
        for tenths in range(1, 20):
            memory = MemoryNow(64 * GIB, (self.need.total_bytes * tenths // 10,))
            placement = place_tightly(SPEC, Options(), [SHAPE], memory)
            assert placement is not None
            counts.append(placement.num_gpu_layers)
        assert all(fewer <= more for fewer, more in pairwise(counts))
        assert counts[0] < counts[-1] == 11

    @pytest.mark.parametrize(("num_gpu", "expected"), [(0, 0), (3, 3), (11, 11), (999, 11)])
    def test_catalogue_3_num_gpu(self, num_gpu: int, expected: int) -> None:
        placement = _place(MemoryNow(64 * GIB, (24 * GIB,)), num_gpu=num_gpu)
        assert placement is not None
        assert placement.num_gpu_layers == expected

    def test_asked_layers_are_shared_by_free_memory(self) -> None:
        placement = _place(MemoryNow(64 * GIB, (10 * GIB, 30 * GIB)), num_gpu=8)
        assert placement is not None
        assert placement.tensor_split == (2.0, 6.0)

    def test_the_overhead_is_left_alone_on_each_gpu(self) -> None:
        assert MemoryNow(1, (5 * GIB, 1)).without_overhead(2 * GIB).gpu_free_bytes == (3 * GIB, 0)

    def test_memory_comes_back_when_models_leave(self) -> None:
        placement = _place(MemoryNow(64 * GIB, (24 * GIB,)))
        assert placement is not None
        after = MemoryNow(10 * GIB, (1 * GIB,)).without([placement])
        assert after == MemoryNow(10 * GIB + placement.host_bytes, (1 * GIB + placement.vram_bytes,))

    def test_a_smaller_shape_is_taken_when_the_larger_does_not_fit(self) -> None:
        small = Shape(4096, 1, 512)
        limit = int(estimate(FACTS, small).total_bytes * 1.1 / COMFORTABLE)
        placement = place(SPEC, Options(), [SHAPE, small], MemoryNow(limit))
        assert placement is not None
        assert placement.shape is small
