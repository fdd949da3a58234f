"""How a registry learns who asks (catalogue 11.2): a kept key for other sites, else a token for a signed challenge.

Secrets go to the registry's own origin only: a challenge that sends us to another host gets no signature (threat T66).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from llmsite.registry.faults import shown
from llmsite.registry.keys import identity, kept_key
from llmsite.registry.outbound import Outbound
from llmsite.registry.request import Request, ascii_url, origin_of
from llmsite.types.errors import RegistryError, Unauthorized

DENIED: Final = "unauthorized: access denied"
# the registry whose tokens another host hands out
_TOKEN_HOSTS: Final = {"registry.ollama.ai": frozenset({"ollama.com"})}
_FIELD: Final = re.compile(r'(\w+)="([^"]*)"', re.ASCII)
_EMPTY_HASH: Final = b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()


@dataclass(frozen=True, slots=True)
class Challenge:
    """What stands in `WWW-Authenticate: Bearer …`."""

    realm: str
    service: str = ""
    scope: str = ""

    @classmethod
    def parse(cls, header: str) -> Challenge | None:
        """The challenge; None when the header is no such one."""
        kind, _, rest = header.strip().partition(" ")
        found = dict(_FIELD.findall(rest))
        if kind.casefold() != "bearer" or not found.get("realm"):
            return None
        return cls(ascii_url(found["realm"]), found.get("service", ""), found.get("scope", ""))

    def url(self, now: int, nonce: str) -> str:
        """Where the token is; also what is signed. `now`: seconds since 1970."""
        fields = [("service", self.service)] if self.service else []
        fields += [("scope", each) for each in self.scope.split()]
        fields += [("ts", str(now)), ("nonce", nonce)]
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields)
        return f"{self.realm}{'&' if '?' in self.realm else '?'}{query}"


class Credentials:
    """The `Authorization` for one registry, renewed when it is refused. `host` is the host part of model names."""

    def __init__(self, outbound: Outbound, host: str, *, is_insecure: bool) -> None:
        self._outbound = outbound
        self._host = host
        self._is_insecure = is_insecure
        self._key = kept_key(outbound.config.home, host)
        self._token = ""
        self._lock = threading.Lock()

    def headers(self) -> dict[str, str]:
        """What to send now."""
        secret = self._token or self._key
        return {"Authorization": f"Bearer {secret}"} if secret else {}

    def renew(self, challenge_header: str, refused: Mapping[str, str]) -> None:
        """Answer a 401 to a request that carried `refused`; one thread does it for all.

        Raises `Unauthorized`, `RegistryError`, `Forbidden`.
        """
        if self._key:
            raise Unauthorized(f"the key kept for {self._host} was refused; run llmsite login {self._host} with another one")
        challenge = Challenge.parse(challenge_header)
        if challenge is None:
            raise Unauthorized(DENIED)
        self._check_realm(challenge.realm)
        with self._lock:
            if self.headers() == refused:
                self._token = self._ask_for_token(challenge)

    def _ask_for_token(self, challenge: Challenge) -> str:
        config = self._outbound.config
        url = challenge.url(int(time.time()), urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode())
        signed = identity(config.home).authorization(f"GET,{url},{_EMPTY_HASH}")
        with self._outbound.send(Request("GET", url, {"Authorization": signed}, is_insecure=self._is_insecure)) as reply:
            if reply.status >= 400:
                raise Unauthorized(DENIED if reply.status == 401 else f"{reply.status}: {reply.words()}")
            return _token(reply.read(config.limits.registry_reply_bytes))

    def _check_realm(self, realm: str) -> None:
        """Raise `RegistryError` for a realm that is not the registry's own."""
        host = self._host.casefold()
        origin_of(realm)
        realm_host = urlsplit(realm).netloc.casefold()
        if realm_host != host and realm_host not in _TOKEN_HOSTS.get(host, ()):
            there = shown(realm_host, self._outbound.config.limits)
            raise RegistryError(f'realm host "{there}" does not match original host "{host}"')


def _token(body: bytes) -> str:
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise RegistryError("the registry's token cannot be read") from error
    token = found.get("token") or found.get("access_token")
    if not isinstance(token, str) or not token.isprintable() or not token.isascii():
        raise RegistryError("the registry's token cannot be read")
    return token
