"""The API keys of other instances that `login` keeps: one file of the user, which the server reads when it pulls or pushes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from llmsite import env
from llmsite.types.errors import InvalidRequest, LlmsiteError
from llmsite.types.name import ModelName


def read_host(text: str) -> str:
    """The host as model names write it, with its port if it has one: `https://models.example:8443/` is `models.example:8443`.

    Raises `InvalidRequest`.
    """
    _, mark, after = text.partition("://")
    host = (after if mark else text).rstrip("/").lower()
    if not ModelName.parse_loosely(f"{host}/library/model").is_valid:
        raise InvalidRequest(f"{text!r} is no host of a registry: expected a name such as models.example or 10.0.0.5:11434")
    return host


def keep_key(host: str, key: str) -> Path:
    """Remember the key, in place of an earlier one; returns the file. Raises `LlmsiteError` for a file that is damaged."""
    path = env.registry_keys_file()
    _write(path, _read(path) | {host: key})
    return path


def forget_key(host: str) -> bool:
    """Whether there was one. Raises `LlmsiteError` for a file that is damaged."""
    path = env.registry_keys_file()
    keys = _read(path)
    if host not in keys:
        return False
    _write(path, {name: key for name, key in keys.items() if name != host})
    return True


def _read(path: Path) -> dict[str, str]:
    try:
        keys = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise LlmsiteError(f"{path} cannot be read: it is no JSON; mend or remove it") from error
    if not isinstance(keys, dict):
        raise LlmsiteError(f"{path} cannot be read: expected one JSON object; mend or remove it")
    return keys


def _write(path: Path, keys: Mapping[str, str]) -> None:
    """The whole file anew, so that a reader sees the old one or the new one; nobody else may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(keys, file)
    fresh.replace(path)
