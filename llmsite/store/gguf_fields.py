"""Typed reading of GGUF metadata, and the checks of fields that llama.cpp trusts (threats T13, T14).

Each check stands for a crash or an out-of-bounds read that some version of the loader had; what is not known here dies alone
in the runner.
"""

from __future__ import annotations

import re
from typing import Any, Final

from llmsite.store.gguf_header import GgufHeader, LongArray, TensorInfo, shown, wrong
from llmsite.types.limits import Limits

MAX_HEADS: Final = 65_536
_BIGGEST: Final = 2**32 - 1
_ARCHITECTURE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_BYTE_TOKEN: Final = re.compile(rb"<0x[0-9A-Fa-f]{2}>")
_BYTE_TOKEN_TYPE: Final = 6
_INT32_KINDS: Final = (4, 5)
_BYTE_KINDS: Final = (0, 1)
_FLOAT32_KINDS: Final = (6,)
_SOLID: Final = ("_exps.", "attn_k_b.", "attn_v_b.")
_NO_FACTORS: Final = frozenset({"I8", "I16", "I32", "I64", "F64"})


class Fields:
    """Metadata by key; a value of the wrong type raises `InvalidModelFile` naming the key."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        self._metadata = metadata
        self.architecture = self.text("general.architecture")

    def require_architecture(self) -> None:
        """Raise unless the file says what it is, in a word that is fit for keys and error texts."""
        if not _ARCHITECTURE.fullmatch(self.architecture):
            raise wrong("general.architecture", "is missing or no word")

    def own(self, key: str) -> str:
        """The key in the architecture's own name space."""
        return f"{self.architecture}.{key}"

    def has(self, key: str) -> bool:
        return key in self._metadata

    def get(self, key: str) -> Any:
        """The value as it stands; None when there is none."""
        return self._metadata.get(key)

    def text(self, key: str) -> str:
        value = self._metadata.get(key, "")
        if not isinstance(value, str):
            raise wrong(key, "is not a text")
        return value.replace("\0", "")

    def count(self, key: str, most: int = _BIGGEST) -> int:
        """A whole number from 0 to `most`; 0 when there is none."""
        value = self._metadata.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(key, "is not a whole number")
        if not 0 <= value <= most:
            raise wrong(key, f"is {value}; 0 to {most} are allowed")
        return value

    def counts(self, key: str, length: int, most: int) -> tuple[int, ...]:
        """A number for each of `length` layers, from a list or from one number that holds for all."""
        value = self._metadata.get(key, 0)
        if not isinstance(value, tuple):
            return (self.count(key, most),) * length
        if len(value) != length:
            raise wrong(key, f"has {len(value)} elements for {length} layers")
        if any(isinstance(each, bool) or not isinstance(each, int) or not 0 <= each <= most for each in value):
            raise wrong(key, f"holds something else than whole numbers from 0 to {most}")
        return value

    def array(self, key: str, kinds: tuple[int, ...] | None, what: str) -> LongArray | None:
        """An array of the given element types (None: of texts); None when there is none."""
        value = self._metadata.get(key)
        if value is None:
            return None
        is_right = isinstance(value, LongArray) and (value.is_text if kinds is None else value.kind in kinds)
        if not is_right:
            raise wrong(key, f"is not an array of {what}")
        assert isinstance(value, LongArray)
        return value


def check_tokenizer(fields: Fields) -> LongArray | None:
    """The token texts, if the file has a vocabulary and its arrays fit each other."""
    tokens = fields.array("tokenizer.ggml.tokens", None, "texts")
    scores = fields.array("tokenizer.ggml.scores", _FLOAT32_KINDS, "32-bit floats")
    kinds = fields.array("tokenizer.ggml.token_type", _INT32_KINDS, "32-bit numbers")
    fields.array("tokenizer.ggml.merges", None, "texts")
    for key, array in (("tokenizer.ggml.scores", scores), ("tokenizer.ggml.token_type", kinds)):
        if array is not None and len(array) != (len(tokens) if tokens is not None else 0):
            raise wrong(key, "has another length than tokenizer.ggml.tokens")
    if tokens is not None and kinds is not None:
        _check_byte_tokens(tokens, kinds)
    _check_charsmap(fields)
    return tokens


