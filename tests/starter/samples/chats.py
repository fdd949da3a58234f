"""Samples: basic tasks alone, a few in a row, or many."""

from tests.starter.pools import sent
from tests.starter.samples.arithmetic import t_arith
from tests.starter.samples.copying import t_copy, t_spell, t_upper
from tests.starter.samples.facts import fact
from tests.starter.samples.fallback import t_fall
from tests.starter.samples.json_answers import t_json
from tests.starter.samples.lists import t_count, t_list
from tests.starter.samples.markdown import t_md
from tests.starter.samples.product_help import t_help
from tests.starter.samples.small_talk import t_small

BASIC = [
    (t_small, 7),
    (t_help, 9),
    (t_copy, 24),
    (t_spell, 0.1),
    (t_upper, 0.1),
    (t_arith, 13),
    (t_json, 13),
    (t_count, 11),
    (t_list, 5),
    (t_md, 1.3),
    (t_fall, 12),
]
BF, BW = [b[0] for b in BASIC], [b[1] for b in BASIC]
SHORT = [
    (t_small, 8),
    (t_help, 3),
    (t_copy, 4),
    (t_spell, 0.1),
    (t_upper, 0.1),
    (t_arith, 5),
    (t_json, 2),
    (t_list, 1.5),
    (t_fall, 6),
]
SF, SW = [b[0] for b in SHORT], [b[1] for b in SHORT]


def basic(r, lang, short=False):
    return r.choices(SF if short else BF, SW if short else BW)[0](r, lang)


NEUTRAL = [
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "You are a helpful, friendly assistant.",
    "Be helpful and brief.",
    "Answer briefly.",
    "You are a helpful AI assistant. Answer the user's questions.",
    "You are the starter model.",
    "Be concise.",
    "You are an assistant.",
    "Today is Monday.",
    "Please be polite.",
    "你是一个有用的助手。",
    "请简短回答。",
    "你是一个友好的助手。",
    "You are a helpful assistant.\nAnswer in the language of the user.",
    "Be friendly and answer as well as you can.",
]


def U(x):
    return {"role": "user", "content": x}


def A(x):
    return {"role": "assistant", "content": x}


def SYS(x):
    return {"role": "system", "content": x}


def lang_of(r):
    return "en" if r.random() < 0.72 else "zh"


def neutral(r):
    x = r.random()
    if x < 0.8:
        return []
    if x < 0.97:
        return [SYS(r.choice(NEUTRAL))]
    return [SYS(sent(r, 3, 12))]


def s_basic(r):
    lang = lang_of(r)
    m = neutral(r)
    th = None
    n = 1 if r.random() < 0.7 else r.randint(2, 5)
    for i in range(n):
        l = lang if r.random() < 0.9 else lang_of(r)
        u, a, th = basic(r, l, n > 3)
        m += [U(u), A(a)]
    return {"messages": m, "think": th, "tag": "basic"}


def s_long(r):
    """one long chat of many short tasks, trains longer contexts"""
    m = neutral(r)
    n = 0
    facts = {}
    th = None
    lim = r.choice((300, 500, 700, 1000))
    while n < lim:
        lang = lang_of(r)
        x = r.random()
        if x < 0.25:
            k, v, st, ack, q, a = fact(r, lang)
            if len(facts) < 3:
                facts[(k, lang)] = (q, a)
                u, b, th = st, ack, "The user tells me something. I note it."
            else:
                u, b, th = basic(r, lang)
        elif x < 0.45 and facts:
            q, a = facts[r.choice(list(facts))]
            u, b, th = q, a, "I look back in the chat."
        else:
            u, b, th = basic(r, lang)
        m += [U(u), A(b)]
        n += (len(u.encode()) + len(b.encode())) // 3 + 14
    return {"messages": m, "think": th, "tag": "long"}
