"""Markdown while it grows: every cut must give what rendering at once gives, and nothing finished may change."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.markdown import Block, StreamedMarkdown, render

ANSWERS = Path(__file__).parent.parent / "data" / "chat" / "answers.md"
CORPUS = ANSWERS.read_text().split("<!-- next -->\n")

TRICKY = [
    "para\n#\n#foo\n",
    "para\n#foo bar\n",
    "para\n***bold***\n",
    "para\n***\nnext",
    "a\n-\nb",
    "a\n- b\n- c\n\nd",
    "- a\n***b***\n- c",
    "- a\n#x\n",
    "- a\n\n  more\n\n- b\n\nend",
    "- a\n- b\n\n* c\n* d",
    "> q\n---x\n---\n",
    "> a\n\n> b\n\nc",
    "1. one\n2. two\n\n   three\n3. four\n",
    "text\n1. one\n2. two",
    "text\n2. no list\n",
    "| a | b |\n| - | - |\n| 1 | 2 |\nrow\n\nend",
    "para\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "| not a table\nat all\n",
    "a | b\n--|--\n1 | 2\n\n",
    "```\ncode\n```\nafter",
    "```python\nx = 1\n``\n``` \nafter\n",
    "text\n```a`b\nmore\n```\n",
    "~~~~\n~~~\n~~~~\nx",
    "  ```\n  a\n b\n  ```\nx",
    "```never closed\na\n\nb",
    "- x\n\n  ```js\n  1\n  ```\n- y",
    "    indented\n\n    more\nno more",
    "a\n===\nb\n---\nc",
    "$$\nx\n$$\nend",
    "text\n$$ x = 1\n+ 2 $$\nend",
    "$$\nnever closed\n\n# next\n",
    "$$x$$ is inline\nand more",
    "para\n$$x$$ is inline too\nand more",
    "para\n\\[x\\] is inline too\nand more",
    "para\n$$x$$\nend",
    "\\[ a \\]\n\\[\nb\n\\]\n",
    "$5 to $10 and $x+1$",
    "**bold *and* more** `code `` tick` ~~gone~~",
    "[text](http://a.b 'title') and [half](http://",
    "[a]: http://x.y\n\n[a]",
    "![alt](http://pic.example/x.png)",
    "line one\r\nline two\r\n\r\npara\rlast",
    "nul \0 here\n\n\0",
    "<script>alert(1)</script>\n\n<b>x</b>",
    "**注意：**正文\n下一行，还有**“引号”**。\n\n- 一\n- 二\n",
    "   \n\n  \ntext\n\t\n\ttabbed\n",
    "***\n---\n___\n",
    "- - - a\n- - -\n",
    "* * *\nx\n* * y\n",
    "a\\\nb  \nc",
    "- [ ] open\n- [x] done\n",
    "#\n##  \n### three ###\n",
    "`" * 7 + "\n" + "`" * 6 + "\n" + "`" * 8 + "\nx",
    "- a\n  > b\n  > ```\n  > c\n\nd",
    "text\n    not code\n",
    "\n\n\n",
    "a\n\n\n\nb\n\n",
]


class Tab:
    """What a browser does with the blocks it is sent."""

    def __init__(self) -> None:
        self.html: list[str] = []
        self.finished: dict[int, str] = {}
        self.code: dict[int, str] = {}

    def take(self, blocks: list[Block]) -> None:
        assert [each.n for each in blocks] == list(range(len(blocks)))
        assert len(blocks) >= len(self.finished), "finished blocks went away"
        assert all(each.is_finished for each in blocks[:-1]), "only the last block may be unfinished"
        for each in blocks:
            if each.n in self.finished:
                assert each.html == self.finished[each.n], "a finished block changed"
            if each.is_finished:
                self.finished[each.n] = each.html
            if each.open_code is not None:
                assert each.open_code.startswith(self.code.get(each.n, "")), "code that was shown changed"
                self.code[each.n] = each.open_code
        self.html = [each.html for each in blocks]


def stream(text: str, cuts: list[int]) -> Tab:
    tab, markdown = Tab(), StreamedMarkdown("x")
    for cut in cuts:
        tab.take(markdown.update(text[:cut]))
    tab.take(markdown.update(text, is_final=True))
    return tab


def whole(text: str) -> list[str]:
    return [each.html for each in render(text, "x")]


@pytest.mark.parametrize("text", TRICKY)
def test_every_single_character_as_a_piece_gives_the_whole_render(text: str) -> None:
    assert stream(text, list(range(1, len(text) + 1))).html == whole(text)


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_random_pieces_of_real_answers_give_the_whole_render(number: int) -> None:
    text, dice = CORPUS[number], random.Random(number)
    expected = whole(text)
    for num_cuts in (3, 20, 120):
        cuts = sorted(dice.randrange(len(text) + 1) for _ in range(num_cuts))
        assert stream(text, cuts).html == expected


PIECES = [
    *(
        "# ",
        "## ",
        "- ",
        "* ",
        "1. ",
        "2) ",
        "> ",
        "```",
        "~~~",
        "$$",
        "\\[",
        "\\]",
        "| a | b |",
        "|---|---|",
        "---",
        "***",
        "===",
    ),
    *(
        "    ",
        "\t",
        "  ",
        " ",
        "\n",
        "\n",
        "\n\n",
        "\r\n",
        "a",
        "word ",
        "**",
        "*",
        "_",
        "`",
        "~~",
        "[x](",
        ")",
        "![",
        "<b>",
        "$",
        "$x$",
    ),
    *("中文", "。", "“", "”", "：", "- [ ] ", "\\", "|", ":", "=", "-", "1", ".", "py", "&amp;", "\0"),
]


@settings(max_examples=250, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_random_markdown_in_its_pieces_gives_the_whole_render(pieces: list[str]) -> None:
    text, cuts, position = "".join(pieces), [], 0
    for each in pieces:
        position += len(each)
        cuts.append(position)
    assert stream(text, cuts).html == whole(text)


def test_text_that_is_too_much_to_lay_out_is_shown_plain_and_whole() -> None:
    """ui-spec 8.10: nesting, long tables, endless paragraphs."""
    nested = "".join("  " * level + "- item\n" for level in range(60))
    long_table = "| a |\n| - |\n" + "| x |\n" * 1_001
    endless = "![" * 20_000
    for text in (nested, long_table, endless):
        (block,) = render(text, "x")
        assert "shown as plain text" in block.html
        assert block.html.count("item") == text.count("item")
        assert block.html.count("| x |") == text.count("| x |")


def test_a_slow_block_is_laid_out_again_only_when_it_grew_by_a_quarter() -> None:
    markdown = StreamedMarkdown("x")
    text = "a" + "[" * 4_000
    shown = markdown.update(text)
    markdown.cost_seconds = 1.0
    assert markdown.update(text + "[" * 100)[0] is shown[0]
    assert markdown.update(text + "[" * 1_001)[0] is not shown[0]


def test_text_is_shown_as_far_as_it_is_decided() -> None:
    markdown = StreamedMarkdown("x")
    assert [each.html for each in markdown.update("Hello **wor")] == ["<p>Hello <strong>wor</strong></p>"]
    assert [each.html for each in markdown.update("Hello **world** [a li")] == ["<p>Hello <strong>world</strong> a li</p>"]
    assert [each.html for each in markdown.update("Hello **world** [a li](http://x.y)\n-")] == [
        '<p>Hello <strong>world</strong> <a href="http://x.y" target="_blank" rel="noopener noreferrer nofollow">a li</a></p>'
    ]
    assert len(markdown.update("Hello **world** [a li](http://x.y)\n- item")) == 2


def test_a_table_waits_for_its_rule_line() -> None:
    markdown = StreamedMarkdown("x")
    assert markdown.update("| a | b |") == []
    assert markdown.update("| a | b |\n| -") == []
    (block,) = markdown.update("| a | b |\n| - | - |\n")
    assert "<table>" in block.html


def test_an_open_fence_shows_its_frame_at_once_and_text_that_only_grows() -> None:
    markdown = StreamedMarkdown("x")
    assert markdown.update("```py") == []
    (block,) = markdown.update("```python\n")
    assert block.open_code == ""
    assert 'id="m-x-b0-code"' in block.html
    (block,) = markdown.update("```python\nif a < b:\n``")
    assert block.open_code == "if a < b:"
    (block,) = markdown.update("```python\nif a < b:\n``not the end")
    assert block.open_code == "if a < b:\n``not the end"
    assert "if a &lt; b:\n``not the end</code>" in block.html
