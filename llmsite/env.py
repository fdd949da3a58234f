"""The table of environment variables: the only reader of `os.environ`. `OLLAMA_*` names mean what they mean to Ollama.

Values are trimmed of blanks and surrounding quotes (catalogue 13). A bad value of one of our own variables stops the process
with the variable's name and what was expected; a bad `OLLAMA_*` number falls back to its default, as Ollama does.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from llmsite.types.duration import FOREVER, parse_duration
from llmsite.types.errors import InvalidRequest
from llmsite.types.limits import Limits

DEFAULT_PORT: Final = 11434

_log = logging.getLogger(__name__)


class BadVariable(ValueError):
    """A variable of ours holds a value that cannot be meant. The text names it and says what was expected."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One row of the table. `parse` turns text into the value and raises ValueError with what was expected."""

    name: str
    default: Any
    parse: Callable[[str], Any]
    help: str
    falls_back: bool = False


def _boolean(text: str) -> bool:
    """Go's forms; any other text is true, as Ollama reads it."""
    return text not in {"0", "f", "F", "false", "False", "FALSE"}


def _unsigned(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("a whole number")
    return int(text)


def _seconds(text: str) -> float:
    """A Go duration or whole seconds; negative is forever."""
    try:
        seconds = float(int(text))
    except ValueError:
        try:
            seconds = parse_duration(text)
        except InvalidRequest as error:
            raise ValueError("a duration such as 5m or 300") from error
    return FOREVER if seconds < 0 else seconds


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _origins(text: str) -> tuple[str, ...]:
    for origin in _words(text):
        if "*" not in origin and "://" not in origin:
            raise ValueError(f"origins with a scheme, such as http://{origin}, or a pattern with *")
    return _words(text)


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError("one of " + ", ".join(words))
        return text

    return parse


VARIABLES: Final[tuple[Variable, ...]] = (
    Variable("OLLAMA_HOST", "", str, "address to serve on, or of the server to ask; default 127.0.0.1:11434"),
    Variable("OLLAMA_MODELS", None, _path, "folder of the model store; default $LLMSITE_HOME/models"),
    Variable(
        "OLLAMA_KEEP_ALIVE", 300.0, _seconds, "how long an idle model stays loaded: 5m, 300, -1 for ever, 0 not at all", True
    ),
    Variable("OLLAMA_LOAD_TIMEOUT", 300.0, _seconds, "give up loading after so long without progress; 0 never", True),
    Variable("OLLAMA_CONTEXT_LENGTH", 0, _unsigned, "context of a conversation in tokens; 0 by memory", True),
    Variable(
        "OLLAMA_NUM_PARALLEL", 0, _unsigned, "conversations answered at once per model; 0 is 4, fewer when memory is short", True
    ),
    Variable("OLLAMA_MAX_LOADED_MODELS", 0, _unsigned, "models loaded at once; 0 is 3 per GPU, or 3", True),
    Variable("OLLAMA_MAX_QUEUE", 512, _unsigned, "requests that may wait; more are answered 503", True),
    Variable("OLLAMA_ORIGINS", (), _origins, "further origins whose pages may call the REST API, comma separated"),
    Variable("OLLAMA_FLASH_ATTENTION", None, _boolean, "force flash attention on or off"),
    Variable("OLLAMA_KV_CACHE_TYPE", "f16", _one_of("f16", "q8_0", "q4_0"), "precision of the KV cache: f16, q8_0 or q4_0", True),
    Variable("OLLAMA_GPU_OVERHEAD", 0, _unsigned, "bytes to leave free on each GPU", True),
    Variable("OLLAMA_SCHED_SPREAD", False, _boolean, "spread a model over all GPUs"),
    Variable("OLLAMA_GO_TEMPLATE", None, _boolean, "true: a TEMPLATE always wins over the GGUF's own; false: never"),
    Variable("OLLAMA_NOPRUNE", False, _boolean, "do not remove unused blobs at start"),
    Variable("OLLAMA_NOHISTORY", False, _boolean, "no history in the interactive session"),
    Variable("OLLAMA_DEBUG", False, _boolean, "verbose log"),
    Variable("OLLAMA_API_KEY", "", str, "key that the command line sends to the server"),
    Variable("LLMSITE_HOME", Path.home() / ".llmsite", _path, "folder of the database, keys and run files"),
    Variable("LLMSITE_API_AUTH", "auto", _one_of("auto", "required", "off"), "auto: loopback callers need no key; required; off"),
    Variable("LLMSITE_OPEN_API_CONFIRM", "", str, "must be i-understand to serve beyond loopback without keys"),
    Variable(
        "LLMSITE_REGISTRY_PUBLIC", False, _boolean, "let everybody who reaches this site pull its models from /v2 without a key"
    ),
    Variable(
        "LLMSITE_REGISTRY_PUSH",
        "key",
        _one_of("key", "loopback", "off"),
        "who may push models to /v2: key holders with the right; loopback: also callers of this machine; off",
    ),
    Variable(
        "LLMSITE_REGISTRY_ALLOW",
        (),
        _words,
        "registries (host or host:port, comma separated) that a site beyond loopback may reach at private addresses",
    ),
    Variable(
        "LLMSITE_REGISTRY_PROXY",
        "",
        str,
        "proxy for pulls and pushes: a URL, or environment for HTTP_PROXY, HTTPS_PROXY and NO_PROXY; default none",
    ),
    Variable("HF_TOKEN", "", str, "token for gated and private repositories of Hugging Face"),
    Variable("HF_ENDPOINT", "https://huggingface.co", str, "the hub that names under hf.co are pulled from"),
    Variable("LLMSITE_ALLOWED_HOSTS", (), _words, "further names in the Host header, comma separated"),
    Variable("LLMSITE_INSECURE_HTTP", False, _boolean, "sign-in cookies without TLS beyond loopback"),
    Variable("LLMSITE_BROKER_URL", "", str, "Celery broker redis://…; default a folder under LLMSITE_HOME"),
    Variable("LLMSITE_PREFIX_SHARING", "all", _one_of("all", "user"), "who may reuse a cached prompt prefix: all or user"),
    Variable("LLMSITE_DEBUG", False, _boolean, "Django's debug mode; refused beyond loopback"),
)
_BY_NAME: Final = {each.name: each for each in VARIABLES}
LIMIT_PREFIX: Final = "LLMSITE_LIMIT_"


def read(name: str, environ: Mapping[str, str] | None = None) -> Any:
    """Value of one variable, its default when unset or empty. Raises `BadVariable`."""
    variable = _BY_NAME[name]
    text = _clean((os.environ if environ is None else environ).get(name, ""))
    if not text:
        return variable.default
    try:
        return variable.parse(text)
    except ValueError as error:
        if variable.falls_back:
            return variable.default
        raise BadVariable(f"{name}={text!r} is not understood: expected {error}") from error


def read_limits(environ: Mapping[str, str] | None = None) -> Limits:
    """Limits with the `LLMSITE_LIMIT_<FIELD>` overrides. Raises `BadVariable`."""
    source = os.environ if environ is None else environ
    known = {LIMIT_PREFIX + each.name.upper(): each for each in fields(Limits)}
    changes: dict[str, float] = {}
    for name, raw in source.items():
        if not name.startswith(LIMIT_PREFIX):
            continue
        if name not in known:
            raise BadVariable(f"{name} is no limit; the limits are the fields of llmsite/types/limits.py")
        text = _clean(raw)
        try:
            value = float("inf") if text == "unlimited" else float(text)
        except ValueError as error:
            raise BadVariable(f"{name}={text!r} is not understood: expected a number or unlimited") from error
        field = known[name]
        changes[field.name] = int(min(value, 2**62)) if field.type == "int" else value
    return replace(Limits(), **changes)  # type: ignore[arg-type]


def check(environ: Mapping[str, str] | None = None) -> None:
    """Read everything once. Raises `BadVariable` for the first value that cannot be meant."""
    for variable in VARIABLES:
        read(variable.name, environ)
    read_limits(environ)
    server_address(environ)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens and clients ask. `host` is empty for all interfaces; `path` has no slash in front."""

    scheme: str = "http"
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    path: str = ""

    @property
    def url(self) -> str:
        """`http://127.0.0.1:11434`, `http://[::1]:11434/prefix`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}" + (f"/{self.path}" if self.path else "")

    @property
    def bind_host(self) -> str:
        """The name or literal to bind to."""
        return self.host or "0.0.0.0"  # noqa: S104 - what `OLLAMA_HOST=:1234` asks for; serve.py holds the rules for it


