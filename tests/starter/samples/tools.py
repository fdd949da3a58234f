"""Samples: chats with tools: definitions, calls and results."""

import json

from tests.starter.pools import COLORS, TZS, city, name, pseudo, sent, word
from tests.starter.samples.arithmetic import calc, t_arith
from tests.starter.samples.chats import NEUTRAL, SYS, A, U, lang_of
from tests.starter.samples.copying import t_copy, t_spell
from tests.starter.samples.fallback import t_fall
from tests.starter.samples.json_answers import KEYS, jval, t_json
from tests.starter.samples.product_help import t_help
from tests.starter.samples.small_talk import t_small
from tests.starter.samples.words import P

TV = "get find open close start stop order check delete play show send read load save search update cancel track rate lock unlock print scan move share rename".split()
TN = "order ticket lamp song file room report user door package invoice video photo note task project server recipe flight hotel train movie player message group event product book channel device alarm table team page item".split()
ZV = {
    "get": "获取",
    "find": "查找",
    "open": "打开",
    "close": "关闭",
    "start": "启动",
    "stop": "停止",
    "order": "订购",
    "check": "检查",
    "delete": "删除",
    "play": "播放",
    "show": "显示",
    "send": "发送",
    "read": "读取",
    "load": "加载",
    "save": "保存",
    "search": "搜索",
    "update": "更新",
    "cancel": "取消",
    "track": "追踪",
    "lock": "锁定",
    "print": "打印",
    "scan": "扫描",
    "move": "移动",
    "share": "分享",
}
ZN = {
    "order": "订单",
    "ticket": "车票",
    "lamp": "灯",
    "song": "歌曲",
    "file": "文件",
    "room": "房间",
    "report": "报告",
    "user": "用户",
    "door": "门",
    "package": "包裹",
    "invoice": "发票",
    "video": "视频",
    "photo": "照片",
    "note": "笔记",
    "task": "任务",
    "project": "项目",
    "server": "服务器",
    "recipe": "菜谱",
    "flight": "航班",
    "hotel": "酒店",
    "train": "火车",
    "movie": "电影",
    "message": "消息",
    "product": "产品",
    "book": "书",
    "device": "设备",
}


def tooldef(n, desc, props, req=None, r=None):
    p = {}
    for k, (ty, d) in props.items():
        p[k] = {"type": ty}
        if d:
            p[k]["description"] = d
    f = {
        "name": n,
        "description": desc,
        "parameters": {"type": "object", "properties": p, "required": list(props) if req is None else req},
    }
    if r is not None:
        x = r.random()
        if x < 0.1:
            f["parameters"].pop("required")
        if x > 0.93:
            f.pop("description")
    return {"type": "function", "function": f}


def val(r, ty):
    if ty in ("integer", "number"):
        return r.randint(0, 999) if r.random() < 0.6 else r.randint(0, 20)
    return r.choice(
        (
            lambda: word(r),
            lambda: name(r),
            lambda: pseudo(r).capitalize(),
            lambda: city(r),
            lambda: word(r) + "-" + str(r.randint(1, 99)),
            lambda: " ".join(word(r) for _ in range(2)),
            lambda: str(r.randint(100, 9999)) + r.choice("ABCXYZ"),
        )
    )()


