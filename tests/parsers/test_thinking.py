"""Thinking tags, cut at every position (catalogue 6.2)."""

import pytest

from llmsite.parsers.base import Delta, OutputParser, PlainParser
from llmsite.parsers.select import select_parser
from llmsite.parsers.thinking import ThinkingParser

TAGS = ("<think>", "</think>")

CASES = {
    "6.2 vector": ("<think> hm</think>\n\nHi", "hm", "Hi"),
    "6.2 whitespace before the opening tag is skipped": ("\n  <think>a</think>b", "a", "b"),
    "6.2 whitespace before the closing tag stays": ("<think>\na b\n</think>\n\nc", "a b\n", "c"),
    "6.2 no opening tag: content with its whitespace": ("  Hello <think>x</think>", "", "  Hello <think>x</think>"),
    "6.2 only the first block counts": ("<think>a</think>b<think>c</think>d", "a", "b<think>c</think>d"),
    "6.2 an unterminated block is all thinking": ("<think>a b c", "a b c", ""),
    "6.2 a tag within a thought": ("<think>x <think> y</think>z", "x <think> y", "z"),
    "6.2 almost a tag": ("<thin>king", "", "<thin>king"),
    "6.2 almost a closing tag": ("<think>a </thin b</think>c", "a </thin b", "c"),
    "6.2 the text ends in half an opening tag": ("<thi", "", "<thi"),
    "6.2 the text ends in half a closing tag": ("<think>a</thi", "a</thi", ""),
    "6.2 an empty block": ("<think>\n\n</think>\n\nHi", "", "Hi"),
    "6.2 nothing but whitespace": (" \n ", "", " \n "),
    "6.2 whitespace inside the answer stays": ("<think>a</think> b\n\nc ", "a", "b\n\nc "),
}


def feed(parser: OutputParser, *pieces: str) -> tuple[str, str]:
    deltas = [parser.add(piece) for piece in pieces] + [parser.finish()]
    return "".join(delta.thinking for delta in deltas), "".join(delta.content for delta in deltas)


@pytest.mark.parametrize(("text", "thinking", "content"), CASES.values(), ids=CASES)
def test_it_gives_the_same_wherever_the_text_is_cut(text: str, thinking: str, content: str) -> None:
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            pieces = (text[:first], text[first:second], text[second:])
            assert feed(ThinkingParser(*TAGS), *pieces) == (thinking, content), pieces
    assert feed(ThinkingParser(*TAGS), *text) == (thinking, content)


def test_the_vector_of_the_catalogue() -> None:
    assert feed(ThinkingParser(*TAGS), "<th", "ink>", " hm", "</thi", "nk>\n\nHi") == ("hm", "Hi")


@pytest.mark.parametrize("cut", range(len("\na\n</think>\nb") + 1))
def test_a_prompt_that_ended_with_the_opening_tag_starts_inside(cut: int) -> None:
    text = "\na\n</think>\nb"
    parser = select_parser(think=True, tags=TAGS, prompt="<|im_start|>assistant\n<think>\n")
    assert feed(parser, text[:cut], text[cut:]) == ("a\n", "b")


def test_no_part_of_a_tag_is_shown_early() -> None:
    parser = ThinkingParser(*TAGS)
    assert not parser.add("<th")
    assert parser.is_holding
    assert not parser.add("ink>")
    assert not parser.is_holding
    assert parser.add("a</") == Delta(thinking="a")
    assert parser.is_holding


@pytest.mark.parametrize(
    ("think", "tags", "has_prefill"),
    [(False, TAGS, False), (None, TAGS, False), (True, None, False), (True, TAGS, True)],
    ids=["2.7 thinking off", "no thinking", "no tags", "6.4 prefill starts in content"],
)
def test_nothing_is_parsed(think: bool | None, tags: tuple[str, str] | None, has_prefill: bool) -> None:
    parser = select_parser(think=think, tags=tags, prompt="", has_prefill=has_prefill)
    assert isinstance(parser, PlainParser)
    assert feed(parser, "<think>a</think>b") == ("", "<think>a</think>b")


@pytest.mark.parametrize("think", [True, "low", "high"])
def test_every_level_is_parsed(think: bool | str) -> None:
    assert feed(select_parser(think=think, tags=TAGS, prompt="x"), "<think>a</think>b") == ("a", "b")
