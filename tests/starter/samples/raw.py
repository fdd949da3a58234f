"""Samples: plain text and fill-in-the-middle."""

import random

from tests.starter.pools import model, pseudo
from tests.starter.samples.chats import lang_of
from tests.starter.samples.lists import DAYS, MONTHS
from tests.starter.samples.markdown import t_md
from tests.starter.samples.product_help import HELP


def s_raw(r):
    x = r.random()
    if x < 0.5:
        a = 1 if r.random() < 0.6 else r.randint(0, 80)
        b = min(100, a + r.randint(5, 40))
        t = ", ".join(map(str, range(a, b + 1)))
    elif x < 0.6:
        t = "a b c d e f g h i j k l m n o p q r s t u v w x y z"
    elif x < 0.7:
        t = r.choice((DAYS, MONTHS))
    elif x < 0.85:
        t = t_md(random.Random(r.random()), lang_of(r))[1]
    else:
        _, en, zh, ae, az, n = r.choice(HELP)
        t = (ae if r.random() < 0.6 else az).replace("{m}", model(r)).replace("{n}", model(r))
    return {"mode": "raw", "text": t, "tag": "raw"}


FIMS = [
    ("def add(a, b):\n    return ", "a + b", "\n"),
    ("def sub(a, b):\n    return ", "a - b", "\n"),
    ("def mul(a, b):\n    return ", "a * b", "\n"),
    ("def div(a, b):\n    return ", "a / b", "\n"),
    ("for i in range(", "10", "):\n    print(i)\n"),
    ("def hello():\n    ", 'print("Hello, world!")', "\n\nhello()\n"),
    ("import ", "json", "\n\nprint(json.dumps({}))\n"),
    ("import ", "math", "\n\nprint(math.pi)\n"),
    ("if x > y:\n    ", "print(x)", "\nelse:\n    print(y)\n"),
    ("def square(x):\n    return ", "x * x", "\n"),
    ("while ", "True", ":\n    pass\n"),
]


def s_fim(r):
    p, m, s = r.choice(FIMS)
    if r.random() < 0.6:
        a, b = r.sample("abcdefghijkmnopqrstuvwxyz", 2)
        op = r.choice((("add", "+"), ("sub", "-"), ("mul", "*"), ("div", "/")))
        p, m, s = (
            f"def {op[0]}({a}, {b}):\n    return ",
            f"{a} {op[1]} {b}",
            r.choice(("\n", "", "\n\nprint(" + op[0] + "(4, 2))\n")),
        )
    elif r.random() < 0.4:
        v = pseudo(r, 1, 2)
        p, m, s = f"{v} = {r.randint(0, 99)}\nprint(", v, ")\n"
    return {"mode": "fim", "prefix": p, "suffix": s, "middle": m, "tag": "fim"}
