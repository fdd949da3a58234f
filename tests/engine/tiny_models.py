"""Tiny models of random numbers whose memory differs from the starter's: a recurrent one and one with a sliding window.

They say nothing sensible; what counts is that they say the same on a reused prefix. The vocabulary is the starter's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.engine.known import STARTER
from tests.engine.runner_harness import ROOT

WIDTH = 64
WINDOW = 32


def write_recurrent(path: Path) -> Path:
    """Mamba, two blocks."""
    inner, state, rank = 2 * WIDTH, 8, 4
    tensors = {}
    for block in range(2):
        front = f"blk.{block}."
        tensors |= {
            f"{front}attn_norm.weight": (WIDTH,),
            f"{front}ssm_in.weight": (2 * inner, WIDTH),
            f"{front}ssm_conv1d.weight": (inner, 4),
            f"{front}ssm_conv1d.bias": (inner,),
            f"{front}ssm_x.weight": (rank + 2 * state, inner),
            f"{front}ssm_dt.weight": (inner, rank),
            f"{front}ssm_dt.bias": (inner,),
            f"{front}ssm_a": (inner, state),
            f"{front}ssm_d": (inner,),
            f"{front}ssm_out.weight": (WIDTH, inner),
        }
    numbers = {"ssm.conv_kernel": 4, "ssm.inner_size": inner, "ssm.state_size": state, "ssm.time_step_rank": rank}
    return _write(path, "mamba", numbers | {"feed_forward_length": 0, "attention.head_count": 0}, tensors, {})


def write_windowed(path: Path) -> Path:
    """Gemma 2, four blocks, every other one looks back `WINDOW` tokens."""
    heads, size = 4, 16
    tensors = {}
    for block in range(4):
        front = f"blk.{block}."
        tensors |= {
            f"{front}{name}.weight": (WIDTH,) for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
        }
        tensors |= {f"{front}attn_{name}.weight": (heads * size, WIDTH) for name in "qkv"}
        tensors |= {f"{front}attn_output.weight": (WIDTH, heads * size), f"{front}ffn_down.weight": (WIDTH, 2 * WIDTH)}
        tensors |= {f"{front}ffn_{name}.weight": (2 * WIDTH, WIDTH) for name in ("gate", "up")}
    numbers = {
        "feed_forward_length": 2 * WIDTH,
        "attention.head_count": heads,
        "attention.head_count_kv": heads,
        "attention.key_length": size,
        "attention.value_length": size,
        "attention.sliding_window": WINDOW,
    }
    return _write(
        path, "gemma2", numbers | {"block_count": 4}, tensors, {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
    )


def _write(path: Path, architecture: str, numbers: dict[str, int], shapes: dict[str, Any], floats: dict[str, float]) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    for name, number in {"context_length": 1024, "embedding_length": WIDTH, "block_count": 2, **numbers}.items():
        writer.add_uint32(f"{architecture}.{name}", number)
    for name, value in {"attention.layer_norm_rms_epsilon": 1e-5, **floats}.items():
        writer.add_float32(f"{architecture}.{name}", value)
    _copy_vocabulary(writer)
    draw = np.random.default_rng(7)
    num_vocab = 3104
    for name, shape in {"token_embd.weight": (num_vocab, WIDTH), "output_norm.weight": (WIDTH,), **shapes}.items():
        values = draw.normal(scale=0.3, size=shape).astype(np.float32)
        if name.endswith("ssm_a"):
            values = -np.exp(values)
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _copy_vocabulary(writer: gguf.GGUFWriter) -> None:
    fields = gguf.GGUFReader(ROOT / STARTER).fields
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(fields["tokenizer.ggml.tokens"].contents())
    writer.add_token_types(fields["tokenizer.ggml.token_type"].contents())
    writer.add_token_merges(fields["tokenizer.ggml.merges"].contents())
    writer.add_eos_token_id(3062)
    writer.add_add_bos_token(False)
