"""Tiny picture encoder for the tests: trains it and writes its GGUF file.

A small ViT classifies colour, shape, background and size of one drawn shape; its 16 patch positions emit (almost) one-hot
codes over the picture tokens, and the last projector matrix maps each code to the text model's embedding of that token.

    python -m tests.starter.vision train OUT.pt MINUTES
    python -m tests.starter.vision export OUT.pt TEXT_CKPT tests/starter/tokenizer.json OUT.gguf
"""

import json
import math
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import gguf
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from tests.starter.samples.pictures import VC, VS, VSPECIAL

IMG, PS, D, H, FF, NL, K = 56, 14, 128, 4, 256, 3, len(VSPECIAL)
IDX = {t: i for i, t in enumerate(VSPECIAL)}
RGB = {
    "red": [(220, 40, 40), (255, 0, 0), (200, 20, 30)],
    "green": [(40, 170, 60), (0, 128, 0), (0, 255, 0), (50, 205, 50)],
    "blue": [(40, 70, 220), (0, 0, 255), (30, 100, 230)],
    "yellow": [(240, 220, 40), (255, 255, 0), (250, 230, 60)],
    "orange": [(245, 140, 20), (255, 165, 0), (255, 128, 0)],
    "purple": [(130, 50, 170), (128, 0, 128), (140, 30, 200)],
    "pink": [(250, 150, 190), (255, 192, 203), (255, 120, 190)],
    "brown": [(120, 75, 40), (139, 69, 19), (110, 60, 20)],
    "black": [(15, 15, 15), (0, 0, 0), (35, 35, 35)],
    "white": [(245, 245, 245), (255, 255, 255), (250, 250, 250)],
}
MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]


def draw(n, g, S=IMG):
    """n random pictures -> float images [n,3,S,S] in 0..1 and target codes [n,16]"""
    u = lambda *s: torch.rand(*s, generator=g)
    ri = lambda k, n_: torch.randint(0, k, (n_,), generator=g)
    yy, xx = torch.meshgrid((torch.arange(S) + 0.5) / S, (torch.arange(S) + 0.5) / S, indexing="ij")
    c, bg, sh, big = ri(len(VC), n), ri(len(VC), n), ri(len(VS), n), ri(2, n)
    bg = torch.where(bg == c, (bg + 1 + ri(len(VC) - 1, n)) % len(VC), bg)
    bg = torch.where(bg == c, (bg + 1) % len(VC), bg)
    none = u(n) < 0.07
    R = torch.where(big == 1, 0.30 + 0.15 * u(n), 0.12 + 0.09 * u(n))
    mv = (0.5 - R - 0.02).clamp(min=0)
    cx, cy = 0.5 + (2 * u(n) - 1) * mv, 0.5 + (2 * u(n) - 1) * mv
    th = (2 * u(n) - 1) * 0.2
    x, y = (xx[None] - cx[:, None, None]) / R[:, None, None], (yy[None] - cy[:, None, None]) / R[:, None, None]
    ct, st = th.cos()[:, None, None], th.sin()[:, None, None]
    x, y = x * ct - y * st, x * st + y * ct
    r = (x * x + y * y).sqrt()
    a = torch.atan2(x, -y)
    d = torch.stack(
        [
            r - 1,
            torch.maximum(x.abs(), y.abs()) - 0.85,
            torch.maximum(-(y + 1) * 0.45 + x.abs() * 0.9, y - 0.8) * 1.0,
            x.abs() + y.abs() - 1.0,
            r - (0.72 + 0.0) * (1 / (1 + 0.55 * (((a * 5 / (2 * math.pi)) % 1 - 0.5).abs() * -2 + 1))) * 1.35,
            torch.minimum(torch.maximum(x.abs() - 0.32, y.abs() - 0.95), torch.maximum(y.abs() - 0.32, x.abs() - 0.95)),
            (r - 0.75).abs() - 0.2,
        ]
    )
    d = d.gather(0, sh[None, :, None, None].expand(1, n, S, S))[0]
    soft = (0.5 + 1.5 * u(n))[:, None, None] / (S * R[:, None, None])
    m = torch.sigmoid(-d / soft * 2) * (~none)[:, None, None]
    mx = max(len(v) for v in RGB.values())
    tab = torch.tensor([[(RGB[k] * 4)[j] for j in range(mx)] for k in VC]).float()
    j1, j2 = ri(mx, n), ri(mx, n)
    jit = lambda: (2 * u(n, 3) - 1) * 14
    fc, bc = (tab[c, j1] + jit()).clamp(0, 255), (tab[bg, j2] + jit()).clamp(0, 255)
    im = bc[:, :, None, None] * (1 - m[:, None]) + fc[:, :, None, None] * m[:, None]
    im = im + torch.randn(im.shape, generator=g) * (u(n) * 6)[:, None, None, None]
    t = torch.full((n, 16), IDX["<|img_fill|>"])
    o = torch.tensor
    t[:, 0] = torch.where(none, IDX["<|img_fill|>"], o([IDX[f"<|img_{k}|>"] for k in VC])[c])
    t[:, 1] = torch.where(none, IDX["<|img_none|>"], o([IDX[f"<|img_{k}|>"] for k in VS])[sh])
    t[:, 2] = o([IDX[f"<|bg_{k}|>"] for k in VC])[bg]
    t[:, 3] = torch.where(none, IDX["<|img_fill|>"], torch.where(big == 1, IDX["<|img_big|>"], IDX["<|img_small|>"]))
    return (im / 255).clamp(0, 1), t


