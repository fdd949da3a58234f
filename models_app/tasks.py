"""Work for the job worker. Each task calls one function."""

from __future__ import annotations

import logging
import time

from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings

from llmsite import backend
from llmsite.celery import BROKER_ERRORS, app, make_broker_folder
from models_app import catalogue, job_rows
from models_app.job_worker import JobWorker

logger = logging.getLogger(__name__)


@app.task(name="models.sweep_store")
def sweep_store() -> None:
    """Remove blobs that no model and no job needs, unless OLLAMA_NOPRUNE is set; make the catalogue current (catalogue 10.5)."""
    if settings.LLMSITE_PRUNES:
        backend.get_store().sweep(time.time(), job_rows.needed_digests())
    catalogue.sync()


@app.task(name="models.complete_catalogue")
def complete_catalogue() -> None:
    """Look into the GGUF files that the catalogue has left for later."""
    catalogue.complete()


def refresh() -> None:
    """Make the rows equal to the disk after a change. Blocks for a moment: GGUF files that take longer are left to a worker."""
    if not catalogue.sync_quickly():
        complete_soon()


def complete_soon() -> None:
    """Have some worker do that. Should the message not go out, the next start of a worker does."""
    try:
        make_broker_folder()
        complete_catalogue.apply_async(retry=False)
    except BROKER_ERRORS as error:
        logger.warning("no worker could be asked to look into new model files: %s", error)


@app.task(name="models.run_job")
def run_job(job_id: int) -> None:
    """Run a job, if it still waits."""
    _worker.run(job_id)


def wake(job_id: int) -> None:
    """Tell some worker that a job waits. Should the message not go out, the worker's sweep finds the row."""
    try:
        make_broker_folder()
        run_job.apply_async((job_id,), retry=False)
    except BROKER_ERRORS as error:
        logger.warning("no worker could be woken for job %d, its sweep will find it: %s", job_id, error)


_worker = JobWorker(wake, refresh)


@worker_ready.connect
def _begin(**_: object) -> None:
    _worker.start()
    sweep_store.delay()


@worker_shutting_down.connect
def _end(**_: object) -> None:
    _worker.stop()
