"""Bytes of tokens to whole characters, and stop strings. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Detokenizer:
    """Text of one answer as it grows.

    Half characters wait for their other half; what is no UTF-8 becomes U+FFFD. The longest end of the text that could still
    become a stop string is held back, nothing more. After a stop string (`is_stopped`) nothing comes out any more.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(each for each in stop if each)
        self._longest = max(map(len, self._stop), default=0)
        self._held = ""
        self.is_stopped = False

    def add(self, piece: bytes) -> str:
        """Text that can be shown now that these bytes came."""
        return self._release(self._decoder.decode(piece))

    def finish(self) -> str:
        """What was held back, once no more bytes come."""
        text = self._release(self._decoder.decode(b"", True))
        held, self._held = self._held, ""
        return text if self.is_stopped else text + held

    def _release(self, text: str) -> str:
        if not self._stop:
            return text
        if self.is_stopped or not text:
            return ""
        text = self._held + text
        found = [position for each in self._stop if (position := text.find(each)) >= 0]
        if found:
            self.is_stopped, self._held = True, ""
            return text[: min(found)]
        cut = self._first_doubtful(text)
        self._held = text[cut:]
        return text[:cut]

    def _first_doubtful(self, text: str) -> int:
        """Where the longest end of `text` begins that is the beginning of a stop string."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            if any(each.startswith(text[start:]) for each in self._stop):
                return start
        return len(text)
