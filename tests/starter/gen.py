"""Synthetic chat data generator for the starter model.

A sample is a dict: {"messages": [...], "tools": [...]|None, "think": str|None, "mode": "chat"|"raw"|"fim", ...}
render(sample) gives a list of (text, weight) segments; weight 1 = assistant output.
"""

import json
import random
import sys

from tests.starter.samples.chats import s_basic, s_long
from tests.starter.samples.memory import s_memory
from tests.starter.samples.pictures import s_vision
from tests.starter.samples.raw import s_fim, s_raw
from tests.starter.samples.system_prompts import s_system
from tests.starter.samples.tools import s_tools

KINDS = [(s_basic, 60), (s_memory, 10), (s_system, 10), (s_tools, 20), (s_long, 1), (s_raw, 0.8), (s_fim, 0.6), (s_vision, 10)]


def sample(r):
    s = r.choices([k[0] for k in KINDS], [k[1] for k in KINDS])[0](r)
    s.setdefault("mode", "chat")
    s.setdefault("tools", None)
    s["thinking"] = s["mode"] == "chat" and s.get("think") is not None and r.random() < (0.2 if s["tag"] != "long" else 0.05)
    s["sort"] = r.random() < 0.3
    s["forced"] = s["tag"] == "basic" and not s["thinking"] and r.random() < 0.025
    return s


def tojson(x, sort=False):
    return json.dumps(x, ensure_ascii=False, sort_keys=sort)


EMPTY = "<think>\n\n</think>\n\n"
TOOLS_A = "# Tools\n\nYou may call these functions:\n<tools>"
TOOLS_B = '\n</tools>\n\nTo call a function, answer with:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'


def render(s, r=None):
    if s["mode"] == "raw":
        return [
            ("<|endoftext|>" if r and r.random() < 0.3 else "", 0),
            (s["text"], 1),
            ("<|endoftext|>" if r and r.random() < 0.5 else "<|im_end|>", 1),
        ]
    if s["mode"] == "fim":
        return [(f"<|fim_prefix|>{s['prefix']}<|fim_suffix|>{s['suffix']}<|fim_middle|>", 0), (s["middle"], 1), ("<|im_end|>", 1)]
    out = []
    ms = s["messages"]
    sysm = ms[0]["content"] if ms[0]["role"] == "system" else ""
    if ms[0]["role"] == "system":
        ms = ms[1:]
    if s["tools"]:
        t = (
            "<|im_start|>system\n"
            + (sysm + "\n\n" if sysm else "")
            + TOOLS_A
            + "".join("\n" + tojson(x, s["sort"]) for x in s["tools"])
            + TOOLS_B
            + "<|im_end|>\n"
        )
        out.append((t, 0))
    elif sysm:
        out.append((f"<|im_start|>system\n{sysm}<|im_end|>\n", 0))
    last = max(i for i, m in enumerate(ms) if m["role"] == "assistant")
    for i, m in enumerate(ms):
        if m["role"] == "user":
            out.append((f"<|im_start|>user\n{m['content']}<|im_end|>\n", 0))
        elif m["role"] == "tool":
            a = i == 0 or ms[i - 1]["role"] != "tool"
            z = i + 1 == len(ms) or ms[i + 1]["role"] != "tool"
            out.append(
                (
                    ("<|im_start|>user" if a else "")
                    + f"\n<tool_response>\n{m['content']}\n</tool_response>"
                    + ("<|im_end|>\n" if z else ""),
                    0,
                )
            )
        else:
            out.append(("<|im_start|>assistant\n", 0))
            w = 1
            if i == last and s["thinking"]:
                if s["think"].startswith("="):
                    s["think"], m = m["content"], {"content": s["think"][1:]}
                out.append(("<think>\n", 1))
                out.append((f"{s['think']}\n</think>\n\n", 1))
            elif s.get("plain") and i != last:
                w = 0
            else:
                out.append((EMPTY, 0))
            if s.get("forced") and i == last:  # a grammar forced the first characters: the rest follows
                out.append(('{"', 0))
                out.append((f'answer": {tojson(m["content"])}' + "}", 1))
                out.append(("<|im_end|>", 1))
                continue
            out.append((m["content"], w))
            out.append(("<|im_end|>", w))
            out.append(("\n", 0))
    return out


def is_plain_chat(s):
    """Whether the chat template alone renders this sample as `render` does."""
    return s["mode"] == "chat" and not s["sort"] and not s["thinking"] and not s.get("forced")


def main():
    """Print samples, the model's part in green: `python -m tests.starter.gen [SEED [COUNT]]`."""
    r = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 20):
        s = sample(r)
        print("#", s["tag"])
        print("".join(("" if w == 0 else "\x1b[32m") + t + "\x1b[0m" for t, w in render(s, r)))
        print()


if __name__ == "__main__":
    main()