_SCHEME_PORTS: Final = {"http": 80, "https": 443}
_HOST_PORT: Final = re.compile(r"(?:\[(?P<literal>[^\[\]]*)\]|(?P<host>[^\[\]:]*))(?::(?P<port>[^:]*))?")
_BARE_V6: Final = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def server_address(environ: Mapping[str, str] | None = None) -> Address:
    """OLLAMA_HOST as Ollama reads it (catalogue 13). A port that is none falls back to the default, with a line in the log."""
    text: str = read("OLLAMA_HOST", environ)
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "http", text
    default = _SCHEME_PORTS.get(scheme, DEFAULT_PORT) if mark else DEFAULT_PORT
    host_port, _, path = rest.partition("/")
    if _BARE_V6.fullmatch(host_port):
        return Address(scheme, host_port, default, path.strip("/"))
    match = _HOST_PORT.fullmatch(host_port)
    if match is None:
        raise BadVariable(f"parse \"{scheme}://{host_port}:{default}/\": missing ']' in host")
    host = match["literal"] if match["literal"] is not None else match["host"]
    if not host_port:
        host = "127.0.0.1"
    return Address(scheme, host, _port(match["port"], default), path.strip("/"))


def _port(text: str | None, default: int) -> int:
    if text is None:
        return default
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    _log.warning("invalid port, using default port=%s default=%s", text, default)
    return default


