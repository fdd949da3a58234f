"""Pulling GGUF files from Hugging Face: the door to `huggingface_hub`, which lists repositories and knows their addresses.

Its cache is not used: bytes go once from the hub into our store, as parts of a download like any other, and are checked against
the SHA-256 that the hub keeps for each large file. What the library itself asks goes through `outbound.py` too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import httpx2
import msgspec
from huggingface_hub import HfApi, hf_hub_url, set_client_factory
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoSibling

from llmsite.modelfile.create import Part, Recipe, store_recipe
from llmsite.registry.blob_source import RedirectingBlob
from llmsite.registry.config import RegistryConfig
from llmsite.registry.faults import RETRIED, TransferFault, asked_seconds, shown
from llmsite.registry.ollama import MISSING
from llmsite.registry.outbound import Outbound, Reply
from llmsite.registry.quantization import Choice, choose
from llmsite.registry.request import Request
from llmsite.registry.steps import Check, Report, as_registry_errors, fetch_blob, replacing, waited
from llmsite.store.digest import parse_digest
from llmsite.store.made_blobs import made_blob
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Progress
from llmsite.types.errors import InvalidDigest, InvalidModelFile, RegistryError
from llmsite.types.name import ModelName

_REVISION: Final = "main"
_NAME_CHARS: Final = 255
_TEXTS: Final = ("template", "system", "params")
"""Files of a repository that say what a Modelfile would."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository. `digest` is empty for small ones, which the hub keeps in git."""

    name: str
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    digest: str


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository holds at one commit."""

    id: str
    commit: str
    files: Mapping[str, HubFile]


def pull_from_hub(store: ModelStore, name: ModelName, *, report: Report, check: Check, config: RegistryConfig) -> None:
    """Install the model that a name under `hf.co` means. Blocks. Raises as `pull.pull`."""
    with as_registry_errors("pull model manifest: "), Outbound(config) as outbound:
        repository, choice, texts = waited(partial(_look, name, outbound), outbound, report, check)
    digests = {}
    for file_name in (*choice.weights, *filter(None, [choice.projector])):
        file = repository.files[file_name]
        digests[file_name] = file.digest
        with as_registry_errors():
            source = partial(_hub_blob, repository, file_name, config)
            fetch_blob(store, _digest(file), file.size_bytes, source, report, check)
    report(Progress("verifying sha256 digest"))
    parts = _parts(store, choice, digests, config, report, check)
    data = store_recipe(store, name, _recipe(parts, texts))
    with replacing(store, name, data, report):
        report(Progress("writing manifest"))
        store.write(name, data)
    _drop_split_parts(store, choice, digests)


def _look(name: ModelName, outbound: Outbound) -> tuple[Repository, Choice, Mapping[str, str]]:
    """What is at the hub under that name, which files of it are meant, and the small ones."""
    repository = list_repository(f"{name.namespace}/{name.model}", outbound)
    choice = choose(repository.files, name.tag)
    return repository, choice, {each: _read_text(repository, each, outbound) for each in _TEXTS if each in repository.files}


def list_repository(repo_id: str, outbound: Outbound) -> Repository:
    """The files at the head of the main branch. Raises `RegistryError` with the reason that the hub gives, `Forbidden`."""
    config = outbound.config
    api = HfApi(endpoint=config.hub_url, token=config.hub_token or False)
    with _asking_through(outbound), _hub_errors(config):
        info = api.model_info(repo_id, revision=_REVISION, files_metadata=True)
        files = map(_file, info.siblings or ())
        return Repository(repo_id, str(info.sha or _REVISION), {file.name: file for file in files if _can_be_told(file.name)})


def _file(found: RepoSibling) -> HubFile:
    """A row of the hub's list, which its library does not look at. Raises `msgspec.ValidationError` for what is none."""
    digest = f"sha256:{found.lfs.sha256}" if found.lfs else ""
    return msgspec.convert({"name": found.rfilename, "size_bytes": found.size or 0, "digest": digest}, type=HubFile)


def _can_be_told(file_name: str) -> bool:
    """Whether a name can stand in a sentence and on a terminal; nobody could ask for such a file, so it is as if it were not."""
    return file_name.isprintable() and len(file_name) <= _NAME_CHARS


def _hub_blob(repository: Repository, file_name: str, config: RegistryConfig) -> RedirectingBlob:
    outbound = Outbound(config)
    url = hf_hub_url(repository.id, file_name, revision=repository.commit, endpoint=config.hub_url)
    return RedirectingBlob(outbound, url, lambda headers: _ask(outbound, url, headers), is_insecure=_is_insecure(config))


def _ask(outbound: Outbound, url: str, headers: Mapping[str, str]) -> Reply:
    """The reply to an authorised GET of a file. Raises `RegistryError` with the hub's reason when it refuses."""
    config = outbound.config
    token = {"Authorization": f"Bearer {config.hub_token}"} if config.hub_token else {}
    reply = outbound.fetch(Request("GET", url, {**headers, **token}, is_insecure=_is_insecure(config)))
    if reply.status not in (401, 403):
        return reply
    with reply:
        reason = shown(reply.header("X-Error-Message"), config.limits) or reply.words()
    raise RegistryError(f"{reply.status}: {reason or 'access denied'}")


