"""Samples: answers that are JSON."""

import json

from tests.starter.pools import ANIMALS, COLORS, FOODS, FRUITS, JOBS, city, name, pseudo, word
from tests.starter.samples.arithmetic import t_arith
from tests.starter.samples.fallback import t_fall
from tests.starter.samples.small_talk import t_small
from tests.starter.samples.words import P

KEYS = "name age city color animal food country title id price count score email job size status year code level brand model word type value pet".split()


def jval(r, k):
    if k == "name" or k == "pet":
        return name(r)
    if k in ("age",):
        return r.randint(1, 99)
    if k == "city" or k == "country":
        return city(r)
    if k == "color":
        return r.choice(COLORS)
    if k == "animal":
        return r.choice(ANIMALS)
    if k == "food":
        return r.choice(FOODS)
    if k == "job":
        return r.choice(JOBS)
    if k in ("id", "price", "count", "score", "size", "year", "level", "value"):
        return r.randint(0, 2050 if k == "year" else 999)
    return word(r) if r.random() < 0.8 else r.randint(0, 99)


def t_json(r, lang):
    x = r.random()
    th = "I write a JSON object." if lang == "en" else "我写一个 JSON 对象。"
    if x < 0.3:
        n, a = name(r, lang), r.randint(1, 99)
        ans = json.dumps({"name": n, "age": a}, ensure_ascii=False)
        if lang == "en":
            u = P(
                r,
                f"Give me a JSON object with name {n} and age {a}.|Write JSON for a person named {n} aged {a}.|Create a JSON object with the name {n} and the age {a}.|Return a JSON object: name {n}, age {a}|Make a JSON object with name {n} and age {a}|JSON object with name {n} and age {a}|{n} is {a} years old. Give me JSON with name and age.|Extract name and age as JSON: {n} is {a} years old.|Extract the name and age as JSON. {n} is {a}.|As JSON: name {n}, age {a}|Write a JSON object for {n}, age {a}.|My name is {n} and I am {a} years old. Return name and age as JSON.|Output JSON with name={n} and age={a}|Turn this into JSON: {n} is {a} years old.",
            )
        else:
            u = P(
                r,
                f"给我一个 JSON 对象，name 是 {n}，age 是 {a}。|写一个 JSON：name 为 {n}，age 为 {a}|{n}今年{a}岁。请提取 name 和 age，输出 JSON。|请输出 JSON：name {n}，age {a}|生成 JSON 对象，name={n}，age={a}|{n}今年{a}岁，用 JSON 表示 name 和 age",
            )
    elif x < 0.75:
        ks = r.sample(KEYS, r.choice((1, 2, 2, 3, 3, 4)))
        if r.random() < 0.25:
            ks[-1] = pseudo(r)
        d = {k: jval(r, k) for k in ks}
        ans = json.dumps(d, ensure_ascii=False)
        sep = P(r, " | |: |=| = ")
        parts = [f"{k}{sep}{v}" for k, v in d.items()]
        if lang == "en":
            j = ", ".join(parts[:-1]) + (P(r, " and |, | and ") if len(parts) > 1 else "") + parts[-1]
            u = P(
                r,
                "Give me a JSON object with {}.|Write a JSON object with {}|Make JSON with {}|Create a JSON object with {}.|Return JSON with {}|JSON object with {}|Output a JSON object with {}|Turn this into JSON: {}|As JSON: {}|Convert to JSON: {}|Produce JSON for {}",
            ).replace("{}", j)
        else:
            u = P(r, "给我一个 JSON 对象，{}。|写一个 JSON：{}|生成 JSON：{}|请输出 JSON 对象：{}|转换成 JSON：{}").replace(
                "{}", "，".join(parts)
            )
    elif x < 0.9:
        k, pool = r.choice((("colors", COLORS), ("fruits", FRUITS), ("animals", ANIMALS), ("words", None), ("numbers", 0)))
        n = r.randint(1, 5)
        it = (
            [r.randint(0, 99) for _ in range(n)]
            if pool == 0
            else [word(r) for _ in range(n)]
            if pool is None
            else r.sample(pool, n)
        )
        js = ", ".join(map(str, it))
        if r.random() < 0.6:
            ans = json.dumps(it, ensure_ascii=False)
            u = P(
                r,
                "Give me a JSON array with {}|Write these as a JSON array: {}|JSON array of {}|Make a JSON list with {}|Turn this list into a JSON array: {}|As a JSON array: {}"
                if lang == "en"
                else "给我一个 JSON 数组：{}|写成 JSON 数组：{}|转换成 JSON 数组：{}",
            ).replace("{}", js)
        else:
            ans = json.dumps({k: it}, ensure_ascii=False)
            u = P(
                r,
                f"Give me a JSON object with {k}: {{}}|Write a JSON object with the list {k}: {{}}|JSON object with the array {k}: {{}}"
                if lang == "en"
                else f"给我一个 JSON 对象，{k} 是数组：{{}}|写 JSON 对象，{k} 数组：{{}}",
            ).replace("{}", js)
    else:
        u, a, th = r.choice((t_arith, t_small, t_fall, t_copyword))(r, lang)
        u = u.rstrip() + P(
            r,
            " Answer in JSON.| Respond in JSON.| Reply as JSON.| Use JSON.\n Return JSON.| Respond using JSON."
            if lang == "en"
            else " 用 JSON 回答。|请用 JSON 格式回答。| 以 JSON 回复。",
        )
        ans = json.dumps({"answer": th[1:] if th.startswith("=") else a}, ensure_ascii=False)
        th = "I answer in JSON."
    return u, ans, th


def t_copyword(r, lang):
    w = word(r)
    return (
        (P(r, "Say {}.|Say the word {}.|Repeat the word {}.") if lang == "en" else P(r, "请说 {}。|重复 {}。")).format(w),
        w,
        "I repeat the word.",
    )