def _check_byte_tokens(tokens: LongArray, kinds: LongArray) -> None:
    numbers = {index for index, kind in enumerate(kinds) if kind == _BYTE_TOKEN_TYPE}
    if not numbers:
        return
    for index, text in enumerate(tokens):
        if index in numbers and not _BYTE_TOKEN.fullmatch(text):
            raise wrong("tokenizer.ggml.tokens", f"has at {index} a byte token that names no byte")


def _check_charsmap(fields: Fields) -> None:
    """A map of precompiled characters starts with its own length (4 bytes, little endian)."""
    key = "tokenizer.ggml.precompiled_charsmap"
    charsmap = fields.array(key, _BYTE_KINDS, "bytes")
    if charsmap is None:
        return
    data = bytes(each & 0xFF for each in charsmap)
    size = int.from_bytes(data[:4], "little")
    if len(data) < 4 or size % 4 or size + 4 > len(data):
        raise wrong(key, "is shorter than it says")


def check_projector(fields: Fields, limits: Limits) -> None:
    """Sizes of a picture or sound encoder that llama.cpp divides by or reads without asking."""
    for sense in ("vision", "audio"):
        if not fields.has(fields.own(f"{sense}.block_count")):
            continue
        fields.count(fields.own(f"{sense}.block_count"), most=limits.gguf_blocks)
        width = fields.count(fields.own(f"{sense}.embedding_length"))
        heads = fields.count(fields.own(f"{sense}.attention.head_count"), most=MAX_HEADS)
        if not heads or width % heads:
            raise wrong(fields.own(f"{sense}.attention.head_count"), "does not divide the embedding length")
    image, patch = (fields.count(fields.own(f"vision.{key}"), most=65_536) for key in ("image_size", "patch_size"))
    if image and (not patch or patch > image):
        raise wrong(fields.own("vision.patch_size"), "is 0 or larger than the picture")
    for key in (fields.own("vision.image_mean"), fields.own("vision.image_std")):
        value = fields.get(key)
        if value is not None and not (isinstance(value, tuple) and len(value) == 3 and all(isinstance(v, float) for v in value)):
            raise wrong(key, "is not three floats")


def check_adapter(header: GgufHeader, fields: Fields) -> None:
    """A LoRA, of which every matrix comes as a pair that can be multiplied."""
    if fields.text("adapter.type") not in ("", "lora"):
        raise wrong("adapter.type", "is not lora")
    if header.kind("adapter.lora.alpha") not in (-1, *_FLOAT32_KINDS):
        raise wrong("adapter.lora.alpha", "is not a 32-bit float")
    halves = {tensor.name: tensor for tensor in header.tensors if tensor.name.endswith((".lora_a", ".lora_b"))}
    for name, tensor in halves.items():
        twin = halves.get(name[:-1] + ("b" if name.endswith("a") else "a"))
        if twin is None:
            raise wrong(f'tensor "{shown(name)}"', "has no other half")
        if name.endswith("a") and not _can_multiply(tensor, twin):
            raise wrong(f'tensor "{shown(name)}"', "does not fit its other half")
        if tensor.type in _NO_FACTORS:
            raise wrong(f'tensor "{shown(name)}"', f"is of the type {tensor.type}, which cannot be multiplied")
        if len(tensor.shape) > 2 and not any(each in name for each in _SOLID):
            raise wrong(f'tensor "{shown(name)}"', f"has {len(tensor.shape)} dimensions, as only experts and heads may")


def _can_multiply(first: TensorInfo, second: TensorInfo) -> bool:
    """b (out × rank) times a (rank × in); experts have a third dimension; the embeddings' pair is stored the other way round."""
    a, b = first.shape, second.shape
    if len(a) != len(b) or len(a) < 2:
        return False
    if first.name.startswith("token_embd."):
        return a[0] == b[0]
    return a[1] == b[0] and a[2:] == b[2:]
