"""Held-out prompts with what a right answer is: the list, and how to add to it.

`want` is the whole answer, or ("in", texts…), ("think", text), ("json", value), ("calls", calls): see `evaluate.is_right`.
"""

CASES = []


def U(text):
    return {"role": "user", "content": text}


def A(text):
    return {"role": "assistant", "content": text}


def S(text):
    return {"role": "system", "content": text}


def case(category, messages, want, tools=None, think=None):
    """Add a prompt: a text or a whole conversation."""
    CASES.append((category, [U(messages)] if isinstance(messages, str) else messages, want, tools, think))
