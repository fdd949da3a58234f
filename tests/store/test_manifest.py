"""Manifests: exact bytes, and what is refused."""

from __future__ import annotations

import json

import pytest

from llmsite.store.manifest import (
    CONFIG,
    LICENSE,
    MODEL,
    TEMPLATE,
    Layer,
    Manifest,
    check_manifest,
    decode_manifest,
    decode_own,
    encode_manifest,
    manifest_digest,
)
from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import Limits
from tests.store.digests import BAD_DIGESTS, NUL_DIGESTS

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")


def test_10_2_it_writes_the_bytes_that_ollama_writes() -> None:
    layers = (Layer(MODEL, TWO, 9582976, "starter:latest"), Layer(TEMPLATE, THREE, 7, "<a>", "n"))
    assert encode_manifest(Manifest(Layer(CONFIG, ONE, 149), layers)) == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
        b'"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"' + ONE.encode() + b'","size":149},'
        b'"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"'
        + TWO.encode()
        + b'","size":9582976,"from":"starter:latest"},'
        b'{"mediaType":"application/vnd.ollama.image.template","digest":"'
        + THREE.encode()
        + b'","size":7,"from":"\\u003ca\\u003e","name":"n"}]}\n'
    )


def test_it_reads_what_it_writes() -> None:
    manifest = Manifest(Layer(CONFIG, ONE, 1), (Layer(MODEL, TWO, 10, "x"), Layer(LICENSE, THREE, 5, "", "y")))
    assert decode_manifest(encode_manifest(manifest), Limits()) == manifest
    assert manifest.size_bytes == 16
    assert manifest.digests == {ONE, TWO, THREE}


def test_it_reads_the_manifests_of_registries() -> None:
    document = {"schemaVersion": 2, "config": {"digest": ONE, "size": 1, "urls": []}, "layers": None, "annotations": {"a": 1}}
    assert decode_manifest(json.dumps(document, indent=3).encode(), Limits()) == Manifest(Layer("", ONE, 1), ())


@pytest.mark.parametrize("digest", [*BAD_DIGESTS, *NUL_DIGESTS], ids=ascii)
@pytest.mark.parametrize("where", ["config", "layer"])
def test_T01_it_refuses_bad_digests(digest: str, where: str) -> None:
    config, layer = {"digest": ONE, "size": 1}, {"digest": ONE, "size": 1, "mediaType": "application/whatever"}
    (config if where == "config" else layer)["digest"] = digest
    with pytest.raises(InvalidModelFile, match=r"^invalid manifest: invalid digest format$"):
        decode_manifest(json.dumps({"config": config, "layers": [layer]}).encode(), Limits())


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `config`"),
        (b'{"config":{"digest":"x"}}', "missing required field `size`"),
        (json.dumps({"config": {"digest": ONE, "size": -1}}).encode(), "size is negative"),
        (json.dumps({"config": {"digest": ONE, "size": "1"}}).encode(), "Expected `int`"),
        (
            json.dumps({"config": {"digest": ONE, "size": 1}, "layers": [{"digest": ONE, "size": 1}] * 4}).encode(),
            "more than 3 layers",
        ),
        (b" " * 3000, "larger than 2000 bytes"),
        (
            json.dumps({"config": {"digest": ONE, "size": 2**62}, "layers": [{"digest": TWO, "size": 2**62}] * 2}).encode(),
            "any disk",
        ),
    ],
)
def test_it_refuses_broken_manifests(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidModelFile, match=f"^invalid manifest: .*{problem}"):
        decode_manifest(data, Limits(manifest_layers=3, manifest_bytes=2000))


def test_nesting_is_no_reason_to_fail_otherwise() -> None:
    data = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for read in (decode_manifest, check_manifest):
        with pytest.raises(InvalidModelFile, match=r"^invalid manifest: it is nested too deeply$"):
            read(data, Limits())


def test_what_we_wrote_is_read_whatever_its_length() -> None:
    manifest = Manifest(Layer(CONFIG, ONE, 1), (Layer(MODEL, TWO, 10, "<" * 1_000_000),))
    data = encode_manifest(manifest)
    assert len(data) > Limits().manifest_bytes
    assert decode_own(data) == manifest


@pytest.mark.parametrize("key", ["mediaType", "from", "name"])
def test_T68_texts_of_layers_from_elsewhere_are_bounded(key: str) -> None:
    layer = {"mediaType": MODEL, "digest": TWO, "size": 10, key: MODEL + "x" * 2000}
    document = {"schemaVersion": 2, "config": {"digest": ONE, "size": 1}, "layers": [layer]}
    with pytest.raises(InvalidModelFile, match=r"^invalid manifest: a text of layer sha256:2+ is longer than 1024 characters$"):
        check_manifest(json.dumps(document).encode(), Limits())


def test_the_id_of_a_model_is_the_hash_of_its_bytes() -> None:
    assert manifest_digest(b"hello") == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
