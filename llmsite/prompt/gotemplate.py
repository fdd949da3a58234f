"""The door to gotpl: Ollama's Go templates, compiled, walked and run within bounds (catalogue 5.2 to 5.4).

Positions in gotpl's tree are byte offsets of the source, which is how text is inserted here: a printer behind actions whose
value Go prints as JSON, and a mark where the answer begins in a template that knows no messages.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from gotpl import (
    BudgetExceededError,
    ExecutionBudget,
    SandboxPolicy,
    SandboxViolationError,
    Template,
    TemplateExecutionError,
    TemplateSyntaxError,
)
from gotpl.parse import nodes
from gotpl.parse.parser import parse_template

from llmsite.prompt.capabilities import TemplateFacts
from llmsite.prompt.chat import Round, system_text
from llmsite.prompt.govalues import UnknownField, go_message, go_tools, printed, to_json_text, typescript_type
from llmsite.types.errors import TemplateError, TemplateLimit
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool
from llmsite.types.request import Think

LIMIT_TEXT: Final = "template exceeded its limit"
FORBIDDEN_TEXT: Final = "template uses a forbidden feature"

_PRINTER: Final = "llmsite_print"
_MARK: Final = f"\x00{secrets.token_hex(8)}\x00"
"""Printed where the answer begins; unguessable, so no message can hold it."""

_TEXT_FIELDS: Final = frozenset({"Content", "Role", "System", "Prompt", "Response", "Suffix", "Thinking", "ThinkLevel", "Name"})
_TOOL_RESULT: Final = ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
_BLOCK_WORD: Final = re.compile(rb"(if|with|range|template|block)\s*-?$")


def _json(value: Any) -> str:
    return to_json_text(value)


def _printed(value: Any) -> Any:
    return printed(value)


def _current_date(*_: Any) -> str:
    return dt.date.today().isoformat()  # local, as in Go


def _yesterday_date(*_: Any) -> str:
    return (dt.date.today() - dt.timedelta(days=1)).isoformat()


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "json": _json,
    "currentDate": _current_date,
    "yesterdayDate": _yesterday_date,
    "toTypeScriptType": typescript_type,
    _PRINTER: _printed,
}


class GoTemplate:
    """One compiled template. Raises `TemplateError` with Go's text, `TemplateLimit` beyond the bounds; both also when made."""

    def __init__(self, source: str, limits: Limits) -> None:
        if len(source.encode()) > limits.template_bytes:
            raise TemplateLimit(LIMIT_TEXT)
        self._limits = limits
        with _GoErrors(source, limits):
            self.tree = _parse(source)
            self.variables = frozenset(_names(self.tree))
            if "messages" not in self.variables and "response" not in self.variables:
                source += "{{ .Response }}"
                self.tree = _parse(source)
        self.source = source
        self._whole = self._compile(_insert(source, _printers(self.tree)))
        self._marked: Template | None = None

    @property
    def has_messages(self) -> bool:
        """Whether it walks the messages itself; otherwise it is run once per round."""
        return "messages" in self.variables

    def facts(self) -> TemplateFacts:
        """What the template can do (catalogue 2.15, 5.1)."""
        return TemplateFacts(
            kind="go",
            has_tools="tools" in self.variables,
            has_insert="suffix" in self.variables,
            think_tags=_think_tags(self.tree),
            has_tool_round_trip={"tools", "toolcalls"} <= self.variables and any(mark in self.source for mark in _TOOL_RESULT),
        )

    def render_messages(self, messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
        """The prompt of a template with `.Messages`; `messages` are collated."""
        data = {
            "System": system_text(messages),
            "Messages": [go_message(message) for message in messages],
            "Tools": go_tools(tools),
            "Response": "",
            **_thinking(think),
        }
        return self._run(self._whole, data)

    def render_rounds(self, rounds: Sequence[Round], think: Think) -> str:
        """The prompt of a template with `.Prompt`; the last round ends where the answer begins."""
        shared = _thinking(think)
        texts = [self._run(self._whole, _round_data(each, shared)) for each in rounds[:-1]]
        if self._marked is None:
            self._marked = self._compile(_insert(self.source, _printers(self.tree) + _marks(self.tree)))
        last, _, _ = self._run(self._marked, _round_data(rounds[-1], shared)).partition(_MARK)
        return "".join(texts) + last

    def render_suffix(self, prompt: str, suffix: str, think: Think) -> str:
        """The prompt that asks for what stands between two texts."""
        return self._run(self._whole, {"Prompt": prompt, "Suffix": suffix, "Response": "", **_thinking(think)})

    def _compile(self, source: str) -> Template:
        with _GoErrors(source, self._limits):
            return Template(source, functions=_FUNCTIONS, sandbox=_policy(self._limits))

    def _run(self, template: Template, data: dict[str, Any]) -> str:
        with _GoErrors(template.source, self._limits):
            return template.render(data)


def _think_tags(tree: nodes.ParsedTemplate) -> tuple[str, str] | None:
    """The texts around the thoughts of a message, which the model writes itself (catalogue 6.2). The last such place counts."""
    found = None
    for path, node in _walk(tree):
        fields = node.fields if isinstance(node, nodes.FieldNode | nodes.VariableNode) else ()
        if fields[:1] != ("Thinking",):
            continue
        ranges = [each for each in path if isinstance(each, nodes.RangeNode)]
        if not ranges or not _ranges_over_messages(ranges[-1]):
            continue
        listed = next(each for each in reversed(path) if isinstance(each, nodes.ListNode)).nodes
        if isinstance(listed[0], nodes.TextNode) and isinstance(listed[-1], nodes.TextNode):
            opening, closing = listed[0].text.strip(), listed[-1].text.strip()
            found = (opening, closing) if opening and closing else found
    return found


def _ranges_over_messages(node: nodes.RangeNode) -> bool:
    return any(
        "Messages" in each.fields for _, each in _walk(node.pipeline) if isinstance(each, nodes.FieldNode | nodes.VariableNode)
    )


def _policy(limits: Limits) -> SandboxPolicy:
    budget = ExecutionBudget(
        max_output_chars=limits.template_output_bytes,
        max_iterations=limits.template_steps,
        max_template_depth=limits.template_depth,
        max_function_calls=limits.template_steps,
    )
    return SandboxPolicy.strict(allow_functions=_FUNCTIONS, max_template_chars=2 * limits.template_bytes, default_budget=budget)


def _thinking(think: Think) -> dict[str, Any]:
    level = think if isinstance(think, str) else "medium" if think else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def _round_data(turn: Round, shared: dict[str, Any]) -> dict[str, Any]:
    return {"System": turn.system, "Prompt": turn.prompt, "Response": turn.response, **shared}


def _parse(source: str) -> nodes.ParsedTemplate:
    return parse_template(source, name="", left_delimiter="{{", right_delimiter="}}", functions=_FUNCTIONS)


class _GoErrors:
    """Turns gotpl's errors into ours, worded as Go's; the template's name is empty there, as in Ollama."""

    def __init__(self, source: str, limits: Limits) -> None:
        self._source = source
        self._limits = limits

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case BudgetExceededError():
                is_counted = "iteration" in error.message or "function-call" in error.message
                text = f"template exceeded {self._limits.template_steps} steps" if is_counted else LIMIT_TEXT
                raise TemplateLimit(text) from error
            case RecursionError():
                raise TemplateLimit(LIMIT_TEXT) from error
            case TemplateExecutionError() if isinstance(error.__cause__, MemoryError | RecursionError | OverflowError):
                raise TemplateLimit(LIMIT_TEXT) from error
            case SandboxViolationError() if "'_" in error.message:
                raise TemplateLimit(FORBIDDEN_TEXT) from error
            case TemplateExecutionError():
                raise TemplateError(_execution_text(error.message, error.line or 1, error.column or 1)) from error
            case UnknownField():
                raise TemplateError(self._field_text(error)) from error
            case TemplateSyntaxError() if "limit exceeded" in str(error):
                raise TemplateLimit(LIMIT_TEXT) from error
            case TemplateSyntaxError():
                raise TemplateError(self._syntax_text(error)) from error

    def _syntax_text(self, error: TemplateSyntaxError) -> str:
        _, _, problem = str(error).partition(f"template:{error.line}:{error.column}: ")
        if problem == "missing value for command":
            word = _BLOCK_WORD.search(self._source.encode()[: error.position].rstrip())
            problem = f"missing value for {word[1].decode() if word else 'command'}"
        if problem in {"unexpected end", "unexpected else", "unexpected break", "unexpected continue"}:
            problem = f"unexpected {{{{{problem.removeprefix('unexpected ')}}}}}"
        return f"template: :{error.line}: {problem}".replace("'", '"')

    def _field_text(self, error: UnknownField) -> str:
        """gotpl gives no position here; the first mention of the field stands in."""
        found = re.search(rf"\.{re.escape(error.field)}\b", self._source)
        before = self._source[: found.start() if found else 0]
        column = len(before) - (before.rfind("\n") + 1)
        return _execution_text(str(error), before.count("\n") + 1, column)


def _execution_text(problem: str, line: int, column: int) -> str:
    attribute = re.match(r"(?:attribute|method|property) '(\w+)' is not allowed", problem)
    if attribute:
        problem = f"can't evaluate field {attribute[1]}"
    field = re.search(r"can't evaluate field (\w+)", problem)
    place = f" at <.{field[1]}>" if field else ""
    return f'template: :{line}:{column}: executing ""{place}: {problem}'


_Path = tuple[Any, ...]


def _walk(root: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Every node below `root` with its ancestors, in the order of the source."""
    yield path, root
    inner = (*path, root)
    for child in _children(root):
        yield from _walk(child, inner)


def _children(node: Any) -> Iterator[Any]:
    match node:
        case nodes.ParsedTemplate():
            yield node.root
            yield from node.definitions
        case nodes.ListNode():
            yield from node.nodes
        case nodes.IfNode() | nodes.WithNode() | nodes.RangeNode():
            yield node.pipeline
            yield node.body
            if node.else_body is not None:
                yield node.else_body
        case nodes.BlockNode():
            yield node.pipeline
            yield node.body
        case nodes.DefinitionNode():
            yield node.body
        case nodes.ActionNode() | nodes.ParenthesizedNode():
            yield node.pipeline
        case nodes.TemplateCallNode() if node.pipeline is not None:
            yield node.pipeline
        case nodes.PipeNode():
            yield from node.commands
        case nodes.CommandNode():
            yield from node.arguments


def _names(tree: nodes.ParsedTemplate) -> Iterator[str]:
    """Every field a template mentions, in lower case."""
    for _, node in _walk(tree):
        if isinstance(node, nodes.FieldNode | nodes.VariableNode | nodes.ParenthesizedNode):
            yield from (field.lower() for field in node.fields)


_Insertions = list[tuple[int, str]]


def _insert(source: str, insertions: _Insertions) -> str:
    """The source with texts put in at byte offsets."""
    data = source.encode()
    pieces, position = [], 0
    for offset, text in sorted(insertions, key=lambda each: each[0]):
        pieces += [data[position:offset], text.encode()]
        position = offset
    return b"".join([*pieces, data[position:]]).decode()


def _printers(tree: nodes.ParsedTemplate) -> _Insertions:
    """A printer behind each action that may print what Go prints as JSON."""
    return [(node.pipeline.end, f" | {_PRINTER}") for _, node in _walk(tree) if _may_print_json(node)]


def _may_print_json(node: Any) -> bool:
    if not isinstance(node, nodes.ActionNode) or node.pipeline.declarations:
        return False
    arguments = node.pipeline.commands[-1].arguments
    if len(arguments) != 1:
        return False
    value = arguments[0]
    if isinstance(value, nodes.FieldNode | nodes.VariableNode | nodes.ParenthesizedNode):
        return not value.fields or value.fields[-1] not in _TEXT_FIELDS
    return isinstance(value, nodes.DotNode)


def _marks(tree: nodes.ParsedTemplate) -> _Insertions:
    """Marks after the first action that prints `.Response` (in each branch of its block) and after that block.

    What is printed beyond the first mark is dropped: the model writes from there.
    """
    for node in tree.root.nodes:
        actions = [each for _, each in _walk(node) if _prints_response(each)]
        if actions:
            ends = {action.end for action in actions} | {getattr(node, "end", actions[-1].end)}
            return [(end, _MARK) for end in ends]
    defined = [each.end for _, each in _walk(tree) if _prints_response(each)]
    return [(end, _MARK) for end in defined]


def _prints_response(node: Any) -> bool:
    if not isinstance(node, nodes.ActionNode):
        return False
    fields = (each for _, each in _walk(node.pipeline) if isinstance(each, nodes.FieldNode | nodes.VariableNode))
    return any("Response" in each.fields for each in fields)
