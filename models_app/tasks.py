"""Work for the job worker. Each task calls one function."""

from __future__ import annotations

import time

from celery.signals import worker_ready
from django.conf import settings

from llmsite import backend
from llmsite.celery import app
from models_app import catalogue


@app.task(name="models.sweep_store")
def sweep_store() -> None:
    """Remove blobs that no model uses, unless OLLAMA_NOPRUNE says otherwise, and make the catalogue current (catalogue 10.5)."""
    if settings.LLMSITE_PRUNES:
        backend.get_store().sweep(time.time())
    catalogue.sync()


@worker_ready.connect
def _sweep_after_start(**_: object) -> None:
    sweep_store.delay()
