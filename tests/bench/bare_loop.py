"""The yardstick when there is no llama-server: a bare decode loop over the same bindings, and llama.cpp's own loading time."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import llama_cpp.llama_cpp as llama

from tests.bench.figures import Figure


def load_seconds(path: Path) -> float:
    """Seconds llama.cpp needs to load a model and make a context of four slots, the bindings being imported already."""
    llama.llama_backend_init()
    started = time.perf_counter()
    model, context = _open(path, num_slots=4, num_ctx=1024)
    elapsed = time.perf_counter() - started
    llama.llama_free(context)
    llama.llama_model_free(model)
    return elapsed


def one_stream(path: Path, ours: float, num_tokens: int = 128) -> Figure:
    """Tokens per second of a loop that decodes and takes the likeliest token, nothing else, against `ours`."""
    llama.llama_backend_init()
    model, context = _open(path, num_slots=1, num_ctx=8192)
    size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    token = ctypes.c_int32(1)
    started = time.perf_counter()
    for _ in range(num_tokens):
        llama.llama_decode(context, llama.llama_batch_get_one(ctypes.pointer(token), 1))
        logits = llama.llama_get_logits_ith(context, -1)
        array = (ctypes.c_float * size).from_address(ctypes.addressof(logits.contents))
        token.value = max(range(0, size, 997), key=array.__getitem__)
    rate = num_tokens / (time.perf_counter() - started)
    llama.llama_free(context)
    llama.llama_model_free(model)
    return Figure("one stream, tokens/s ÷ a bare decode loop", ours / rate, "≥ 0.95", ours, rate, "tokens/s")


def _open(path: Path, num_slots: int, num_ctx: int) -> tuple[int, int]:
    llama.llama_log_set(_quiet, ctypes.c_void_p(0))
    model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
    options = llama.llama_context_default_params()
    options.n_ctx = num_slots * num_ctx
    options.n_seq_max = num_slots
    options.kv_unified = False
    return model, llama.llama_init_from_model(model, options)


@llama.llama_log_callback
def _quiet(_level: int, _text: bytes, _data: object) -> None:
    return None
