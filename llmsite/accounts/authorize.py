"""The one table of rights: which route needs which action, and who may do it. Nothing here looks at a URL or a header.

`principal` comes from `middleware.py`, which also enforces the table for every routed request; sockets ask `may` themselves.
A route that is missing from `ROUTES` fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from django.conf import settings

from llmsite.accounts.models import ApiKey, User
from llmsite.types.errors import Forbidden, Unauthorized

Kind = Literal["anonymous", "loopback", "key", "user", "admin"]


class Action(StrEnum):
    """What somebody wants to do; one row of the table in threats-and-faults (a) each.

    `FETCH_MODELS` and `TAKE_PUSH` are this site as a registry (`/v2/`): models that others take from it and bring to it.
    """

    HELLO = "hello"
    ENTER = "enter"
    READ_VERSION = "read version"
    READ_MODELS = "models:read"
    INFER = "infer"
    WRITE_MODELS = "models:write"
    DELETE_MODELS = "models:delete"
    PUSH_MODELS = "models:push"
    FETCH_MODELS = "registry:read"
    TAKE_PUSH = "registry:push"
    CHAT = "chats"
    MANAGE = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `anonymous` is a stranger from the network, `loopback` an anonymous caller of this machine (trust.py, rule 2).

    `scopes` are those of an API key, `key_id` its row.
    """

    kind: Kind
    user: User | None = None
    scopes: frozenset[str] = frozenset()
    key_id: int | None = None

    @property
    def queue_key(self) -> str:
        """Name under which requests wait in a queue; empty for callers without an account, who share no limit."""
        if self.user is None:
            return ""
        return f"user:{self.user.pk}"

    @property
    def is_person(self) -> bool:
        """Signed in with a browser."""
        return self.kind in ("user", "admin")


ANONYMOUS: Final = Principal("anonymous")
LOOPBACK: Final = Principal("loopback")

_EVERYBODY: Final[frozenset[Kind]] = frozenset({"anonymous", "loopback", "key", "user", "admin"})
_KNOWN: Final[frozenset[Kind]] = _EVERYBODY - {"anonymous"}
_NEIGHBOURS: Final[frozenset[Kind]] = frozenset({"loopback"})

RIGHTS: Final[Mapping[Action, frozenset[Kind]]] = {
    Action.HELLO: _EVERYBODY,
    Action.ENTER: _EVERYBODY,
    Action.READ_VERSION: _KNOWN,
    Action.READ_MODELS: _KNOWN,
    Action.INFER: _KNOWN,
    Action.WRITE_MODELS: frozenset({"loopback", "key", "admin"}),
    Action.DELETE_MODELS: frozenset({"loopback", "key", "admin"}),
    Action.PUSH_MODELS: frozenset({"key", "admin"}),
    Action.FETCH_MODELS: _KNOWN,
    Action.TAKE_PUSH: frozenset({"key", "admin"}),
    Action.CHAT: frozenset({"user", "admin"}),
    Action.MANAGE: frozenset({"admin"}),
}

# scope that an API key needs; an action without one is closed to keys, HELLO, ENTER and READ_VERSION need none
_SCOPES: Final[Mapping[Action, str]] = {
    Action.READ_MODELS: "models:read",
    Action.INFER: "infer",
    Action.WRITE_MODELS: "models:write",
    Action.DELETE_MODELS: "models:write",
    Action.PUSH_MODELS: "models:push",
    Action.FETCH_MODELS: "models:read",
    Action.TAKE_PUSH: "models:push",
}
SCOPES: Final = tuple(dict.fromkeys(_SCOPES.values()))
"""What keys can be given."""

