"""What may leave the renderer: nothing that runs, nothing that fetches, and formulas, tables and code as the pages want them."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest

from chat.markdown import StreamedMarkdown, render

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<iframe src='//evil'></iframe>",
    "<style>*{background:url(//evil)}</style>",
    "<meta http-equiv=refresh content='0;url=//evil'>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<div hx-get='/x' hx-trigger='load' data-hx-get='/y' ws-connect='/z'>x</div>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](//evil.example/x)",
    "[x](/admin/delete)",
    "[x](&#106;avascript:alert(1))",
    "[x](java\\tscript:alert(1))",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    '![x](http://evil/"onerror="alert(1))',
    "![x](http://evil/a.png)",
    '[x](http://a.b "t\\" onmouseover=alert(1) x=\\"")',
    '[x](http://a.b "<hr class=f0>")',
    "```<script>\nalert(1)\n```",
    '```py" onclick="x\nprint()\n```',
    "```html\n<script>alert(1)</script>\n```",
    "$<img src=x onerror=alert(1)>$",
    "$$\n<script>alert(1)</script>\n$$",
    '\\(a" onclick="b\\)',
    "| <img src=x onerror=alert(1)> |\n|---|\n| <script>x</script> |\n",
    "<hr class='f0'>\n\n```\ncode\n```",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "- [x] <input onfocus=alert(1) autofocus>",
    "<a href='http://x' style='position:fixed'>x</a>",
    "[a]: javascript:alert(1)\n\n[a]",
    "`<b onclick=x>`",
    "<!-- <script> --> <![CDATA[ <script> ]]> <?php ?>",
]
ALLOWED_ATTRIBUTES = {
    *("href", "title", "target", "rel", "class", "id", "start", "scope", "tabindex", "role", "aria-label", "aria-hidden", "type"),
    *("disabled", "checked", "aria-pressed", "data-copy-code", "data-wrap", "data-download"),
}
ALLOWED_TAGS = {
    *(
        "p",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "blockquote",
        "em",
        "strong",
        "s",
        "a",
        "code",
        "br",
        "hr",
        "table",
        "thead",
    ),
    *("tbody", "tr", "th", "td", "div", "span", "input", "figure", "figcaption", "button", "svg", "use", "pre"),
}


class Inspector(HTMLParser):
    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED_TAGS, tag
        for name, value in attributes:
            assert name in ALLOWED_ATTRIBUTES or (tag == "use" and name == "href"), name
            if tag == "a" and name == "href":
                assert re.match(r"(https?|mailto):", value or ""), value
        if tag == "a":
            assert dict(attributes).get("rel") == "noopener noreferrer nofollow"
            assert dict(attributes).get("target") == "_blank"


def html_of(text: str) -> str:
    return "\n".join(each.html for each in render(text, "x"))


@pytest.mark.parametrize("text", HOSTILE)
def test_t43_t44_hostile_text_is_shown_as_text(text: str) -> None:
    markdown = StreamedMarkdown("x")
    for cut in range(1, len(text) + 1):
        for block in markdown.update(text[:cut]):
            Inspector().feed(block.html)
    Inspector().feed(html_of(text))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# One\n\n###### Six", '<h3>One</h3>\n<h6>Six</h6>'),
        ("a\nb", "<p>a\nb</p>"),
        ("~~x~~", "<p><s>x</s></p>"),
        ("- [ ] a", '<ul>\n<li class="task"><input type="checkbox" disabled="">a</li>\n</ul>'),
        ("3. x", '<ol start="3">\n<li>x</li>\n</ol>'),
        ("[a]: http://x.y", "<p>[a]: http://x.y</p>"),
        (
            "![pic](http://h.example/a.png)",
            '<p><a href="http://h.example/a.png" target="_blank" rel="noopener noreferrer nofollow">pic (h.example)</a></p>',
        ),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>"),
    ],
)  # fmt: skip
def test_what_common_marks_become(text: str, html: str) -> None:
    assert html_of(text) == html


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("$5 to $10", []),
        ("$HOME and $PATH", []),
        ("**$4**, $1.50", []),
        ("$2x+1$", ["2x+1"]),
        (r"$\$0.60$", [r"\$0.60"]),
        ("$x$ is 5", ["x"]),
        ("it costs 5$ or $6", []),
        ("a $ b $ c", []),
        ("$$a_1$$", ["a_1"]),
        ("in text $$a$$ too", ["a"]),
        (r"\(a<b\) and \[c\]", ["a&lt;b", "c"]),
        (r"\$5 and \$6", []),
        ("`$x$`", []),
        ("$a\nb$", ["a\nb"]),
        ("$$\na\n\nb\n$$", []),
    ],
)
def test_ui_spec_8_7_formulas(text: str, formulas: list[str]) -> None:
    assert re.findall(r'class="math[^"]*">([^<]*)</', html_of(text)) == formulas


# the examples of the published CJK-friendly amendments and of ui-spec 8.6
CJK = [
    "这是**“术语”**模式。",
    "**注意：**正文",
    "**この文を強調できますか（Can I emphasize this sentence）？**残念ながらこの文のせいでできません。",
    "我可以强调**这个`code`**吗？",
    "**이 용어(This term)**를 강조해 주세요.",
    "**わ〜い！強調記号ができます！**問題なし！",
    "湾岸の**46%**を",
    "これは**[リンク](https://example.com)**です",
    "「**テスト。**」と**`コード`**も",
    "𩸽**（ほっけ）**を焼く",
    "**스크립트(script)**라고",
]


@pytest.mark.parametrize("text", CJK)
def test_emphasis_beside_cjk_text_is_recognised(text: str) -> None:
    html = html_of(text)
    assert html.count("<strong>") == text.count("**") // 2
    assert "**" not in html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a**“b”**c", "<p>a**“b”**c</p>"),
        ("snake_case_word", "<p>snake_case_word</p>"),
        ("2 * 3 * 4", "<p>2 * 3 * 4</p>"),
        ("**a**b", "<p><strong>a</strong>b</p>"),
        ("😀**(x)**y", "<p>😀**(x)**y</p>"),
        ("__中__文", "<p>__中__文</p>"),
        ("一行\n二行\nthree", "<p>一行二行\nthree</p>"),
        ("**一行**\n二行", "<p><strong>一行</strong>二行</p>"),
    ],
)
def test_text_without_cjk_neighbours_follows_commonmark(text: str, html: str) -> None:
    assert html_of(text) == html


def test_code_keeps_every_character_and_gets_the_classes_of_the_stylesheet() -> None:
    code = "def f(a):\n\treturn a < 1 & 2  # ünï \"q\" 'x'\n\n\n"
    html = html_of(f"```python\n{code}\n```")
    shown = re.search(r'<code id="m-x-b0-code">(.*)</code>', html, re.DOTALL)
    assert shown is not None
    assert unescape(re.sub("<[^>]*>", "", shown[1])) == code
    assert '<span class="k">def</span>' in shown[1]
    assert "<span>Python</span>" in html


def test_a_table_has_scopes_alignment_and_a_frame_that_scrolls() -> None:
    html = html_of("| a | b |\n|---|--:|\n| 1 | 2 |\n")
    assert html.startswith('<div class="wide" tabindex="0" role="group" aria-label="Table"><table>')
    assert '<th scope="col" class="end">b</th>' in html
    assert '<td class="end">2</td>' in html
