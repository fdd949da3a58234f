"""Texts of a server made fit for a terminal: the server may be a stranger's, and so may what it quotes (threat T58)."""

from __future__ import annotations

import unicodedata
from typing import Final

_KEPT: Final = "\n\t"
_OTHER: Final = "C"
"""Unicode's group of what has no shape: controls, marks of direction, surrogates."""


def plain(text: str) -> str:
    """Without control characters, which could move the cursor or write over what stands there, and without marks of direction.

    Ends of lines and tabs stay.
    """
    return "".join(each for each in text if each in _KEPT or unicodedata.category(each)[0] != _OTHER)


def plain_line(text: str) -> str:
    """The same on one line: for text that is drawn over."""
    return " ".join(plain(text).split("\n")).replace("\t", " ")
