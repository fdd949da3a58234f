"""The Celery app, and the worker process that `serve` starts. The broker only wakes a worker; rows are the truth (DESIGN 2).

Without LLMSITE_BROKER_URL messages are files under LLMSITE_HOME/broker. `python -m llmsite.celery --fd N` runs a worker
that leaves when the other end of descriptor N closes: its parent is gone then, however it died.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from celery import Celery
from celery.exceptions import CPendingDeprecationWarning, OperationalError, SecurityWarning
from celery.worker import state
from django.conf import settings
from kombu.exceptions import ChannelError
from kombu.transport import resolve_transport

from llmsite.priority import step_back

CONCURRENCY: Final = 8
_POLLING_SECONDS: Final = 0.05
_LEAVE_SECONDS: Final = 5.0
_BROKER_SECONDS: Final = 2.0
"""A broker that says nothing for so long is not there: who starts a job waits for its message to go out."""
_REDIS: Final = {
    "visibility_timeout": 12 * 3600,
    "socket_timeout": _BROKER_SECONDS,
    "socket_connect_timeout": _BROKER_SECONDS,
}

BROKER_ERRORS: Final = (OSError, OperationalError, ChannelError)
"""What sending a message may raise when there is no broker to be had."""

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmsite.settings")


def broker_settings(url: str, home: Path) -> dict[str, Any]:
    """Where messages go: to Redis or another broker when a URL is given, else into a folder of this home."""
    if url:
        return {"broker_url": url, "broker_transport_options": _REDIS if url.startswith(("redis", "sentinel")) else {}}
    folder = home / "broker"
    return {
        "broker_url": "filesystem://localhost",
        "broker_transport_options": {
            "data_folder_in": str(folder),
            "data_folder_out": str(folder),
            "control_folder": str(folder),
            "store_processed": False,
            "polling_interval": _POLLING_SECONDS,
        },
    }


app = Celery("llmsite")
app.conf.update(
    **broker_settings(settings.LLMSITE_BROKER_URL, settings.LLMSITE_HOME),
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_default_queue="jobs",
    worker_pool="threads",
    worker_concurrency=CONCURRENCY,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    timezone="UTC",
)
app.autodiscover_tasks(lambda: ["models_app"])


def broker_fault(url: str) -> str:
    """Why messages cannot go to such a URL, whoever listens there; empty when they can."""
    scheme = url.partition("://")[0]
    if scheme.startswith(("redis", "sentinel")) and find_spec("redis") is None:
        return "the Python package redis is missing: pip install 'llmsite[redis]'"
    try:
        resolve_transport(scheme)
    except (KeyError, ImportError):
        return f"nothing here can speak {scheme}://"
    return ""


def make_broker_folder() -> None:
    """Where messages are files, they need their folder."""
    if not settings.LLMSITE_BROKER_URL:
        (settings.LLMSITE_HOME / "broker").mkdir(mode=0o700, parents=True, exist_ok=True)


def run_worker(fd: int) -> None:
    """Work until the other end of `fd` closes or SIGTERM comes. Does not return while there is work to do; blocks."""
    step_back()
    make_broker_folder()
    warnings.simplefilter("ignore", SecurityWarning)  # who started `serve` decided as whom
    warnings.simplefilter("ignore", CPendingDeprecationWarning)  # advice for messages that are acknowledged late; ours are not
    threading.Thread(target=_leave_with_parent, args=(fd,), daemon=True).start()
    # a terminal sends Ctrl-C to the whole group; the parent decides what it means
    app.worker_main(["--quiet", "worker", "--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"])


def _leave_with_parent(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # warm: nothing new is taken, running steps see worker_shutting_down
    end = time.monotonic() + _LEAVE_SECONDS
    while state.active_requests and time.monotonic() < end:
        time.sleep(_POLLING_SECONDS)
    # Celery's own way out joins its timers for seconds; there is nothing to lose here, for the rows know what was done
    os._exit(1 if state.active_requests else 0)


if __name__ == "__main__":
    # the module that tasks import is this file's other self
    from llmsite.celery import run_worker as run

    run(int(sys.argv[sys.argv.index("--fd") + 1]))
