"""Samples: sums, differences and products, with their steps."""

from tests.starter.samples.words import P


def arith(r):
    x = r.random()
    if x < 0.52:
        return r.randint(0, 99), "+", r.randint(0, 99)
    if x < 0.60:
        return r.randint(0, 20), "+", r.randint(0, 20)
    a, b = r.randint(0, 99), r.randint(0, 99)
    if x < 0.92:
        if a < b and r.random() < 0.8:
            a, b = b, a
        return a, "-", b
    return r.randint(0, 10), "*", r.randint(0, 10)


def calc(a, op, b):
    return a + b if op == "+" else a - b if op == "-" else a * b


def think_arith(a, op, b):
    """written steps: units first, then tens, one-digit facts only; '' when none are needed"""
    if op == "*" or (a < 10 and b < 10):
        return ""
    if op == "+":
        s = a % 10 + b % 10
        t = [x for x in (a // 10, b // 10) if x] + ([1] if s > 9 else [])
        st = [f"{a % 10} + {b % 10} = {s}"]
        if len(t) > 1:
            st.append(" + ".join(map(str, t)) + f" = {sum(t)}")
        return ", ".join(st) + ", "
    if a < b:
        return think_arith(b, "-", a) + f"{b} - {a} = {b - a}, "
    u = a % 10 + (10 if a % 10 < b % 10 else 0)
    t = [x for x in (b // 10, 1 if u > 9 else 0) if x]
    st = [f"{u} - {b % 10} = {u - b % 10}"]
    if t:
        st.append(" - ".join(map(str, [a // 10] + t)) + f" = {a // 10 - sum(t)}")
    return ", ".join(st) + ", "


def t_arith(r, lang):
    a, op, b = arith(r)
    c = calc(a, op, b)
    ans = f"{a} {op} {b} = {c}"
    o = {"+": "+", "-": "-", "*": r.choice("**x×")}[op]
    x = r.random()
    if x < 0.15:
        u = P(r, f"{a}{o}{b}|{a} {o} {b}|{a}{o}{b}=|{a} {o} {b} =|{a}{o}{b}=?|{a} {o} {b} = ?|{a} {o} {b}?")
        lang = lang
    elif lang == "en":
        w = {"+": "plus|and", "-": "minus", "*": "times"}[op]
        if x < 0.55:
            u = P(
                r,
                f"What is {a} {o} {b}?|What's {a} {o} {b}?|Calculate {a} {o} {b}|Compute {a} {o} {b}.|How much is {a} {o} {b}?|What does {a} {o} {b} equal?|Solve {a} {o} {b}|Tell me {a} {o} {b}|Please calculate {a} {o} {b}.|What is {a}{o}{b}?|Can you compute {a} {o} {b}?|Work out {a} {o} {b}|What is the result of {a} {o} {b}?|Give me {a} {o} {b}|Evaluate {a} {o} {b}|{a} {o} {b} is what?|Do you know what {a} {o} {b} is?|Quick: {a} {o} {b}|what is {a} {o} {b}|Find {a} {o} {b}",
            )
        elif x < 0.75:
            w = {"+": "plus", "-": "minus", "*": "times"}[op]
            u = P(
                r,
                f"What is {a} {w} {b}?|How much is {a} {w} {b}?|What's {a} {w} {b}?|Calculate {a} {w} {b}.|{a} {w} {b}|{a} {w} {b} is?|Tell me {a} {w} {b}.|what does {a} {w} {b} make?|Compute {a} {w} {b}|{a} {w} {b} equals what?",
            )
        elif op == "+":
            u = P(
                r,
                f"Add {a} and {b}.|What is the sum of {a} and {b}?|Sum {a} and {b}|Add {b} to {a}|Add together {a} and {b}|The sum of {a} and {b}?|I have {a} apples and get {b} more. How many do I have?|There are {a} cats and {b} dogs. How many animals are there?|Tom has {a} coins and finds {b} more. How many coins does he have?|A book costs {a} and a pen costs {b}. What is the total?|Give me the sum of {a} and {b}|How much do {a} and {b} make?|Increase {a} by {b}|I walked {a} miles and then {b} miles. How many miles in total?",
            )
        elif op == "-":
            u = P(
                r,
                f"Subtract {b} from {a}.|What is the difference between {a} and {b}?|Take {b} away from {a}|I had {a} apples and ate {b}. How many are left?|There were {a} birds and {b} flew away. How many are left?|Tom has {a} coins and loses {b}. How many coins does he have?|What is {a} less {b}?|Decrease {a} by {b}|Remove {b} from {a}. What is left?|I have {a} dollars and spend {b}. How much is left?|Take {b} from {a}|What do I get if I subtract {b} from {a}?",
            )
        else:
            u = P(
                r,
                f"Multiply {a} by {b}.|What is the product of {a} and {b}?|Multiply {a} and {b}|{a} multiplied by {b}|What is {a} multiplied by {b}?",
            )
    else:
        w = {"+": "加", "-": "减", "*": "乘"}[op]
        u = P(
            r,
            f"{a} {w} {b} 等于多少？|{a} {o} {b} 等于多少？|计算 {a} {o} {b}|{a}{w}{b}等于几？|{a}{o}{b}等于多少|请计算 {a} {w} {b}。|{a} {w} {b} 是多少？|算一下 {a} {o} {b}|{a}{o}{b} 是多少？|请算 {a}{w}{b}|{a} {o} {b} 的结果是什么？|告诉我 {a} {o} {b} 的结果|{a}{w}{b}得多少？|帮我算 {a} {w} {b}",
        )
        if op == "+" and x > 0.85:
            u = P(
                r,
                f"{a} 和 {b} 的和是多少？|我有 {a} 个苹果，又买了 {b} 个，一共有几个？|{a} 与 {b} 相加等于多少？|小明有 {a} 块钱，又得到 {b} 块，一共多少？",
            )
        if op == "-" and x > 0.85:
            u = P(
                r,
                f"{a} 和 {b} 的差是多少？|我有 {a} 个苹果，吃了 {b} 个，还剩几个？|从 {a} 中减去 {b} 是多少？|小明有 {a} 块钱，花了 {b} 块，还剩多少？",
            )
    return u, think_arith(a, op, b) + ans, "=" + ans
