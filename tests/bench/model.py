"""A random-weight model of the 0.5 B class: 24 layers, width 896, Q4_0, 151,936 tokens, about 280 MB.

Built with the `gguf` package into the user's cache, once. Its tokenizer is the starter's, filled up with made-up words, so
that nearly every token is one whole word and one frame of a stream. Speed does not depend on the values of weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np

from tests.bench.cache import CACHE

STARTER: Final = Path(__file__).parents[2] / "llmsite" / "starter" / "starter.gguf"
NUM_LAYERS: Final = 24
WIDTH: Final = 896
FEED_FORWARD: Final = 4864
NUM_HEADS: Final = 14
NUM_KV_HEADS: Final = 2
HEAD_SIZE: Final = WIDTH // NUM_HEADS
VOCABULARY: Final = 151_936
CONTEXT: Final = 32_768
Q4_0_BLOCK: Final = 32
Q4_0_BYTES: Final = 18


def bench_model() -> Path:
    """Path of the model; writes it the first time (about ten seconds)."""
    path = CACHE / "bench-0.5b-q4_0.gguf"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        _write(path)
    return path


def _write(path: Path) -> None:
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    writer.add_name("bench 0.5b")
    writer.add_block_count(NUM_LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(NUM_HEADS)
    writer.add_head_count_kv(NUM_KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_tokenizer(writer)
    _add_tensors(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(path)


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    fields = gguf.GGUFReader(STARTER).fields
    tokens: list[Any] = fields["tokenizer.ggml.tokens"].contents()
    types: list[int] = fields["tokenizer.ggml.token_type"].contents()
    words = [f"Ġw{number}" for number in range(VOCABULARY - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens + words)
    writer.add_token_types(types + [int(gguf.TokenType.NORMAL)] * len(words))
    writer.add_token_merges(fields["tokenizer.ggml.merges"].contents())
    writer.add_eos_token_id(fields["tokenizer.ggml.eos_token_id"].contents())
    writer.add_add_bos_token(False)


def _add_tensors(writer: gguf.GGUFWriter) -> None:
    random = np.random.default_rng(7)
    key_value = NUM_KV_HEADS * HEAD_SIZE
    _add_matrix(writer, random, "token_embd.weight", VOCABULARY, WIDTH)
    _add_norm(writer, "output_norm.weight")
    for layer in range(NUM_LAYERS):
        block = f"blk.{layer}"
        _add_norm(writer, f"{block}.attn_norm.weight")
        _add_norm(writer, f"{block}.ffn_norm.weight")
        _add_matrix(writer, random, f"{block}.attn_q.weight", WIDTH, WIDTH)
        _add_matrix(writer, random, f"{block}.attn_k.weight", key_value, WIDTH)
        _add_matrix(writer, random, f"{block}.attn_v.weight", key_value, WIDTH)
        _add_matrix(writer, random, f"{block}.attn_output.weight", WIDTH, WIDTH)
        _add_matrix(writer, random, f"{block}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        _add_matrix(writer, random, f"{block}.ffn_up.weight", FEED_FORWARD, WIDTH)
        _add_matrix(writer, random, f"{block}.ffn_down.weight", WIDTH, FEED_FORWARD)


def _add_norm(writer: gguf.GGUFWriter, name: str) -> None:
    writer.add_tensor(name, np.ones(WIDTH, dtype=np.float32))


def _add_matrix(writer: gguf.GGUFWriter, random: np.random.Generator, name: str, rows: int, columns: int) -> None:
    """Random Q4_0 blocks: a half-precision scale that gives weights a deviation of about 0.02, and 32 random nibbles."""
    blocks = columns // Q4_0_BLOCK
    data = random.integers(0, 256, size=(rows, blocks, Q4_0_BYTES), dtype=np.uint8)
    scale = np.frombuffer(np.float16(0.02 / 4.6).tobytes(), dtype=np.uint8)
    data[:, :, :2] = scale
    writer.add_tensor(name, data.reshape(rows, blocks * Q4_0_BYTES), raw_dtype=gguf.GGMLQuantizationType.Q4_0)
