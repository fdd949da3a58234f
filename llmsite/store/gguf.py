"""What a GGUF file is: facts for memory estimates, templates and pages, gathered from its header.

`gguf_header.py` reads the bytes, `gguf_fields.py` refuses fields that would make llama.cpp crash; here they get their meaning.
Runs inside the inspector's limited child.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from llmsite.store.gguf_fields import MAX_HEADS, Fields, check_adapter, check_projector, check_tokenizer
from llmsite.store.gguf_header import GgufHeader, LongArray, TensorInfo, read_header, wrong
from llmsite.types.limits import Limits

__all__ = ["GgufFacts", "GgufHeader", "LongArray", "TensorInfo", "gather_facts", "read_header"]

GgufKind = Literal["model", "projector", "adapter"]

# general.file_type (source: llama.h, llama_ftype); 0 is F32, which Ollama reads as unknown (catalogue 10.4)
FILE_TYPES: Final = {
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
}
_BLOCK: Final = re.compile(r"blk\.(\d{1,4})\.", re.ASCII)
# tokenizers that add a BOS token unless the file says otherwise (source: llama-vocab.cpp)
_BOS_MODELS: Final = frozenset({"llama", "bert"})
_BOS_PRE_TOKENIZERS: Final = frozenset({"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "lfm2"})
# a model with one of these keeps a state instead of, or beside, keys and values
_RECURRENT_KEYS: Final = ("ssm.state_size", "wkv.head_size", "shortconv.l_cache", "ssm.conv_kernel")


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """One file. JSON-able by `types/codec.py`. Counts are 0 and texts empty where the file does not say.

    `kv_heads` holds the KV heads of each layer (0: the layer keeps no keys); a token's KV cache takes
    `sum(kv_heads) * (head_dim_k * bytes of a key number + head_dim_v * bytes of a value number)` bytes. `layer_bytes` holds the
    tensor bytes of each block, `other_bytes` those of embeddings, output and the rest. Whether a BOS token is added
    (`adds_bos`) is the file's own word, else the habit of its tokenizer. `split_count` is above 1 for a part of a split file;
    only the first part, of `split_index` 0, says more than how many tensors it has.
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

    @property
    def parameter_size(self) -> str:
        """`4.74M`, `7B`, `7.6B`, `999K` (source: Ollama's format.HumanNumber)."""
        for size, letter, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
            if self.parameter_count >= size:
                number = self.parameter_count / size
                return f"{number:.{0 if number == int(number) else digits}f}{letter}"
        return str(self.parameter_count)


def gather_facts(header: GgufHeader, limits: Limits | None = None) -> GgufFacts:
    """What to know of the file. Raises `InvalidModelFile` naming the field that is wrong."""
    fields, limits = Fields(header.metadata), limits or Limits()
    is_later_part = fields.count("split.no") > 0 and fields.count("split.count") > 1
    if not is_later_part:
        fields.require_architecture()
    kind: GgufKind = "model" if is_later_part else _kind(fields)
    facts = GgufFacts(
        kind=kind,
        architecture=fields.architecture,
        file_type=FILE_TYPES.get(fields.count("general.file_type"), "unknown"),
        file_size_bytes=header.size_bytes,
        parameter_count=sum(tensor.num_elements for tensor in header.tensors),
        other_bytes=sum(tensor.size_bytes for tensor in header.tensors),
        split_count=fields.count("split.count", most=65_535),
        split_index=fields.count("split.no", most=65_535),
    )
    if not header.tensors and facts.split_count < 2:
        raise wrong("tensor count", "is 0")
    if is_later_part:
        return facts
    if kind == "projector":
        check_projector(fields, limits)
        return replace(facts, has_vision=_encodes(fields, "vision"), has_audio=_encodes(fields, "audio"))
    if kind == "adapter":
        check_adapter(header, fields)
        return facts
    return _with_model(facts, header, fields, limits)


def _kind(fields: Fields) -> GgufKind:
    """Model, projector or adapter (catalogue 2.18)."""
    declared = fields.text("general.type")
    if declared == "adapter":
        return "adapter"
    if declared in ("mmproj", "projector"):
        return "projector"
    if fields.architecture == "clip" and (_encodes(fields, "vision") or _encodes(fields, "audio")):
        return "projector"
    if fields.has(fields.own("vision.block_count")) and not fields.has(fields.own("block_count")):
        return "projector"
    return "model"


