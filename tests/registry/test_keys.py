"""The site's own key: made once, whoever asks first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmsite.registry.keys import IDENTITY, identity
from llmsite.types.errors import RegistryError

NUM_THREADS = 8


def test_several_that_make_the_key_at_once_all_get_the_one_that_stays(tmp_path: Path) -> None:
    start = threading.Barrier(NUM_THREADS)

    def make() -> str:
        start.wait(10)
        return identity(tmp_path / "home").public_line

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        lines = {each.result() for each in [pool.submit(make) for _ in range(NUM_THREADS)]}
    assert lines == {identity(tmp_path / "home").public_line}
    assert (tmp_path / "home" / f"{IDENTITY}.pub").read_text() == lines.pop() + "\n"
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == [IDENTITY, f"{IDENTITY}.pub"]
    assert (tmp_path / "home" / IDENTITY).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / IDENTITY).write_bytes(content)
    with pytest.raises(RegistryError, match=r"^the registry key of this site cannot be read$"):
        identity(tmp_path)


def test_a_home_that_takes_no_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"a file")
    with pytest.raises(RegistryError, match=r"^the registry key of this site cannot be read or made: "):
        identity(tmp_path / "home")