ROUTES: Final[Mapping[str, Action]] = {
    "accounts:setup": Action.ENTER,
    "accounts:sign_in": Action.ENTER,
    "accounts:sign_out": Action.ENTER,
    "accounts:language": Action.ENTER,
    "accounts:theme": Action.ENTER,
    "api:root": Action.HELLO,
    "api:version": Action.READ_VERSION,
    "api:status": Action.READ_VERSION,
    "api:me": Action.READ_VERSION,
    "api:tags": Action.READ_MODELS,
    "api:ps": Action.READ_MODELS,
    "api:show": Action.READ_MODELS,
    "api:copy": Action.WRITE_MODELS,
    "api:delete": Action.DELETE_MODELS,
    "api:generate": Action.INFER,
    "api:chat": Action.INFER,
    "api:create": Action.WRITE_MODELS,
    "api:pull": Action.WRITE_MODELS,
    "api:push": Action.PUSH_MODELS,
    "api:blob": Action.WRITE_MODELS,
    "api:registry": Action.FETCH_MODELS,
    "api:registry_manifest": Action.FETCH_MODELS,
    "api:registry_blob": Action.FETCH_MODELS,
    "api:registry_uploads": Action.TAKE_PUSH,
    "api:registry_upload": Action.TAKE_PUSH,
    "api:unknown": Action.HELLO,
    "chat:home": Action.CHAT,
    "chat:conversation": Action.CHAT,
    "chat:send": Action.CHAT,
    "chat:stop": Action.CHAT,
    "chat:regenerate": Action.CHAT,
    "chat:rename": Action.CHAT,
    "chat:delete": Action.CHAT,
    "chat:message": Action.CHAT,
    "chat:poll": Action.CHAT,
    "chat:rail": Action.CHAT,
    "models:downloads": Action.MANAGE,
    "models:pull": Action.MANAGE,
    "models:preview": Action.MANAGE,
    "models:cancel": Action.MANAGE,
    "models:resume": Action.MANAGE,
    "models:discard": Action.MANAGE,
}
"""URL name to action."""

METHODS: Final[Mapping[tuple[str, str], Action]] = {("api:registry_manifest", "PUT"): Action.TAKE_PUSH}
"""Where a method needs another right than the rest of its route."""

NAMESPACES: Final[Mapping[str, Action]] = {"admin": Action.MANAGE}
"""Whole namespaces that Django fills: its own admin pages."""


def action_of(url_name: str, method: str = "GET") -> Action | None:
    """The action behind a route's full name (`api:chat`), None for a route that nobody listed."""
    return METHODS.get((url_name, method)) or ROUTES.get(url_name) or NAMESPACES.get(url_name.partition(":")[0])


def kinds_for(action: Action) -> frozenset[Kind]:
    """Who may do this: the table, and the two switches of the registry."""
    if action == Action.FETCH_MODELS and settings.LLMSITE_REGISTRY_PUBLIC:
        return _EVERYBODY
    if action == Action.TAKE_PUSH:
        return {"key": RIGHTS[action], "loopback": RIGHTS[action] | _NEIGHBOURS}.get(settings.LLMSITE_REGISTRY_PUSH, frozenset())
    if action == Action.PUSH_MODELS and settings.LLMSITE_REGISTRY_PUSH == "loopback":
        return RIGHTS[action] | _NEIGHBOURS
    return RIGHTS[action]


def may(principal: Principal, action: Action) -> bool:
    """Whether this principal may do this."""
    if principal.kind not in kinds_for(action):
        return False
    if principal.kind == "key" and action in _SCOPES:
        return _SCOPES[action] in principal.scopes
    return True


def authorize(principal: Principal, action: Action) -> None:
    """Raises `Unauthorized` when signing in could help, `Forbidden` when it could not."""
    if may(principal, action):
        return
    if not kinds_for(action):
        raise Forbidden("pushing to this site is switched off")
    if principal.user is None:
        raise Unauthorized("sign in, or send an API key as a bearer token")
    if principal.kind == "key":
        raise Forbidden(f'this key may not do this: it needs the scope "{_SCOPES.get(action, action.value)}"')
    raise Forbidden(f'your account may not do this: it needs the right "{action.value}"')


def principal_of(user: User) -> Principal:
    """The principal of a signed-in person; anonymous when the account is not active now."""
    if not user.can_sign_in:
        return ANONYMOUS
    return Principal("admin" if user.is_admin else "user", user=user)


def principal_of_key(key: ApiKey) -> Principal:
    """The principal behind a living key: its owner, with the key's scopes."""
    return Principal("key", user=key.user, scopes=frozenset(key.scopes), key_id=key.pk)