def _read_text(repository: Repository, file_name: str, outbound: Outbound) -> str:
    """A small file of the repository."""
    config = outbound.config
    url = hf_hub_url(repository.id, file_name, revision=repository.commit, endpoint=config.hub_url)
    with _ask(outbound, url, {}) as reply:
        if reply.status in RETRIED:
            raise TransferFault(f"{reply.status}: {reply.words()}", reply.wait_seconds)
        if reply.status >= 400:
            raise RegistryError(f"{reply.status}: {reply.words()}")
        return reply.read(config.limits.layer_text_bytes).decode(errors="replace")


def _parts(
    store: ModelStore, choice: Choice, digests: Mapping[str, str], config: RegistryConfig, report: Report, check: Check
) -> tuple[Part, ...]:
    """The GGUF layers of the model, looked at by the inspector; a split one is joined first."""
    weights = digests[choice.weights[0]]
    if len(choice.weights) > 1:
        weights = _merged(store, [digests[each] for each in choice.weights], config, report, check)
    parts = [weights, *filter(None, [digests.get(choice.projector, "")])]
    return tuple(Part(each, config.read_gguf(store.blobs.checked_path(each), config.limits)) for each in parts)


def _merged(store: ModelStore, digests: Sequence[str], config: RegistryConfig, report: Report, check: Check) -> str:
    """The blob that the parts of a split file make; returns its digest."""
    status = f"merging {len(digests)} parts of a split GGUF"

    def tell(completed: int, total: int) -> None:
        check()
        report(Progress(status, total=total, completed=completed))

    report(Progress(status))
    with made_blob(store.blobs) as made:
        paths = [store.blobs.checked_path(each) for each in digests]
        config.merge_gguf(paths, made.path, on_progress=tell, is_canceled=lambda: False, limits=config.limits)
        return made.adopt(check)[0]


def _recipe(parts: tuple[Part, ...], texts: Mapping[str, str]) -> Recipe:
    parameters: dict[str, Any] = {}
    if "params" in texts:
        try:
            parameters = msgspec.json.decode(texts["params"], type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise InvalidModelFile(f"the repository's file params cannot be read: {error}") from error
    return Recipe(parts, template=texts.get("template", ""), system=texts.get("system", ""), parameters=parameters)


def _drop_split_parts(store: ModelStore, choice: Choice, digests: Mapping[str, str]) -> None:
    """The parts of a split model are in the whole; no manifest names them."""
    if len(choice.weights) > 1 and store.prunes:
        store.remove_unused([digests[each] for each in choice.weights])


def _digest(file: HubFile) -> str:
    try:
        return parse_digest(file.digest)
    except InvalidDigest as error:
        raise RegistryError(f"the hub has no digest for {file.name}") from error


def _is_insecure(config: RegistryConfig) -> bool:
    return config.hub_url.startswith("http:")  # what the owner of the site wrote


_outbound: ContextVar[Outbound] = ContextVar("client of the pull under way")


class _Transport(httpx2.BaseTransport):
    """Carries what the hub's library asks through our own client, that of the pull that asks, which also follows redirects."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        outbound = _outbound.get()
        config = outbound.config
        headers = {name: value for name, value in request.headers.items() if name not in _OURS}
        ours = Request(request.method, str(request.url), headers, request.read() or None, is_insecure=_is_insecure(config))
        with outbound.fetch(ours) as reply:
            found = {name: value for name in _SHOWN if (value := reply.header(name))}
            return httpx2.Response(reply.status, headers=found, content=reply.read(config.limits.manifest_bytes), request=request)


_OURS: Final = frozenset({"host", "accept-encoding", "connection", "content-length", "transfer-encoding"})
_SHOWN: Final = ("Content-Type", "Retry-After", "X-Error-Code", "X-Error-Message", "X-Request-Id")

_UNREADABLE: Final = (ValueError, TypeError, KeyError, AttributeError, msgspec.ValidationError, httpx2.HTTPError)
"""What the library raises, apart from its own errors, over an answer that is not one of the hub's."""

set_client_factory(lambda: httpx2.Client(transport=_Transport()))


@contextmanager
def _asking_through(outbound: Outbound) -> Iterator[None]:
    token = _outbound.set(outbound)
    try:
        yield
    finally:
        _outbound.reset(token)


@contextmanager
def _hub_errors(config: RegistryConfig) -> Iterator[None]:
    """The hub's refusals as sentences."""
    try:
        yield
    except GatedRepoError as error:
        raise RegistryError(f"the repository is gated: {_reason(error, config)}") from error
    except RepositoryNotFoundError as error:
        raise RegistryError(MISSING) from error
    except HfHubHTTPError as error:
        if error.response.status_code in RETRIED:
            raise TransferFault(_reason(error, config), asked_seconds(error.response.headers.get("Retry-After", ""))) from error
        raise RegistryError(_reason(error, config)) from error
    except HFValidationError as error:
        raise RegistryError("that is not the name of a repository") from error
    except _UNREADABLE as error:
        raise RegistryError("the hub's answer cannot be read") from error


def _reason(error: HfHubHTTPError, config: RegistryConfig) -> str:
    said = shown(error.server_message or "", config.limits)
    return f"{error.response.status_code}: {said}" if said else str(error.response.status_code)
