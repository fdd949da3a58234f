"""Routes of the REST API. `/` belongs here, since every client asks it first; the page behind it is handed in."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from api.endpoint import View
from api.views import blobs, chat, create, generate, models, pull, registry, server
from api.views.root import make_root


def make_urls(page: View) -> list[URLPattern]:
    """All routes; include them with the namespace `api`. `page` answers browsers at `/`."""
    return [
        path("", make_root(page), name="root"),
        path("api/version", server.version, name="version"),
        path("api/status", server.status, name="status"),
        path("api/me", server.me, name="me"),
        path("api/tags", models.tags, name="tags"),
        path("api/ps", models.ps, name="ps"),
        path("api/show", models.show, name="show"),
        path("api/copy", models.copy, name="copy"),
        path("api/delete", models.delete, name="delete"),
        path("api/generate", generate.generate, name="generate"),
        path("api/chat", chat.chat, name="chat"),
        path("api/create", create.create, name="create"),
        path("api/pull", pull.pull, name="pull"),
        path("api/push", pull.push, name="push"),
        # any text at all, so that what is no digest is told so
        re_path(r"^api/blobs/(?P<digest>[\s\S]+)\Z", blobs.blob, name="blob"),
        # this site as a registry
        path("v2/", registry.root, name="registry"),
        re_path(r"^v2/(?P<repository>[\s\S]+)/manifests/(?P<tag>[^/]+)\Z", registry.manifest, name="registry_manifest"),
        re_path(r"^v2/(?P<repository>[\s\S]+)/blobs/uploads/?\Z", registry.uploads, name="registry_uploads"),
        re_path(r"^v2/(?P<repository>[\s\S]+)/blobs/uploads/(?P<session_id>[^/]+)\Z", registry.upload, name="registry_upload"),
        re_path(r"^v2/(?P<repository>[\s\S]+?)/blobs/(?P<digest>[\s\S]+)\Z", registry.blob, name="registry_blob"),
        re_path(r"^(?:api|v1)(?:/[\s\S]*)?\Z", server.unknown, name="unknown"),
    ]
