"""The yardstick: llama.cpp's own server, built once from the source package of the pinned bindings (about ten minutes).

`LLAMA_SERVER=/path/to/llama-server` names another one. Run this module to build it.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from tests.bench.cache import CACHE

_OPTIONS: Final = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DLLAMA_BUILD_SERVER=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)


def find_llama_server() -> Path | None:
    """The server to measure against, None when there is none yet."""
    named = os.environ.get("LLAMA_SERVER")
    path = Path(named) if named else _built()
    return path if path.exists() else None


def _version() -> str:
    return importlib.metadata.version("llama-cpp-python")


def _built() -> Path:
    return CACHE / f"llama_cpp_python-{_version()}" / "vendor" / "llama.cpp" / "build" / "bin" / "llama-server"


def build() -> Path:
    """Download the source package, configure and compile. Shows the compiler's progress."""
    CACHE.mkdir(parents=True, exist_ok=True)
    packages = CACHE / "sdist"
    wanted = f"llama-cpp-python=={_version()}"
    _run(
        sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "llama-cpp-python", "-d", str(packages), wanted
    )
    (archive,) = packages.glob(f"llama_cpp_python-{_version()}*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(CACHE, filter="data")
    source = _built().parents[2]
    _run("cmake", "-S", str(source), "-B", str(source / "build"), *_OPTIONS)
    _run("cmake", "--build", str(source / "build"), "--target", "llama-server", "-j", str(os.cpu_count() or 2))
    return _built()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    print(find_llama_server() or build())
