"""The heart of a runner: takes requests, seats them, decodes one batch after the other, and tells what came out.

Synchronous and single-threaded: whoever calls `turn` owns the context. No sockets here; `runner.py` brings requests and carries
events away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter

from llmsite.engine import llama, wire
from llmsite.engine.batch import StepCosts, share_budget
from llmsite.engine.cores import count_threads
from llmsite.engine.kv_cache import CacheTraits, SavedPrefix, SavedPrefixes, Seat, find_reader_ahead, plan_seat
from llmsite.engine.logprobs import LogprobReader
from llmsite.engine.sampler import Sampler, choose_parts, num_penalized
from llmsite.engine.sequence import SMALLEST_CTX, Sequence, make_sequence
from llmsite.engine.slots import Slot, Slots
from llmsite.types.errors import LlmsiteError, to_wire

COPIED_BYTES_PER_SECOND = 4e9
"""How quickly a stream is copied to another, at least: decides below which length a prefix is read again instead."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request without a slot. It lets `ahead` read `num_ahead` tokens first, which both prompts begin with."""

    sequence: Sequence
    ahead: Slot | None = None
    reader: Sequence | None = None
    num_ahead: int = 0

    def still_waits(self) -> bool:
        slot = self.ahead
        return slot is not None and slot.sequence is self.reader and len(slot.tokens) < self.num_ahead


@dataclass(slots=True)
class _Step:
    """One decode: who is in it. `outputs` are slots with the batch index of their logits; `chunks` what each reader reads."""

    writers: list[Slot] = field(default_factory=list)
    chunks: list[tuple[Slot, list[int]]] = field(default_factory=list)
    outputs: list[tuple[Slot, int]] = field(default_factory=list)


