"""What the families of Qwen share: how calls are asked for and written, and where the last question stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from llmsite.prompt.renderers.goprint import plain_text
from llmsite.types.message import Message, ToolCall

CALL_FORMAT: Final = """

If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested within <tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the function call, but NOT after
- If there is no function call available, answer the question like normal with your current knowledge and do not tell the user about function calls
</IMPORTANT>"""  # noqa: E501  as the models were trained on it


def xml_call(call: ToolCall, printed: Callable[[Any], str] = plain_text) -> str:
    """A call with an element for each argument."""
    arguments = "".join(f"<parameter={name}>\n{printed(value)}\n</parameter>\n" for name, value in call.arguments.items())
    return f"<tool_call>\n<function={call.name}>\n{arguments}</function>\n</tool_call>"


def split_system(messages: Sequence[Message]) -> tuple[str | None, Sequence[Message]]:
    """The text of a system message in front, and the other messages."""
    if messages and messages[0].role == "system":
        return messages[0].content, messages[1:]
    return None, messages


def last_question(messages: Sequence[Message]) -> int:
    """Index of the last user message that is no tool's answer in disguise; the last message's without any."""
    return max((index for index, message in enumerate(messages) if _is_question(message)), default=len(messages) - 1)


def has_question(messages: Sequence[Message]) -> bool:
    return any(map(_is_question, messages))


def _is_question(message: Message) -> bool:
    text = message.content
    return message.role == "user" and not (text.startswith("<tool_response>") and text.endswith("</tool_response>"))
