"""Samples: repeat, spell and change the case of a text."""

from tests.starter.pools import EMOJI, NAMES, WORDS, letters, pseudo, sent, word, zsent
from tests.starter.samples.words import P, noise


def copytext(r, lang):
    x = r.random()
    if lang == "zh":
        if x < 0.6:
            return zsent(r, 2, 10)
        if x < 0.7:
            return zsent(r, 2, 6) + "，" + zsent(r, 2, 6) + P(r, "。|！|？|")
        if x < 0.8:
            return zsent(r, 2, 4) + " " + word(r)
        return sent(r, 1, 5)
    if x < 0.65:
        return sent(r, 1, 9)
    if x < 0.75:
        return " ".join(str(r.randint(0, 999)) for _ in range(r.randint(1, 6)))
    if x < 0.82:
        return letters(r, 3, 9).upper() if r.random() < 0.5 else pseudo(r).capitalize() + str(r.randint(0, 99))
    if x < 0.9:
        return zsent(r, 2, 8)
    if x < 0.95:
        return "".join(r.choice(EMOJI) for _ in range(r.randint(1, 4)))
    return "".join(r.choice("abcXYZ0189-_+*/=<>[](){}#@&%$;:~^|\\\"'.,é ñüßдж").strip() or "k" for _ in range(r.randint(3, 9)))


def t_copy(r, lang):
    x = copytext(r, lang)
    if lang == "en":
        k = r.random()
        if k < 0.45:
            u = (
                P(
                    r,
                    "Repeat after me: |Repeat this: |Repeat: |Say: |Say this: |Echo: |Copy this text: |Repeat exactly: |Please repeat: |Repeat the following: |Repeat the text: |Say exactly: |Copy: |Repeat the following text: |Write: |Say after me: |Print: |Output this: |Echo this: |Type: |Output exactly: |Write this: |Repeat this sentence: ",
                )
                + x
            )
        elif k < 0.65:
            u = P(r, "Repeat after me:\n|Repeat this:\n|Copy this:\n|Say:\n|Repeat the following text:\n\n|Echo:\n") + x
        elif k < 0.85:
            q = r.choice(['"', '"', "'"])
            if q in x:
                q = '"' if q == "'" else "'"
            u = P(
                r,
                "Repeat {}|Say {}|Repeat after me: {}|Say the words {}|Please say {}|Echo {}|Write {}|Repeat the text {}|Just say {}|Output {}|Repeat {} back to me|Print {}|Can you say {}|Type {}|Respond with {}|Reply with {}",
            ).format(q + x + q)
        else:
            x = word(r) if r.random() < 0.7 else " ".join(word(r) for _ in range(2))
            u = P(
                r,
                "Say {}|Say the word {}|Just say {}|Write the word {}|Repeat the word {}|Please say {}|Type the word {}|Reply with the word {}|Respond with the word {}|Can you say {}|Answer with the word {}",
            ).format(x)
        return u, x, "The user wants me to repeat the text."
    u = (
        P(
            r,
            "请重复：|跟我说：|重复这句话：|请复述：|照着说：|复述：|请说：|重复一遍：|请原样输出：|跟我念：|说：|请照抄：|输出：|复读：|请写出：",
        )
        + x
        if r.random() < 0.7
        else P(r, "请重复“{}”|请说“{}”|跟我说“{}”|复述“{}”|说“{}”|请回复“{}”|请输出“{}”").format(x)
    )
    return u, x, "用户要我复述这段话。"


def t_spell(r, lang):
    w = (r.choice(WORDS) if r.random() < 0.7 else word(r)) if r.random() < 0.9 else r.choice(NAMES).lower()
    if r.random() < 0.15:
        w = w.capitalize()
    if lang == "en":
        u = P(
            r,
            'Spell the word {}|Spell {}|How do you spell {}?|Spell out {}|Spell the word "{}"|Can you spell {}?|Please spell {}|Spell {} letter by letter|Spell out the word {}|What are the letters of {}?|How is {} spelled?|Write {} letter by letter|Spell "{}" for me|How do you spell the word {}?|Give me the spelling of {}|What is the spelling of {}?',
        )
    else:
        u = P(r, "拼写单词 {}|请拼写 {}|{} 怎么拼？|把 {} 拼出来|单词 {} 怎么拼写？|请逐个字母拼写 {}|拼一下 {}|如何拼写 {}？")
    return (
        noise(r, u.format(w), lang),
        "-".join(w),
        ("I write the letters one by one." if lang == "en" else "我把字母逐个写出来。"),
    )


def t_upper(r, lang):
    lower = r.random() < 0.25
    x = " ".join((r.choice(WORDS) if r.random() < 0.7 else word(r)) for _ in range(r.choice((1, 1, 1, 1, 2, 2))))
    if lower:
        x = x.upper()
    elif r.random() < 0.2:
        x = x.capitalize()
    if lang == "en":
        if lower:
            u = P(
                r,
                "Say {} in lower case|Write {} in lowercase|Convert {} to lower case|Make {} lowercase|Lowercase: {}|{} in lower case|Put {} in lowercase letters|Convert to lowercase: {}|Change {} to small letters",
            )
        else:
            u = P(
                r,
                'Say {} in upper case|Write {} in uppercase|Convert {} to upper case|Make {} uppercase|Say {} in capital letters|Uppercase: {}|{} in upper case|Put {} in capitals|Convert to uppercase: {}|Shout {}|Write {} in capital letters|Capitalize all letters of {}|Write "{}" in upper case|Say "{}" in capitals|Uppercase {}|Print {} in uppercase letters',
            )
    else:
        u = (
            P(r, "把 {} 变成小写|{} 的小写|将 {} 转换为小写|用小写写 {}")
            if lower
            else P(r, "把 {} 变成大写|{} 的大写|将 {} 转换为大写|用大写写 {}|请用大写字母写 {}|把 {} 改成大写字母")
        )
    return u.format(x), (x.lower() if lower else x.upper()), ("I change the case." if lang == "en" else "我转换大小写。")
