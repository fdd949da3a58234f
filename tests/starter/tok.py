"""Train the byte-level BPE tokenizer. Spaces and digits stay apart while merges are learned, so a word has the
same pieces with and without a space before it; afterwards 'space + word' merges are added for frequent plain words.

    python -m tests.starter.tok OUT.json
"""

import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.starter import gen, pools
from tests.starter.samples.pictures import VSPECIAL

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
] + VSPECIAL
QWEN2 = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def build(vocab, merges):
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, fuse_unk=False))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    return t


def load(path):
    d = json.loads(Path(path).read_text())
    return build(d["vocab"], [tuple(m) for m in d["merges"]])


def main():
    out = sys.argv[1]
    V = 3072
    NSP = 420
    r = random.Random(7)
    texts = []
    for _ in range(24000):
        texts += [re.sub("|".join(map(re.escape, SPECIAL)), "\n", x) for x, _w in gen.render(gen.sample(r), r)]
    tk = Tokenizer(models.BPE())
    tk.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2), "isolated"),
            pre_tokenizers.Split(Regex(r"\p{L}+"), "isolated"),
            pre_tokenizers.Split(Regex(" "), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tr = trainers.BpeTrainer(
        vocab_size=V - NSP - len(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        max_token_length=18,
    )
    tk.train_from_iterator(texts, tr)
    d = json.loads(tk.to_str())["model"]
    vocab, merges = d["vocab"], [tuple(m) for m in d["merges"]]
    # space + word / space + punctuation for frequent items that are one token already
    ent = {w.lower() for p in (pools.NAMES, pools.CITIES, pools.COLORS, pools.ANIMALS, pools.FOODS, pools.FRUITS) for w in p}
    c = Counter()
    for x in texts:
        for w in re.findall(r" ([A-Za-z]+|[^\sA-Za-z0-9\u0080-\uffff]+)", x):
            c[w] += 1
    bl = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    n = 0
    for w, k in c.most_common():
        b = bl.pre_tokenize_str(w)[0][0] if w else ""
        if b not in vocab or w.lower() in ent or (len(w) == 1 and w.isalpha() and w not in ("a", "I")):
            continue
        vocab["Ġ" + b] = len(vocab)
        merges.append(("Ġ", b))
        n += 1
        if n == NSP:
            break
    for s in SPECIAL:
        vocab[s] = len(vocab)
    print("vocab", len(vocab), "merges", len(merges))
    Path(out).write_text(json.dumps({"vocab": vocab, "merges": merges, "special": SPECIAL}, ensure_ascii=False))
    t = load(out)
    for s in [
        "Hello, what is your name?",
        "My name is Zorblatt Quixley.",
        '{"name": "Tokyo", "age": 42}',
        "你好，今天天气怎么样？😀 é ñ",
        "llmsite pull gemma2:9b",
        "<|im_start|>user\nhi<|im_end|>\n<think>\n\n</think>\n\nOK",
    ]:
        e = t.encode(s)
        print(len(e.ids), e.tokens, t.decode(e.ids, skip_special_tokens=False) == s)
    L = [sum(len(t.encode(x, add_special_tokens=False).ids) for x, w in gen.render(gen.sample(r))) for _ in range(3000)]
    L.sort()
    print("mean", sum(L) / len(L), "median", L[1500], "p90", L[2700], "p99", L[2970], "max", L[-1])


if __name__ == "__main__":
    main()
