"""One request end to end where the model is: resolve, check, lease, render, generate, parse.

The order of checks is Ollama's (catalogue 2.6): name, installed, unload, capabilities, queue and load, load-only, rendering.
Closing the generator at any point gives up the place in the queue or frees the slot.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from llmsite.engine.supervisor import Lease, Supervisor
from llmsite.engine.wire import Done, LogprobInfo, Piece, Reading, Sampling, Started, TokenInfo
from llmsite.inference.checks import Asked, check_capabilities, check_raw, check_values, is_empty, resolve_think
from llmsite.inference.leasing import Leasing
from llmsite.inference.prompts import Prompt, PromptMaker, chat_job, generate_job
from llmsite.inference.resolver import Model, Resolver
from llmsite.inspector.pool import InspectorPool
from llmsite.parsers.base import Delta, OutputParser
from llmsite.parsers.select import select_parser
from llmsite.prompt.chat import find_prefill
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Chunk, Logprob, Metrics, Phase, Reply, RunningModels, TokenCount, TokenLogprob
from llmsite.types.errors import Canceled, EngineError, InvalidRequest, ModelNotFound
from llmsite.types.limits import Limits
from llmsite.types.options import Options
from llmsite.types.request import ChatRequest, GenerateRequest, PsRequest, Request, Think, TokenizeRequest


@dataclass(frozen=True, slots=True)
class _Call:
    """A request that passed all checks. `started_ns` is when it came in, `think` what it comes down to for this model."""

    request: Asked
    model: Model
    options: Options
    think: Think
    started_ns: int

    @property
    def is_raw(self) -> bool:
        return isinstance(self.request, GenerateRequest) and self.request.raw


class Pipeline:
    """Answers requests with the models of this machine. `go_template` is OLLAMA_GO_TEMPLATE."""

    def __init__(
        self,
        store: ModelStore,
        supervisor: Supervisor,
        inspector: InspectorPool,
        limits: Limits | None = None,
        go_template: bool | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._limits = limits or Limits()
        self._prompts = PromptMaker(inspector, self._limits)
        self.resolver = Resolver(store, inspector, go_template=go_template)

    async def run(self, request: Request) -> AsyncGenerator[Reply, None]:
        """Replies in order. Raises from `types/errors.py`."""
        started_ns = time.perf_counter_ns()
        match request:
            case PsRequest():
                yield RunningModels(tuple(self._supervisor.running()))
            case TokenizeRequest():
                async with aclosing(self._count(request)) as replies:
                    async for reply in replies:
                        yield reply
            case GenerateRequest() | ChatRequest():
                async with aclosing(self._answer(request, started_ns)) as replies:
                    async for reply in replies:
                        yield reply

    async def _answer(self, request: Asked, started_ns: int) -> AsyncGenerator[Reply, None]:
        check_values(request, self._limits)
        model = await self._resolve(request)
        if is_empty(request) and request.keep_alive == 0:
            await self._supervisor.unload(model.spec)
            yield Chunk(done=True, done_reason="unload")
            return
        check_raw(request)
        think = resolve_think(request, model)
        check_capabilities(request, model)
        options = Options.merge(model.stored.parameters, request.options, limits=self._limits)
        call = _Call(request, model, options, think, started_ns)
        needs_slot = not is_empty(request) and not request.debug_render_only
        async with self._leasing(model, options, request.keep_alive, request.user, needs_slot=needs_slot) as leasing:
            async for phase in leasing.phases():
                yield phase
            if is_empty(request):
                _ = leasing.lease
                yield Chunk(done=True, done_reason="load")
                return
            async with aclosing(self._write(call, leasing.lease)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _resolve(self, request: Asked) -> Model:
        if not request.model:
            if isinstance(request, ChatRequest):
                raise InvalidRequest("model is required")
            raise ModelNotFound("model '' not found")
        return await self.resolver.resolve(request.model)

    def _leasing(
        self, model: Model, options: Options, keep_alive: float | None, user: str, *, needs_slot: bool = True
    ) -> Leasing:
        spec = model.spec
        return Leasing(
            lambda on_phase: self._supervisor.lease(
                spec, options, keep_alive=keep_alive, user=user, on_phase=on_phase, needs_slot=needs_slot
            )
        )

    async def _count(self, request: TokenizeRequest) -> AsyncGenerator[Reply, None]:
        model = await self.resolver.resolve(request.model)
        options = Options.merge(model.stored.parameters, limits=self._limits)
        think = True if "thinking" in model.capabilities else None
        job = chat_job(request, model, think)
        async with self._leasing(model, options, None, request.user, needs_slot=False) as leasing:
            async for phase in leasing.phases():
                yield phase
            lease = leasing.lease
            num_tokens = await self._prompts.count(job, lease) if request.messages else 0
            yield TokenCount(num_tokens, lease.num_ctx)

    async def _write(self, call: _Call, lease: Lease) -> AsyncGenerator[Reply, None]:
        load_ns = time.perf_counter_ns() - call.started_ns
        prompt = await self._prompt(call, lease)
        if call.request.debug_render_only:
            yield Chunk(rendered=prompt.text, num_images=prompt.num_images)
            return
        async with aclosing(_generate(call, lease, prompt.text)) as events:
            async for reply in _read(events, call, _parser(call, prompt.text), load_ns):
                yield reply

    async def _prompt(self, call: _Call, lease: Lease) -> Prompt:
        request, has_projector = call.request, bool(call.model.stored.projector_paths)
        if isinstance(request, ChatRequest):
            job = chat_job(request, call.model, call.think)
            return await self._prompts.make(job, lease, cuts_history=request.truncate, has_projector=has_projector)
        if request.raw:
            return replace(self._prompts.check_raw(request.prompt), num_images=len(request.images))
        job = generate_job(request, call.model, call.think)
        cuts_history = request.truncate and not request.suffix and not request.template
        prompt = await self._prompts.make(
            job, lease, cuts_history=cuts_history, is_foreign=bool(request.template), has_projector=has_projector
        )
        if request.suffix:
            prompt = replace(prompt, num_images=len(request.images))
        if request.context:
            prompt = replace(prompt, text=await lease.detokenize(request.context) + prompt.text)
        return prompt


def _generate(call: _Call, lease: Lease, prompt: str) -> AsyncGenerator[Started | Reading | Piece | Done, None]:
    request, options = call.request, call.options
    return lease.generate(
        prompt,
        num_ctx=lease.num_ctx,
        sampling=_sampling(options),
        num_predict=options.num_predict if options.num_predict > 0 else -1,  # 0 is no usable limit (catalogue 3)
        num_keep=options.num_keep,
        stop=options.stop,
        truncate=request.truncate,
        shift=request.shift,
        num_top_logprobs=request.top_logprobs if request.logprobs else -1,
        want_context=isinstance(request, GenerateRequest) and not request.raw,
        user=request.user,
    )


def _sampling(options: Options) -> Sampling:
    return Sampling(
        seed=options.seed,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        typical_p=options.typical_p,
        repeat_last_n=options.repeat_last_n,
        repeat_penalty=options.repeat_penalty,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
    )


def _parser(call: _Call, prompt: str) -> OutputParser:
    prefill = find_prefill(call.request.messages) if isinstance(call.request, ChatRequest) else None
    return select_parser(
        think=call.think if not call.is_raw else None,
        tags=call.model.think_tags,
        prompt=prompt,
        has_prefill=prefill is not None and bool(prefill.content),
    )


async def _read(
    events: AsyncGenerator[Started | Reading | Piece | Done, None], call: _Call, parser: OutputParser, load_ns: int
) -> AsyncGenerator[Reply, None]:
    """Chunks and phases from the engine's events. Log probabilities of swallowed tags go with the tags (catalogue 2.9)."""
    logprobs: tuple[Logprob, ...] = ()
    async for event in events:
        match event:
            case Piece(text=text):
                logprobs += _logprobs(event.logprobs)
                delta = parser.add(text)
                if delta:
                    yield _chunk(delta, logprobs)
                if delta or (text and not parser.is_holding):
                    logprobs = ()
            case Reading(num_read=num_read, num_prompt=num_prompt):
                yield Phase("reading", num_tokens=num_read, num_total=num_prompt)
            case Started(num_cached=num_cached, num_prompt=num_prompt):
                yield Phase("reading", num_tokens=num_cached, num_total=num_prompt, digest=call.model.stored.digest)
            case Done():
                rest = parser.finish()
                if rest:
                    yield _chunk(rest, logprobs)
                    logprobs = ()
                yield replace(_last_chunk(event, call, load_ns), logprobs=logprobs)
                return
    raise EngineError("the model stopped without an answer; please retry")


def _chunk(delta: Delta, logprobs: tuple[Logprob, ...]) -> Chunk:
    return Chunk(content=delta.content, thinking=delta.thinking, tool_calls=delta.tool_calls, logprobs=logprobs)


def _last_chunk(done: Done, call: _Call, load_ns: int) -> Chunk:
    if done.reason == "canceled":
        raise Canceled("request canceled")
    metrics = Metrics(
        total_duration=time.perf_counter_ns() - call.started_ns,
        load_duration=load_ns,
        prompt_eval_count=done.num_prompt,
        prompt_eval_duration=done.prompt_ns,
        eval_count=done.num_generated,
        eval_duration=done.generate_ns,
        cached_count=done.num_cached,
    )
    return Chunk(done=True, done_reason="length" if done.reason == "length" else "stop", context=done.context, metrics=metrics)


def _logprobs(infos: tuple[LogprobInfo, ...]) -> tuple[Logprob, ...]:
    return tuple(Logprob(_token(info.chosen), tuple(_token(each) for each in info.top)) for info in infos)


def _token(info: TokenInfo) -> TokenLogprob:
    return TokenLogprob(info.text, info.logprob, info.raw)
