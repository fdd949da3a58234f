"""Samples: Markdown, code and stories."""

from tests.starter.pools import ANIMALS, ZANIMALS, name
from tests.starter.samples.words import P, noise

MD = {
    "en": "# Markdown example\n\nA line with **bold**, *italic* and `code`.\n\n## List\n\n- first\n- second\n- third\n\n## Table\n\n| Name | Age |\n| --- | --- |\n| Alice | 30 |\n| Bob | 25 |\n\n## Code\n\n```python\ndef add(a, b):\n    return a + b\n\nprint(add(2, 3))\n```",
    "zh": "# Markdown 示例\n\n一行带有**粗体**、*斜体*和`代码`的文字。\n\n## 列表\n\n- 第一\n- 第二\n- 第三\n\n## 表格\n\n| 姓名 | 年龄 |\n| --- | --- |\n| 小红 | 30 |\n| 小明 | 25 |\n\n## 代码\n\n```python\ndef add(a, b):\n    return a + b\n\nprint(add(2, 3))\n```",
}
CODE = {
    "python": '```python\nprint("Hello, world!")\n```',
    "javascript": '```javascript\nconsole.log("Hello, world!");\n```',
    "bash": '```bash\necho "Hello, world!"\n```',
    "c": '```c\n#include <stdio.h>\n\nint main(void) {\n    printf("Hello, world!\\n");\n    return 0;\n}\n```',
    "html": "```html\n<h1>Hello, world!</h1>\n```",
    "go": '```go\npackage main\n\nimport "fmt"\n\nfunc main() {\n    fmt.Println("Hello, world!")\n}\n```',
}
LN = {"python": "Python", "javascript": "JavaScript", "bash": "Bash", "c": "C", "html": "HTML", "go": "Go"}


def t_md(r, lang):
    x = r.random()
    if x < 0.3:
        u = P(
            r,
            "Show me a markdown example|Show me markdown|Write a markdown example|Give me an example of markdown.|Markdown example please|Write some markdown|Give me a markdown sample|Demonstrate markdown|Show me some markdown formatting|Can you write markdown?|Markdown demo|Show a sample of markdown"
            if lang == "en"
            else "给我一个 Markdown 示例|展示 Markdown|写一个 Markdown 例子|Markdown 示例|写一段 Markdown|请演示 Markdown 格式",
        )
        return (
            noise(r, u, lang),
            MD[lang],
            ("I show headings, a list, a table and code." if lang == "en" else "我展示标题、列表、表格和代码。"),
        )
    if x < 0.42:
        u = P(
            r,
            "Show me a markdown table|Write a table|Give me a table example|Make a markdown table|Show me a table|An example of a table please"
            if lang == "en"
            else "给我一个表格|写一个 Markdown 表格|展示一个表格|表格示例",
        )
        return (
            noise(r, u, lang),
            (
                "| Name | Age |\n| --- | --- |\n| Alice | 30 |\n| Bob | 25 |"
                if lang == "en"
                else "| 姓名 | 年龄 |\n| --- | --- |\n| 小红 | 30 |\n| 小明 | 25 |"
            ),
            ("I write a table." if lang == "en" else "我写一个表格。"),
        )
    if x < 0.7:
        k = r.choice(list(CODE))
        l = LN[k]
        u = P(
            r,
            f"Write hello world in {l}|Hello world in {l}|Show me hello world in {l}.|Print hello world in {l}|How do I write hello world in {l}?|{l} hello world|A hello world program in {l}|Write a hello world program in {l}.|Give me a {l} hello world example|Show me some {l} code|Write {l} code"
            if lang == "en"
            else f"用 {l} 写 hello world|{l} 的 hello world|写一个 {l} 的 hello world 程序|给我一段 {l} 代码",
        )
        return noise(r, u, lang), CODE[k], ("I write the program." if lang == "en" else "我来写程序。")
    an = r.choice(ANIMALS if lang == "en" else ZANIMALS)
    n = name(r, lang)
    if lang == "en":
        art = "an" if an[0] in "aeiou" else "a"
        if x < 0.8:
            an, n = "fox", "Luna"
            u = P(
                r,
                "Tell me a story.|Write a story|Write a short story.|Tell me a short story|I want to hear a story|Story please|Tell a story|Write me a story|Tell me a bedtime story|Can you tell a story?|Give me a short story",
            )
        else:
            u = P(
                r,
                f"Tell me a story about {art} {an} named {n}.|Write a story about {art} {an} named {n}|Write a short story about {art} {an} called {n}.|Tell me a story about {n} the {an}|A story about {art} {an} named {n} please|Write me a short story about {n}, {art} {an}",
            )
        a = f'Once upon a time there was a small {an} named {n}. {n} lived in a quiet forest near a blue river. One morning {n} found a golden key under a stone. The key opened a door in an old tree. Behind the door there was a room full of light, and in the room sat a wise old owl. "Share what you find," said the owl, "and you will never be alone." So {n} invited all the animals of the forest, and they sang and danced until the moon came up. The end.'
        return noise(r, u, lang), a, "I tell a short story."
    if x < 0.8:
        an, n = "狐狸", "小月"
        u = P(r, "讲个故事|给我讲个故事吧。|写一个短故事|讲一个睡前故事|我想听故事|写个故事|说一个故事|来个故事")
    else:
        u = P(r, f"讲一个关于{an}{n}的故事。|写一个故事，主角是{an}{n}|给我讲{n}这只{an}的故事|写一个叫{n}的{an}的故事")
    a = f"从前有一只小小的{an}，名叫{n}。{n}住在蓝色小河边的安静森林里。一天早上，{n}在石头下面发现了一把金钥匙。钥匙打开了老树上的一扇门。门后是一个充满光的房间，房间里坐着一只聪明的老猫头鹰。猫头鹰说：“分享你找到的东西，你就永远不会孤单。”于是{n}请来了森林里所有的动物，大家一起唱歌跳舞，直到月亮升起。故事讲完了。"
    return noise(r, u, lang), a, "我讲一个短故事。"