def models_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The store's root: OLLAMA_MODELS, else `models` under LLMSITE_HOME."""
    folder: Path = read("OLLAMA_MODELS", environ) or read("LLMSITE_HOME", environ) / "models"
    return folder


def registry_keys_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where `login` keeps the keys of other sites: a JSON object of host to key, mode 0600."""
    home: Path = read("LLMSITE_HOME", environ)
    return home / "registry-keys.json"


def registry_proxies(environ: Mapping[str, str] | None = None) -> tuple[str, str, tuple[str, ...]]:
    """Proxy for http, proxy for https, and the hosts asked directly: what LLMSITE_REGISTRY_PROXY says."""
    source = os.environ if environ is None else environ
    proxy: str = read("LLMSITE_REGISTRY_PROXY", source)
    if proxy != "environment":
        return proxy, proxy, ()

    def either(name: str) -> str:
        return _clean(source.get(name, "") or source.get(name.lower(), ""))

    return either("HTTP_PROXY"), either("HTTPS_PROXY"), _words(either("NO_PROXY"))


def scrubbed(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for a child that must hold no secrets: what the loader, the locale and GPU choice need, nothing else."""
    kept = {name: value for name, value in os.environ.items() if name in _CHILD_NAMES or name.startswith(_CHILD_PREFIXES)}
    return kept | dict(extra or {})


_CHILD_NAMES: Final = frozenset(
    {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT"}
)
_CHILD_PREFIXES: Final = ("CUDA_", "HIP_", "ROCR_", "HSA_", "GGML_", "GPU_", "OMP_", "GOMP_", "LLAMA_ARG_")


def _clean(text: str) -> str:
    return text.strip().strip("\"'").strip()


def secret_key(home: Path) -> str:
    """Django's secret, made once per home with mode 0600. The first of several processes wins; all read the same bytes."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / "secret.key"
    if not path.exists():
        fresh = path.with_name(f"secret.key.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass  # another process was first
        finally:
            fresh.unlink()
    return path.read_text()
