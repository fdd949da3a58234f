"""A Modelfile as a create request: its texts, and the files of this machine to upload first (catalogue 4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from llmsite.cli.model_files import expand_path, weights_at
from llmsite.modelfile.parameters import DEPRECATED, read_parameters
from llmsite.modelfile.parser import Command, Modelfile, ModelfileError
from llmsite.types.errors import InvalidRequest, NotFound

_TEXTS: Final = ("template", "system", "renderer", "parser")
_NUMBER: Final = r"(?:0|[1-9]\d*)"
_IDENTIFIER: Final = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER: Final = re.compile(
    rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Components:
    """`fields` are those of the request that need no upload; the others are files by field name."""

    fields: Mapping[str, Any]
    files: tuple[Path, ...] = ()
    adapters: tuple[Path, ...] = ()
    draft_files: tuple[Path, ...] = ()
    deprecated: tuple[str, ...] = field(default=())

    @property
    def uploads(self) -> dict[str, tuple[Path, ...]]:
        """The fields that name files."""
        named = {"files": self.files, "adapters": self.adapters, "draft_files": self.draft_files}
        return {name: files for name, files in named.items() if files}


def gather(modelfile: Modelfile, folder: Path) -> Components:
    """What the instructions add up to. A FROM that is no path on this machine names a model.

    Raises `ModelfileError`, `InvalidRequest`, and `NotFound` for an adapter or draft that is not there.
    """
    commands = modelfile.commands
    base, files = _sources(commands, folder)
    fields: dict[str, Any] = {"from": base} if base else {}
    fields |= {each.name: each.args for each in commands if each.name in _TEXTS}
    fields |= _lists(commands)
    if parameters := read_parameters(commands):
        fields["parameters"] = parameters
    if requires := _requires(commands):
        fields["requires"] = requires
    drafts = [expand_path(each.args, folder) for each in commands if each.name == "draft"]
    _refuse_same(drafts, files)
    return Components(
        fields,
        files,
        _last([weights_at(expand_path(each.args, folder)) for each in commands if each.name == "adapter"]),
        _last([weights_at(each) for each in drafts]),
        tuple(each.key for each in commands if each.name == "parameter" and each.key in DEPRECATED),
    )


def _sources(commands: Iterable[Command], folder: Path) -> tuple[str, tuple[Path, ...]]:
    """The model of the last FROM that is no path, and the files of those that are."""
    base = ""
    files: list[Path] = []
    for command in commands:
        if command.name != "from":
            continue
        path = expand_path(command.args, folder)
        try:
            files += weights_at(path)
        except NotFound:
            base = command.args
    return base, tuple(dict.fromkeys(files))


def _lists(commands: Iterable[Command]) -> dict[str, Any]:
    """What grows line by line."""
    commands = list(commands)
    licenses = [each.args for each in commands if each.name == "license"]
    messages = [{"role": each.key, "content": each.args} for each in commands if each.name == "message"]
    return ({"license": licenses} if licenses else {}) | ({"messages": messages} if messages else {})


def _requires(commands: Iterable[Command]) -> str:
    version = ""
    for command in commands:
        if command.name != "requires":
            continue
        if not _SEMVER.fullmatch(command.args):
            raise ModelfileError("requires must be a valid semver (e.g. 0.14.0)", command.line, command.column)
        version = command.args.removeprefix("v")
    return version


def _refuse_same(drafts: Iterable[Path], files: tuple[Path, ...]) -> None:
    for draft in drafts:
        if draft in files:
            raise InvalidRequest(f"DRAFT must not reference the same local path as FROM: {draft}")


def _last(found: list[tuple[Path, ...]]) -> tuple[Path, ...]:
    return found[-1] if found else ()
