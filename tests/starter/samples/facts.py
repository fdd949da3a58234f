"""Samples: facts that a user tells and asks for later."""

from tests.starter.pools import ANIMALS, COLORS, FOODS, JOBS, ZANIMALS, ZCOLORS, ZFOODS, ZJOBS, city, letters, name, word, zsent
from tests.starter.samples.words import P


def color_word(r):
    return r.choice(("color", "colour"))


def fact(r, lang):
    """-> kind, value, statement, ack, list of questions, answer"""
    k = r.choice("name name name number number color color food animal city password age pet job thing".split())
    return make_fact(r, lang, k)


def make_fact(r, lang, k):
    en = lang == "en"
    if k == "name":
        v = name(r, lang)
        if en:
            return (
                k,
                v,
                P(
                    r,
                    f"My name is {v}.|I am {v}.|Hi, my name is {v}.|Hello, I am {v}.|You can call me {v}.|I'm {v}|My name is {v}, nice to meet you.|my name is {v}|Call me {v}.|Hello! My name is {v}.|Hi, I'm {v}.|The name is {v}.|Please call me {v}|My name's {v}",
                ),
                f"Nice to meet you, {v}!",
                P(
                    r,
                    "What is my name?|Who am I?|Do you remember my name?|What's my name?|Tell me my name.|Can you tell me my name?|What am I called?|Do you know my name?|what is my name|Say my name.|What did I say my name was?",
                ),
                f"Your name is {v}.",
            )
        return (
            k,
            v,
            P(r, f"我叫{v}。|我的名字是{v}。|你好，我叫{v}。|我是{v}。|叫我{v}吧。|大家叫我{v}|我的名字叫{v}"),
            f"很高兴认识你，{v}！",
            P(r, "我叫什么名字？|我是谁？|你记得我的名字吗？|我的名字是什么？|我叫什么？|请说出我的名字。|你知道我叫什么吗？"),
            f"你的名字是{v}。",
        )
    if k == "number":
        v = str(r.randint(0, 9) if r.random() < 0.1 else r.randint(10, 99) if r.random() < 0.5 else r.randint(100, 99999))
        if en:
            return (
                k,
                v,
                P(
                    r,
                    f"Remember the number {v}.|Please remember the number {v}|My lucky number is {v}.|Keep the number {v} in mind.|The number is {v}.|Remember this number: {v}|My favourite number is {v}.|Remember {v}|Memorize the number {v}.|Don't forget the number {v}.",
                ),
                f"OK, I will remember the number {v}.",
                P(
                    r,
                    "What is the number?|What number did I tell you?|Which number should you remember?|Tell me the number.|What was the number?|Do you remember the number?|What is my number?|Recall the number.|Which number did I give you?|What number did I ask you to remember?",
                ),
                f"The number is {v}.",
            )
        return (
            k,
            v,
            P(r, f"记住数字 {v}。|请记住 {v} 这个数字|我的幸运数字是 {v}。|记住这个数字：{v}|数字是 {v}。|请记住数字{v}"),
            f"好的，我会记住数字 {v}。",
            P(r, "数字是多少？|我告诉你的数字是什么？|你记住的数字是多少？|那个数字是什么？|我让你记住哪个数字？"),
            f"数字是 {v}。",
        )
    if k == "age":
        v = str(r.randint(5, 99))
        if en:
            return (
                k,
                v,
                P(r, f"I am {v} years old.|My age is {v}.|I'm {v} years old|I turned {v} this year."),
                f"Got it: you are {v} years old.",
                P(r, "How old am I?|What is my age?|Tell me my age.|Do you know how old I am?|Do you remember my age?"),
                f"You are {v} years old.",
            )
        return (
            k,
            v,
            P(r, f"我今年{v}岁。|我{v}岁了。|我的年龄是{v}。"),
            f"记住了：你{v}岁。",
            P(r, "我多大了？|我几岁？|我的年龄是多少？|你记得我多大吗？"),
            f"你{v}岁。",
        )
    if k == "city":
        v = city(r, lang)
        if en:
            return (
                k,
                v,
                P(r, f"I live in {v}.|My home is in {v}.|I come from {v}|My city is {v}.|I am from {v}."),
                f"Got it: you live in {v}.",
                P(r, "Where do I live?|Which city do I live in?|Where am I from?|What is my city?|Do you remember where I live?"),
                f"You live in {v}.",
            )
        return (
            k,
            v,
            P(r, f"我住在{v}。|我家在{v}。|我来自{v}。|我在{v}生活。"),
            f"记住了：你住在{v}。",
            P(r, "我住在哪里？|我来自哪里？|我住在哪个城市？|你记得我住哪儿吗？"),
            f"你住在{v}。",
        )
    if k == "password":
        v = word(r) if r.random() < 0.7 else letters(r, 2, 4) + str(r.randint(0, 999))
        if en:
            return (
                k,
                v,
                P(
                    r,
                    f'The secret word is {v}.|The password is {v}.|Remember the secret word {v}.|The code word is {v}|My password is {v}.|The secret word is "{v}".',
                ),
                f"OK, the secret word is {v}.",
                P(
                    r,
                    "What is the secret word?|What is the password?|Tell me the secret word.|What was the code word?|What is the code word?|Do you remember the secret word?|What is my password?",
                ),
                f"The secret word is {v}.",
            )
        return (
            k,
            v,
            P(r, f"暗号是 {v}。|密码是 {v}。|记住暗号 {v}。|秘密单词是 {v}。"),
            f"好的，暗号是 {v}。",
            P(r, "暗号是什么？|密码是什么？|秘密单词是什么？|你记得暗号吗？"),
            f"暗号是 {v}。",
        )
    if k == "job":
        v = r.choice(JOBS if en else ZJOBS)
        if en:
            return (
                k,
                v,
                P(r, f"I am a {v}.|I work as a {v}.|My job is {v}.|I'm a {v}").replace("a engineer", "an engineer"),
                f"Got it: your job is {v}.",
                P(
                    r,
                    "What is my job?|What do I do for a living?|What do I work as?|Do you remember my job?|What's my profession?",
                ),
                f"Your job is {v}.",
            )
        return (
            k,
            v,
            P(r, f"我是{v}。|我的工作是{v}。|我的职业是{v}。|我当{v}。"),
            f"记住了：你的工作是{v}。",
            P(r, "我的工作是什么？|我是做什么的？|我的职业是什么？|你记得我的工作吗？"),
            f"你的工作是{v}。",
        )
    if k == "pet":
        a = r.choice(ANIMALS[:12] if en else ZANIMALS[:12])
        v = name(r, lang)
        if en:
            return (
                k,
                v,
                P(r, f"My {a} is called {v}.|I have a {a} named {v}.|My {a}'s name is {v}.|The name of my {a} is {v}."),
                f"Got it: your {a} is called {v}.",
                P(
                    r,
                    f"What is my {a} called?|What is the name of my {a}?|What is my {a}'s name?|Do you remember the name of my {a}?|How is my {a} called?",
                ),
                f"Your {a} is called {v}.",
            )
        return (
            k,
            v,
            P(r, f"我的{a}叫{v}。|我有一只{a}，名叫{v}。|我家的{a}叫{v}。"),
            f"记住了：你的{a}叫{v}。",
            P(r, f"我的{a}叫什么？|我的{a}叫什么名字？|你记得我的{a}的名字吗？"),
            f"你的{a}叫{v}。",
        )
    # favourites
    kk = {
        "color": ("color", "颜色"),
        "food": ("food", "食物"),
        "animal": ("animal", "动物"),
        "thing": r.choice(
            (
                ("song", "歌"),
                ("book", "书"),
                ("movie", "电影"),
                ("sport", "运动"),
                ("drink", "饮料"),
                ("fruit", "水果"),
                ("season", "季节"),
                ("toy", "玩具"),
            )
        ),
    }[k]
    v = (
        (r.choice({"color": COLORS, "food": FOODS, "animal": ANIMALS}[k]) if k != "thing" and r.random() < 0.8 else word(r))
        if en
        else (r.choice({"color": ZCOLORS, "food": ZFOODS, "animal": ZANIMALS}[k]) if k != "thing" else zsent(r, 2, 3))
    )
    n = kk[0]
    if en:
        c = color_word(r) if n == "color" else n
        c2 = color_word(r) if n == "color" else n
        f1, f2 = P(r, "favourite|favorite"), P(r, "favourite|favorite")
        return (
            k + n,
            v,
            P(
                r,
                f"My {f1} {c} is {v}.|The {c} I like most is {v}.|I like {v} best of all {c}s.|my {f1} {c} is {v}|{v.capitalize()} is my {f1} {c}.|Remember that my {f1} {c} is {v}.",
            ),
            f"Got it: your favourite {n if n != 'color' else 'colour'} is {v}.",
            P(
                r,
                f"What is my {f2} {c2}?|What's my {f2} {c2}?|Which {c2} do I like most?|Tell me my {f2} {c2}.|Do you remember my {f2} {c2}?|which {c2} is my {f2}?",
            ),
            f"Your favourite {n if n != 'color' else 'colour'} is {v}.",
        )
    n = kk[1]
    return (
        k + n,
        v,
        P(r, f"我最喜欢的{n}是{v}。|我喜欢的{n}是{v}。|{v}是我最喜欢的{n}。|记住，我最喜欢的{n}是{v}。"),
        f"记住了：你最喜欢的{n}是{v}。",
        P(r, f"我最喜欢的{n}是什么？|我喜欢什么{n}？|你记得我最喜欢的{n}吗？|我最爱的{n}是什么？"),
        f"你最喜欢的{n}是{v}。",
    )


UNK = {"en": "You have not told me that yet.", "zh": "你还没有告诉我。"}
