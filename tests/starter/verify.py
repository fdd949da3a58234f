"""Checks that a GGUF's tokenizer is the training tokenizer and its template renders as the training data.

python -m tests.starter.verify MODEL.gguf tests/starter/tokenizer.json
"""

import random
import sys

from tests.starter import gen, tok
from tests.starter.evaluate import Subject


def main():
    subject, tokenizer, r = Subject(sys.argv[1]), tok.load(sys.argv[2]), random.Random(99)
    wrong_tokens = wrong_renderings = num_rendered = 0
    for _ in range(1500):
        sample = gen.sample(r)
        segments = gen.render(sample)
        text = "".join(part for part, _ in segments)
        trained = [token for part, _ in segments for token in tokenizer.encode(part, add_special_tokens=False).ids]
        tokens = subject.llm.tokenize(text.encode(), add_bos=False, special=True)
        wrong_tokens += tokens != trained or subject.llm.detokenize(tokens, special=True).decode("utf8", "replace") != text
        if gen.is_plain_chat(sample):
            num_rendered += 1
            wrong_renderings += subject.template.render(messages=sample["messages"], tools=sample["tools"]) != text
    print(f"tokenizer: {wrong_tokens} of 1500 differ; template: {wrong_renderings} of {num_rendered} differ")


if __name__ == "__main__":
    main()
