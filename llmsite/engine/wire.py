"""Commands to a runner and events from it: length-prefixed JSON frames over a socket pair. Both ends import this.

A frame is four bytes of length, big-endian, and one JSON object whose `type` names the struct. Never pickle: a runner is
assumed to be taken over by a hostile model file sooner or later, so the parent checks every frame it reads and ends the
runner on the first bad one (`ProtocolError`).
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar

import msgspec

from llmsite.types.errors import ProtocolError

F = TypeVar("F")

HEADER_BYTES: Final = 4


class _Frame(msgspec.Struct, tag_field="type", frozen=True, gc=False, omit_defaults=True): ...


# commands: supervisor to runner


class Load(_Frame, frozen=True, tag="load"):
    """First frame: what to hold. Paths are absolute; `num_ctx` is tokens per slot; `num_gpu_layers` of -1 is all.

    `adapters` are (path, scale) pairs. `kv_cache_type` is f16, q8_0 or q4_0; `flash_attention` None leaves it to the runner.
    `prefix_cache_bytes` bounds the host memory for saved prefixes; `prefix_sharing` is "all" or "user". `is_confined` asks the
    runner to give up all files but these before it opens one.
    """

    model_path: str
    num_ctx: int
    num_slots: int
    num_batch: int = 512
    num_threads: int = 0
    num_gpu_layers: int = 0
    main_gpu: int | None = None
    tensor_split: tuple[float, ...] = ()
    use_mmap: bool | None = None
    adapters: tuple[tuple[str, float], ...] = ()
    projector_path: str = ""
    kv_cache_type: str = "f16"
    flash_attention: bool | None = None
    prefix_cache_bytes: int = 0
    prefix_sharing: str = "all"
    is_confined: bool = False


class Sampling(_Frame, frozen=True, tag="sampling"):
    """The run options of a request, defaults filled in. `seed` < 0 draws one."""

    seed: int = -1
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0


class Generate(_Frame, frozen=True, tag="generate"):
    """Continue a prompt. Control tokens in `prompt` are parsed; BOS is added as the model's vocabulary says.

    `num_ctx` caps this sequence (tokens, at most the loaded one). `num_predict` < 0 stops at 10 times num_ctx. `stop` strings
    end the answer and are not sent. `truncate`: a prompt of num_ctx tokens or more is cut in its middle (catalogue 5.5) if
    `shift`, else refused; without `truncate` it is refused at once: `Failed` with `PromptTooLong`.
    `num_top_logprobs` < 0: none; otherwise each piece carries the chosen token's and so many alternatives'.
    `user` owns the prefix when prefixes are not shared. `want_context`: `Done.context` holds prompt and answer tokens.
    """

    id: int
    prompt: str
    num_ctx: int
    sampling: Sampling = Sampling()
    num_predict: int = -1
    num_keep: int = 4
    stop: tuple[str, ...] = ()
    truncate: bool = True
    shift: bool = True
    num_top_logprobs: int = -1
    want_context: bool = False
    user: str = ""


class Cancel(_Frame, frozen=True, tag="cancel"):
    """Drop a request, whatever it is doing. Answered by `Done` with reason `canceled`, unless it ended before."""

    id: int


class Tokenize(_Frame, frozen=True, tag="tokenize"):
    """Count or list tokens of texts as `Generate` would read them, BOS included; answered while decoding goes on, by `Tokens`."""

    id: int
    texts: tuple[str, ...]
    counts_only: bool = True


class Detokenize(_Frame, frozen=True, tag="detokenize"):
    """Text of tokens, control tokens included; answered by `Text`."""

    id: int
    tokens: tuple[int, ...]


Command = Load | Generate | Cancel | Tokenize | Detokenize


# events: runner to supervisor


class Loading(_Frame, frozen=True, tag="loading"):
    """Progress of loading, 0 to 1."""

    fraction: float


class Ready(_Frame, frozen=True, tag="ready"):
    """Loaded. `num_ctx` is what one slot really has. Bytes are what llama.cpp allocated; `vram_bytes` is the part on GPUs."""

    num_ctx: int
    num_slots: int
    num_vocab: int
    adds_bos: bool
    bos_text: str
    memory_bytes: int
    vram_bytes: int = 0
    backend: str = "cpu"


class Started(_Frame, frozen=True, tag="started"):
    """A request took a slot; `num_cached` of its `num_prompt` tokens need no reading."""

    id: int
    num_prompt: int
    num_cached: int


class Reading(_Frame, frozen=True, tag="reading"):
    """How much of a prompt has been read; sent for prompts that take more than one step."""

    id: int
    num_read: int
    num_prompt: int


class TokenInfo(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Text, natural-log probability, raw bytes."""

    text: str
    logprob: float
    raw: tuple[int, ...]


class LogprobInfo(msgspec.Struct, frozen=True, gc=False, array_like=True):
    chosen: TokenInfo
    top: tuple[TokenInfo, ...] = ()


class Piece(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Whole characters one request gained in a step (never half of one, never part of a stop string)."""

    id: int
    text: str
    logprobs: tuple[LogprobInfo, ...] = ()


class Step(_Frame, frozen=True, tag="step"):
    """What all writing requests gained in one decode: one frame per step, however many write."""

    pieces: tuple[Piece, ...]


class Done(_Frame, frozen=True, tag="done"):
    """A request ended: `stop` (end of text or stop string), `length` or `canceled`. Its last piece was sent before.

    Durations are nanoseconds. `num_prompt` counts cached tokens too.
    """

    id: int
    reason: str
    num_prompt: int
    num_cached: int
    num_generated: int
    prompt_ns: int
    generate_ns: int
    context: tuple[int, ...] = ()


class Tokens(_Frame, frozen=True, tag="tokens"):
    id: int
    counts: tuple[int, ...]
    tokens: tuple[tuple[int, ...], ...] = ()


class Text(_Frame, frozen=True, tag="text"):
    id: int
    text: str


class Failed(_Frame, frozen=True, tag="failed"):
    """An error by class name (`types/errors.py`) and sentence. Id 0: loading failed, and the runner ends."""

    id: int
    error: str
    message: str


Event = Loading | Ready | Started | Reading | Step | Done | Tokens | Text | Failed

_encoder = msgspec.json.Encoder()
_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(frame: Command | Event) -> bytes:
    """Header and body, ready to send."""
    body = _encoder.encode(frame)
    return struct.pack(">I", len(body)) + body


def body_bytes(header: bytes, limit_bytes: int) -> int:
    """Length of the body that follows this header. Raises `ProtocolError` beyond the limit."""
    (length,) = struct.unpack(">I", header)
    if length > limit_bytes:
        raise ProtocolError(f"a frame of {length} bytes exceeds the limit of {limit_bytes}")
    return int(length)


def decode_command(body: bytes) -> Command:
    """Raises `ProtocolError` for anything that is no command."""
    return _decode(_commands, body)


def decode_event(body: bytes) -> Event:
    """Raises `ProtocolError` for anything that is no event."""
    return _decode(_events, body)


def _decode(decoder: msgspec.json.Decoder[F], body: bytes) -> F:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a frame cannot be read: {error}") from error
