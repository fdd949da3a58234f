"""Routes of the pages about models."""

from __future__ import annotations

from django.urls import URLPattern, path

from models_app import views
from models_app.views import Rail


def make_urls(rail: Rail) -> list[URLPattern]:
    """All routes; include them with the namespace `models`. `rail` makes the list of chats beside a page."""
    page, pull = views.make_downloads(rail)
    return [
        path("downloads", page, name="downloads"),
        path("models/-/pull", pull, name="pull"),
        path("models/-/preview", views.preview, name="preview"),
        path("pulls/<int:job_id>/cancel", views.cancel, name="cancel"),
        path("pulls/<int:job_id>/resume", views.resume, name="resume"),
        path("pulls/<int:job_id>/discard", views.discard, name="discard"),
    ]
