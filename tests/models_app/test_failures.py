"""Why a transfer failed, as the page says it: a sentence with a remedy for each error of a registry that people meet."""

from __future__ import annotations

import pytest

from llmsite.types.errors import EngineError, Forbidden, InvalidModelFile, LlmsiteError, RegistryError, StorageFull
from models_app.failures import Failure, explain, explain_wire


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RegistryError('pull model manifest: dial tcp 10.0.0.1:1: connect: connection refused'), "Nothing answers at h:1"),
        (RegistryError('Get "https://h:1/v2/x": dial tcp: lookup h: no such host'), "No address is known for h:1"),
        (RegistryError("dial tcp 10.0.0.1:1: connect: network is unreachable"), "finds no way to h:1"),
        (RegistryError("max retries exceeded: dial tcp 10.0.0.1:443: i/o timeout"), "h:1 does not answer in time"),
        (RegistryError("max retries exceeded: unexpected EOF"), "h:1 closed the connection"),
        (RegistryError("tls: first record does not look like a TLS handshake"), "h:1 does not encrypt"),
        (RegistryError("tls: failed to verify certificate: self-signed certificate"), "The certificate of h:1"),
        (Forbidden("the registry h would be asked without encryption; use"), "Put http:// before the name"),
        (Forbidden("registry host not allowed"), "This site may not ask h:1"),
        (RegistryError("the repository is gated: 401: accept the terms"), "token in HF_TOKEN"),
        (RegistryError("the repository has no Q1; it has Q4_0, Q8_0"), "The repository has no Q1. It has: Q4_0, Q8_0."),
        (RegistryError("the repository has no GGUF files"), "no GGUF files"),
        (RegistryError("pull model manifest: file does not exist"), "h:1 has no model of this name"),
        (RegistryError("unauthorized: access denied"), "llmsite login h:1"),
        (RegistryError("429: too many requests"), "has had too many requests"),
        (RegistryError("max retries exceeded: 503: busy"), "has trouble of its own"),
        (RegistryError("digest mismatch, file must be downloaded again: want a, got b"), "not what h:1 announced"),
        (StorageFull("the disk of the model store is full; remove models"), "disk of the models is full"),
        (InvalidModelFile("invalid manifest: it has no layers"), "no model that can be installed here"),
        (EngineError("internal error (id 17)"), "The server's log"),
    ],
)  # fmt: skip
def test_what_people_meet_has_a_sentence_and_keeps_the_text(error: LlmsiteError, words: str) -> None:
    found = explain(error, "h:1")
    assert words in found.sentence
    assert found.detail == str(error)
    assert explain_wire(type(error).__name__, str(error), "h:1") == found


def test_a_full_disk_says_how_much_is_missing() -> None:
    found = explain(StorageFull("not enough space in the model store: 5000000000 more bytes are needed"), "h")
    assert found.missing_bytes == 5_000_000_000


def test_a_text_that_nobody_knows_is_the_sentence() -> None:
    assert explain(RegistryError("the moon is full"), "h") == Failure("the moon is full")
