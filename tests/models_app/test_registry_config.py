"""What the registry client is told of the site: the environment's words, and what the caller may use (trust model, rule 8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmsite.accounts.models import User
from models_app.downloads import is_restricted
from models_app.transfers import registry_config

CALLERS = {"nobody": None, "user": User(username="u"), "admin": User(username="a", is_superuser=True)}
KNOWN = ("registry.ollama.ai", "hf.co", "huggingface.co", "listed.example:5000")


@pytest.mark.parametrize("endpoint", ["https://hub.example", "https://hub.example/"])
def test_the_hub_and_its_token_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    config = registry_config(is_restricted=False)
    assert (config.hub_url, config.hub_token) == ("https://hub.example", "hf_secret")
    assert "hf_secret" not in repr(config)


def test_without_words_it_is_hugging_face_and_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    config = registry_config(is_restricted=False)
    assert (config.hub_url, config.hub_token) == ("https://huggingface.co", "")


def test_no_proxy_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert registry_config(is_restricted=False).https_proxy == ""
    monkeypatch.setenv("LLMSITE_REGISTRY_PROXY", "environment")
    assert registry_config(is_restricted=False).https_proxy == "http://proxy.example:3128"


@pytest.mark.parametrize("is_loopback", [True, False])
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("host", [*KNOWN, "other.example", "listed.example"])
def test_T71_who_may_name_which_host(
    settings: Any, monkeypatch: pytest.MonkeyPatch, is_loopback: bool, caller: str, host: str
) -> None:
    settings.LLMSITE_TRUST = replace(settings.LLMSITE_TRUST, bound=("127.0.0.1" if is_loopback else "192.0.2.1",))
    monkeypatch.setenv("LLMSITE_REGISTRY_ALLOW", "listed.example:5000")
    config = registry_config(is_restricted=is_restricted(CALLERS[caller]))
    assert config.is_exposed != is_loopback
    assert config.may_ask(host) == (is_loopback or caller == "admin" or host in KNOWN)
