"""Figures as people read them, in both languages."""

from __future__ import annotations

import pytest
from django.utils import translation

from chat.templatetags import chat_figures
from llmsite.types.chunk import Phase


@pytest.mark.parametrize(
    ("name", "value", "english", "chinese"),
    [
        ("count", 12_400, "12,400", "12400"),
        ("count", None, "0", "0"),
        ("tokens", 1, "1 token", "1 词元"),
        ("tokens", 8_192, "8,192 tokens", "8192 词元"),
        ("duration", 0.012, "0.01 s", "0.01 秒"),
        ("duration", 0.61, "0.6 s", "0.6 秒"),
        ("duration", 9.96, "10 s", "10 秒"),
        ("duration", 14.2, "14 s", "14 秒"),
        ("duration", 59.6, "1 min 0 s", "1 分 0 秒"),
        ("duration", 125, "2 min 5 s", "2 分 5 秒"),
        ("rate", 9.94, "9.9 tok/s", "9.9 词元/秒"),
        ("rate", 411.6, "412 tok/s", "412 词元/秒"),
        ("size", 999, "999 B", "999 B"),
        ("size", 9_582_976, "9.6 MB", "9.6 MB"),
        ("size", 999_600, "1.0 MB", "1.0 MB"),
        ("size", 42_500_000_000, "42 GB", "42 GB"),
        ("percent", 0.617, "62%", "62%"),
    ],
)
def test_figures(name: str, value: float | None, english: str, chinese: str) -> None:
    figure = getattr(chat_figures, name)
    with translation.override("en"):
        assert figure(value) == english
    with translation.override("zh-hans"):
        assert figure(value) == chinese


@pytest.mark.parametrize(("fraction", "eighths"), [(0.0, 0), (0.06, 0), (0.07, 1), (0.62, 5), (1.0, 8), (7.0, 8)])
def test_the_loading_mark_fills_in_eighths(fraction: float, eighths: int) -> None:
    assert chat_figures.eighths(Phase("loading", fraction=fraction)) == eighths


@pytest.mark.parametrize(("text", "is_long"), [("short", False), ("a\n" * 12, False), ("a\n" * 13, True), ("x" * 800, True)])
def test_long_messages_are_folded(text: str, is_long: bool) -> None:
    assert chat_figures.is_long(text) is is_long
