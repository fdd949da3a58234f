"""Samples: chats under a system prompt."""

from tests.starter.pools import name, sent, word, zsent
from tests.starter.samples.arithmetic import t_arith
from tests.starter.samples.chats import SYS, A, U, basic, lang_of
from tests.starter.samples.copying import t_copy, t_spell, t_upper
from tests.starter.samples.facts import make_fact
from tests.starter.samples.fallback import t_fall
from tests.starter.samples.small_talk import SMALL, t_small
from tests.starter.samples.words import FALL, P

ROLE = "a friendly pirate|a wise old wizard|a helpful robot|a teacher|a doctor|a cooking assistant|a travel guide|a coding assistant|a math tutor|a talking cat|a dragon|a chef from Italy|an English teacher|the assistant of the library|a customer support agent|a poet|a space captain|a knight".split(
    "|"
)
ZROLE = "一个友好的海盗|一位聪明的巫师|一个机器人|一位老师|一位医生|一个旅游助手|一个编程助手|一只会说话的猫|一位诗人|一位太空船长|客服助手|一位厨师".split(
    "|"
)


def s_system(r):
    lang = lang_of(r)
    x = r.random()
    nt = r.choice((1, 1, 2, 3))
    if x < 0.4:  # fixed word
        if lang == "en":
            y = r.random()
            w = (
                word(r)
                if y < 0.4
                else word(r).upper()
                if y < 0.65
                else word(r).capitalize()
                if y < 0.75
                else sent(r, 2, 5)
                if y < 0.92
                else str(r.randint(0, 999))
            )
            q = r.choice(("", "", '"', '"'))
            if "." in w or "!" in w or "?" in w:
                q = '"'
            s = P(
                r,
                "Always answer with the word {}.|Answer only with: {}|Always answer with {}.|Only answer with {}.|Whatever the user says, answer {}.|Always reply with {}.|Reply only with {}.|Respond to everything with {}.|Your only answer is {}.|No matter what the user says, reply {}.|Always say {}.|Say only {}.|You must always answer {}.|Answer every question with {}.|The answer is always {}.|Always respond with the word {}.|Only say the word {}.|Respond only with: {}|Reply to every message with {}|You can only say {}.",
            ).replace("{}", q + w + q)
        else:
            w = zsent(r, 2, 5) if r.random() < 0.6 else word(r).upper()
            q = r.choice((("“", "”"), ("", "")))
            s = P(
                r,
                "总是回答{}。|只回答：{}|无论用户说什么，都回答{}。|请只用{}回答。|你只能说{}。|每次都回复{}。|不管问什么，都说{}。|所有问题都回答{}。",
            ).replace("{}", q[0] + w + q[1])
        m = [SYS(s)]
        for _ in range(nt):
            u, a, t = basic(r, lang_of(r), True)
            m += [U(u), A(w)]
        return {"messages": m, "think": "I follow the system prompt." if lang == "en" else "我遵守系统提示。", "tag": "system"}
    if x < 0.65:  # persona
        n = (
            name(r, lang)
            if r.random() < 0.75 or lang == "zh"
            else P(r, "Captain |Doctor |Professor |Sir |Queen |Agent ") + name(r)
        )
        role = r.choice(ROLE if lang == "en" else ZROLE) if r.random() < 0.6 else None
        if lang == "en":
            s = (
                f"You are {n}, {role}."
                if role
                else P(r, f"You are {n}.|Your name is {n}.|You are called {n}.|You are {n}, a helpful assistant.")
            )
            if s.endswith("helpful assistant."):
                role = "a helpful assistant"
            if r.random() < 0.3:
                s += P(r, " Be polite.| Answer briefly.| You help the user.| Answer the user's questions.| Never lie.")
            full = f"I am {n}, {role}." if role else f"I am {n}."
            qa = [
                (
                    P(
                        r,
                        "Who are you?|What are you?|Introduce yourself.|Tell me about yourself.|Who am I talking to?|who are you|Please introduce yourself.|Say who you are.",
                    ),
                    full,
                ),
                (
                    P(
                        r,
                        "What is your name?|What's your name?|Tell me your name.|What should I call you?|Your name?|What are you called?",
                    ),
                    f"My name is {n}.",
                ),
                (P(r, "Hello|Hi|Hey|Hello!|Hi there|Good morning"), f"Hello! I am {n}. How can I help you?"),
            ]
        else:
            s = f"你是{n}，{role}。" if role else P(r, f"你是{n}。|你叫{n}。|你的名字是{n}。")
            full = f"我是{n}，{role}。" if role else f"我是{n}。"
            qa = [
                (P(r, "你是谁？|你是什么？|介绍一下你自己。|请自我介绍。|我在和谁说话？"), full),
                (P(r, "你叫什么名字？|你叫什么？|你的名字是什么？"), f"我的名字是{n}。"),
                (P(r, "你好|您好|嗨|早上好|你好！"), f"你好！我是{n}。有什么可以帮你？"),
            ]
        r.shuffle(qa)
        m = [SYS(s)]
        for u, a in qa[:nt]:
            if r.random() < 0.2:
                u2, a2, _t = r.choice((t_arith, t_copy, t_spell, t_upper))(r, lang)
                m += [U(u2), A(a2)]
            m += [U(u), A(a)]
        return {
            "messages": m,
            "think": f"The system prompt says I am {n}." if lang == "en" else f"系统提示说我是{n}。",
            "tag": "system",
        }
    if x < 0.8:  # end / start every answer with W
        w = word(r) if r.random() < 0.5 else word(r).upper()
        end = r.random() < 0.6
        if lang == "en":
            s = P(
                r,
                'End every answer with the word {}.|End every answer with {}.|Always end your answer with {}.|Finish each answer with the word {}.|End each reply with "{}".'
                if end
                else 'Start every answer with the word {}.|Start every answer with {}.|Always begin your answer with {}.|Begin each reply with "{}".',
            ).format(w)
        else:
            s = P(
                r,
                "每次回答都以 {} 结尾。|回答的结尾要加上 {}。|每个回答最后都说 {}。"
                if end
                else "每次回答都以 {} 开头。|回答的开头要加上 {}。",
            ).format(w)
        m = [SYS(s)]
        for _ in range(nt):
            u, a, t = r.choices((t_small, t_copy, t_fall, t_spell), (5, 2, 3, 1))[0](r, lang)
            m += [U(u), A(a + " " + w if end else w + " " + a)]
        return {"messages": m, "think": "I follow the system prompt." if lang == "en" else "我遵守系统提示。", "tag": "system"}
    if x < 0.9:  # facts in the system prompt
        k, v, st, ack, q, a = make_fact(r, lang, r.choice(("name", "password", "number", "city")))
        if lang == "en":
            s = {
                "name": P(r, f"The user's name is {v}.|The name of the user is {v}.|You talk to a user named {v}."),
                "password": P(r, f"The secret word is {v}.|The password is {v}."),
                "number": f"The number is {v}.",
                "city": P(r, f"The user lives in {v}.|The user is from {v}."),
            }[k]
        else:
            s = {
                "name": P(r, f"用户叫{v}。|用户的名字是{v}。"),
                "password": P(r, f"暗号是 {v}。|密码是 {v}。"),
                "number": f"数字是 {v}。",
                "city": f"用户住在{v}。",
            }[k]
        if r.random() < 0.3:
            s = "You are a helpful assistant. " + s
        m = [SYS(s)]
        for _ in range(r.randint(0, 2)):
            u, b, _t = basic(r, lang, True)
            m += [U(u), A(b)]
        return {"messages": m + [U(q), A(a)], "think": f"The system prompt says: {v}.", "tag": "system"}
    # answer language
    tgt = r.choice(("zh", "en"))
    s = P(
        r,
        "Always answer in Chinese.|Answer in Chinese.|Reply in Chinese only.|请用中文回答。|总是用中文回答。|Respond in Chinese."
        if tgt == "zh"
        else "Always answer in English.|Answer in English.|Reply in English only.|请用英文回答。|总是用英文回答。|Respond in English.",
    )
    m = [SYS(s)]
    for _ in range(nt):
        k = r.choice(list(SMALL))
        if r.random() < 0.5:
            u = P(r, SMALL[k][0 if r.random() < 0.6 else 1])
            a = SMALL[k][2][tgt]
        else:
            u, a, _t = t_fall(r, lang_of(r))
            a = FALL[tgt]
        m += [U(u), A(a)]
    return {"messages": m, "think": "I follow the system prompt.", "tag": "system"}
