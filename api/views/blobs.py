"""HEAD and POST /api/blobs/:digest (catalogue 2.19): whether a blob is there, and uploading one of any size.

How a body becomes a blob is told in `api/uploads.py`. One that does not match its digest is discarded.
"""

from __future__ import annotations

import asyncio

from django.http import HttpRequest, HttpResponseBase

from api.endpoint import empty_response, endpoint
from api.uploads import Upload, body_of, discard
from llmsite import backend
from llmsite.store.digest import parse_digest
from llmsite.types.errors import NotFound


@endpoint("HEAD", "POST")
async def blob(request: HttpRequest, digest: str) -> HttpResponseBase:
    """200 for a blob that is there; 201 when the body became it. `digest` is checked before anything looks at the disk."""
    blobs = backend.get_store().blobs
    parse_digest(digest)
    is_there = await asyncio.to_thread(blobs.has, digest)
    if request.method == "HEAD":
        if not is_there:
            raise NotFound("blob not found")
        return empty_response(200)
    if is_there:
        await asyncio.to_thread(blobs.touch, digest)
        await discard(body_of(request))
        return empty_response(200)
    await asyncio.to_thread(blobs.require_space, int(request.headers.get("Content-Length") or 0))
    upload = await Upload.begin(blobs, digest)
    try:
        await upload.append(body_of(request))
        await upload.commit()
    finally:
        await upload.close()
    return empty_response(201)
