"""Whole characters and stop strings, cut at every position."""

import pytest

from llmsite.engine.detokenizer import Detokenizer

TEXT = "你好 🦙 ähm END of it"


def run(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], str, bool]:
    """Texts as they came, what came at the end, and whether a stop string was met."""
    detokenizer = Detokenizer(stop)
    texts = [detokenizer.add(piece) for piece in pieces]
    return texts, detokenizer.finish(), detokenizer.is_stopped


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 100])
def test_pieces_of_any_size_give_whole_characters(size: int) -> None:
    data = TEXT.encode()
    texts, rest, _ = run([data[i : i + size] for i in range(0, len(data), size)])
    assert "".join(texts) + rest == TEXT
    assert "\ufffd" not in "".join(texts)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"a\xffb", "a\ufffdb", id="a byte that is no UTF-8"),
        pytest.param(b"ab\xe4\xbd", "ab\ufffd", id="a character that never ends"),
        pytest.param(b"\xf0\x9f\xa6", "\ufffd", id="most of a llama"),
    ],
)
def test_bytes_that_are_no_text_are_replaced(data: bytes, expected: str) -> None:
    texts, rest, _ = run([bytes([each]) for each in data])
    assert "".join(texts) + rest == expected


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        pytest.param("one END two", ("END",), "one ", id="in the middle"),
        pytest.param("END", ("END",), "", id="the whole text"),
        pytest.param("a b c", ("c", "b"), "a ", id="the earliest of several"),
        pytest.param("abcbcd", ("bcd",), "abc", id="a false start before it"),
        pytest.param("aaab", ("aab",), "a", id="overlapping itself"),
        pytest.param("x你好吗y", ("你好吗",), "x", id="wide characters"),
        pytest.param("ab🦙cd", ("🦙",), "ab", id="a llama"),
    ],
)
def test_a_stop_string_ends_the_text_however_it_is_cut(text: str, stop: tuple[str, ...], expected: str) -> None:
    data = text.encode()
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            texts, rest, is_stopped = run([data[:first], data[first:second], data[second:]], stop)
            assert "".join(texts) + rest == expected, (first, second)
            assert is_stopped


def test_only_what_could_be_a_stop_string_is_held_back() -> None:
    texts, rest, is_stopped = run([b"go E", b"N", b"T END"[:2], b" so E"], ("END",))
    assert texts == ["go ", "", "ENT ", " so "]
    assert (rest, is_stopped) == ("E", False)


def test_nothing_comes_after_a_stop_string() -> None:
    assert run([b"a STOP b", b"c"], ("STOP",)) == (["a ", ""], "", True)


def test_an_empty_stop_string_stops_nothing() -> None:
    assert run([b"abc"], ("",)) == (["abc"], "", False)
