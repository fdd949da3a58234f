"""The table of environment variables: how values are read, and OLLAMA_HOST by the vectors of catalogue 13."""

from __future__ import annotations

import pytest

from llmsite import env
from llmsite.env import Address, BadVariable, server_address


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":66000", "http://:11434"),
        (":1234", "http://:1234"),
        ("[::1]", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:80", "http://[::1]:80"),
        ("example.com", "http://example.com:11434"),
        ("example.com:1", "http://example.com:1"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com", "https://example.com:443"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
        ("https://example.com:8443/ollama/", "https://example.com:8443/ollama"),
        (' " 1.2.3.4 " ', "http://1.2.3.4:11434"),
        ("1.2.3.4:", "http://1.2.3.4:11434"),
        ("1.2.3.4:x", "http://1.2.3.4:11434"),
        ("1.2.3.4:-1", "http://1.2.3.4:11434"),
        ("/path", "http://127.0.0.1:11434/path"),
    ],
)
def test_catalogue_13_host_vectors(text: str, url: str) -> None:
    assert server_address({"OLLAMA_HOST": text}).url == url


def test_catalogue_13_a_host_that_cannot_be_read_has_ollamas_words() -> None:
    with pytest.raises(BadVariable, match=r"""^parse "http://\[bad:80/": missing ']' in host$"""):
        server_address({"OLLAMA_HOST": "http://[bad"})


def test_no_host_binds_all_interfaces() -> None:
    assert Address(host="").bind_host == "0.0.0.0"
    assert Address(host="::1").bind_host == "::1"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("OLLAMA_NOPRUNE", "1", True),
        ("OLLAMA_NOPRUNE", "false", False),
        ("OLLAMA_NOPRUNE", "anything", True),
        ("OLLAMA_KEEP_ALIVE", "-1", float("inf")),
        ("OLLAMA_KEEP_ALIVE", "10m", 600.0),
        ("OLLAMA_KEEP_ALIVE", "30", 30.0),
        ("OLLAMA_KEEP_ALIVE", "soon", 300.0),
        ("OLLAMA_MAX_QUEUE", "many", 512),
        ("OLLAMA_MAX_QUEUE", " '8' ", 8),
        ("OLLAMA_ORIGINS", "http://a.example, chrome-extension://*", ("http://a.example", "chrome-extension://*")),
    ],
)
def test_values_are_read_as_ollama_reads_them(name: str, text: str, value: object) -> None:
    assert env.read(name, {name: text}) == value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("LLMSITE_API_AUTH", "maybe", "one of auto, required, off"),
        ("OLLAMA_ORIGINS", "a.example", "http://a.example"),
        ("LLMSITE_LIMIT_BODY_BYTES", "much", "a number or unlimited"),
        ("LLMSITE_LIMIT_NONSENSE", "1", "is no limit"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(name: str, text: str, expected: str) -> None:
    with pytest.raises(BadVariable) as caught:
        env.check({name: text})
    assert name in str(caught.value)
    assert expected in str(caught.value)


def test_limits_are_overridden_by_field() -> None:
    limits = env.read_limits({"LLMSITE_LIMIT_BODY_BYTES": "1024", "LLMSITE_LIMIT_HEADER_SECONDS": "unlimited"})
    assert limits.body_bytes == 1024
    assert limits.header_seconds == float("inf")
    assert limits.headers == 100


def test_a_child_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET", "OLLAMA_API_KEY", "LLMSITE_BROKER_URL", "PYTHONPATH"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    found = env.scrubbed({"EXTRA": "1"})
    assert "canary" not in found.values()
    assert found["CUDA_VISIBLE_DEVICES"] == "0"
    assert found["EXTRA"] == "1"
