"""Sampling options to the parts of a sampler chain. Only chooses; `llama.py` makes and runs the chain."""

from __future__ import annotations

import secrets
from typing import Final

from llmsite.engine.llama import Part
from llmsite.engine.wire import Sampling

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
