"""What happens before the server answers: is it safe to serve, is this home free, are database and files in place.

Every refusal is one line and an exit code: 1 when serving is not possible, 2 when it would be unsafe (rule 4 of the trust model).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from chat.services import recover
from llmsite import env
from llmsite.accounts.models import OwnerLink, has_admin
from llmsite.celery import broker_fault
from llmsite.env import Address
from llmsite.versions import list_versions
from models_app import catalogue, starter

Say = Callable[[str], None]

CONFIRMATION: Final = "i-understand"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_STAMP: Final = ".stamp"
_PATIENCE_SECONDS: Final = 0.2
"""How long new model files are looked into before the server answers."""


class Refused(Exception):
    """Serving does not start; the text is one line for the person at the terminal."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


# is it safe


def check_safe(home: Path) -> None:
    """Data belongs to one account; beyond loopback, openness has to be meant. Raises `Refused`."""
    beyond = not settings.LLMSITE_TRUST.is_loopback
    _check_modes(home, is_strict=beyond)
    if not beyond:
        return
    address = settings.LLMSITE_ADDRESS.url
    if settings.DEBUG:
        raise Refused(f"{address} is reachable by others, and LLMSITE_DEBUG is for this machine only; unset it", 2)
    if settings.LLMSITE_API_AUTH == "off" and env.read("LLMSITE_OPEN_API_CONFIRM") != CONFIRMATION:
        raise Refused(
            f"{address} is reachable by others and LLMSITE_API_AUTH=off lets everybody use the models; "
            f"set LLMSITE_OPEN_API_CONFIRM={CONFIRMATION} if that is meant",
            2,
        )


def check_admin() -> None:
    """Beyond loopback an administrator has to exist before anybody can come. Raises `Refused`."""
    if settings.LLMSITE_TRUST.is_loopback or has_admin():
        return
    raise Refused(
        f"{settings.LLMSITE_ADDRESS.url} is reachable by others and there is no administrator yet; "
        "make one first: llmsite user add NAME --admin",
        2,
    )


def _check_modes(home: Path, *, is_strict: bool) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = home.stat().st_mode
        if not mode & _OTHERS:
            return
        if is_strict:
            raise Refused(f"other accounts of this machine can look into {home}; close it first: chmod 700 {home}", 2)
        home.chmod(0o700)
    except OSError as error:
        raise Refused(f"the folder {home} cannot be used: {error.strerror}", 1) from error


# is this home free


@contextmanager
def only_one(home: Path, url: str) -> Iterator[None]:
    """Hold the home for this process. A lock of a dead process does not count. Raises `Refused` naming the holder."""
    folder = home / "run"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "serve.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"{home} is being served already: {_holder(folder)}", 1) from error
        file.truncate(0)
        (folder / "serve.json").write_text(json.dumps({"pid": os.getpid(), "url": url}))
        yield


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / "serve.json").read_text())
        return f"process {holder['pid']} at {holder['url']}"
    except (OSError, ValueError, KeyError):
        return "by another process"


def resolve(address: Address) -> str:
    """The literal to bind to. Raises `Refused` for a name that nobody knows."""
    try:
        found = socket.getaddrinfo(address.bind_host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise Refused(f"the host {address.bind_host} of OLLAMA_HOST is not known: {error.strerror}", 1) from error
    return str(found[0][4][0])


# first steps


def check_versions() -> None:
    """The libraries that safety rests on must not be older than they were when this was released. Raises `Refused`."""
    for each in list_versions():
        if each.is_old and each.is_demanded and not settings.DEBUG:
            raise Refused(f"{each.name} {each.found} is too old: {each.floor} or newer is needed; install llmsite again", 1)


def check_broker() -> None:
    """Without a way to send messages no job would start. Raises `Refused`."""
    url = settings.LLMSITE_BROKER_URL
    fault = broker_fault(url) if url else ""
    if fault:
        raise Refused(f"LLMSITE_BROKER_URL cannot be used: {fault}", 1)


def prepare(say: Say) -> None:
    """Database, static files, starter model, catalogue, answers that a dead process left. Blocks. Raises `Refused`."""
    check_versions()
    check_broker()
    migrate(say)
    check_admin()
    collect_static()
    adopt_store()
    starter.install_once()
    catalogue.sync_quickly(_PATIENCE_SECONDS)  # the worker does the rest
    recover()


def adopt_store() -> None:
    """Give old blobs their present names. Raises `Refused` for a store that cannot be looked into."""
    try:
        catalogue.adopt()
    except OSError as error:
        raise Refused(f"the model store {settings.LLMSITE_MODELS} cannot be used: {error.strerror}", 1) from error


def migrate(say: Say = lambda _line: None) -> None:
    """Bring the database to this release; quick when it is. Raises `Refused` for a database that cannot be used."""
    try:
        executor = MigrationExecutor(connection)
        unknown = set(executor.loader.applied_migrations) - set(executor.loader.disk_migrations)
        ours = {label for label, _name in executor.loader.disk_migrations}
        if any(label in ours for label, _name in unknown):
            raise Refused("the database is of a newer release of llmsite; install that release", 1)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            say("preparing the database")
            call_command("migrate", verbosity=0, interactive=False, skip_checks=True)
    except OperationalError as error:
        raise Refused(f"the database cannot be used: {error}", 1) from error
    finally:
        connection.close()


def collect_static() -> None:
    """Copy static files to where they are served from, once per version; in a checkout also after a change."""
    target = Path(settings.STATIC_ROOT)
    stamp = _fingerprint()
    marker = target / _STAMP
    if marker.exists() and marker.read_text() == stamp:
        return
    for old in target.parent.glob("static-*"):
        shutil.rmtree(old)
    call_command("collectstatic", verbosity=0, interactive=False, skip_checks=True)
    marker.write_text(stamp)


def _fingerprint() -> str:
    """Changes when any source file does: names, sizes and times of all of them."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            status = os.stat(storage.path(name))
            digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def owner_link(url: str) -> str:
    """The address that makes the first administrator, empty when there is one. Older links end."""
    if has_admin():
        return ""
    return f"{url}/setup?t={OwnerLink.issue(settings.LLMSITE_LIMITS.owner_link_seconds)}"
