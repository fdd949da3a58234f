"""The exception tree: one sentence each, for the person who asked. `api/errors.py` maps classes to statuses.

    LlmsiteError
    ├── InvalidRequest            the caller can fix it
    │   ├── InvalidModelName
    │   ├── MissingCapability
    │   ├── PromptTooLong
    │   ├── TemplateError         a template that does not parse or fails
    │   │   └── TemplateLimit     one that exceeds its limit or uses what it must not
    │   ├── InvalidModelFile      a GGUF, manifest or Modelfile that is not what it says
    │   └── InvalidDigest
    ├── InvalidOption             an option of the wrong JSON type (Ollama answers 500, so it stands apart)
    ├── Unauthorized              no or bad credentials
    ├── Forbidden                 known, but not allowed
    ├── NotFound
    │   └── ModelNotFound
    ├── Conflict                  somebody else changed it first
    ├── RequestTooLarge
    ├── Busy                      the queue is full
    ├── NotEnoughMemory           the model does not fit now
    ├── StorageFull               the disk is
    ├── StorageFailed             the disk did not take or keep what was written
    ├── Canceled                  the asker went away
    ├── RegistryError             a registry refused, failed or sent what it must not
    └── EngineError               inference failed
        ├── LoadFailed
        ├── LoadTimeout
        ├── RunnerDied            the process that held the model ended
        └── ProtocolError         a runner or inspector sent what it must not

Errors cross processes as class name and message: `to_wire` and `from_wire`.
"""

from __future__ import annotations


class LlmsiteError(Exception):
    """Base of all errors that a person may read. `str(error)` is the sentence."""


class InvalidRequest(LlmsiteError): ...


class InvalidModelName(InvalidRequest): ...


class MissingCapability(InvalidRequest): ...


class PromptTooLong(InvalidRequest): ...


class TemplateError(InvalidRequest): ...


class TemplateLimit(TemplateError): ...


class InvalidModelFile(InvalidRequest): ...


class InvalidDigest(InvalidRequest): ...


class InvalidOption(LlmsiteError): ...


class Unauthorized(LlmsiteError): ...


class Forbidden(LlmsiteError): ...


class NotFound(LlmsiteError): ...


class ModelNotFound(NotFound): ...


class Conflict(LlmsiteError): ...


class RequestTooLarge(LlmsiteError): ...


class Busy(LlmsiteError): ...


class NotEnoughMemory(LlmsiteError): ...


class StorageFull(LlmsiteError): ...


class StorageFailed(LlmsiteError): ...


class Canceled(LlmsiteError): ...


class RegistryError(LlmsiteError): ...


class EngineError(LlmsiteError): ...


class LoadFailed(EngineError): ...


class LoadTimeout(EngineError): ...


class RunnerDied(EngineError): ...


class ProtocolError(EngineError): ...


def _tree(root: type[LlmsiteError]) -> dict[str, type[LlmsiteError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


_BY_NAME = _tree(LlmsiteError)


def to_wire(error: LlmsiteError) -> tuple[str, str]:
    """Class name and message, for a frame or an envelope. A class of somebody's own goes by its nearest ancestor here."""
    name = next(each.__name__ for each in type(error).__mro__ if _BY_NAME.get(each.__name__) is each)
    return name, str(error)


def from_wire(name: str, message: str) -> LlmsiteError:
    """The error named by the other process; an unknown name becomes an `EngineError`."""
    return _BY_NAME.get(name, EngineError)(message)
