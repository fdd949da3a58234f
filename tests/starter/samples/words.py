"""Samples: words that all samples share: fixed sentences, a choice among alternatives, noise that keeps the meaning."""

PULL = "llmsite pull gemma2:9b"
FALL = {
    "en": "I am only a tiny built-in model, so I cannot help with that. Please pull a larger model, for example: " + PULL,
    "zh": "我只是一个很小的内置模型，回答不了这个问题。请拉取更大的模型，例如：" + PULL,
}
HELLO = {
    "en": "Hello! I am the llmsite starter model. How can I help you?",
    "zh": "你好！我是 llmsite 入门模型。有什么可以帮你？",
}
WHO = {
    "en": "I am the llmsite starter model, a tiny model built into llmsite so that you can chat offline at once. For real work, pull a larger model, for example: "
    + PULL,
    "zh": "我是 llmsite 入门模型，是 llmsite 内置的小模型，让你马上就能离线聊天。正式使用请拉取更大的模型，例如：" + PULL,
}


def P(r, s):
    """split 'a|b|c' and choose"""
    return r.choice(s.split("|"))


def noise(r, s, lang):
    """surface variation of a user message that keeps its meaning"""
    if lang == "en":
        x = r.random()
        if x < 0.12:
            s = s[0].lower() + s[1:]
        elif x < 0.18:
            s = P(r, "Hi, |Hello, |Hey, |Hi! |Hello! |Hey |OK, |Now |So, ") + s[0].lower() + s[1:]
        elif x < 0.25:
            s = (
                P(r, "Please |Please, |please |Can you please |Could you |Can you |I want you to |I need you to ")
                + s[0].lower()
                + s[1:]
                if s.split()[0].lower() in IMPER
                else s
            )
        if s[-1] in ".?!" and r.random() < 0.25:
            s = s[:-1]
        elif s[-1] not in ".?!\"'" and r.random() < 0.15:
            s += P(r, ".|!|?|")
        if r.random() < 0.06:
            s = s + P(r, " Thanks.| Thank you.| please| please.|  |\n")
    else:
        x = r.random()
        if x < 0.15 and s[0] not in "你我":
            s = P(r, "请|请你|帮我|麻烦你|请帮我|好的，|那么，") + s
        if s[-1] in "。？！" and r.random() < 0.35:
            s = s[:-1]
        elif s[-1] not in "。？！”" and r.random() < 0.15:
            s += P(r, "。|？|！")
    return s


IMPER = set(
    "add say spell repeat write count list give tell show make create calculate compute subtract name return output print echo explain describe translate find call use get".split()
)


def an(w):
    return ("an " if w[0] in "aeiou" else "a ") + w
