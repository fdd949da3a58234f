"""A store laid out by hand, as Ollama leaves one behind (catalogue 10.1 to 10.4): for what adopts it."""

from __future__ import annotations

import hashlib
from pathlib import Path

CONFIG = (
    b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"4.74M","file_type":"F16",'
    b'"architecture":"amd64","os":"linux"}\n'
)
SYSTEM = b"Always answer with the word PING."
PARAMS = b'{"seed":1,"temperature":0}\n'


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest_of(weights: bytes) -> bytes:
    """The manifest of a model with a system prompt and parameters, made FROM `starter`."""
    return (
        '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
        '"config":{"mediaType":"application/vnd.docker.container.image.v1+json",'
        f'"digest":"sha256:{sha256(CONFIG)}","size":{len(CONFIG)}}},'
        '"layers":[{"mediaType":"application/vnd.ollama.image.model",'
        f'"digest":"sha256:{sha256(weights)}","size":{len(weights)},"from":"starter:latest"}},'
        '{"mediaType":"application/vnd.ollama.image.system",'
        f'"digest":"sha256:{sha256(SYSTEM)}","size":{len(SYSTEM)}}},'
        '{"mediaType":"application/vnd.ollama.image.params",'
        f'"digest":"sha256:{sha256(PARAMS)}","size":{len(PARAMS)}}}]}}\n'
    ).encode()


def lay_out(root: Path, weights: bytes, separator: str = "-") -> bytes:
    """Write the model `ping:latest`; returns its manifest. With `:` the blobs have the names of old releases."""
    (root / "blobs").mkdir(parents=True)
    for data in (weights, CONFIG, SYSTEM, PARAMS):
        (root / "blobs" / f"sha256{separator}{sha256(data)}").write_bytes(data)
    folder = root / "manifests" / "registry.ollama.ai" / "library" / "ping"
    folder.mkdir(parents=True)
    (folder / "latest").write_bytes(manifest_of(weights))
    return manifest_of(weights)
