"""Natural-log probabilities from raw logits, computed by llama.cpp's samplers on arrays made once: no numpy in a runner."""

from __future__ import annotations

import ctypes
import math
from typing import Any

from llmsite.engine.llama import lib


class LogprobReader:
    """Ranks a vocabulary's logits. Holds 12 bytes and 4 more per token; not for two threads."""

    def __init__(self, num_vocab: int) -> None:
        self._candidates = (lib.llama_token_data * num_vocab)()
        words = memoryview(self._candidates).cast("B")
        # A candidate is (token, logit, probability), four bytes each: strided views write a column at C speed.
        self._token_column = words.cast("i")[0::3]
        self._logit_column = words.cast("f")[1::3]
        self._tokens = memoryview((ctypes.c_int32 * num_vocab)(*range(num_vocab))).cast("B").cast("i")
        self._num_vocab = num_vocab
        self._softmax = lib.llama_sampler_init_dist(0)

    def read(self, logits: Any, token: int, num_top: int) -> tuple[float, list[tuple[int, float]]]:
        """Log-softmax at `token`, and (token, value) of the likeliest `num_top`, best first. `logits` points at the floats."""
        values = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * self._num_vocab)).contents
        self._token_column[:] = self._tokens
        self._logit_column[:] = memoryview(values).cast("B").cast("f")
        ranked = lib.llama_token_data_array(ctypes.cast(self._candidates, lib.llama_token_data_p), self._num_vocab, -1, False)
        lib.llama_sampler_apply(self._softmax, ranked)
        top_k = lib.llama_sampler_init_top_k(max(1, num_top))
        lib.llama_sampler_apply(top_k, ranked)
        lib.llama_sampler_free(top_k)
        best = ranked.data[0]
        norm = best.logit - math.log(best.p)
        top = [(ranked.data[i].id, ranked.data[i].logit - norm) for i in range(min(num_top, ranked.size))]
        return values[token] - norm, top
