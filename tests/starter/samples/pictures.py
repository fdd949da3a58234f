"""Samples: questions about pictures, told by picture tokens."""

from tests.starter.samples.chats import A, U, basic, lang_of, neutral
from tests.starter.samples.words import P, an, noise

VC = "red green blue yellow orange purple pink brown black white".split()
ZVC = dict(zip(VC, "红色 绿色 蓝色 黄色 橙色 紫色 粉色 棕色 黑色 白色".split()))
VS = "circle square triangle diamond star cross ring".split()
ZVS = dict(zip(VS, "圆形 正方形 三角形 菱形 星形 十字形 圆环".split()))
VSPECIAL = (
    ["<|img_fill|>", "<|img_none|>"]
    + [f"<|img_{c}|>" for c in VC]
    + [f"<|bg_{c}|>" for c in VC]
    + [f"<|img_{s}|>" for s in VS]
    + ["<|img_big|>", "<|img_small|>"]
)
NPIC = 16


def pic(c, sh, bg, sz):
    """tokens of a picture: colour, shape, background, size, then filler"""
    return "".join([f"<|img_{c}|>", f"<|img_{sh}|>", f"<|bg_{bg}|>", f"<|img_{sz}|>"]) + "<|img_fill|>" * (NPIC - 4)


def t_vision(r, lang, p=None):
    """-> question, answer about picture p"""
    c, sh, bg, sz = p
    en = lang == "en"
    if sh == "none":
        qs = [
            (
                "What is in this image?|What do you see?|Describe the image.|What is this?|Describe this picture.|What is in the picture?|What does the image show?|What shape is it?|What colour is this image?|What color is it?"
                if en
                else "这张图片里有什么？|你看到了什么？|描述这张图片。|这是什么？|图中是什么颜色？|图片里是什么？",
                f"The image is plain {bg}." if en else f"图片是纯{ZVC[bg]}。",
            )
        ]
    else:
        full = f"The image shows {an(c)} {sh} on {an(bg)} background." if en else f"图片中是{ZVC[bg]}背景上的{ZVC[c]}{ZVS[sh]}。"
        qs = [
            (
                "What is in this image?|What do you see?|Describe the image.|What is this?|Describe this picture.|What is in the picture?|What does the image show?|What can you see in this image?|Describe what you see.|What is shown here?|Tell me what is in the image.|Explain this image|Caption this image.|what is in the photo?|What's in this picture?|Describe|Look at this"
                if en
                else "这张图片里有什么？|你看到了什么？|描述这张图片。|这是什么？|图片里是什么？|请描述图片。|图中有什么？|看看这张图|这张照片里有什么？|说说你看到的内容",
                full,
            )
        ] * 2
        qs += [
            (
                "What color is it?|What colour is it?|What color is the shape?|Which color do you see?|What is the color of the shape?|What colour is the object?|Which colour does the shape have?|Tell me the colour."
                if en
                else "它是什么颜色？|什么颜色？|图形是什么颜色？|这个形状是什么颜色的？",
                f"It is {c}." if en else f"它是{ZVC[c]}。",
            ),
            (
                "What shape is it?|What shape is this?|Which shape do you see?|What is the shape?|Name the shape.|Which shape is in the image?|Tell me the shape."
                if en
                else "它是什么形状？|什么形状？|图中是什么形状？|这是什么形状？",
                f"It is {an(sh)}." if en else f"它是{ZVS[sh]}。",
            ),
            (
                "What color is the background?|What is the background color?|What colour is the background?|Which colour is the background?|background color?"
                if en
                else "背景是什么颜色？|背景颜色是什么？",
                f"The background is {bg}." if en else f"背景是{ZVC[bg]}。",
            ),
            (
                "Is it big or small?|How big is it?|What size is it?|Is the shape big or small?|Is it large or small?"
                if en
                else "它是大还是小？|它有多大？|图形大吗？",
                f"It is {sz}." if en else ("它很大。" if sz == "big" else "它很小。"),
            ),
        ]
        if en:
            y = r.random()
            c2 = c if y < 0.5 else r.choice([k for k in VC if k != c])
            s2 = sh if y < 0.5 else r.choice([k for k in VS if k != sh])
            if r.random() < 0.5:
                qs.append((P(r, f"Is it {c2}?|Is the shape {c2}?"), "Yes." if c2 == c else f"No, it is {c}."))
            else:
                qs.append(
                    (
                        P(r, f"Is it {an(s2)}?|Is this {an(s2)}?|Do you see {an(s2)}?"),
                        "Yes." if s2 == sh else f"No, it is {an(sh)}.",
                    )
                )
    q, a = r.choice(qs)
    return noise(r, P(r, q), lang), a


def s_vision(r):
    lang = lang_of(r)
    bg = r.choice(VC)
    c = r.choice([x for x in VC if x != bg])
    p = (c, r.choice(VS), bg, r.choice(("big", "small")))
    if r.random() < 0.08:
        p = ("fill", "none", bg, "fill")
    m = neutral(r)
    if r.random() < 0.12:
        u, a, _t = basic(r, lang, True)
        m += [U(u), A(a)]
    for k in range(r.choice((1, 1, 2, 3))):
        q, a = t_vision(r, lang, p)
        if k == 0:
            x = r.random()
            im = pic(*p).replace("<|img_fill|>" * 13, "<|img_fill|>" * 13)
            if p[1] == "none":
                im = "<|img_fill|><|img_none|>" + f"<|bg_{bg}|>" + "<|img_fill|>" * 13
            q = im + ("" if x < 0.4 else "\n" if x < 0.7 else " ") + q if x < 0.85 else q + P(r, "\n| |") + im
        elif r.random() < 0.25:
            u, b, _t = basic(r, lang, True)
            m += [U(u), A(b)]
        m += [U(q), A(a)]
    return {"messages": m, "think": None, "tag": "vision"}