def _encodes(fields: Fields, sense: str) -> bool:
    return bool(fields.get(fields.own(f"has_{sense}_encoder"))) or fields.has(fields.own(f"{sense}.block_count"))


def _with_model(facts: GgufFacts, header: GgufHeader, fields: Fields, limits: Limits) -> GgufFacts:
    num_layers = fields.count(fields.own("block_count"), most=limits.gguf_blocks)
    if num_layers == 0:
        raise wrong(fields.own("block_count"), "is missing or 0")
    num_embd = fields.count(fields.own("embedding_length"))
    heads = fields.counts(fields.own("attention.head_count"), num_layers, most=MAX_HEADS)
    num_heads = max(heads)
    head_dim = num_embd // num_heads if num_heads else 0
    template = fields.text("tokenizer.chat_template") or None
    if template and len(template.encode()) > limits.template_bytes:
        raise wrong("tokenizer.chat_template", f"is longer than {limits.template_bytes} bytes")
    layer_bytes = _layer_bytes(header, num_layers)
    tokens = check_tokenizer(fields)
    return replace(
        facts,
        num_ctx_train=fields.count(fields.own("context_length")),
        num_embd=num_embd,
        num_layers=num_layers,
        num_heads=num_heads,
        kv_heads=_kv_heads(fields, heads),
        head_dim_k=fields.count(fields.own("attention.key_length")) or head_dim,
        head_dim_v=fields.count(fields.own("attention.value_length")) or head_dim,
        num_vocab=len(tokens) if tokens is not None else fields.count(fields.own("vocab_size")),
        sliding_window=fields.count(fields.own("attention.sliding_window")),
        is_recurrent=any(fields.has(fields.own(key)) for key in _RECURRENT_KEYS),
        layer_bytes=layer_bytes,
        other_bytes=facts.other_bytes - sum(layer_bytes),
        chat_template=template,
        has_pooling=fields.has(fields.own("pooling_type")),
        has_vision=fields.has(fields.own("vision.block_count")),
        has_audio=fields.has(fields.own("audio.block_count")),
        bos_text=_token_text(fields, tokens, "bos"),
        eos_text=_token_text(fields, tokens, "eos"),
        adds_bos=_adds_bos(fields),
    )


def _kv_heads(fields: Fields, heads: tuple[int, ...]) -> tuple[int, ...]:
    """KV heads of each layer; hybrids with a `full_attention_interval` keep keys in every n-th layer only."""
    key = fields.own("attention.head_count_kv")
    kv_heads = fields.counts(key, len(heads), most=MAX_HEADS) if fields.has(key) else heads
    interval = fields.count(fields.own("full_attention_interval"))
    if interval > 1:
        return tuple(each if (index + 1) % interval == 0 else 0 for index, each in enumerate(kv_heads))
    return kv_heads


def _layer_bytes(header: GgufHeader, num_layers: int) -> tuple[int, ...]:
    """Tensor bytes per block; blocks beyond the declared ones (extra prediction heads) are not counted here."""
    totals = [0] * num_layers
    for tensor in header.tensors:
        block = _BLOCK.match(tensor.name)
        if block and int(block[1]) < num_layers:
            totals[int(block[1])] += tensor.size_bytes
    return tuple(totals)


def _token_text(fields: Fields, tokens: LongArray | None, which: str) -> str:
    key = f"tokenizer.ggml.{which}_token_id"
    if tokens is None or not fields.has(key):
        return ""
    return tokens.text(fields.count(key, most=2**32 - 1)).replace("\0", "")


def _adds_bos(fields: Fields) -> bool:
    declared = fields.get("tokenizer.ggml.add_bos_token")
    if isinstance(declared, bool):
        return declared
    model, pre = fields.text("tokenizer.ggml.model"), fields.text("tokenizer.ggml.pre")
    return model in _BOS_MODELS or (model == "gpt2" and pre in _BOS_PRE_TOKENIZERS)
