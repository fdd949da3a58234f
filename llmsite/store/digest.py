"""SHA-256 digests: the one check that every digest from outside goes through, and the hash of bytes and files."""

from __future__ import annotations

import hashlib
import re
from io import BufferedReader
from typing import Final

from llmsite.types.errors import InvalidDigest

_DIGEST: Final = re.compile(r"sha256[:-]([0-9a-f]{64})", re.ASCII)
_FILE_NAME: Final = re.compile(r"sha256-([0-9a-f]{64})", re.ASCII)


def parse_digest(text: str) -> str:
    """`sha256:<64 hex>` for a digest written with a colon or a dash. Raises `InvalidDigest` for anything else."""
    found = _DIGEST.fullmatch(text)
    if found is None:
        raise InvalidDigest("invalid digest format")
    return f"sha256:{found[1]}"


def file_name(digest: str) -> str:
    """Name of the blob's file, `sha256-<64 hex>`. Raises `InvalidDigest`."""
    return parse_digest(digest).replace(":", "-")


def from_file_name(name: str) -> str | None:
    """Digest of a blob's file name; None when the name is not one."""
    found = _FILE_NAME.fullmatch(name)
    return f"sha256:{found[1]}" if found else None


def hash_bytes(data: bytes) -> str:
    """The digest of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hash_file(file: BufferedReader) -> str:
    """The digest of what `file` holds from its position on. Blocks as long as reading takes."""
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
