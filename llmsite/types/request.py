"""What is asked of a model, or to make one of. `api` and `chat` build these; `inference` answers, jobs carry out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llmsite.types.message import Message, Tool

Think = bool | str | None
"""None: the model's default; True or False; or a level: low, medium, high, max."""


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One prompt. An empty one loads the model, with `keep_alive` 0 it unloads (catalogue 2.5).

    `model` is the caller's own spelling. `options` are raw JSON, checked and merged where the model is known.
    `format` is None, "json" or a JSON schema. `keep_alive` is seconds (`duration.parse_keep_alive`), None leaves it.
    `user` names who asks, for fair queues and prefix sharing; "" is the anonymous loopback caller.
    """

    model: str
    prompt: str = ""
    suffix: str = ""
    system: str | None = None
    template: str | None = None
    context: tuple[int, ...] = ()
    raw: bool = False
    images: tuple[bytes, ...] = ()
    format: str | dict[str, Any] | None = None
    think: Think = None
    options: dict[str, Any] = field(default_factory=dict)
    keep_alive: float | None = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = False
    user: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to answer. No messages: load, or unload with `keep_alive` 0 (catalogue 2.6). Fields as above."""

    model: str
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    format: str | dict[str, Any] | None = None
    think: Think = None
    options: dict[str, Any] = field(default_factory=dict)
    keep_alive: float | None = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = False
    user: str = ""


@dataclass(frozen=True, slots=True)
class PsRequest:
    """Which models are loaded; answered by one `RunningModels`."""


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """How many tokens a text or a conversation is for this model; answered by one `TokenCount`. Loads the model if need be."""

    model: str
    messages: tuple[Message, ...] = ()
    user: str = ""


Request = GenerateRequest | ChatRequest | PsRequest | TokenizeRequest


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What to make a model of (catalogue 2.18). It starts a job; no client answers it.

    `source` is the name after `from`. `files`, `adapters` and `draft_files`: the path as the client named it, to the digest of an
    uploaded blob; None where the request has no such key. `info`: what to write into the config instead of what the files say.
    """

    model: str
    source: str = ""
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    draft_files: dict[str, str] | None = None
    quantize: str = ""
    draft_quantize: str = ""
    template: str = ""
    system: str = ""
    licenses: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    info: dict[str, Any] = field(default_factory=dict)
