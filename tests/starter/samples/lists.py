"""Samples: counting and lists."""

from tests.starter.pools import FRUITS
from tests.starter.samples.words import P, noise

NUMW = "zero one two three four five six seven eight nine ten".split()
ZNUM = "零一二三四五六七八九十"
LISTS = {
    "fruits": (FRUITS, "苹果 香蕉 樱桃 葡萄 柠檬 芒果 橙子 桃子 梨 李子".split(), "水果"),
    "colors": (
        "red green blue yellow orange purple pink brown black white".split(),
        "红色 绿色 蓝色 黄色 橙色 紫色 粉色 棕色 黑色 白色".split(),
        "颜色",
    ),
    "animals": (
        "cat dog horse rabbit fox bear lion tiger mouse bird".split(),
        "猫 狗 马 兔子 狐狸 熊 狮子 老虎 老鼠 小鸟".split(),
        "动物",
    ),
    "vegetables": (
        "carrot potato tomato onion cabbage spinach pea bean corn garlic".split(),
        "胡萝卜 土豆 西红柿 洋葱 白菜 菠菜 豌豆 豆角 玉米 大蒜".split(),
        "蔬菜",
    ),
    "cities": (
        "Paris London Berlin Madrid Rome Tokyo Beijing Cairo Sydney Toronto".split(),
        "北京 上海 广州 深圳 成都 杭州 南京 武汉 西安 重庆".split(),
        "城市",
    ),
    "countries": (
        "France Germany Italy Spain China Japan India Brazil Egypt Canada".split(),
        "中国 日本 印度 法国 德国 意大利 西班牙 巴西 埃及 加拿大".split(),
        "国家",
    ),
}


def numw(r, n, lang):
    if lang == "en":
        return NUMW[n] if r.random() < 0.6 else str(n)
    return (ZNUM[n] if n != 2 else "两") if r.random() < 0.6 else str(n)


def t_list(r, lang):
    k = r.choice(list(LISTS))
    n = r.randint(1, 10) if r.random() < 0.6 else r.choice((3, 5))
    en, zh, zk = LISTS[k]
    nw = numw(r, n, lang)
    num = r.random() < 0.2
    if lang == "en":
        kk = k if n > 1 else {"cities": "city", "countries": "country"}.get(k, k[:-1])
        if kk.startswith("color") and r.random() < 0.3:
            kk = kk.replace("color", "colour")
        u = P(
            r,
            f"List {nw} {kk}|Name {nw} {kk}.|Give me {nw} {kk}|Write a list of {nw} {kk}|Tell me {nw} {kk}.|Give me a list of {nw} {kk}|Can you list {nw} {kk}?|I need {nw} {kk}.|Show me {nw} {kk}|Make a list of {nw} {kk}|What are {nw} {kk}?",
        )
        if num:
            u = P(
                r,
                f"Write a numbered list of {nw} {kk}|Give me a numbered list of {nw} {kk}|Numbered list of {nw} {kk}|Make a numbered list with {nw} {kk}",
            )
        it = en[:n]
    else:
        u = P(r, f"列出{nw}种{zk}|说出{nw}个{zk}|给我{nw}个{zk}|请列举{nw}种{zk}|写{nw}个{zk}|举例{nw}种{zk}|列出{nw}个{zk}")
        if num:
            u = P(r, f"用编号列出{nw}种{zk}|写一个{nw}种{zk}的编号列表|带编号列出{nw}个{zk}")
        it = zh[:n]
    a = "\n".join((f"{i + 1}. {x}" if num else f"- {x}") for i, x in enumerate(it))
    return noise(r, u, lang), a, ("I list them." if lang == "en" else "我来列举。")


DAYS = "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"
MONTHS = "January, February, March, April, May, June, July, August, September, October, November, December"


def t_count(r, lang):
    x = r.random()
    th = "I count step by step." if lang == "en" else "我逐个数。"
    if x < 0.08:
        return (
            P(
                r,
                "Say the alphabet|Write the alphabet|Recite the alphabet.|What are the letters of the alphabet?|List the letters of the alphabet|Tell me the alphabet"
                if lang == "en"
                else "背诵字母表|写出英文字母表|说出 26 个英文字母",
            ),
            "a b c d e f g h i j k l m n o p q r s t u v w x y z",
            th,
        )
    if x < 0.14:
        return (
            P(
                r,
                "List the days of the week|What are the days of the week?|Name the days of the week.|Tell me the days of the week|Write the weekdays"
                if lang == "en"
                else "一周有哪几天？|列出星期|说出一周的七天",
            ),
            (DAYS if lang == "en" else "星期一、星期二、星期三、星期四、星期五、星期六、星期日"),
            th,
        )
    if x < 0.2:
        return (
            P(
                r,
                "List the months of the year|What are the months of the year?|Name the twelve months.|Tell me the months|Write all months"
                if lang == "en"
                else "一年有哪些月份？|列出十二个月|说出所有月份",
            ),
            (MONTHS if lang == "en" else "一月、二月、三月、四月、五月、六月、七月、八月、九月、十月、十一月、十二月"),
            th,
        )
    if x < 0.75:
        a = 1 if r.random() < 0.6 else r.randint(0, 80)
        b = min(100, a + (r.randint(2, 20) if r.random() < 0.6 else r.randint(20, 100)))
        if r.random() < 0.06:
            a, b = 1, 100
        if lang == "en":
            if a == 1 and r.random() < 0.3:
                u = P(r, f"Count to {b}|Count up to {b}.|Can you count to {b}?|Count until {b}|Please count to {b}.")
            else:
                u = P(
                    r,
                    f"Count from {a} to {b}|Count from {a} up to {b}.|Write the numbers {a} to {b}|Write the numbers from {a} to {b}.|List the numbers from {a} to {b}|Give me the numbers {a} to {b}|Can you count from {a} to {b}?|Numbers from {a} to {b}|Print the numbers {a} to {b}|Say the numbers from {a} to {b}|Write all numbers from {a} to {b}.|count {a} to {b}|Print all numbers between {a} and {b}|Start at {a} and count to {b}|Output the numbers from {a} to {b}|Show the numbers {a} to {b}|Count {a} through {b}",
                )
        else:
            u = P(
                r,
                f"从 {a} 数到 {b}|从{a}数到{b}|写出 {a} 到 {b} 的数字|请从 {a} 数到 {b}|列出 {a} 到 {b} 的数字|数 {a} 到 {b}|写出从{a}到{b}的所有数字"
                + (f"|数到 {b}|数到{b}" if a == 1 else ""),
            )
        return noise(r, u, lang), ", ".join(map(str, range(a, b + 1))), th
    a = r.randint(3, 30)
    b = r.choice((1, 0, 1, 1, max(0, a - r.randint(2, 20))))
    if lang == "en":
        u = P(
            r,
            f"Count down from {a} to {b}|Count backwards from {a} to {b}.|Count down from {a} down to {b}|Write the numbers from {a} down to {b}|Countdown from {a} to {b}"
            + (f"|Count down from {a}|Count backwards from {a}|Do a countdown from {a}" if b == 1 else ""),
        )
    else:
        u = P(r, f"从 {a} 倒数到 {b}|从{a}倒数到{b}|倒着数 {a} 到 {b}|请从 {a} 倒数到 {b}")
    return noise(r, u, lang), ", ".join(map(str, range(a, b - 1, -1))), th
