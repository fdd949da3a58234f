"""What people put into the field of a pull: a name, or the address of a model's page, as it is copied from a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from llmsite.registry.config import HUB_HOSTS
from llmsite.types.name import ModelName, strip_source

_FLAGS: Final = re.ASCII | re.IGNORECASE | re.DOTALL
"""With DOTALL nothing fails behind the question mark, so that no text is tried in as many ways as it is long."""
_LIBRARY: Final = re.compile(r"https?://(?:www\.)?ollama\.com/([^?#]+)(?:[?#].*)?", _FLAGS)
_HUB: Final = re.compile(
    r"https?://(?:www\.)?(?:" + "|".join(map(re.escape, sorted(HUB_HOSTS))) + r")/([^/?#]+/[^/?#:]+)([^?#]*)(?:[?#].*)?",
    _FLAGS,
)
_HUB_FILE: Final = re.compile(r"/(?:blob|resolve)/[^/]+/(?:.*/)?([^/]+)", re.ASCII)


def read_pull_name(text: str) -> ModelName:
    """The model that is meant. A scheme of http says that its registry has no TLS. Raises `InvalidRequest`."""
    return ModelName.parse(strip_source(_without_page(text.strip())))


def _without_page(text: str) -> str:
    """The name behind the address of a page; any other text as it is."""
    for pattern, read in _PAGES:
        if found := pattern.fullmatch(text):
            return read(found)
    return text


def _from_library(found: re.Match[str]) -> str:
    """`/library/qwen3:8b` and `/somebody/model`; pages below a model's, as that of its tags, mean the model."""
    parts = [each for each in found[1].split("/") if each]
    return "/".join(parts[:2])


def _from_hub(found: re.Match[str]) -> str:
    """`/user/repository`, with a tag or with the path to a file of it."""
    repository, rest = found[1], found[2]
    if rest.startswith(":"):
        return f"hf.co/{repository}{rest}"
    file = _HUB_FILE.fullmatch(rest)
    return f"hf.co/{repository}:{file[1]}" if file else f"hf.co/{repository}"


_PAGES: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = ((_LIBRARY, _from_library), (_HUB, _from_hub))
