"""Trains the starter model (llama architecture) on synthetic data; learning rates follow the clock.

python -m tests.starter.train tests/starter/tokenizer.json OUT_DIR MINUTES [--init CKPT]
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
import argparse
import math
import multiprocessing as mp
import random
import threading
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from tests.starter import gen, tok

CFG = dict(dim=256, layers=4, heads=8, kv=4, hd=32, ffn=768, theta=10000.0, ctx=1024, eps=1e-5)


def norm(x, w, eps=1e-5):
    return F.rms_norm(x, (x.shape[-1],), w, eps)


class Block(nn.Module):
    def __init__(s, c):
        super().__init__()
        d, q, k = c["dim"], c["heads"] * c["hd"], c["kv"] * c["hd"]
        s.c = c
        s.n1, s.n2 = nn.Parameter(torch.ones(d)), nn.Parameter(torch.ones(d))
        s.q, s.k, s.v, s.o = nn.Linear(d, q, False), nn.Linear(d, k, False), nn.Linear(d, k, False), nn.Linear(q, d, False)
        s.g, s.u, s.dn = nn.Linear(d, c["ffn"], False), nn.Linear(d, c["ffn"], False), nn.Linear(c["ffn"], d, False)

    def forward(s, x, cos, sin):
        B, T, d = x.shape
        c = s.c
        h = norm(x, s.n1)
        q = s.q(h).view(B, T, c["heads"], c["hd"])
        k = s.k(h).view(B, T, c["kv"], c["hd"])
        v = s.v(h).view(B, T, c["kv"], c["hd"])
        q, k = rope(q, cos, sin), rope(k, cos, sin)
        g = c["heads"] // c["kv"]
        k, v = k.repeat_interleave(g, 2), v.repeat_interleave(g, 2)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        x = x + s.o(y.transpose(1, 2).reshape(B, T, -1))
        h = norm(x, s.n2)
        return x + s.dn(F.silu(s.g(h)) * s.u(h))


def rope(x, cos, sin):  # interleaved pairs, as llama.cpp's "llama" architecture expects
    T = x.shape[1]
    a, b = x[..., 0::2], x[..., 1::2]
    c, s = cos[:T, None, :], sin[:T, None, :]
    return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(-2)


class Model(nn.Module):
    def __init__(s, V, c=CFG):
        super().__init__()
        s.c = c
        s.emb = nn.Embedding(V, c["dim"])
        s.blocks = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        s.nf = nn.Parameter(torch.ones(c["dim"]))
        inv = c["theta"] ** (-torch.arange(0, c["hd"], 2).float() / c["hd"])
        t = torch.arange(c["ctx"]).float()[:, None] * inv[None]
        s.register_buffer("cos", t.cos(), persistent=False)
        s.register_buffer("sin", t.sin(), persistent=False)
        s.out = nn.Linear(c["dim"], V, False)
        s.init()

    @torch.no_grad()
    def init(s):
        """ordinary random start, plus a hand-made copying ("induction") circuit so that copying need not be discovered:
        channel 0 is constant; layer 0, KV group 3 looks one (head 6) and two (head 7) tokens back and writes a code of that
        token; layer 1, KV groups 2 and 3 look for places whose preceding tokens equal the current ones and write a code of
        the token found there into channels 1..64, from which the output matrix reads the token."""
        c = s.c
        D, hd, V = c["dim"], c["hd"], s.emb.weight.shape[0]
        for b in s.blocks:
            for l in (b.q, b.k, b.v, b.g, b.u):
                nn.init.normal_(l.weight, std=D**-0.5)
            for l in (b.o, b.dn):
                nn.init.zeros_(l.weight)
        E = torch.zeros(V, D)
        E[:, 0] = 6.0
        E[:, 129:] = torch.randn(V, D - 129)
        s.emb.weight.copy_(E)
        rows = torch.linalg.qr(torch.randn(D - 129, 96))[0].t()  # orthonormal rows in the embedding channels
        R = torch.zeros(32, D)
        R[:, 129:] = rows[:32]
        VC = torch.zeros(64, D)
        VC[:, 129:] = rows[32:]
        om = c["theta"] ** (-torch.arange(0, hd, 2).float() / hd)
        x0 = 16 * 6.0 / (127 + 36) ** 0.5
        sc = 16 / (127 + 36) ** 0.5  # constant channel and scale after the first norm
        b = s.blocks[0]
        A = 7.5 / x0
        b.q.weight[6 * hd : 8 * hd] = 0
        b.k.weight[3 * hd : 4 * hd] = 0
        for i in range(6):
            b.k.weight[3 * hd + 2 * i, 0] = A
            for h, d in ((6, 1), (7, 2)):
                b.q.weight[h * hd + 2 * i, 0] = A * torch.cos(d * om[i])
                b.q.weight[h * hd + 2 * i + 1, 0] = -A * torch.sin(d * om[i])
        b.v.weight[3 * hd : 4 * hd] = R
        for j in range(32):
            b.o.weight[65 + j, 6 * hd + j] = 0.9 / sc
            b.o.weight[97 + j, 7 * hd + j] = 0.9 / sc
        b = s.blocks[1]
        sc1 = 16 / (127 + 36 + 52) ** 0.5
        tau = 2.2 / sc1
        for g in (2, 3):
            K = torch.zeros(hd, D)
            Q = torch.zeros(hd, D)
            for j in range(12):
                K[12 + j, 65 + j] = tau
            for j in range(8):
                K[24 + j, 97 + j] = tau
                Q[24 + j, 65 + j] = tau
            Q[12:24] = R[:12] * tau
            b.k.weight[g * hd : (g + 1) * hd] = K
            W = VC[(g - 2) * 32 : (g - 1) * 32]
            b.v.weight[g * hd : (g + 1) * hd] = W
            for h in (2 * g, 2 * g + 1):
                b.q.weight[h * hd : (h + 1) * hd] = Q
                for j in range(32):
                    b.o.weight[1 + (g - 2) * 32 + j, h * hd + j] = 0.5 / sc1
        nn.init.normal_(s.out.weight, std=0.01)
        s.out.weight[:, 1:65] += 0.12 * (E @ VC.t())

    def hidden(s, ids):
        x = s.emb(ids)
        for b in s.blocks:
            x = b(x, s.cos, s.sin)
        return norm(x, s.nf)

    def loss(s, ids, w):
        """ids [B,T]; w[B,T] = weight of predicting ids[:,t]"""
        h = s.hidden(ids[:, :-1]).flatten(0, 1)
        y, w = ids[:, 1:].flatten(), w[:, 1:].flatten()
        i = w.nonzero().squeeze(1)
        l = F.cross_entropy(s.out(h[i]), y[i], reduction="none")
        return (l * w[i]).sum(), w[i].sum()


def par(*fs):
    ts = [threading.Thread(target=f) for f in fs[1:]]
    for t in ts:
        t.start()
    fs[0]()
    for t in ts:
        t.join()


class Muon:
    """Muon in float32 (momentum + Newton-Schulz orthogonalisation), update scaled to AdamW-like size"""

    def __init__(s, ps, lr, mu=0.95, wd=0.05):
        s.param_groups = [{"lr": lr}]
        s.ps = list(ps)
        s.buf = [torch.zeros_like(p) for p in s.ps]
        s.mu, s.wd = mu, wd

    @torch.no_grad()
    def step(s):
        lr = s.param_groups[0]["lr"]
        for p, b in zip(s.ps, s.buf):
            b.mul_(s.mu).add_(p.grad, alpha=1 - s.mu)
            g = p.grad.lerp(b, s.mu)
            t = g.shape[0] > g.shape[1]
            x = g.T if t else g
            x = x / (x.norm() + 1e-7)
            for _ in range(4):
                A = x @ x.T
                x = torch.addmm(x, torch.addmm(A, A, A, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
            u = x.T if t else x
            p.mul_(1 - lr * s.wd).add_(u, alpha=-lr * 0.2 * max(p.shape) ** 0.5)

    def zero_grad(s, set_to_none=True):
        for p in s.ps:
            p.grad = None


def encode(tk, s, r, pw=0.15):
    ids, ws = [], []
    for t, w in gen.render(s, r):
        e = tk.encode(t, add_special_tokens=False).ids
        ids += e
        ws += [1.0] * len(e) if w else [0.25 if r.random() < pw and i < 3072 else 0.0 for i in e]
    # "forced prefix" samples: the first answer token is given, the rest follows from it
    return ids, ws


def repeats(r, V=3060):
    """random tokens repeated two to four times: trains the copying (induction) circuit"""
    L = r.randint(3, 30)
    k = r.choice((2, 2, 3, 4))
    pool = [r.randrange(V) for _ in range(r.choice((20, 200, 2000)))]
    a = [r.choice(pool) for _ in range(L)]
    ids, ws = [], []
    for i in range(k):
        for _ in range(r.choice((0, 0, 1, 3))):
            ids.append(r.randrange(V))
            ws.append(0.0)
        ids += a
        ws += [0.0 if i == 0 else 1.0] * L
        if i:
            ws[-L] = 0.0
    return ids, ws


def worker(tokpath, seed, q, n, micro, induct=0.0):
    os.nice(3)
    tk = tok.load(tokpath)
    r = random.Random(seed)
    first = True
    while True:
        S = []
        while len(S) < n // (6 if first else 1):
            if r.random() < induct:
                ids, ws = repeats(r)
            else:
                ids, ws = encode(tk, gen.sample(r), r)
            if len(ids) <= CFG["ctx"]:
                S.append((np.array(ids, np.int16), np.array(ws, np.float16)))
        S.sort(key=lambda x: len(x[0]) + r.random() * 6)
        B, i = [], 0
        while i < len(S):
            j = i + 1
            while j < len(S) and (j + 1 - i) * len(S[j][0]) <= micro:
                j += 1
            L = max(len(x[0]) for x in S[i:j])
            a = np.zeros((j - i, L), np.int16)
            w = np.zeros((j - i, L), np.float16)
            for k in range(i, j):
                a[k - i, : len(S[k][0])] = S[k][0]
                w[k - i, : len(S[k][1])] = S[k][1]
            B.append((a, w))
            i = j
        r.shuffle(B)
        for b in B:
            q.put(b)
        first = False


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("tok")
    ap.add_argument("out")
    ap.add_argument("minutes", type=float)
    ap.add_argument("--init")
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--alr", type=float, default=2e-3)
    ap.add_argument("--micro", type=int, default=4096)
    ap.add_argument("--acc", type=int, default=2)
    ap.add_argument("--induct", type=float, default=0.0)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--warm", type=float, default=0.01)
    ap.add_argument("--save", type=float, default=300)
    ap.add_argument("--bench", type=int, default=0)
    ap.add_argument("--layers", type=int, default=CFG["layers"])
    ap.add_argument("--ffn", type=int, default=CFG["ffn"])
    ap.add_argument("--decay", type=float, default=0.5)
    a = ap.parse_args()
    CFG.update(layers=a.layers, ffn=a.ffn)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(a.seed)
    os.makedirs(a.out, exist_ok=True)
    V = tok.load(a.tok).get_vocab_size()
    V = (V + 31) // 32 * 32
    m = Model(V)
    if a.init:
        sd = torch.load(a.init)["model"]
        m.load_state_dict(sd)
    mats = [p for n, p in m.named_parameters() if p.ndim == 2 and "emb" not in n and "out" not in n]
    rest = [p for n, p in m.named_parameters() if p.ndim == 1 or "out" in n or "emb" in n]
    opts = [
        Muon(mats[0::2], a.lr),
        Muon(mats[1::2], a.lr),
        torch.optim.AdamW(
            [{"params": [m.emb.weight], "lr": a.alr}, {"params": [p for p in rest if p is not m.emb.weight], "lr": a.alr}],
            betas=(0.9, 0.98),
            weight_decay=0.0,
        ),
    ]
    base = [a.lr, a.lr, a.alr]
    print("params", sum(p.numel() for p in m.parameters()), "vocab", V, flush=True)
    q = mp.Queue(400)
    mp.Process(target=worker, args=(a.tok, a.seed, q, 12000, a.micro, a.induct), daemon=True).start()
    q0 = q.get()
    t0 = time.time()
    step = toks = 0
    lastsave = t0
    acc = []
    T = a.minutes * 60
    while True:
        f = (time.time() - t0) / T
        if f >= 1 or (a.bench and step >= a.bench):
            break
        # warm-up, flat, then cosine to 3 % (by wall time)
        s = (
            min(1, f / a.warm)
            if f < a.warm
            else 1
            if f < 1 - a.decay
            else 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (f - 1 + a.decay) / a.decay))
        )
        for o, b in zip(opts, base):
            for i, g in enumerate(o.param_groups):
                g["lr"] = b * s * (2 if o is opts[2] and i == 0 else 1)
        # two data-parallel threads with one core each: degrades gently when the cores are shared
        jobs = [q.get() for _ in range(a.acc)]
        jobs.sort(key=lambda j: -j[0].size)
        lock = threading.Lock()
        res = [0.0, 0.0]
        params = list(m.parameters())

        def work():
            while True:
                with lock:
                    if not jobs:
                        return
                    x, w = jobs.pop(0)
                x, w = torch.from_numpy(x.astype(np.int64)), torch.from_numpy(w.astype(np.float32))
                l, k = m.loss(x, w)
                gs = torch.autograd.grad(l, params)
                with lock:
                    res[0] += l.item()
                    res[1] += k.item()
                    for p, g in zip(params, gs):
                        if p.grad is None:
                            p.grad = g
                        else:
                            p.grad.add_(g)

        toks += sum(j[0].size for j in jobs)
        par(work, work)
        tot, n = res
        for p in params:
            p.grad.mul_(1 / n)
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        par(opts[0].step, opts[1].step, opts[2].step)
        for o in opts:
            o.zero_grad(set_to_none=True)
        acc.append(tot / n)
        step += 1
        if step % 20 == 0:
            print(
                f"{step} {toks / 1e6:.2f}M t={time.time() - t0:.0f}s tok/s={toks / (time.time() - t0):.0f} lr={s:.3f} loss={np.mean(acc[-20:]):.4f} q={q.qsize()}",
                flush=True,
            )
        if time.time() - lastsave > a.save:
            lastsave = time.time()
            torch.save({"model": m.state_dict(), "cfg": CFG, "step": step}, a.out + "/ckpt.tmp")
            os.replace(a.out + "/ckpt.tmp", a.out + "/ckpt.pt")
    torch.save({"model": m.state_dict(), "cfg": CFG, "step": step}, a.out + "/final.pt")
    print("done", step, toks)


if __name__ == "__main__":
    main()
