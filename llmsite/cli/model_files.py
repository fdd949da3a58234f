"""Files on this machine that FROM and ADAPTER lines of a Modelfile name, and what the server is to call them (catalogue 4.2)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from llmsite.types.errors import InvalidRequest, LlmsiteError, NotFound

NO_WEIGHTS: Final = "no Modelfile or safetensors files found"
NOT_CONVERTED: Final = "converting safetensors is not supported yet; convert it to GGUF first"

_UNCONVERTED: Final = ("model*.safetensors", "*/model*.safetensors", "adapter*.safetensors", "consolidated*.safetensors",
                       "pytorch_model*.bin", "consolidated*.pth")  # fmt: skip
_WEIGHTS: Final = ("*.gguf", "*.bin")
_UNCONVERTED_ENDINGS: Final = (".safetensors", ".pth")


def expand_path(text: str, folder: Path) -> Path:
    """The path that a line of a Modelfile in `folder` means: absolute, of somebody's home, or relative to the Modelfile."""
    if text.startswith("~"):
        try:
            return Path(text).expanduser()
        except RuntimeError as error:  # no such user
            raise NotFound(f"{text.partition('/')[0]}: there is no such home folder") from error
    return Path(os.path.normpath(folder / text))


def weights_at(path: Path) -> tuple[Path, ...]:
    """The file, or the weights in a folder. Raises `NotFound`, and `InvalidRequest` for weights that must be converted first."""
    try:
        path.stat()
    except OSError as error:
        raise NotFound(f"stat {path}: {reason(error)}") from error
    files = _weights_in(path) if path.is_dir() else (path,)
    if any(each.name.endswith(_UNCONVERTED_ENDINGS) for each in files):
        raise InvalidRequest(NOT_CONVERTED)
    return files


def _weights_in(folder: Path) -> tuple[Path, ...]:
    """GGUF files of a folder; files beside them say nothing that is not in the GGUF."""
    if any(True for pattern in _UNCONVERTED for _ in folder.glob(pattern)):
        raise InvalidRequest(NOT_CONVERTED)
    for pattern in _WEIGHTS:
        if found := sorted(folder.glob(pattern)):
            return tuple(_inside(each, folder) for each in found)
    raise InvalidRequest(NO_WEIGHTS)


def _inside(file: Path, folder: Path) -> Path:
    """The file a link leads to, which must lie in the folder too."""
    root, real = folder.resolve(), file.resolve()
    if not real.is_relative_to(root):
        raise InvalidRequest(f"insecure path: {os.path.relpath(real, root)}")
    return real


def names_of(files: Iterable[Path]) -> dict[Path, str]:
    """What a request calls files: one by its own name, several by their paths below the folder they share."""
    paths = list(dict.fromkeys(files))
    if len(paths) == 1:
        return {paths[0]: paths[0].name}
    root = os.path.commonpath([each.parent for each in paths]) if paths else ""
    return {each: each.relative_to(root).as_posix() for each in paths}


def reason(error: OSError) -> str:
    """The system's words as Go prints them: `no such file or directory`."""
    return (error.strerror or str(error)).lower()


def unreadable(path: Path, error: OSError) -> LlmsiteError:
    """The sentence for a file that cannot be opened or read."""
    return LlmsiteError(f"open {path}: {reason(error)}")
