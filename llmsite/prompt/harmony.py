"""Names of functions for gpt-oss, which reads tools as TypeScript (catalogue 6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from llmsite.types.message import Tool

_BUILT_IN: Final = ("browser.open", "browser.search", "browser.find", "python")
_UNNAMED: Final = "unnamed"


def rename_tools(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """The tools under names that TypeScript allows, no two alike; those of the model's own training keep theirs."""
    taken: set[str] = set()
    return tuple(_renamed(tool, taken) if tool.name else tool for tool in tools)


def _renamed(tool: Tool, taken: set[str]) -> Tool:
    """The tool under a name that is free, which is `taken` then."""
    name = tool.name if tool.name in _BUILT_IN else _free(_identifier(tool.name), taken)
    taken.add(name)
    return replace(tool, definition=tool.definition | {"function": tool.definition["function"] | {"name": name}})


def _identifier(name: str) -> str:
    kept = "".join("_" if each in " -." else each for each in name if each.isalpha() or each.isdecimal() or each in " -._$")
    return f"_{kept}" if kept[:1].isdecimal() else kept or _UNNAMED


def _free(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
