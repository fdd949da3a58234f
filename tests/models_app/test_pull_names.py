"""What is put into the field of a pull: names as they are, and the addresses of pages that people copy."""

from __future__ import annotations

import pytest

from llmsite.types.errors import InvalidRequest
from models_app.pull_names import read_pull_name


@pytest.mark.parametrize(
    ("text", "name", "scheme"),
    [
        ("qwen3", "registry.ollama.ai/library/qwen3:latest", "https"),
        (" qwen3:8b ", "registry.ollama.ai/library/qwen3:8b", "https"),
        ("http://h:1/n/m:t", "h:1/n/m:t", "http"),
        ("https://ollama.com/library/qwen3:8b", "registry.ollama.ai/library/qwen3:8b", "https"),
        ("https://www.ollama.com/library/qwen3/tags?x=1#top", "registry.ollama.ai/library/qwen3:latest", "https"),
        ("https://ollama.com/somebody/model", "registry.ollama.ai/somebody/model:latest", "https"),
        ("hf.co/user/repo:Q4_K_M", "hf.co/user/repo:Q4_K_M", "https"),
        ("https://huggingface.co/user/repo", "hf.co/user/repo:latest", "https"),
        ("https://huggingface.co/user/repo/tree/main", "hf.co/user/repo:latest", "https"),
        ("https://huggingface.co/user/repo?show_file_info=x.gguf", "hf.co/user/repo:latest", "https"),
        ("https://huggingface.co/user/repo/blob/main/repo-Q8_0.gguf", "hf.co/user/repo:repo-Q8_0.gguf", "https"),
        ("https://huggingface.co/user/repo/resolve/main/BF16/r-BF16.gguf?download=true", "hf.co/user/repo:r-BF16.gguf", "https"),
        ("https://hf.co/user/repo?a\nb", "hf.co/user/repo:latest", "https"),
        ("https://ollama.com/library/qwen3#a\nb", "registry.ollama.ai/library/qwen3:latest", "https"),
        ("https://hf.co/user/repo:Q8_0", "hf.co/user/repo:Q8_0", "https"),
    ],
)  # fmt: skip
def test_a_name_or_the_address_of_its_page_means_a_model(text: str, name: str, scheme: str) -> None:
    found = read_pull_name(text)
    assert (str(found), found.scheme) == (name, scheme)


@pytest.mark.parametrize("text", ["", "no name!", "https://ollama.com/", "https://huggingface.co/user", "x:local:cloud"])
def test_what_means_no_model_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_pull_name(text)
