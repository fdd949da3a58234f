"""Ollama's registry protocol (catalogue 11): manifests and blobs of one model at one registry, asked for with credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from llmsite.registry.auth import DENIED, Credentials
from llmsite.registry.blob_source import RedirectingBlob
from llmsite.registry.config import RegistryConfig
from llmsite.registry.faults import RETRIED, TransferFault
from llmsite.registry.outbound import Outbound, Reply
from llmsite.registry.request import Request, origin_of
from llmsite.store import manifest as media
from llmsite.types.errors import InvalidModelFile, RegistryError, Unauthorized
from llmsite.types.name import ModelName

MISSING: Final = "file does not exist"


class Registry:
    """One model's repository at a registry. Safe to use from several threads."""

    def __init__(self, outbound: Outbound, name: ModelName, *, is_insecure: bool) -> None:
        scheme = "http" if is_insecure else "https"
        self.name = name
        self.url = f"{scheme}://{name.host}/v2/{name.namespace}/{name.model}"
        self.is_insecure = is_insecure
        self.outbound = outbound
        self._credentials = Credentials(outbound, name.host, is_insecure=is_insecure)

    def manifest(self) -> bytes:
        """The manifest's bytes as they came. Raises `RegistryError`, `TransferFault`, `Unauthorized`, `Forbidden`."""
        limits = self.outbound.config.limits
        with self.ask("GET", f"{self.url}/manifests/{self.name.tag}", {"Accept": media.MANIFEST}) as reply:
            if reply.status == 404:
                raise RegistryError(MISSING)
            if reply.status >= 400:
                raise TransferFault(f"{reply.status}: {reply.words()}", reply.wait_seconds)
            if (reply.num_bytes or 0) > limits.manifest_bytes:
                raise InvalidModelFile(f"invalid manifest: larger than {limits.manifest_bytes} bytes")
            return reply.read(limits.manifest_bytes)

    def put_manifest(self, data: bytes) -> None:
        """Name the pushed blobs. Raises as `manifest`."""
        headers = {"Content-Type": media.MANIFEST, "Content-Length": str(len(data))}
        with self.ask("PUT", f"{self.url}/manifests/{self.name.tag}", headers, lambda: data) as reply:
            if reply.status >= 400:
                raise _refusal(reply, f"{reply.status}: {reply.words()}")

    def has_blob(self, digest: str) -> bool:
        """Whether the registry has the blob. Raises as `manifest`."""
        with self.ask("HEAD", f"{self.url}/blobs/{digest}") as reply:
            if reply.status >= 400 and reply.status != 404:
                raise _refusal(reply, f"{reply.status}: HEAD {digest}")
            return reply.status < 400

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], bytes | Iterable[bytes]] | None = None,
    ) -> Reply:
        """The reply to a request with credentials, renewed once when they are refused. GET and HEAD follow redirects.

        An upload may go on at another origin: there none are sent, and a refusal is a reply like any other.
        """
        is_own = origin_of(url) == origin_of(self.url)
        for is_last in (False, True):
            sent = self._credentials.headers() if is_own else {}
            request = Request(method, url, {**(headers or {}), **sent}, body() if body else None, self.is_insecure)
            reply = self.outbound.fetch(request) if method in ("GET", "HEAD") else self.outbound.send(request)
            if reply.status != 401 or not is_own:
                return reply
            challenge = reply.header("WWW-Authenticate")
            reply.close()
            if not is_last:
                self._credentials.renew(challenge, sent)
        raise Unauthorized(DENIED)


def _refusal(reply: Reply, text: str) -> RegistryError:
    return TransferFault(text, reply.wait_seconds) if reply.status in RETRIED else RegistryError(text)


def registry_blob(config: RegistryConfig, name: ModelName, digest: str, *, is_insecure: bool) -> RedirectingBlob:
    """A blob to download over connections of its own."""
    outbound = Outbound(config)
    registry = Registry(outbound, name, is_insecure=is_insecure)
    url = f"{registry.url}/blobs/{digest}"
    return RedirectingBlob(outbound, url, lambda headers: registry.ask("GET", url, headers), is_insecure=is_insecure)
