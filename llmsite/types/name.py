"""ModelName: what users call a model, on disk and on the wire.

Grammar (catalogue 1.1), read from right to left:

    name      = [scheme "://"] [[host "/"] namespace "/"] model [":" tag]
    host      = 1 to 350 of  A-Z a-z 0-9 _ - . :     the first one alphanumeric or _
    namespace = 1 to 80 of   A-Z a-z 0-9 _ -         likewise
    model     = 1 to 80 of   A-Z a-z 0-9 _ - .       likewise
    tag       = 1 to 80 of   A-Z a-z 0-9 _ - .       likewise

Since every part starts with a letter, a digit or `_`, no valid name can climb out of a folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from llmsite.types.errors import InvalidModelName, InvalidRequest

DEFAULT_HOST: Final = "registry.ollama.ai"
DEFAULT_NAMESPACE: Final = "library"
DEFAULT_TAG: Final = "latest"
MISSING: Final = "!MISSING!"
"""Stands for a part whose separator is there and whose text is not, as Ollama prints it."""

_PATTERNS: Final = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}", re.ASCII),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}", re.ASCII),
    "model": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII),
    "tag": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII),
}


@dataclass(frozen=True, slots=True)
class ModelName:
    """The four parts of a name, defaults filled in. The scheme is kept for pulls and never shown or stored."""

    host: str
    namespace: str
    model: str
    tag: str
    scheme: str = "https"

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """The name, with defaults. Raises `InvalidModelName` (`invalid model name`) when a part breaks the grammar."""
        name = cls.parse_loosely(text)
        if not name.is_valid:
            raise InvalidModelName("invalid model name")
        return name

    @classmethod
    def parse_loosely(cls, text: str) -> ModelName:
        """The parts as found, valid or not; what error texts of push print. Never raises."""
        scheme = "https"
        path, tag = _cut_tag(text)
        before_model, model = _split_last(path)
        namespace, host = DEFAULT_NAMESPACE, DEFAULT_HOST
        if before_model is not None:
            before_namespace, namespace = _split_last(before_model)
            if before_namespace is not None:
                before, separator, after = before_namespace.partition("://")
                scheme, host = (before, after) if separator else (scheme, before)
                host = host or MISSING
        return cls(host, namespace or MISSING, model or MISSING, tag, scheme)

    @property
    def is_valid(self) -> bool:
        """Whether all four parts match the grammar."""
        return all(pattern.fullmatch(getattr(self, part)) for part, pattern in _PATTERNS.items())

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def shortest(self) -> str:
        """The display form: default host and namespace left out, the tag always there."""
        if self.host.casefold() != DEFAULT_HOST:
            return str(self)
        if self.namespace.casefold() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Host, namespace, model, tag: the folders and the file of a manifest."""
        return self.host, self.namespace, self.model, self.tag

    @property
    def folded(self) -> ModelName:
        """The same name in lower case: two names are one model if their folded forms are equal."""
        return replace(
            self,
            host=self.host.casefold(),
            namespace=self.namespace.casefold(),
            model=self.model.casefold(),
            tag=self.tag.casefold(),
            scheme="https",
        )


def _split_last(text: str) -> tuple[str | None, str]:
    """Text before the last slash (None without one) and after it."""
    head, slash, tail = text.rpartition("/")
    return (head if slash else None), tail


def _cut_tag(text: str) -> tuple[str, str]:
    """Text before the last colon, if that stands after the last slash, and the tag."""
    path, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, DEFAULT_TAG
    return path, tag or MISSING


def strip_source(text: str) -> str:
    """The name without a `:local` suffix (catalogue 1.4). A cloud name stays as it is: it is simply not installed.

    Raises `InvalidRequest` when a name asks for both sources.
    """
    stem, is_local, is_cloud = text.strip(), False, False
    end = len(stem)  # moved rather than cut off: strangers send texts of megabytes
    while True:
        colon = stem.rfind(":", 0, end)
        suffix = stem[colon + 1 : end].strip().casefold()
        if colon > 0 and suffix == "local":
            end, is_local = colon, True
        elif colon > 0 and suffix == "cloud":
            end, is_cloud = colon, True
        else:
            break
    if suffix.endswith("-cloud"):
        is_cloud = True
    if is_local and is_cloud:
        raise InvalidRequest(f'use either :local or :cloud, not both: "{text}"')
    return text if is_cloud else stem[:end]
