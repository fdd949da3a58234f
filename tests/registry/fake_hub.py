"""A hub for tests: the part of Hugging Face's API that pulls need, on top of the fake registry's server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tests.registry.fake_registry import FakeRegistry, Handler, digest_of, running_registry

__all__ = ["FakeHub", "running_registry"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_LARGE = (".gguf",)


@dataclass
class FakeHub:
    """One repository `user/repo`. Large files redirect to `cdn`, as the real hub does; small ones come at once."""

    registry: FakeRegistry
    cdn: FakeRegistry
    files: dict[str, bytes] = field(default_factory=dict)
    token: str = ""
    is_gated: bool = False

    def __post_init__(self) -> None:
        self.registry.pages["/api/models/user/repo/revision/main"] = self._describe
        self.registry.pages["/api/models/user/none/revision/main"] = _no_repository

    def add(self, name: str, data: bytes) -> str:
        self.files[name] = data
        self.cdn.add_blob(data)
        self.registry.pages[f"/user/repo/resolve/{COMMIT}/{name}"] = lambda handler: self._file(handler, name)
        return digest_of(data)

    def _describe(self, handler: Handler) -> None:
        siblings = [self._sibling(name, data) for name, data in self.files.items()]
        document = {"id": "user/repo", "sha": COMMIT, "private": False, "gated": self.is_gated, "siblings": siblings, "tags": []}
        handler.reply(200, json.dumps(document | {"downloads": 1, "likes": 1}).encode(), Content_Type="application/json")

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        lfs = {"sha256": digest_of(data)[7:], "size": len(data), "pointerSize": 134}
        return {"rfilename": name, "size": len(data), "blobId": "x"} | ({"lfs": lfs} if name.endswith(_LARGE) else {})

    def _file(self, handler: Handler, name: str) -> None:
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            message = "Access to model user/repo is restricted. You must have access to it and be authenticated to access it."
            handler.reply(401, b"", X_Error_Code="GatedRepo", X_Error_Message=message)
        elif name.endswith(_LARGE):
            handler.reply(302, Location=f"{self.cdn.url}/cdn/{digest_of(self.files[name])}")
        else:
            handler.reply(200, self.files[name])


def _no_repository(handler: Handler) -> None:
    handler.reply(401, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
