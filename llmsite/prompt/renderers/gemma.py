"""The notation of Gemma's models that call functions: JSON with bare keys, and with marks instead of quotes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llmsite.prompt.renderers.goprint import whole_text

DEVELOPERS: Final = ("system", "developer")
"""Roles whose message in front is the system text."""


@dataclass(frozen=True, slots=True)
class Notation:
    """What stands around texts and for nothing."""

    quote: str
    null: str

    def text(self, text: str) -> str:
        return f"{self.quote}{text}{self.quote}"

    def texts(self, texts: Iterable[str]) -> str:
        return f"[{','.join(map(self.text, texts))}]"

    def value(self, value: Any, *, quotes_keys: bool = False) -> str:
        """Whole numbers stand in full, as far as Go's integers reach."""
        match value:
            case None:
                return self.null
            case str():
                return self.text(value)
            case bool():
                return "true" if value else "false"
            case dict():
                key = self.text if quotes_keys else str
                return fields({key(name): self.value(value[name], quotes_keys=quotes_keys) for name in sorted(value)})
            case list() | tuple():
                return f"[{','.join(self.value(each, quotes_keys=quotes_keys) for each in value)}]"
            case _:
                return whole_text(value)

    def declaration(self, function: Mapping[str, Any], properties: str) -> str:
        """A function whose properties are written already."""
        declared = {"description": self.text(function.get("description", ""))}
        parameters = function["parameters"]
        if parameters["properties"] is not None or parameters["type"]:
            declared["parameters"] = self._schema(parameters, properties)
        return f"declaration:{function['name']}{fields(declared)}"

    def _schema(self, parameters: Mapping[str, Any], properties: str) -> str:
        written = {
            "properties": properties if parameters["properties"] else "",
            "required": self.texts(parameters["required"]) if "required" in parameters else "",
            "type": self.text(parameters["type"].upper()) if parameters["type"] else "",
        }
        return fields({name: text for name, text in written.items() if text})


def fields(written: Mapping[str, str]) -> str:
    """Values that are written already, under their names."""
    return f"{{{','.join(f'{name}:{text}' for name, text in written.items())}}}"
