"""Scores a model on the held-out prompts at temperature 0, through llama.cpp and the chat template in the file.

python -m tests.starter.evaluate MODEL.gguf [EVERY_NTH]
"""

import json
import re
import sys

import llama_cpp
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.starter import prompts_basic, prompts_chat
from tests.starter.prompts import CASES

PROMPTS = (prompts_basic, prompts_chat)  # importing them fills CASES
ENDS = ["<|im_end|>", "<|endoftext|>"]
CALL = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)


class Subject:
    """A loaded model and its template."""

    def __init__(self, path, num_ctx=1024):
        self.llm = llama_cpp.Llama(path, n_ctx=num_ctx, n_threads=1, n_threads_batch=1, verbose=False, seed=1)
        self.template = environment().from_string(self.llm.metadata["tokenizer.chat_template"])

    def answer(self, messages, tools=None, think=None, max_tokens=420):
        options = {} if think is None else {"enable_thinking": think}
        prompt = self.template.render(messages=messages, tools=tools, add_generation_prompt=True, **options)
        tokens = self.llm.tokenize(prompt.encode(), add_bos=False, special=True)
        return self.llm.create_completion(tokens, temperature=0, max_tokens=max_tokens, stop=ENDS)["choices"][0]["text"]


def environment():
    """What chat templates may use."""
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    made.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    return made


def is_right(output, want):
    output = output.strip()
    if isinstance(want, str):
        return output == want
    kind, *rest = want
    if kind == "in":
        return all(text in output for text in rest)
    if kind == "think":
        match = re.match(r"^<think>\n.+\n</think>\n\n(.*)$", output, re.DOTALL)
        return bool(match) and rest[0] in match.group(1)
    try:
        if kind == "json":
            return json.loads(output) == rest[0]
        return [json.loads(call) for call in CALL.findall(output)] == rest[0] and not CALL.sub("", output).strip()
    except ValueError:
        return False


def main():
    subject = Subject(sys.argv[1])
    scores = {}
    for category, messages, want, tools, think in CASES[:: int(sys.argv[2]) if len(sys.argv) > 2 else 1]:
        output = subject.answer(messages, tools, think)
        right = is_right(output, want)
        scores.setdefault(category, []).append(right)
        if not right:
            print("wrong:", category, "|", repr(messages[-1]["content"])[:90], "->", repr(output)[:110])
    for category, results in scores.items():
        print(f"{category:20s} {sum(results):3d}/{len(results):3d}  {100 * sum(results) / len(results):5.1f} %")
    results = [right for each in scores.values() for right in each]
    print(f"{'total':20s} {sum(results)}/{len(results)} {100 * sum(results) / len(results):.1f} %")


if __name__ == "__main__":
    main()
