"""GGUF headers of right files: what the reader and the facts say."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from gguf.constants import GGML_QUANT_SIZES, LlamaFileType

from llmsite.store.gguf import FILE_TYPES, GgufFacts, LongArray, gather_facts, read_header
from llmsite.store.gguf_header import TENSOR_TYPES
from llmsite.types.codec import from_builtins, to_builtins
from llmsite.types.limits import Limits
from tests.store.gguf_files import BOOL, F32, I32, TEXT, U32, GgufFile, Tensor, array, facts, model_metadata, read, scalar

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "llmsite" / "starter" / "starter.gguf"
PROJECTOR = ROOT / "tests" / "data" / "starter-mmproj.gguf"


def read_file(path: Path) -> GgufFacts:
    with path.open("rb") as file:
        return gather_facts(read_header(file, path.stat().st_size, Limits()))


def test_the_starter_is_what_its_makers_say() -> None:
    found = read_file(STARTER)
    assert (found.kind, found.architecture, found.file_type, found.parameter_size) == ("model", "llama", "F16", "4.74M")
    assert (found.parameter_count, found.num_vocab, found.num_ctx_train, found.num_embd) == (4_737_280, 3104, 1024, 256)
    assert (found.num_layers, found.num_heads, found.kv_heads, found.num_heads_kv) == (4, 8, (4, 4, 4, 4), 4)
    assert (found.head_dim_k, found.head_dim_v, found.bos_text, found.eos_text) == (32, 32, "<|endoftext|>", "<|im_end|>")
    assert not found.adds_bos
    assert found.chat_template is not None
    assert "<think>" in found.chat_template
    assert sum(found.layer_bytes) + found.other_bytes < found.file_size_bytes == 9_582_976


def test_the_picture_encoder_is_a_projector() -> None:
    found = read_file(PROJECTOR)
    assert (found.kind, found.architecture, found.has_vision, found.has_audio) == ("projector", "clip", True, False)
    assert found.is_projector
    assert not found.is_adapter


def test_facts_survive_a_wire_and_a_row() -> None:
    found = read_file(STARTER)
    assert from_builtins(to_builtins(found), GgufFacts) == found


def test_a_small_model() -> None:
    found = facts(GgufFile().encode())
    assert found == GgufFacts(
        kind="model",
        architecture="llama",
        file_type="F16",
        file_size_bytes=len(GgufFile().encode()),
        parameter_count=64 * 4 + 2 * 64 * 64,
        num_ctx_train=512,
        num_embd=64,
        num_layers=2,
        num_heads=4,
        kv_heads=(2, 2),
        head_dim_k=16,
        head_dim_v=16,
        num_vocab=4,
        layer_bytes=(8192, 16384),
        other_bytes=512,
        chat_template="{{ messages }}",
        bos_text="<s>",
        eos_text="</s>",
    )


def test_offsets_count_from_the_start_of_the_file() -> None:
    file = GgufFile()
    first, second, third = read(file.encode()).tensors
    assert first.offset == (len(file.header()) + 31) // 32 * 32
    assert (second.offset - first.offset, third.offset - first.offset) == (512, 512 + 8192)
    assert third.offset + third.size_bytes == len(file.encode())


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_tensors_stand_at_the_files_own_alignment(alignment: int) -> None:
    file = GgufFile(model_metadata() | {"general.alignment": scalar(U32, alignment)}, alignment=alignment)
    file.tensors[1].offset = -(-512 // alignment) * alignment
    file.tensors[2].offset = -(-(file.tensors[1].offset + 8192) // alignment) * alignment
    file.data_bytes = file.tensors[2].offset + 16384
    assert read(file.encode()).tensors[0].offset % alignment == 0


def test_version_2_is_read_like_version_3() -> None:
    assert facts(GgufFile(version=2).encode()) == facts(GgufFile(version=3).encode())


def test_short_arrays_are_values_and_long_ones_stay_where_they_are() -> None:
    file = GgufFile(
        model_metadata() | {"short": array(F32, [0.5, 0.25]), "words": array(TEXT, ["x", "yé"]), "long": array(I32, range(2000))}
    )
    metadata = read(file.encode()).metadata
    assert metadata["short"] == (0.5, 0.25)
    assert metadata["words"] == ("x", "yé")
    assert isinstance(metadata["long"], LongArray)
    assert list(metadata["long"]) == list(range(2000))
    tokens = metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, LongArray)
    assert (list(tokens), tokens.text(3), tokens.text(4), tokens.text(-1)) == ([b"a", b"b", b"<s>", b"</s>"], "</s>", "", "")
    assert metadata["long"].text(0) == ""


def test_a_vocabulary_larger_than_one_read_is_walked() -> None:
    words = [f"token {number:>20}" for number in range(60_000)]
    changes = {"tokenizer.ggml.tokens": array(TEXT, words), "tokenizer.ggml.token_type": array(I32, [1] * 60_000)}
    file = GgufFile(model_metadata() | changes | {"tokenizer.ggml.eos_token_id": scalar(U32, 59_999)})
    del file.metadata["tokenizer.ggml.scores"]
    assert len(file.header()) > 1 << 20
    found = facts(file.encode())
    assert (found.num_vocab, found.eos_text) == (60_000, words[-1])


def test_broken_text_becomes_a_replacement_character_and_nul_goes() -> None:
    template = struct.pack("<I", TEXT) + struct.pack("<Q", 5) + b"a\xff\0b\xe4"
    assert facts(GgufFile(model_metadata() | {"tokenizer.chat_template": template}).encode()).chat_template == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"llama.attention.head_count_kv": array(I32, [2, 0])}, {"kv_heads": (2, 0)}, id="KV heads per layer"),
        pytest.param(
            {"llama.attention.head_count": array(I32, [4, 8])}, {"num_heads": 8, "kv_heads": (2, 2)}, id="heads per layer"
        ),
        pytest.param({"llama.full_attention_interval": scalar(U32, 2)}, {"kv_heads": (0, 2)}, id="keys in every second layer"),
        pytest.param({"llama.attention.key_length": scalar(U32, 48)}, {"head_dim_k": 48, "head_dim_v": 16}, id="long keys"),
        pytest.param({"llama.attention.sliding_window": scalar(U32, 128)}, {"sliding_window": 128}, id="sliding window"),
        pytest.param({"llama.ssm.state_size": scalar(U32, 16)}, {"is_recurrent": True}, id="recurrent"),
        pytest.param({"llama.pooling_type": scalar(U32, 1)}, {"has_pooling": True}, id="embeddings"),
        pytest.param({"llama.vision.block_count": scalar(U32, 1)}, {"has_vision": True, "kind": "model"}, id="sees"),
        pytest.param({"llama.audio.block_count": scalar(U32, 1)}, {"has_audio": True}, id="hears"),
        pytest.param({"general.file_type": scalar(U32, 0)}, {"file_type": "unknown"}, id="10.4 F32 reads as unknown"),
        pytest.param({"general.file_type": scalar(U32, 15)}, {"file_type": "Q4_K_M"}, id="Q4_K_M"),
        pytest.param({"general.file_type": scalar(U32, 999)}, {"file_type": "unknown"}, id="a type of tomorrow"),
        pytest.param(
            {"split.count": scalar(U32, 3), "split.no": scalar(U32, 1)}, {"split_count": 3, "split_index": 1}, id="split"
        ),
        pytest.param({"tokenizer.ggml.add_bos_token": scalar(BOOL, True)}, {"adds_bos": True}, id="the file adds BOS"),
        pytest.param({"tokenizer.ggml.model": scalar(TEXT, "llama")}, {"adds_bos": True}, id="the tokenizer adds BOS"),
        pytest.param({"tokenizer.ggml.pre": scalar(TEXT, "llama-bpe")}, {"adds_bos": True}, id="llama 3 adds BOS"),
        pytest.param({"tokenizer.ggml.bos_token_id": scalar(U32, 2**32 - 1)}, {"bos_text": ""}, id="BOS is no token"),
        pytest.param({"general.type": scalar(TEXT, "mmproj")}, {"kind": "projector"}, id="declared projector"),
        pytest.param({"general.type": scalar(TEXT, "adapter")}, {"kind": "adapter"}, id="declared adapter"),
    ],
)
def test_facts_follow_the_metadata(changes: dict[str, bytes], expected: dict[str, object]) -> None:
    found = facts(GgufFile(model_metadata() | changes).encode())
    assert {name: getattr(found, name) for name in expected} == expected


def test_an_encoder_without_a_language_model_is_a_projector() -> None:
    metadata = {
        "general.architecture": scalar(TEXT, "gemma3"),
        "gemma3.vision.block_count": scalar(U32, 2),
        "gemma3.vision.embedding_length": scalar(U32, 64),
        "gemma3.vision.attention.head_count": scalar(U32, 4),
    }
    assert facts(GgufFile(metadata).encode()).kind == "projector"


def test_a_lora_is_an_adapter() -> None:
    metadata = {"general.architecture": scalar(TEXT, "llama"), "general.type": scalar(TEXT, "adapter")}
    tensors = [Tensor("blk.0.attn_q.weight.lora_a", (64, 8), 0, 0), Tensor("blk.0.attn_q.weight.lora_b", (8, 32), 0, 2048)]
    assert facts(GgufFile(metadata, tensors, data_bytes=2048 + 1024).encode()).is_adapter


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        *[(0, "0"), (999, "999"), (999_000, "999K"), (1_500, "2K"), (4_737_280, "4.74M"), (134_515_008, "134.52M")],
        *[(137_000_000, "137M"), (7_000_000_000, "7B"), (7_600_000_000, "7.6B"), (1_240_000_000, "1.2B")],
    ],
)
def test_9_2_parameter_counts(count: int, shown: str) -> None:
    assert GgufFacts(parameter_count=count).parameter_size == shown


def test_tensor_and_file_types_are_those_of_the_gguf_package() -> None:
    assert {number: sizes[1:] for number, sizes in TENSOR_TYPES.items()} == {
        int(kind): size for kind, size in GGML_QUANT_SIZES.items()
    }
    theirs = {int(kind): kind.name.removeprefix("MOSTLY_") for kind in LlamaFileType if kind.name.startswith("MOSTLY_")}
    assert theirs == FILE_TYPES