def mktool(r, lang, kind=None):
    """-> tool definition, function giving (user text, [args], noun)"""
    kind = kind or r.choices(("weather", "time", "add", "rand", "rand2", "calc", "search"), (5, 2.5, 2.5, 8, 4, 1, 1.5))[0]
    d = lambda s: s if r.random() < 0.8 else None
    if kind == "weather":
        key = r.choice(("city", "city", "city", "location"))
        nm = r.choice(("get_weather", "get_weather", "get_weather", "get_current_weather", "weather"))
        td = tooldef(
            nm,
            P(r, "Get the weather in a city|Get the current weather for a city|Get current weather|获取城市天气"),
            {key: ("string", d(P(r, "City name|The city|The name of the city|城市名称")))},
            r=r,
        )

        def f():
            c = city(r, lang)
            u = P(
                r,
                f"What is the weather in {c}?|How is the weather in {c}?|What's the weather like in {c}?|Weather in {c}|Tell me the weather in {c}.|Is it raining in {c}?|weather {c}|What is the weather like in {c} today?|Check the weather in {c}|Give me the weather for {c}.|How warm is it in {c}?|What is the temperature in {c}?|Show me the current weather in {c}"
                if lang == "en"
                else f"{c}的天气怎么样？|{c}天气如何？|查一下{c}的天气|今天{c}天气怎么样？|{c}现在多少度？|告诉我{c}的天气|{c}下雨了吗？|请问{c}的天气",
            )
            return u, {key: c}

        def res(a):
            c = a[key]
            if r.random() < 0.5:
                t = (
                    f"{r.randint(-20, 40)}{P(r, '°C| degrees|C')}{P(r, ' and |, ')}{P(r, 'sunny|cloudy|rainy|windy|snowy|foggy')}"
                    if lang == "en"
                    else f"{r.randint(-20, 40)}度，{P(r, '晴|多云|小雨|大风|下雪|有雾')}"
                )
                return t, t
            dd = {"temperature": r.randint(-20, 40), "condition": P(r, "sunny|cloudy|rainy|windy|snowy|clear")}
            if r.random() < 0.4:
                dd = {key: c, **dd}
            return dd, None

        pre = (lambda a: f"The weather in {a[key]}: ") if lang == "en" else (lambda a: f"{a[key]}的天气：")
    elif kind == "time":
        key = r.choice(("timezone", "timezone", "tz", "zone", "city"))
        nm = r.choice(("get_time", "get_time", "get_current_time", "current_time"))
        td = tooldef(
            nm,
            P(r, "Get the time in a timezone|Get the current time|Current time in a timezone"),
            {key: ("string", d(P(r, "Timezone name|The timezone|IANA timezone")))},
            r=r,
        )

        def f():
            c = r.choice(TZS) if key != "city" else city(r, lang)
            if key != "city" and r.random() < 0.25:
                c = pseudo(r).capitalize() + "/" + pseudo(r).capitalize()
            u = P(
                r,
                f"What time is it in {c}?|What is the time in {c}?|Tell me the time in {c}.|Current time in {c}|time in {c}|Get the time for {c}|What's the current time in {c}?"
                if lang == "en"
                else f"{c} 现在几点？|查一下 {c} 的时间|{c} 的时间是多少？|{c} 现在是什么时间？",
            )
            return u, {key: c}

        def res(a):
            t = f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}"
            return (t, t) if r.random() < 0.5 else ({"time": t}, None)

        pre = (lambda a: f"The time in {a[key]}: ") if lang == "en" else (lambda a: f"{a[key]} 的时间：")
    elif kind in ("add", "calc"):
        nm, verb = (
            r.choice((("add", "Add"), ("add", "Add"), ("add_numbers", "Add"), ("sum", "Sum")))
            if kind == "add"
            else r.choice((("multiply", "Multiply"), ("subtract", "Subtract")))
        )
        ks = r.choice((("a", "b"), ("a", "b"), ("x", "y"), ("first", "second")))
        td = tooldef(nm, f"{verb} two numbers", {k: (r.choice(("integer", "number")), None) for k in ks}, r=r)
        sym = {"add": "+", "add_numbers": "+", "sum": "+", "multiply": "*", "subtract": "-"}[nm]

        def f():
            x, y = (r.randint(0, 99), r.randint(0, 99)) if r.random() < 0.5 else (r.randint(0, 9999), r.randint(0, 9999))
            w = {"+": ("plus", "加"), "*": ("times", "乘"), "-": ("minus", "减")}[sym]
            u = P(
                r,
                f"What is {x} {sym} {y}?|Calculate {x} {sym} {y}|What is {x} {w[0]} {y}?|{x} {sym} {y}|How much is {x} {sym} {y}?|{verb} {x} and {y}|Use the tool to {verb.lower()} {x} and {y}|Compute {x} {w[0]} {y}."
                if lang == "en"
                else f"{x} {w[1]} {y} 等于多少？|计算 {x} {sym} {y}|{x} {sym} {y} 等于多少？|算一下 {x} {w[1]} {y}",
            )
            return u, {ks[0]: x, ks[1]: y}

        def res(a):
            v = calc(a[ks[0]], sym, a[ks[1]])
            return (str(v), str(v)) if r.random() < 0.7 else ({"result": v}, None)

        pre = (
            (lambda a: f"The result of {a[ks[0]]} {sym} {a[ks[1]]}: ")
            if lang == "en"
            else (lambda a: f"{a[ks[0]]} {sym} {a[ks[1]]} 的结果：")
        )
    else:
        if kind == "search":
            nm, noun, key, ty = r.choice(
                (
                    ("search", "web", "query", "string"),
                    ("web_search", "web", "query", "string"),
                    ("search_web", "web", "query", "string"),
                )
            )
            td = tooldef(nm, "Search the web", {key: ("string", d("The search query"))}, r=r)

            def f():
                q = " ".join(word(r) for _ in range(r.randint(1, 4)))
                return P(
                    r,
                    f"Search the web for {q}|Search for {q}|Look up {q} on the web|Find {q} on the internet|Please search for {q}"
                    if lang == "en"
                    else f"搜索 {q}|在网上查找 {q}|请搜索 {q}|上网搜一下 {q}",
                ), {key: q}
        else:
            v = r.choice(TV if lang == "en" else list(ZV))
            noun = r.choice(TN if lang == "en" else list(ZN))
            nm = r.choice((f"{v}_{noun}", f"{v}_{noun}", v + noun.capitalize()))
            if r.random() < 0.15:
                nm = pseudo(r, 1, 2) + "_" + noun
            key = r.choice((noun, noun + "_id", noun + "_name", "name", "id", "target", "value", pseudo(r, 1, 2)))
            ty = r.choice(("string", "string", "integer"))
            props = {key: (ty, d(f"The {noun}"))}
            if kind == "rand2":
                k2 = r.choice(
                    [
                        k
                        for k in ("count", "size", "level", "color", "mode", "user", "date", "amount", "speed", pseudo(r, 1, 2))
                        if k != key
                    ]
                )
                t2 = "integer" if k2 in ("count", "size", "level", "amount", "speed") else "string"
                props[k2] = (t2, d(f"The {k2}"))
            td = tooldef(nm, f"{v.capitalize()} {'an' if noun[0] in 'aeiou' else 'a'} {noun}" + P(r, "|.||"), props, r=r)

            def f():
                a = {key: val(r, ty)}
                x = a[key]
                if kind == "rand2":
                    a[k2] = val(r, t2) if k2 != "color" else r.choice(COLORS)
                    y = a[k2]
                    if lang == "en":
                        u = P(
                            r,
                            f"{v.capitalize()} the {noun} {x} with {k2} {y}|Please {v} the {noun} {x} with {k2} {y}.|Use {nm} with {key} {x} and {k2} {y}|Call {nm} with {key}={x} and {k2}={y}|{v} {noun} {x}, {k2} {y}|I want to {v} the {noun} {x} with the {k2} {y}|Call the tool {nm} with {key} {x} and {k2} {y}.|Can you {v} the {noun} {x} with {k2} {y}?",
                        )
                    else:
                        u = P(
                            r,
                            f"{ZV[v]}{ZN[noun]} {x}，{k2} 是 {y}|用 {nm} 工具，{key} 是 {x}，{k2} 是 {y}|请{ZV[v]}{ZN[noun]} {x}，{k2} 为 {y}|调用 {nm}，{key}={x}，{k2}={y}",
                        )
                else:
                    if lang == "en":
                        u = P(
                            r,
                            f"{v.capitalize()} the {noun} {x}|Please {v} the {noun} {x}.|Use {nm} with {key} {x}|Call {nm} with {key}={x}|{v} {noun} {x}|I want to {v} the {noun} {x}|Call the tool {nm} with {key} {x}.|Can you {v} the {noun} {x}?|Use the {nm} tool with {key} {x}|I need you to {v} the {noun} {x}.|{v.capitalize()} {noun} {x} please",
                        )
                    else:
                        u = P(
                            r,
                            f"{ZV[v]}{ZN[noun]} {x}|用 {nm} 工具，{key} 是 {x}|请{ZV[v]}{ZN[noun]} {x}|调用 {nm}，{key}={x}|我想{ZV[v]}{ZN[noun]} {x}",
                        )
                return u, a

        def res(a):
            x = r.random()
            if x < 0.3:
                t = P(r, "done|ok|success|not found|error|true|finished|started")
                return t, t
            if x < 0.6:
                t = sent(r, 1, 6).rstrip(".!?")
                return t, t
            if x < 0.75:
                t = str(r.randint(0, 9999))
                return t, t
            dd = {k: jval(r, k) for k in r.sample(KEYS, r.randint(1, 3))}
            return dd, None

        pre = (lambda a: "The result: ") if lang == "en" else (lambda a: "结果：")

    def answer(a, content, text):
        if text is None:
            text = ", ".join(f"{k} {v}" for k, v in content.items())
        return pre(a) + text + ("." if lang == "en" else "。")

    return td, f, res, answer


