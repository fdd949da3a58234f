"""What an answer looks like on the screen (catalogue 9.4)."""

import re

import pytest

from llmsite.cli.output import AnswerPrinter, WordWrap, format_metrics
from llmsite.types.chunk import Chunk, Metrics


def printed(chunks, columns=None, has_colors=False, hides_thinking=False):
    written: list[str] = []
    printer = AnswerPrinter(written.append, columns=columns, has_colors=has_colors, hides_thinking=hides_thinking)
    for chunk in chunks:
        printer.add(chunk)
    printer.finish()
    return "".join(written)


def screen(text):
    """What a terminal shows: characters taken back are overwritten, the rest of the line erased."""
    lines = [""]
    for part in re.findall(r"\x1b\[\d+D|\x1b\[K|\n|.", text):
        if part.startswith("\x1b[") and part.endswith("D"):
            lines[-1] = lines[-1][: -int(part[2:-1])]
        elif part == "\n":
            lines.append("")
        elif part != "\x1b[K":
            lines[-1] += part
    return lines


THOUGHTS = [Chunk(thinking="7 + 5"), Chunk(thinking=" = 12\n"), Chunk("17 + 25"), Chunk(" = 42")]


@pytest.mark.parametrize(
    ("chunks", "options", "text"),
    [
        (THOUGHTS, {}, "Thinking...\n7 + 5 = 12\n...done thinking.\n\n17 + 25 = 42"),
        (THOUGHTS, {"hides_thinking": True}, "17 + 25 = 42"),
        ([Chunk(thinking="no end"), Chunk("x")], {}, "Thinking...\nno end\n...done thinking.\n\nx"),
        ([Chunk(thinking="cut")], {"has_colors": True}, "\x1b[90mThinking...\ncut\x1b[0m"),
        (THOUGHTS[1:3], {"has_colors": True}, "\x1b[90mThinking...\n = 12\n...done thinking.\n\n\x1b[0m17 + 25"),
        ([Chunk("no thoughts")], {}, "no thoughts"),
    ],
)
def test_thoughts_are_set_apart(chunks, options, text):
    assert printed(chunks, **options) == text


COUNT = ", ".join(map(str, range(1, 41)))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_break_between_words_however_the_text_is_cut(size):
    wrap = WordWrap(80)
    written = "".join(wrap.feed(COUNT[at : at + size]) for at in range(0, len(COUNT), size))
    lines = screen(written)
    assert all(len(line) <= 75 for line in lines)
    assert [line.rstrip() for line in lines] == [COUNT[:74], COUNT[75:]]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("abcdefghij klmno", ["abcdefghij", "klmno"]),
        ("abcdefghijklm", ["abcdefghij", "klm"]),
        ("abcdefgh ijk", ["abcdefgh ", "ijk"]),
        ("ab\nabcdefgh ij", ["ab", "abcdefgh ", "ij"]),
        ("一二三四五六", ["一二三四五", "六"]),
    ],
)
def test_a_word_moves_whole_to_the_next_line(text, lines):
    assert screen(WordWrap(15).feed(text)) == lines


def test_figures_that_are_zero_are_left_out():
    metrics = Metrics(4_648_158_584, 4_071_084, 36, 439_038_000, 180, 4_196_918_000)
    assert format_metrics(metrics) == (
        "total duration:       4.648158584s\n"
        "load duration:        4.071084ms\n"
        "prompt eval count:    36 token(s)\n"
        "prompt eval duration: 439.038ms\n"
        "prompt eval rate:     82.00 tokens/s\n"
        "eval count:           180 token(s)\n"
        "eval duration:        4.196918s\n"
        "eval rate:            42.89 tokens/s\n"
    )
    assert format_metrics(Metrics(total_duration=1_500_000_000)) == "total duration:       1.5s\n"
