"""GgufFacts: what the rest of the program needs to know of a GGUF file, small enough for a database row and a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GgufKind = Literal["model", "projector", "adapter"]


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """One file. JSON-able by `types/codec.py`. Counts are 0 and texts empty where the file does not say.

    `kv_heads` holds the KV heads of each layer (0: the layer keeps none); a token's KV cache is
    `sum(kv_heads) * (head_dim_k * bytes_k + head_dim_v * bytes_v)`. `layer_bytes` holds the tensor bytes of each block,
    `other_bytes` those of embeddings, output and the rest. Whether a BOS token is added (`adds_bos`) is the
    file's own word, else the habit of its tokenizer.
    """

    kind: GgufKind = "model"
    architecture: str = ""
    file_type: str = "unknown"
    file_size_bytes: int = 0
    parameter_count: int = 0
    num_ctx_train: int = 0
    num_embd: int = 0
    num_layers: int = 0
    num_heads: int = 0
    kv_heads: tuple[int, ...] = ()
    head_dim_k: int = 0
    head_dim_v: int = 0
    num_vocab: int = 0
    sliding_window: int = 0
    is_recurrent: bool = False
    layer_bytes: tuple[int, ...] = ()
    other_bytes: int = 0
    chat_template: str | None = None
    has_pooling: bool = False
    has_vision: bool = False
    has_audio: bool = False
    bos_text: str = ""
    eos_text: str = ""
    adds_bos: bool = False
    split_count: int = 0
    split_index: int = 0

    @property
    def is_projector(self) -> bool:
        return self.kind == "projector"

    @property
    def is_adapter(self) -> bool:
        return self.kind == "adapter"

    @property
    def num_heads_kv(self) -> int:
        """The largest number of KV heads in a layer."""
        return max(self.kv_heads, default=0)
