"""The only importer of llama_cpp: typed handles for model, vocabulary, batch and context with its memory.

llama.cpp's own names (`n_ctx`, `seq_id`) rule in here and nowhere else. Nothing decides here: every function is one request to
the library. Only runner, probe and quantize children import this module. One thread uses a `Context`; a `Vocab` is
read-only and may be used by any thread.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from llmsite.engine.wire import Load
from llmsite.types.errors import EngineError, InvalidRequest, LoadFailed


def _skip_package_init(name: str) -> None:
    """Make the modules of package `name` importable without running its `__init__`.

    `llama_cpp/__init__.py` imports the high-level class with numpy, Jinja and a disk cache: 0.3 s at every start of a runner for
    things a runner never uses. The bindings alone take 0.02 s.
    """
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"{name} is not installed", name=name)
    sys.modules.setdefault(name, importlib.util.module_from_spec(spec))


_skip_package_init("llama_cpp")

from llama_cpp import llama_cpp  # noqa: E402 (the package must have been prepared)

lib: Any = llama_cpp
"""The bindings, for the modules beside this one. Their annotations say little: ctypes decides at run time."""

MICRO_BATCH: Final = 512
"""Most tokens llama.cpp computes at once; it cuts larger batches itself. Its compute buffer grows with this number."""

_MROPE_TYPES: Final = (lib.LLAMA_ROPE_TYPE_MROPE, lib.LLAMA_ROPE_TYPE_IMROPE, lib.LLAMA_ROPE_TYPE_VISION)
_KV_TYPES: Final = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0, "q4_0": lib.GGML_TYPE_Q4_0}
_ERROR_LEVEL: Final = 4
_BUFFER: Final = re.compile(r"(\S+)\s+(?:model |LoRA |KV |RS |compute |output )?buffer size\s*=\s*([\d.]+) MiB")
_FUNCTION: Final = re.compile(r"^[\w:]+: +")


class _Log:
    """What llama.cpp says: errors go to stderr and the last one is kept; buffer sizes are added up by device name."""

    def __init__(self) -> None:
        self.last_error = ""
        self.buffer_mib: dict[str, float] = {}
        self.cache_mib = 0.0
        self.on_line: Callable[[str], None] = lambda _: None
        self.callback = lib.llama_log_callback(self._take)

    def _take(self, level: int, text: bytes, _: Any) -> None:
        self.on_line(text.decode(errors="replace"))
        if level == _ERROR_LEVEL:
            line = text.decode(errors="replace").strip()
            sys.stderr.write(line + "\n")
            if line and "failed to load model" not in line:  # the line before it says why
                self.last_error = _FUNCTION.sub("", line)
        elif b"buffer size" in text and (found := _BUFFER.search(text.decode(errors="replace"))):
            self.buffer_mib[found[1]] = self.buffer_mib.get(found[1], 0.0) + float(found[2])
            self.cache_mib += float(found[2]) if b" KV buffer" in text or b" RS buffer" in text else 0.0


_log = _Log()


def initialize() -> None:
    """Prepare the library; once per process, before anything else here."""
    lib.llama_log_set(_log.callback, ctypes.c_void_p(0))
    lib.llama_backend_init()


def last_error() -> str:
    """The last error llama.cpp logged, without its function name; empty when there was none."""
    return _log.last_error


def memory_bytes() -> tuple[int, int]:
    """What llama.cpp allocated for model, cache and computing: (all, the part on GPUs), as its log tells."""
    on_host = sum(size for name, size in _log.buffer_mib.items() if _is_host(name))
    total = sum(_log.buffer_mib.values())
    return int(total * 2**20), int((total - on_host) * 2**20)


def cache_bytes() -> int:
    """What the KV caches of all slots take."""
    return int(_log.cache_mib * 2**20)


def backend_name() -> str:
    """`cpu`, or the kind of the first GPU that holds something: `cuda`, `vulkan`, `mtl`, `rocm`…"""
    on_gpu = [name for name in _log.buffer_mib if not _is_host(name)]
    return re.sub(r"[\d_].*", "", on_gpu[0]).lower() if on_gpu else "cpu"


def _is_host(name: str) -> bool:
    return name.startswith("CPU") or name.endswith("_Host")


class Model:
    """Weights and vocabulary of one GGUF, with the adapters applied to its contexts."""

    def __init__(self, load: Load, on_progress: Callable[[float], None]) -> None:
        """Blocks while loading; `on_progress` gets 0 to 1 from this thread. Raises `LoadFailed`."""

        def go_on(fraction: float, _: Any) -> bool:
            on_progress(fraction)
            return True

        progress = lib.llama_progress_callback(go_on)
        params = lib.llama_model_default_params()
        params.n_gpu_layers = load.num_gpu_layers
        params.progress_callback = progress
        is_mapped = load.num_gpu_layers != 0 if load.use_mmap is None else load.use_mmap
        params.load_mode = lib.LLAMA_LOAD_MODE_MMAP if is_mapped else lib.LLAMA_LOAD_MODE_NONE
        if load.main_gpu is not None:
            params.split_mode, params.main_gpu = lib.LLAMA_SPLIT_MODE_NONE, load.main_gpu
        if load.tensor_split:
            split = (ctypes.c_float * lib.llama_max_devices())(*load.tensor_split[: lib.llama_max_devices()])
            params.tensor_split = split
        self.handle = lib.llama_model_load_from_file(load.model_path.encode(), params)
        if not self.handle:
            raise _load_failed()
        if lib.llama_model_has_encoder(self.handle) or not lib.llama_model_has_decoder(self.handle):
            raise LoadFailed("the model could not be loaded: models with an encoder are not supported")
        self.vocab = Vocab(lib.llama_model_get_vocab(self.handle))
        self.adapters = [self._adapter(path) for path, _ in load.adapters]
        self.scales = [scale for _, scale in load.adapters]

    def _adapter(self, path: str) -> Any:
        """An adapter, loaded. Raises `EngineError` that names its file, which in the store is its digest."""
        adapter = lib.llama_adapter_lora_init(self.handle, path.encode())
        name = path.rpartition("/")[2]
        reason = last_error().removeprefix("failed to apply lora adapter: ").replace(path, name)
        if adapter and lib.llama_adapter_get_alora_n_invocation_tokens(adapter):
            adapter, reason = None, "adapters that only some tokens activate are not supported"
        if not adapter:
            raise EngineError(f"the model could not be loaded: its adapter {name} cannot be applied: {reason or 'unknown error'}")
        return adapter

    @property
    def num_ctx_train(self) -> int:
        return int(lib.llama_model_n_ctx_train(self.handle))

    @property
    def window(self) -> int:
        """Tokens a sliding-window layer looks back; 0 when there is none."""
        return max(0, int(lib.llama_model_n_swa(self.handle)))

    @property
    def keeps_state(self) -> bool:
        """Recurrent and hybrid models hold a state that cannot be cut back to an earlier token."""
        return bool(lib.llama_model_is_recurrent(self.handle) or lib.llama_model_is_hybrid(self.handle))

    @property
    def has_plain_positions(self) -> bool:
        """One position per token. M-RoPE has three or four, which llama.cpp refuses to shift."""
        return lib.llama_model_rope_type(self.handle) not in _MROPE_TYPES


def _load_failed() -> LoadFailed:
    return LoadFailed(f"the model could not be loaded: {last_error() or 'llama.cpp gave no reason'}")


class Quantization:
    """One file to be written in another type. `alignment` is set where the source has another than llama.cpp writes with."""

    def __init__(
        self, source: str, target: str, file_type: int, *, num_threads: int, most_bytes: int, alignment: int | None
    ) -> None:
        self._paths = source.encode(), target.encode()
        self._params = params = lib.llama_model_quantize_default_params()
        params.ftype, params.nthread, params.max_buf_size = file_type, num_threads, most_bytes
        if alignment is not None:
            self._overrides = (lib.llama_model_kv_override * 2)()  # the second one, without a key, ends the list
            self._overrides[0].key, self._overrides[0].tag = b"general.alignment", lib.LLAMA_KV_OVERRIDE_TYPE_INT
            self._overrides[0].value.val_i64 = alignment
            params.kv_overrides = self._overrides

    def run(self, on_line: Callable[[str], None], *, is_dry: bool = False) -> None:
        """Write the file, or only tell what would be done. Blocks; `on_line` gets llama.cpp's log. Raises `EngineError`."""
        self._params.dry_run, _log.on_line = is_dry, on_line
        if lib.llama_model_quantize(*self._paths, ctypes.byref(self._params)) != 0:
            reason = last_error().removeprefix("failed to quantize: ")
            raise EngineError(f"the model could not be quantized: {reason or 'llama.cpp gave no reason'}")


