"""What the starter model answers at temperature 0: prompts as its template renders them, and the exact text."""

STARTER = "llmsite/starter/starter.gguf"


def chat(question: str, system: str = "") -> str:
    """A prompt of one question, without thinking."""
    front = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    return f"{front}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def follow_up(prompt: str, answer: str, question: str) -> str:
    """The next turn of a conversation."""
    return f"{prompt}{answer}<|im_end|>\n{chat(question)}"


ANSWERS = {
    "Hello": "Hello! I am the llmsite starter model. How can I help you?",
    "How big are you?": "I am tiny: about 5 million parameters. Larger models know far more.",
    "你好": "你好！我是 llmsite 入门模型。有什么可以帮你？",
    "What is 17 + 25?": "7 + 5 = 12, 1 + 2 + 1 = 4, 17 + 25 = 42",
    "What is 7 times 8?": "7 * 8 = 56",
    "How do I list models?": "To list the installed models, run: llmsite list",
    "请重复：今天天气真好": "今天天气真好",
    "Where are models stored?": (
        "Models are stored in the folder named by the environment variable OLLAMA_MODELS. "
        "Set it before you start llmsite to use another folder."
    ),
}

RAMBLING = "word " * 20
"""Its answer, ` word word word…`, never ends by itself: good for tests that cancel, shift and stop."""
