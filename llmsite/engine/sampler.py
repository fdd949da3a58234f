"""Sampling options to a sampler chain: which parts, in which order, and llama.cpp's chain made of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final

from llmsite.engine.llama import Context, Vocab, lib
from llmsite.engine.wire import Sampling

Part = tuple[str, tuple[float, ...]]
"""A part of a chain with its numbers: `("top_k", (40,))`."""

_DRAWS_ITS_OWN: Final = 2**32 - 1
"""The one seed with which llama.cpp draws a random one."""


def choose_parts(sampling: Sampling, num_ctx: int) -> tuple[Part, ...]:
    """The chain in llama.cpp's order: penalties, top_k, typical_p, top_p, min_p, temperature, dist; neutral parts are left out.

    At temperature 0 and below the likeliest token is taken, after penalties.
    """
    parts: list[Part] = []
    if last_n := num_penalized(sampling, num_ctx):
        repeat = sampling.repeat_penalty if sampling.repeat_penalty > 0 else 1.0  # llama.cpp knows no others
        parts.append(("penalties", (last_n, repeat, sampling.frequency_penalty, sampling.presence_penalty)))
    if sampling.temperature <= 0:
        return (*parts, ("greedy", ()))
    if sampling.top_k > 0:
        parts.append(("top_k", (sampling.top_k,)))
    if sampling.typical_p < 1:
        parts.append(("typical_p", (sampling.typical_p,)))
    if sampling.top_p < 1:
        parts.append(("top_p", (sampling.top_p,)))
    if sampling.min_p > 0:
        parts.append(("min_p", (sampling.min_p,)))
    if sampling.temperature != 1:
        parts.append(("temperature", (sampling.temperature,)))
    return (*parts, ("dist", (fold_seed(sampling.seed),)))


def num_penalized(sampling: Sampling, num_ctx: int) -> int:
    """How many of the latest tokens the penalties look at; 0 when they would change nothing."""
    is_neutral = sampling.repeat_penalty in (0, 1) and not sampling.presence_penalty and not sampling.frequency_penalty
    if is_neutral:
        return 0
    return num_ctx if sampling.repeat_last_n < 0 else min(sampling.repeat_last_n, num_ctx)


def fold_seed(seed: int) -> int:
    """llama.cpp's seeds have 32 bits: ours are folded into them, below 0 draws one."""
    return secrets.randbelow(_DRAWS_ITS_OWN) if seed < 0 else seed % _DRAWS_ITS_OWN


class Sampler:
    """A chain of llama.cpp's samplers with its own random state. `close` it."""

    def __init__(self, vocab: Vocab, parts: Iterable[Part]) -> None:
        self.handle = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for name, numbers in parts:
            lib.llama_sampler_chain_add(self.handle, self._make(name, numbers, vocab.num_tokens))

    @staticmethod
    def _make(name: str, numbers: tuple[float, ...], num_vocab: int) -> Any:
        match name, numbers:
            case "penalties", (last_n, repeat, frequency, presence):
                return lib.llama_sampler_init_penalties(num_vocab, int(last_n), repeat, frequency, presence)
            case "top_k", (k,):
                return lib.llama_sampler_init_top_k(int(k))
            case "typical_p", (p,):
                return lib.llama_sampler_init_typical(p, 1)
            case "top_p", (p,):
                return lib.llama_sampler_init_top_p(p, 1)
            case "min_p", (p,):
                return lib.llama_sampler_init_min_p(p, 1)
            case "temperature", (t,):
                return lib.llama_sampler_init_temp(t)
            case "dist", (seed,):
                return lib.llama_sampler_init_dist(int(seed))
            case "greedy", ():
                return lib.llama_sampler_init_greedy()
        raise ValueError(f"unknown sampler {name} {numbers}")

    def sample(self, context: Context, index: int) -> int:
        """Choose a token from the logits at a batch index, and remember it for the penalties."""
        return int(lib.llama_sampler_sample(self.handle, context.handle, index))

    def accept(self, token: int) -> None:
        """Let the penalties know a token that was not sampled."""
        lib.llama_sampler_accept(self.handle, token)

    def close(self) -> None:
        if self.handle:
            lib.llama_sampler_free(self.handle)
            self.handle = None