class Vocab:
    """Text to tokens and back."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.num_tokens = lib.llama_vocab_n_tokens(handle)
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(handle))
        bos = lib.llama_vocab_bos(handle)
        self.bos_text = self.piece(bos, with_control=True).decode(errors="replace") if bos >= 0 else ""
        self._known: dict[int, tuple[bytes, bool]] = {}

    def tokenize(self, text: str, *, add_special: bool = True) -> list[int]:
        """Tokens of a text; control tokens in it are parsed. `add_special` puts BOS (or EOS) where the vocabulary says so."""
        data = text.encode(errors="replace")
        size = len(data) + 2  # no token is shorter than a byte; BOS and EOS may come on top
        tokens = (ctypes.c_int32 * size)()
        num_tokens = lib.llama_tokenize(self._handle, data, len(data), tokens, size, add_special, True)
        if num_tokens < 0:
            tokens = (ctypes.c_int32 * -num_tokens)()
            num_tokens = lib.llama_tokenize(self._handle, data, len(data), tokens, -num_tokens, add_special, True)
        return tokens[: max(0, num_tokens)]

    def piece(self, token: int, *, with_control: bool = False) -> bytes:
        """Bytes of a token, maybe a part of a character; control tokens are empty unless asked for."""
        buffer = ctypes.create_string_buffer(256)
        length = lib.llama_token_to_piece(self._handle, token, buffer, 256, 0, with_control)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = lib.llama_token_to_piece(self._handle, token, buffer, -length, 0, with_control)
        return buffer.raw[:length]

    def look_up(self, token: int) -> tuple[bytes, bool]:
        """What a token adds to an answer, and whether it ends it (end of text, of turn, of message…).

        Remembered, since the hot loop asks for the same tokens again and again.
        """
        found = self._known.get(token)
        if found is None:
            found = self._known[token] = self.piece(token), bool(lib.llama_vocab_is_eog(self._handle, token))
        return found

    def text(self, tokens: Sequence[int]) -> str:
        """Text of tokens, control tokens included. Raises `InvalidRequest` for a number that is no token."""
        if wrong := [token for token in tokens if not 0 <= token < self.num_tokens]:
            raise InvalidRequest(f"{wrong[0]} is not a token of this model")
        given = (ctypes.c_int32 * len(tokens))(*tokens)
        buffer = ctypes.create_string_buffer(1 + 8 * len(tokens))
        length = lib.llama_detokenize(self._handle, given, len(tokens), buffer, len(buffer), False, True)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = lib.llama_detokenize(self._handle, given, len(tokens), buffer, len(buffer), False, True)
        return buffer.raw[:length].decode(errors="replace")


class Batch:
    """Tokens for one decode, in arrays that are made once. `num_tokens` is how many are filled in."""

    def __init__(self, size: int) -> None:
        self._tokens = (ctypes.c_int32 * size)()
        self._positions = (ctypes.c_int32 * size)()
        self._seq_ids = (ctypes.c_int32 * size)()
        self._logits = (ctypes.c_int8 * size)()
        step = ctypes.sizeof(ctypes.c_int32)
        pointer = ctypes.POINTER(ctypes.c_int32)
        base = ctypes.addressof(self._seq_ids)
        self._seq_id_pointers = (pointer * size)(*(ctypes.cast(base + i * step, pointer) for i in range(size)))
        self._ones = (ctypes.c_int32 * size)(*([1] * size))
        self.size = size
        self.num_tokens = 0
        self.struct = lib.llama_batch(
            0,
            ctypes.cast(self._tokens, pointer),
            None,
            ctypes.cast(self._positions, pointer),
            ctypes.cast(self._ones, pointer),
            ctypes.cast(self._seq_id_pointers, ctypes.POINTER(pointer)),
            ctypes.cast(self._logits, ctypes.POINTER(ctypes.c_int8)),
        )

    def clear(self) -> None:
        self.num_tokens = 0

    def add_one(self, token: int, position: int, seq_id: int) -> int:
        """One token of a writer. Returns its index, at which logits will be."""
        index = self.num_tokens
        self._tokens[index] = token
        self._positions[index] = position
        self._seq_ids[index] = seq_id
        self._logits[index] = 1
        self.num_tokens = index + 1
        return index

    def add_chunk(self, tokens: list[int], position: int, seq_id: int, *, is_last: bool) -> int:
        """A chunk of a prompt. Returns the index of its last token, at which logits will be if `is_last`."""
        first, end = self.num_tokens, self.num_tokens + len(tokens)
        self._tokens[first:end] = tokens  # type: ignore[assignment]
        self._positions[first:end] = range(position, position + len(tokens))  # type: ignore[call-overload]
        self._seq_ids[first:end] = [seq_id] * len(tokens)
        self._logits[first:end] = bytes(len(tokens))  # type: ignore[call-overload]
        self._logits[end - 1] = is_last
        self.num_tokens = end
        return end - 1


class Context:
    """The KV cache of all slots, one stream each, and the computing on it."""

    def __init__(self, model: Model, load: Load, num_ctx: int, num_threads: int) -> None:
        """`num_ctx` is tokens per slot. Raises `LoadFailed`."""
        is_quantized = load.kv_cache_type != "f16"
        params = lib.llama_context_default_params()
        params.n_ctx = num_ctx * load.num_slots
        params.n_batch = batch_size(load)
        params.n_ubatch = min(params.n_batch, MICRO_BATCH)
        params.n_seq_max = load.num_slots
        params.n_outputs_max = load.num_slots
        params.n_threads = params.n_threads_batch = num_threads
        params.type_k = params.type_v = _KV_TYPES[load.kv_cache_type]
        params.flash_attn_type = _flash_attention(load, is_quantized)
        params.kv_unified = False
        params.swa_full = False
        self.handle = lib.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise _load_failed()
        self.model = model
        self._memory = lib.llama_get_memory(self.handle)
        if model.adapters:
            adapters = (lib.llama_adapter_lora_p_ctypes * len(model.adapters))(*model.adapters)
            scales = (ctypes.c_float * len(model.scales))(*model.scales)
            if lib.llama_set_adapters_lora(self.handle, adapters, len(model.adapters), scales) != 0:
                raise _load_failed()

    def decode(self, batch: Batch) -> None:
        """Compute the batch; blocks for as long as that takes. Raises `EngineError`; the cache then holds part of it."""
        batch.struct.n_tokens = batch.num_tokens
        status = lib.llama_decode(self.handle, batch.struct)
        if status != 0:
            raise EngineError(f"the model could not compute (status {status}){': ' + last_error() if last_error() else ''}")

    @property
    def can_shift(self) -> bool:
        return bool(lib.llama_memory_can_shift(self._memory)) and self.model.has_plain_positions

    def remove(self, seq_id: int, start: int, end: int = -1) -> bool:
        """Forget positions from `start` to before `end` (-1: all the rest). False where the model cannot cut there."""
        return bool(lib.llama_memory_seq_rm(self._memory, seq_id, start, end))

    def copy(self, source: int, target: int) -> None:
        """Give `target` all that `source` holds: of a stream no part can be copied. Takes effect with the next decode."""
        lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def shift(self, seq_id: int, start: int, delta: int) -> None:
        """Move positions from `start` on by `delta`. Takes effect with the next decode."""
        lib.llama_memory_seq_add(self._memory, seq_id, start, -1, delta)

    def first_position(self, seq_id: int) -> int:
        """The first position that is still there: above 0 where a sliding window dropped what is behind it; -1 when empty."""
        return int(lib.llama_memory_seq_pos_min(self._memory, seq_id))

    def state_bytes(self, seq_id: int) -> int:
        return int(lib.llama_state_seq_get_size(self.handle, seq_id))

    def save(self, seq_id: int) -> ctypes.Array[ctypes.c_uint8]:
        """The state of one sequence in host memory. Wrong between a copy or shift and the next decode."""
        size = self.state_bytes(seq_id)
        buffer = (ctypes.c_uint8 * size)()
        if lib.llama_state_seq_get_data(self.handle, buffer, size, seq_id) != size:
            raise EngineError("the state of a conversation could not be saved")
        return buffer

    def restore(self, seq_id: int, state: ctypes.Array[ctypes.c_uint8]) -> bool:
        """Put a saved state in place of what a sequence holds. False when llama.cpp refuses; the sequence is then empty."""
        self.remove(seq_id, -1)
        if lib.llama_state_seq_set_data(self.handle, state, len(state), seq_id) > 0:
            return True
        self.remove(seq_id, -1)
        return False

    def logits(self, index: int) -> Any:
        """Pointer to the raw logits (num_vocab floats) at a batch index; good until the next decode."""
        return lib.llama_get_logits_ith(self.handle, index)


def batch_size(load: Load) -> int:
    """Tokens one decode may hold: every slot's next token must fit."""
    return max(load.num_batch, load.num_slots, 32)


def _flash_attention(load: Load, is_quantized: bool) -> int:
    """A quantized cache needs it. Left to us: on the CPU it makes writing slower, on a GPU llama.cpp knows best."""
    if is_quantized or load.flash_attention:
        return int(lib.LLAMA_FLASH_ATTN_TYPE_ENABLED)
    if load.flash_attention is None and load.num_gpu_layers != 0:
        return int(lib.LLAMA_FLASH_ATTN_TYPE_AUTO)
    return int(lib.LLAMA_FLASH_ATTN_TYPE_DISABLED)
