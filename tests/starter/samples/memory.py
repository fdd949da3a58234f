"""Samples: chats that come back to what was said."""

from tests.starter.samples.chats import A, U, basic, lang_of, neutral
from tests.starter.samples.facts import UNK, fact, make_fact
from tests.starter.samples.words import P

TH_MEM = {
    "en": ("The user tells me something. I note it.", "I look back in the chat: {}."),
    "zh": ("用户告诉我一件事。我记住。", "我回看对话：{}。"),
}


def s_memory(r):
    lang = lang_of(r)
    m = neutral(r)
    x = r.random()
    if x < 0.10:  # unknown
        for _ in range(r.randint(0, 2)):
            u, a, _t = basic(r, lang, True)
            m += [U(u), A(a)]
        k, v, st, ack, q, a = fact(r, lang)
        if r.random() < 0.5:
            k2, v2, st2, ack2, q2, a2 = fact(r, lang)
            if k2 != k and q2 != q:
                m += [U(st2), A(ack2)]
        m += [U(q), A(UNK[lang])]
        return {"messages": m, "think": "The user has not told me." if lang == "en" else "用户没有告诉过我。", "tag": "memory"}
    nf = r.choice((1, 1, 1, 2, 2, 3))
    facts = {}
    for _ in range(nf):
        k, v, st, ack, q, a = fact(r, lang)
        if k in facts:
            continue
        facts[k] = (q, a, v)
        m += [U(st), A(ack)]
        if r.random() < 0.25:
            u, b, _t = basic(r, lang, True)
            m += [U(u), A(b)]
    if r.random() < 0.1:  # update
        k = r.choice(list(facts))
        kk = k if k in ("name", "number", "age", "city", "password") else None
        if kk:
            _k, v, st, ack, q, a = make_fact(r, lang, kk)
            facts[k] = (q, a, v)
            m += [
                U(
                    (P(r, "Actually, |Sorry, |No, |Correction: ") if lang == "en" else P(r, "其实，|不对，|更正一下，"))
                    + (st[0].lower() + st[1:] if lang == "en" and r.random() < 0.5 and not st.startswith("I") else st)
                ),
                A(ack),
            ]
    for _ in range(r.randint(0, 4)):
        u, b, _t = basic(r, lang, True)
        m += [U(u), A(b)]
    ks = list(facts)
    r.shuffle(ks)
    last = None
    for k in ks[: r.choice((1, 1, 2, 3))]:
        q, a, v = facts[k]
        m += [U(q), A(a)]
        last = v
    return {"messages": m, "think": TH_MEM[lang][1].format(last), "tag": "memory"}
