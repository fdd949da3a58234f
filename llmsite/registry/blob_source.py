"""A blob at a registry that redirects to where its bytes are; the place is remembered until it expires."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from llmsite.registry.faults import TransferFault
from llmsite.registry.outbound import Outbound, Reply
from llmsite.registry.request import Request, origin_of

_EXPIRED: Final = frozenset({401, 403, 404, 410})


class RedirectingBlob:
    """A `fetching.BlobSource`. `ask` makes the authorised request to the registry; what lies beyond gets no credentials."""

    def __init__(self, outbound: Outbound, url: str, ask: Callable[[Mapping[str, str]], Reply], *, is_insecure: bool) -> None:
        self._outbound = outbound
        self._url = url
        self._ask = ask
        self._is_insecure = is_insecure
        self._direct = ""

    def open(self, headers: Mapping[str, str]) -> Reply:
        """The reply to a GET with these headers. Raises `RegistryError`, `TransferFault`, `Unauthorized`, `Forbidden`."""
        if direct := self._direct:
            reply = self._outbound.fetch(Request("GET", direct, headers, is_insecure=self._is_insecure))
            if reply.status not in _EXPIRED:
                return reply
            reply.close()
            self._direct = ""
        reply = self._ask(headers)
        if origin_of(reply.url) != origin_of(self._url):
            if reply.status in _EXPIRED:
                with reply:
                    raise TransferFault(f"{reply.status}: {reply.words()}")
            self._direct = reply.url
        return reply

    def close(self) -> None:
        """Break every connection, also of other threads."""
        self._outbound.close()