class Loop:
    """One loaded model and everybody who is being answered by it."""

    def __init__(self, load: wire.Load, on_progress: Callable[[float], None]) -> None:
        """Loads; blocks. Raises `LoadFailed`."""
        self.model = llama.Model(load, on_progress)
        self.vocab = self.model.vocab
        self.num_ctx = max(SMALLEST_CTX, min(load.num_ctx, self.model.num_ctx_train or load.num_ctx))
        self.context = llama.Context(self.model, load, self.num_ctx, count_threads(load.num_threads))
        self.slots = Slots(load.num_slots)
        self._load = load
        self._can_shift = self.context.can_shift
        self._saved = SavedPrefixes(load.prefix_cache_bytes)
        self._batch = llama.Batch(llama.batch_size(load))
        self._costs = StepCosts()
        self._logprobs: LogprobReader | None = None
        self._samplers: dict[Slot, Sampler] = {}
        self._waiting: list[_Waiting] = []
        self._running: list[Slot] = []  # in the order they were seated
        self._unsettled: list[Slot] = []
        self._events: list[wire.Event] = []

    def describe(self) -> wire.Ready:
        """What was loaded."""
        memory_bytes, vram_bytes = llama.memory_bytes()
        return wire.Ready(
            num_ctx=self.num_ctx,
            num_slots=self._load.num_slots,
            num_vocab=self.vocab.num_tokens,
            adds_bos=self.vocab.adds_bos,
            bos_text=self.vocab.bos_text,
            memory_bytes=memory_bytes,
            vram_bytes=vram_bytes,
            backend=llama.backend_name(),
        )

    @property
    def has_work(self) -> bool:
        return bool(self._running or self._waiting or self._events)

    def submit(self, command: wire.Generate, tokens: list[int]) -> None:
        """Queue a request whose prompt was tokenized."""
        try:
            sequence = make_sequence(command, tokens, self.num_ctx, self.vocab.adds_bos)
        except LlmsiteError as error:
            self._events.append(wire.Failed(command.id, *to_wire(error)))
            return
        sequence.can_shift = command.shift and self._can_shift
        self._waiting.append(_Waiting(sequence))

    def cancel(self, request_id: int) -> None:
        """Drop a request wherever it is; nothing happens when it ended before."""
        now_ns = time.monotonic_ns()
        for waiting in self._waiting:
            if waiting.sequence.id == request_id:
                self._waiting.remove(waiting)
                waiting.sequence.end("canceled", now_ns)
                self._events.append(waiting.sequence.done())
                return
        for slot in self._running:
            if slot.sequence and slot.sequence.id == request_id:
                slot.sequence.end("canceled", now_ns)
                self._leave(slot)
                return

    def turn(self) -> list[wire.Event]:
        """Seat whom there is room for and decode one batch. Returns what happened since the last turn, in order."""
        if self._waiting:
            self._admit()
        if self._running:
            self._step()
        events, self._events = self._events, []
        return events

    # seats

    def _admit(self) -> None:
        for waiting in list(self._waiting):
            free = self.slots.free()
            if not free:
                return
            if waiting.still_waits():
                continue
            seat = self._find_seat(waiting, free)
            if seat is None:
                continue
            self._waiting.remove(waiting)
            self._sit(waiting.sequence, seat)

    def _find_seat(self, waiting: _Waiting, free: list[Slot]) -> Seat | None:
        """Where it sits; None when a neighbour is about to read the same and it is quicker to wait."""
        sequence = waiting.sequence
        traits = self._traits()
        seat = plan_seat(sequence.prompt, sequence.user, self.slots, free, self._saved, traits)
        found = find_reader_ahead(sequence.prompt, sequence.user, self.slots, seat.num_cached, traits)
        if found is None:
            return seat
        waiting.ahead, waiting.num_ahead = found
        waiting.reader = waiting.ahead.sequence
        return None

    def _traits(self) -> CacheTraits:
        window = self.model.window
        if window:
            for slot in self.slots:
                slot.first_position = max(0, self.context.first_position(slot.seq_id))
        stream_bytes = llama.cache_bytes() / self._load.num_slots
        token_seconds = self._costs.prompt_token_seconds
        return CacheTraits(
            keeps_state=self.model.keeps_state,
            window=window,
            is_shared=self._load.prefix_sharing != "user",
            min_copied=max(8, int(stream_bytes / COPIED_BYTES_PER_SECOND / token_seconds)) if token_seconds else 8,
        )

    def _sit(self, sequence: Sequence, seat: Seat) -> None:
        slot = seat.slot
        sequence.started_ns = time.monotonic_ns()
        if seat.saves:
            self._save(slot)
        num_cached = self._start_from(seat)
        slot.hold(sequence.prompt[:num_cached], sequence.user)
        sequence.num_cached = num_cached
        self._events.append(wire.Started(sequence.id, len(sequence.prompt), num_cached))
        self.slots.seat(sequence, slot)
        self._running.append(slot)
        if not sequence.prompt:  # nothing to go on from: llama-server ends it at once, too
            sequence.end("stop", time.monotonic_ns())
            self._leave(slot)
            return
        sampling = sequence.command.sampling
        sampler = self._samplers[slot] = Sampler(self.vocab, choose_parts(sampling, sequence.num_ctx))
        if num_penalized(sampling, sequence.num_ctx):
            for token in sequence.prompt[-num_penalized(sampling, sequence.num_ctx) :]:
                sampler.accept(token)

    def _start_from(self, seat: Seat) -> int:
        """Bring the prefix into the slot; returns how many tokens are really there."""
        slot, source = seat.slot, seat.source
        if isinstance(source, SavedPrefix):
            if not self.context.restore(slot.seq_id, source.state):
                self._saved.drop(source)
                return 0
            self._saved.use(source)
        elif source is None:
            self.context.remove(slot.seq_id, -1)
        elif source is not slot:
            self.context.remove(slot.seq_id, -1)
            self.context.copy(source.seq_id, slot.seq_id)
            self._unsettle(source, slot)
        if self.context.remove(slot.seq_id, seat.num_cached):
            return seat.num_cached
        self.context.remove(slot.seq_id, -1)
        return 0

    def _save(self, slot: Slot) -> None:
        """Move what a slot holds to host memory, if there is room for it."""
        num_bytes = self.context.state_bytes(slot.seq_id)
        if not self.model.keeps_state and not self.model.window:
            self._saved.drop_covered(slot.tokens, slot.owner)
        if not self._saved.make_room(num_bytes):
            return
        state = self.context.save(slot.seq_id)
        self._saved.add(SavedPrefix(slot.tokens, slot.owner, state, num_bytes, slot.first_position))

    def _leave(self, slot: Slot) -> None:
        """The answer in this slot ended: its last event goes out, its tokens stay."""
        sequence = slot.sequence
        assert sequence is not None
        self._events.append(sequence.done(self._context_tokens(sequence)))
        self._free(slot)

    def _free(self, slot: Slot) -> None:
        self.slots.leave(slot)
        self._running.remove(slot)
        if sampler := self._samplers.pop(slot, None):
            sampler.close()

    def _context_tokens(self, sequence: Sequence) -> tuple[int, ...]:
        """Prompt and answer without its end token; an answer cut by a stop string has the tokens of its text."""
        if not sequence.command.want_context:
            return ()
        answer = sequence.generated
        if sequence.detokenizer.is_stopped:
            answer = self.vocab.tokenize("".join(sequence.answer), add_special=False)
        return (*sequence.whole_prompt, *answer)

    # steps

    def _step(self) -> None:
        started = time.perf_counter()
        step = self._plan_step()
        if not step.outputs and not step.chunks:
            return
        try:
            self.context.decode(self._batch)
        except LlmsiteError as error:
            self._fail(step, error)
            return
        while self._unsettled:
            self._unsettled.pop().is_settled = True
        for slot in step.writers:
            assert slot.sequence is not None
            slot.tokens.append(slot.sequence.next_token)
        num_read = self._note_read(step)
        self._sample(step)
        self._costs.learn(len(step.writers), num_read, time.perf_counter() - started)

    def _plan_step(self) -> _Step:
        """Fill the batch: a token of every writer, and chunks of prompts as the time budget allows."""
        step, readers = _Step(), []
        for slot in list(self._running):
            sequence = slot.sequence
            assert sequence is not None
            if sequence.is_reading:
                readers.append(slot)
            elif len(slot.tokens) + 1 < sequence.num_ctx or self._shift(slot, sequence):
                step.writers.append(slot)
        self._batch.clear()
        chunks = self._share(len(step.writers), readers) if readers else {}
        # llama.cpp computes streams together only while their numbers go up by one; any other order takes a pass for each
        for slot in sorted((*step.writers, *chunks), key=attrgetter("seq_id")):
            if slot in chunks:
                self._add_chunk(step, slot, chunks[slot])
            elif slot.sequence:
                step.outputs.append((slot, self._batch.add_one(slot.sequence.next_token, len(slot.tokens), slot.seq_id)))
        return step

    def _share(self, num_writers: int, readers: list[Slot]) -> dict[Slot, int]:
        """How many tokens of their prompts those read who get any."""
        remaining = [len(slot.sequence.prompt) - len(slot.tokens) for slot in readers if slot.sequence]
        shares = share_budget(remaining, self._costs.prompt_budget(num_writers, self._batch.size))
        return {slot: count for slot, count in zip(readers, shares, strict=True) if count}

    def _add_chunk(self, step: _Step, slot: Slot, count: int) -> None:
        assert slot.sequence is not None
        prompt, start = slot.sequence.prompt, len(slot.tokens)
        chunk = prompt[start : start + count]
        is_last = start + count == len(prompt)
        index = self._batch.add_chunk(chunk, start, slot.seq_id, is_last=is_last)
        step.chunks.append((slot, chunk))
        if is_last:
            step.outputs.append((slot, index))

    def _shift(self, slot: Slot, sequence: Sequence) -> bool:
        """Make room in a full context: half of what may go goes. False when the model cannot; the answer then ends."""
        keep, num_held = sequence.num_keep, len(slot.tokens)
        num_dropped = (num_held - keep) // 2
        if not sequence.can_shift or not self.context.remove(slot.seq_id, keep, keep + num_dropped):
            sequence.end("length", time.monotonic_ns())
            self._leave(slot)
            return False
        self.context.shift(slot.seq_id, keep + num_dropped, -num_dropped)
        slot.shift(keep, num_dropped)
        self._unsettle(slot)
        return True

    def _unsettle(self, *slots: Slot) -> None:
        for slot in slots:
            slot.is_settled = False
        self._unsettled += slots

    def _note_read(self, step: _Step) -> int:
        """Count what readers read; whoever is not done yet tells how far it is. Returns the tokens read."""
        num_read = 0
        for slot, chunk in step.chunks:
            assert slot.sequence is not None
            slot.tokens.extend(chunk)
            num_read += len(chunk)
            num_prompt = len(slot.sequence.prompt)
            if len(slot.tokens) < num_prompt:
                self._events.append(wire.Reading(slot.sequence.id, len(slot.tokens), num_prompt))
        return num_read

    def _sample(self, step: _Step) -> None:
        """A token for every slot with logits; one event for all that was gained."""
        pieces: list[wire.Piece] = []
        ended: list[Slot] = []
        for slot, index in step.outputs:
            sequence = slot.sequence
            assert sequence is not None
            token = self._samplers[slot].sample(self.context, index)
            piece, is_end = self.vocab.look_up(token)
            if sequence.command.num_top_logprobs >= 0 and not is_end:
                sequence.logprobs.append(self._read_logprobs(index, token, sequence.command.num_top_logprobs))
            text = sequence.take(token, piece, is_end, time.monotonic_ns())
            if text or (sequence.logprobs and sequence.reason and not sequence.detokenizer.is_stopped):
                pieces.append(wire.Piece(sequence.id, text, tuple(sequence.logprobs)))
                sequence.logprobs.clear()
            if sequence.reason:
                ended.append(slot)
        if pieces:
            self._events.append(wire.Step(tuple(pieces)))
        for slot in ended:
            self._leave(slot)

    def _read_logprobs(self, index: int, token: int, num_top: int) -> wire.LogprobInfo:
        if self._logprobs is None:
            self._logprobs = LogprobReader(self.vocab.num_tokens)
        value, top = self._logprobs.read(self.context.logits(index), token, num_top)
        return wire.LogprobInfo(self._token_info(token, value), tuple(self._token_info(*each) for each in top))

    def _token_info(self, token: int, value: float) -> wire.TokenInfo:
        raw = self.vocab.look_up(token)[0]
        return wire.TokenInfo(raw.decode(errors="replace"), value, tuple(raw))

    def _fail(self, step: _Step, error: LlmsiteError) -> None:
        """A decode failed: everybody in it is told, and their slots are emptied, for nobody knows what they hold."""
        for slot in {*step.writers, *(slot for slot, _ in step.chunks)}:
            assert slot.sequence is not None
            self._events.append(wire.Failed(slot.sequence.id, *to_wire(error)))
            self.context.remove(slot.seq_id, -1)
            slot.hold([], "")
            self._free(slot)
