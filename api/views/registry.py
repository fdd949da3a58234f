"""This site as a registry: /v2/, from which other sites and Ollama pull, and into which they push (catalogue 11).

`library/starter` is the repository of the model `starter`. Manifests go out byte for byte; a pushed one is the last step of a
push and makes the model. Who may do what stands in `accounts/authorize.py`. How a blob goes out is told in `api/blob_reply.py`,
how one comes in in `api/push_sessions.py`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from api.blob_reply import reply_with_blob
from api.byte_ranges import parse_content_range
from api.endpoint import endpoint, json_response
from api.push_sessions import PushSessions, Session
from api.registry_errors import error_response, refusal
from api.uploads import body_of
from llmsite import backend
from llmsite.accounts.authorize import Principal
from llmsite.store.digest import parse_digest
from llmsite.store.manifest import MANIFEST, Manifest, check_manifest, manifest_digest
from llmsite.store.model import ModelStore
from llmsite.types.errors import InvalidModelName, LoadFailed, ModelNotFound, NotFound, RequestTooLarge
from llmsite.types.name import DEFAULT_HOST, ModelName
from models_app import services

registry_endpoint: Final = partial(endpoint, to_response=error_response)
sessions: Final = PushSessions()


@registry_endpoint("GET", "HEAD")
async def root(request: HttpRequest) -> HttpResponseBase:
    """Whether this is a registry, and whether the caller may use it."""
    response = json_response({})
    response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
    return response


# manifests


@registry_endpoint("GET", "HEAD", "PUT")
async def manifest(request: HttpRequest, repository: str, tag: str) -> HttpResponseBase:
    """The manifest of a model as it is stored; PUT makes the model from blobs that were pushed before."""
    name = _name(repository, tag)
    if request.method == "PUT":
        return await _install(name, await _manifest_body(request))
    data = await asyncio.to_thread(_read_manifest, backend.get_store(), name)
    digest = f"sha256:{manifest_digest(data)}"
    response = HttpResponse(data, content_type=MANIFEST)
    response.headers["Docker-Content-Digest"] = digest
    response.headers["ETag"] = f'"{digest}"'
    return response


def _read_manifest(store: ModelStore, name: ModelName) -> bytes:
    file = store.manifests.find_in_repository(name.namespace, name.model, name.tag)
    if file is None:
        raise ModelNotFound(f"model '{name.shortest}' not found")
    return store.read_manifest(file)


async def _manifest_body(request: HttpRequest) -> bytes:
    limit = backend.get_store().limits.manifest_bytes
    data = request.read(limit + 1)  # the server has read it into memory or a file already
    if len(data) > limit:
        raise RequestTooLarge(f"invalid manifest: larger than {limit} bytes")
    return data


async def _install(name: ModelName, data: bytes) -> HttpResponseBase:
    store = backend.get_store()
    checked = check_manifest(data, store.limits)
    problem = await asyncio.to_thread(_missing_blob, store, checked)
    if problem:
        return refusal(400, "MANIFEST_BLOB_UNKNOWN", problem)
    model = await asyncio.to_thread(store.write, name, data)
    await services.refresh()
    digest = f"sha256:{model.digest}"
    repository = f"{name.namespace}/{name.model}"
    return _empty(201, {"Location": f"/v2/{repository}/manifests/{name.tag}", "Docker-Content-Digest": digest})


def _missing_blob(store: ModelStore, checked: Manifest) -> str:
    """What is wrong with the first layer that is not here as the manifest says; empty when all are."""
    for layer in (checked.config, *checked.layers):
        try:
            found = store.blobs.size(layer.digest)
        except (NotFound, LoadFailed):
            return f"invalid manifest: blob {layer.digest} is not here; push it first"
        if found != layer.size_bytes:
            return f"invalid manifest: blob {layer.digest} has {found} bytes, not {layer.size_bytes}"
    return ""


# blobs


@registry_endpoint("GET", "HEAD")
async def blob(request: HttpRequest, repository: str, digest: str) -> HttpResponseBase:
    """A blob or a part of it. Blobs belong to the store, not to a repository: whoever has the digest may have the content."""
    _name(repository)
    return await reply_with_blob(request, backend.get_store().blobs, parse_digest(digest))


@registry_endpoint("POST")
async def uploads(request: HttpRequest, repository: str) -> HttpResponseBase:
    """Begin to push a blob: 202 with the address to send it to, or 201 when `mount` names one that is here already."""
    _name(repository)
    blobs = backend.get_store().blobs
    if mount := request.GET.get("mount", ""):
        digest = parse_digest(mount)
        if await asyncio.to_thread(blobs.has, digest):
            await asyncio.to_thread(blobs.touch, digest)
            return _stored(repository, digest)
    return _accepted(request, repository, await sessions.open(blobs, _owner(request)))


@registry_endpoint("GET", "PATCH", "PUT", "DELETE")
async def upload(request: HttpRequest, repository: str, session_id: str) -> HttpResponseBase:
    """PATCH adds a part, PUT adds the last one and gives the blob its digest, GET says how far it is, DELETE gives it up."""
    _name(repository)
    session = sessions.find(session_id, _owner(request))
    if session is None:
        return refusal(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload; begin it again")
    async with session.lock:
        if session.is_over:
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "the upload has ended; begin it again")
        match request.method:
            case "PATCH":
                return await _add_part(request, repository, session)
            case "PUT":
                return await _finish(request, repository, session)
            case "DELETE":
                await sessions.end(session)
                return _empty(204)
    return _where(request, repository, session, 204)


async def _add_part(request: HttpRequest, repository: str, session: Session) -> HttpResponseBase:
    limits = backend.get_store().limits
    header = request.headers.get("Content-Range")
    part = parse_content_range(header) if header else None
    if header and part is None:
        return refusal(400, "BLOB_UPLOAD_INVALID", "the Content-Range cannot be read: expected <first>-<last>")
    if part is not None and part.start != session.num_bytes:
        return _where(request, repository, session, 416)
    announced = len(part) if part is not None else int(request.headers.get("Content-Length") or 0)
    await asyncio.to_thread(backend.get_store().blobs.require_space, announced)
    await sessions.append(session, body_of(request), part, limits)
    return _accepted(request, repository, session)


async def _finish(request: HttpRequest, repository: str, session: Session) -> HttpResponseBase:
    digest = parse_digest(request.GET.get("digest", ""))
    await sessions.append(session, body_of(request), None, backend.get_store().limits)
    try:
        await session.upload.commit(digest)
    finally:
        await sessions.end(session)
    return _stored(repository, digest)


def _stored(repository: str, digest: str) -> HttpResponse:
    return _empty(201, {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest})


def _accepted(request: HttpRequest, repository: str, session: Session) -> HttpResponse:
    return _where(request, repository, session, 202)


def _where(request: HttpRequest, repository: str, session: Session, status: int) -> HttpResponse:
    """How far the upload is and where it goes on. Ollama needs a whole address; other clients complete a path."""
    path = f"/v2/{repository}/blobs/uploads/{session.id}"
    is_tls = request.headers.get("X-Forwarded-Proto", request.scheme) == "https"
    return _empty(
        status,
        {
            "Location": path,
            "Docker-Upload-Location": f"{'https' if is_tls else 'http'}://{request.headers['Host']}{path}",
            "Docker-Upload-UUID": session.id,
            "Range": f"0-{max(0, session.num_bytes - 1)}",
        },
    )


# names and people


def _name(repository: str, tag: str = "latest") -> ModelName:
    """The model of a repository. Raises `InvalidModelName`."""
    namespace, _, model = repository.partition("/")
    name = ModelName(DEFAULT_HOST, namespace, model, tag)
    if not name.is_valid:
        raise InvalidModelName("invalid model name")
    return name


def _owner(request: HttpRequest) -> str:
    """Whose session it is: an account's, or that of whoever sits at this machine."""
    principal: Principal = request.principal  # type: ignore[attr-defined]
    return principal.queue_key or principal.kind


def _empty(status: int, headers: dict[str, str] | None = None) -> HttpResponse:
    response = HttpResponse(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response
