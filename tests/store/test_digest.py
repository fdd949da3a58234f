"""The one check of digests (threat T01)."""

from __future__ import annotations

import io

import pytest

from llmsite.store.digest import file_name, from_file_name, hash_bytes, hash_file, parse_digest
from llmsite.types.errors import InvalidDigest
from tests.store.digests import BAD_DIGESTS

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.mark.parametrize("text", [f"sha256:{HELLO}", f"sha256-{HELLO}"])
def test_it_accepts_both_spellings(text: str) -> None:
    assert parse_digest(text) == f"sha256:{HELLO}"
    assert file_name(text) == f"sha256-{HELLO}"


@pytest.mark.parametrize("text", BAD_DIGESTS, ids=ascii)
def test_T01_it_refuses_anything_else(text: str) -> None:
    for check in (parse_digest, file_name):
        with pytest.raises(InvalidDigest, match=r"^invalid digest format$"):
            check(text)


@pytest.mark.parametrize("name", [f"sha256:{HELLO}", f"sha256-{HELLO}-partial", f"sha256-{HELLO[1:]}", f"sha256-{HELLO}\n", ""])
def test_other_file_names_are_no_blobs(name: str) -> None:
    assert from_file_name(name) is None


def test_it_hashes_bytes_and_files_alike() -> None:
    assert hash_bytes(b"hello") == f"sha256:{HELLO}" == hash_file(io.BufferedReader(io.BytesIO(b"hello")))
    assert from_file_name(file_name(hash_bytes(b"hello"))) == f"sha256:{HELLO}"
