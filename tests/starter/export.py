"""Writes the GGUF file of one checkpoint, or of the average of several (their names joined by commas).

python -m tests.starter.export CKPT[,CKPT…] tests/starter/tokenizer.json OUT.gguf
"""

import json
import os
import sys
from pathlib import Path

import gguf
import numpy as np
import torch

HERE = Path(__file__).parent
# tensor names: ours, llama.cpp's
NORMS = {"n1": "attn_norm", "n2": "ffn_norm"}
MATRICES = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "g": "ffn_gate", "u": "ffn_up", "dn": "ffn_down"}
FIM = {"prefix": "fim_pre", "suffix": "fim_suf", "middle": "fim_mid"}


def load(names):
    """The mean of the checkpoints' weights, and their sizes."""
    checkpoints = [torch.load(name, map_location="cpu") for name in names.split(",")]
    weights = [each["model"] for each in checkpoints]
    return {key: sum(each[key] for each in weights) / len(weights) for key in weights[0]}, checkpoints[0]["cfg"]


def add_metadata(w, cfg, num_vocab):
    w.add_name("llmsite starter")
    w.add_description("Tiny built-in chat model of llmsite, trained from scratch on synthetic text")
    w.add_basename("starter")
    w.add_size_label("5M")
    w.add_author("the llmsite project")
    w.add_license("other")
    w.add_string("general.license.name", "same licence as the llmsite project")
    w.add_string("general.version", "1")
    w.add_context_length(cfg["ctx"])
    w.add_embedding_length(cfg["dim"])
    w.add_block_count(cfg["layers"])
    w.add_feed_forward_length(cfg["ffn"])
    w.add_head_count(cfg["heads"])
    w.add_head_count_kv(cfg["kv"])
    w.add_layer_norm_rms_eps(cfg["eps"])
    w.add_rope_freq_base(cfg["theta"])
    w.add_rope_dimension_count(cfg["hd"])
    w.add_vocab_size(num_vocab)
    w.add_key_length(cfg["hd"])
    w.add_value_length(cfg["hd"])
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    w.add_quantization_version(2)


def add_tokenizer(w, vocab, merges, special, num_vocab):
    tokens, types = [f"<|pad{i}|>" for i in range(num_vocab)], [gguf.TokenType.UNUSED] * num_vocab
    for text, number in vocab.items():
        tokens[number], types[number] = text, gguf.TokenType.NORMAL
    for text in special:
        types[vocab[text]] = gguf.TokenType.CONTROL if text.startswith("<|") else gguf.TokenType.USER_DEFINED
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges([" ".join(pair) for pair in merges])
    w.add_bos_token_id(vocab["<|endoftext|>"])
    w.add_eos_token_id(vocab["<|im_end|>"])
    w.add_eot_token_id(vocab["<|im_end|>"])
    w.add_pad_token_id(vocab["<|endoftext|>"])
    w.add_add_bos_token(False)
    w.add_add_eos_token(False)
    for name, key in FIM.items():
        w.add_uint32(f"tokenizer.ggml.{key}_token_id", vocab[f"<|fim_{name}|>"])
    w.add_chat_template((HERE / "chat_template.jinja").read_text().rstrip("\n"))


def add_tensors(w, weights, num_layers):
    def put(name, tensor):
        w.add_tensor(name, tensor.float().numpy().astype(np.float32 if tensor.ndim == 1 else np.float16))

    put("token_embd.weight", weights["emb.weight"])
    put("output.weight", weights["out.weight"])
    put("output_norm.weight", weights["nf"])
    for i in range(num_layers):
        for ours, theirs in NORMS.items():
            put(f"blk.{i}.{theirs}.weight", weights[f"blocks.{i}.{ours}"])
        for ours, theirs in MATRICES.items():
            put(f"blk.{i}.{theirs}.weight", weights[f"blocks.{i}.{ours}.weight"])


def main():
    checkpoints, tokenizer, out = sys.argv[1:4]
    weights, cfg = load(checkpoints)
    num_vocab = weights["emb.weight"].shape[0]
    w = gguf.GGUFWriter(out, "llama")
    add_metadata(w, cfg, num_vocab)
    add_tokenizer(w, **json.loads(Path(tokenizer).read_text()), num_vocab=num_vocab)
    add_tensors(w, weights, cfg["layers"])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    print(out, os.path.getsize(out))


if __name__ == "__main__":
    main()