class Layer(nn.Module):
    def __init__(s):
        super().__init__()
        s.l1, s.l2 = nn.LayerNorm(D), nn.LayerNorm(D)
        s.q, s.k, s.v, s.o, s.up, s.dn = (
            nn.Linear(D, D),
            nn.Linear(D, D),
            nn.Linear(D, D),
            nn.Linear(D, D),
            nn.Linear(D, FF),
            nn.Linear(FF, D),
        )

    def forward(s, x):
        h = s.l1(x)
        B, T, _ = x.shape
        q, k, v = (l(h).view(B, T, H, D // H).transpose(1, 2) for l in (s.q, s.k, s.v))
        x = x + s.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, T, D))
        return x + s.dn(F.gelu(s.up(s.l2(x)), approximate="tanh"))


class ViT(nn.Module):
    def __init__(s):
        super().__init__()
        s.patch = nn.Conv2d(3, D, PS, PS, bias=True)
        s.pos = nn.Parameter(torch.randn(16, D) * 0.02)
        s.layers = nn.ModuleList(Layer() for _ in range(NL))
        s.post = nn.LayerNorm(D)
        s.mm0 = nn.Linear(D, K)

    def forward(s, im):
        x = (im - 0.5) / 0.5
        x = s.patch(x).flatten(2).transpose(1, 2) + s.pos
        for l in s.layers:
            x = l(x)
        return F.gelu(s.mm0(s.post(x)), approximate="tanh")


def train():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(1)
    m = ViT()
    (m.load_state_dict(torch.load(sys.argv[4])) if len(sys.argv) > 4 else None)
    o = torch.optim.AdamW(m.parameters(), lr=1e-3, weight_decay=0.01)
    T = float(sys.argv[3]) * 60
    t0 = time.time()
    i = 0
    w = torch.full((16,), 0.05)
    w[:4] = 1.0
    while (f := (time.time() - t0) / T) < 1:
        for q in o.param_groups:
            q["lr"] = 2e-3 * min(1, i / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * f)))
        im, t = draw(96, g)
        y = m(im)
        oh = F.one_hot(t, K).float()
        l = (((y - oh) ** 2).sum(-1) * w).sum(1).mean()
        o.zero_grad()
        l.backward()
        nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        o.step()
        i += 1
        if i % 200 == 0:
            with torch.no_grad():
                im, t = draw(512, g)
                p = m(im).argmax(-1)
                print(
                    i,
                    f"{time.time() - t0:.0f}s loss {l.item():.4f} acc colour/shape/bg/size",
                    [round((p[:, k] == t[:, k]).float().mean().item(), 3) for k in range(4)],
                    "fill",
                    (p[:, 4:] == t[:, 4:]).float().mean().item(),
                    flush=True,
                )
            torch.save(m.state_dict(), sys.argv[2])
    torch.save(m.state_dict(), sys.argv[2])


def export():
    vit, ck, tokp, out = sys.argv[2:6]
    sd = torch.load(vit)
    emb = torch.load(ck, map_location="cpu")["model"]["emb.weight"]
    vocab = json.loads(Path(tokp).read_text())["vocab"]
    w = gguf.GGUFWriter(out, "clip")
    w.add_name("llmsite starter vision")
    w.add_string("general.type", "mmproj")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "mlp")
    w.add_bool("clip.use_gelu", True)
    for k, v in dict(
        image_size=IMG, patch_size=PS, embedding_length=D, feed_forward_length=FF, block_count=NL, projection_dim=emb.shape[1]
    ).items():
        w.add_uint32("clip.vision." + k, v)
    w.add_uint32("clip.vision.attention.head_count", H)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    w.add_array("clip.vision.image_mean", MEAN)
    w.add_array("clip.vision.image_std", STD)
    w.add_array("clip.vision.feature_layer", [NL])

    def put(n, t, f16=True):
        w.add_tensor(n, t.float().numpy().astype(np.float16 if f16 and t.ndim > 1 else np.float32))

    put("v.patch_embd.weight", sd["patch.weight"])
    put("v.patch_embd.bias", sd["patch.bias"])
    put("v.position_embd.weight", sd["pos"], False)
    for i in range(NL):
        for a, b in dict(
            l1="ln1", l2="ln2", q="attn_q", k="attn_k", v="attn_v", o="attn_out", up="ffn_up", dn="ffn_down"
        ).items():
            for x in ("weight", "bias"):
                put(f"v.blk.{i}.{b}.{x}", sd[f"layers.{i}.{a}.{x}"])
    for x in ("weight", "bias"):
        put(f"v.post_ln.{x}", sd[f"post.{x}"])
        put(f"mm.0.{x}", sd[f"mm0.{x}"])
    E = torch.stack([emb[vocab[t]] for t in VSPECIAL])
    put("mm.2.weight", E.t().contiguous())
    put("mm.2.bias", torch.zeros(E.shape[1]))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    print(out, os.path.getsize(out))


if __name__ == "__main__":
    {"train": train, "export": export}[sys.argv[1]]()
