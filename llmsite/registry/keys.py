"""Who we are to registries: the ed25519 key that Ollama's registry knows an account by, and the keys kept for other sites.

The identity is made when a registry first asks for it. Kept keys are written by `llmsite login` and read fresh each time, so a
key that was forgotten is not sent again.
"""

from __future__ import annotations

import os
import tempfile
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from llmsite.types.errors import RegistryError

IDENTITY: Final = "id_ed25519"
KEPT_KEYS: Final = "registry-keys.json"


class Identity:
    """A key pair that signs challenges."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public_line(self) -> str:
        """`ssh-ed25519 AAAA…`, what an account is told."""
        return self._key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def authorization(self, signed_text: str) -> str:
        """Public key and signature as the registry's token service wants them (catalogue 11.2)."""
        public = self.public_line.split()[1]
        return f"{public}:{b64encode(self._key.sign(signed_text.encode())).decode()}"


def identity(home: Path) -> Identity:
    """The site's key, made on first use with mode 0600. Raises `RegistryError` when the file holds something else."""
    path = home / IDENTITY
    public = home / f"{IDENTITY}.pub"
    try:
        if not path.exists():
            _make(path)
        found = _read(path)
        if not public.exists():
            public.write_text(found.public_line + "\n")
    except OSError as error:
        raise RegistryError(f"the registry key of this site cannot be read or made: {error.strerror}") from error
    return found


def kept_key(home: Path, host: str) -> str:
    """The API key that `login` keeps for a host (with its port, if the name has one); empty when there is none."""
    try:
        keys = msgspec.json.decode((home / KEPT_KEYS).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return ""
    return keys.get(host.casefold(), "")


def _read(path: Path) -> Identity:
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise RegistryError("the registry key of this site cannot be read") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise RegistryError("the registry key of this site is not an ed25519 key")
    return Identity(key)


def _make(path: Path) -> None:
    """Write a fresh key, whole and on the disk before it has its name. The first of several makers wins; all read its file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    handle, fresh = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        os.unlink(fresh)