def call_text(n, a):
    return "<tool_call>\n" + json.dumps({"name": n, "arguments": a}, ensure_ascii=False) + "\n</tool_call>"


def s_tools(r):
    lang = lang_of(r)
    n = r.choice((1, 1, 1, 2, 2, 2, 3))
    ts, names = [], set()
    while len(ts) < n:
        t = mktool(r, lang)
        nm = t[0]["function"]["name"]
        if nm in names or any(nm in x and nm != x or x in nm for x in names):
            continue
        if any(w in nm for w in ("weather", "time", "add", "sum", "search")) and any(
            any(w in x and w in nm for w in ("weather", "time", "add", "sum", "search")) for x in names
        ):
            continue
        names.add(nm)
        ts.append(t)
    tools = [t[0] for t in ts]
    m = [SYS(r.choice(NEUTRAL))] if r.random() < 0.3 else []
    x = r.random()
    think = None
    has = lambda *w: any(k in nm for nm in names for k in w)

    def irrelevant():
        while True:
            f = r.choices((t_small, t_copy, t_help, t_fall, t_spell, t_arith, t_json), (5, 3, 2, 4, 1, 1.5, 1))[0]
            if f is t_arith and has("add", "sum", "mult", "subt"):
                continue
            u, a, th = f(r, lang)
            if f is t_fall and (
                any(
                    k in u.lower()
                    for k in ("weather", "time", "rain", "search", "天气", "几点", "搜索", "下雨", "查找") + tuple(TV)
                )
                or any(z in u for z in ZV.values())
            ):
                continue
            return u, a, th

    if x < 0.18:
        u, a, think = irrelevant()
        m += [U(u), A(a)]
        return {"messages": m, "tools": tools, "think": think, "tag": "tools"}
    if r.random() < 0.12:
        u, a, _t = irrelevant()
        m += [U(u), A(a)]
    rounds = 1 if r.random() < 0.85 else 2
    for k in range(rounds):
        td, f, res, answer = r.choice(ts)
        fn = td["function"]["name"]
        if r.random() < 0.18 and "weather" in fn or r.random() < 0.06 and "time" in fn:  # two calls
            key = list(td["function"]["parameters"]["properties"])[0]
            zone = key != "city" and "time" in fn
            c1, c2 = (city(r, lang), city(r, lang)) if not zone else (r.choice(TZS), r.choice(TZS))
            while c1 == c2:
                c2 = city(r, lang) if not zone else r.choice(TZS)
            tw = "weather" if "weather" in fn else "time"
            u = P(
                r,
                f"What is the {tw} in {c1} and {c2}?|Compare the {tw} in {c1} and {c2}.|Tell me the {tw} in {c1} and in {c2}|{tw} in {c1} and {c2}|What is the {tw} in {c1} and in {c2}?|Get the {tw} for {c1} and {c2}"
                if lang == "en"
                else (
                    f"{c1}和{c2}的天气怎么样？|查一下{c1}和{c2}的天气|告诉我{c1}和{c2}的天气"
                    if tw == "weather"
                    else f"{c1} 和 {c2} 现在几点？|查一下 {c1} 和 {c2} 的时间"
                ),
            )
            args = [{key: c1}, {key: c2}]
        else:
            u, a = f()
            args = [a]
        m += [U(u), A("\n".join(call_text(fn, a) for a in args))]
        think = f"I call {fn}." if len(args) == 1 else f"I call {fn} twice."
        if k < rounds - 1 or r.random() < 0.6:
            outs = []
            for a in args:
                c, t = res(a)
                m.append({"role": "tool", "content": c if isinstance(c, str) else json.dumps(c, ensure_ascii=r.random() < 0.2)})
                outs.append(answer(a, c, t))
            m.append(A((" " if lang == "en" else "").join(outs)))
            think = "I have the result. I tell it." if lang == "en" else "我得到了结果。告诉用户。"
    if m[-1]["role"] == "assistant" and "<tool_call>" not in m[-1]["content"] and r.random() < 0.1:
        u, a, think = irrelevant()
        m += [U(u), A(a)]
    return {"messages": m, "tools": tools, "think": think, "tag": "tools"}
