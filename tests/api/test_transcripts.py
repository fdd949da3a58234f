"""Ollama's recorded answers on `/`, version, status, tags, ps, generate and chat, replayed against a whole site.

Compared are status, content type, headers, keys and their order, texts and counts. Times, ids and durations are not; thoughts
that Ollama left in the text of Jinja models are split off first, as ours always are (catalogue 6.1). What is different on
purpose stands in `OURS` or `NOT_YET` with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

import llmsite
from llmsite.parsers.thinking import ThinkingParser
from tests.inference.stock import read_rows
from tests.test_serve import wait_until

pytestmark = [pytest.mark.process, pytest.mark.model]

PATHS: Final = ("/", "/api/version", "/api/status", "/api/tags", "/api/ps", "/api/nothing", "/api/generate", "/api/chat")
ROWS: Final = {row["name"]: row for row in read_rows() if row["path"] in PATHS}
MODELS: Final = ("starter", "starter-sys", "starter-go", "starter-legacy", "starter-insert", "starter-see")
JSON: Final = "application/json; charset=utf-8"
TOO_LONG: Final = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the context"
    " length in settings, or use a model with a longer context length"
)
STARTER: Final = "registry.ollama.ai/library/starter:latest"
STARTER_SEE: Final = "registry.ollama.ai/library/starter-see:latest"
STARTER_GO: Final = "registry.ollama.ai/library/starter-go:latest"


MEDIA_NAME: Final = re.compile(r"<__ollama_media_[0-9a-f]{32}__>")


def refused(text: str, status: int = 400) -> dict[str, Any]:
    return {"status": status, "type": JSON, "answer": {"error": text}}


OURS: Final[dict[str, dict[str, Any]]] = {
    # our own version stands beside that of the Ollama we follow
    **{
        name: {"answer": row["answer"] | {"llmsite": llmsite.__version__}}
        for name, row in ROWS.items()
        if row["path"] == "/api/version" and row["status"] == 200
    },
    # there is no cloud (catalogue 17)
    "status": {"answer": {"cloud": {"disabled": True, "source": "config"}}},
    # names by suffix and foreign literals only when listed (threats (a), rule 3)
    "host.foo.local": {"status": 403, "type": "", "answer": ""},
    "host.10.0.0.1": {"status": 403, "type": "", "answer": ""},
    # accidents: the engine's JSON as the text (catalogue 2.3)
    "generate.images": refused(f"{STARTER} does not support vision"),
    "chat.images": refused(f"{STARTER} does not support vision"),
    # accident: a name of this run's own where the image is (catalogue 5.6)
    "see.debug": {"answer": json.loads(MEDIA_NAME.sub("[img-0]", json.dumps(ROWS["see.debug"]["answer"])))},
    "chat.long_no_truncate": refused(TOO_LONG),
    # accident: another JSON library's text (catalogue 2.6)
    "chat.tools_bad_args": refused(
        "json: cannot unmarshal string into Go struct field ChatRequest.messages.tool_calls.function.arguments"
        " of type api.ToolCallFunctionArguments"
    ),
}
"""Different on purpose: what ours answers instead."""

TOOLS: Final = "tools"
FORMAT: Final = "structured output"
NOT_YET: Final[dict[str, str]] = {
    **dict.fromkeys(("chat.tools", "chat.tools_stream", "chat.tool_result"), f"{STARTER} does not support {TOOLS}"),
    **{name: f"{STARTER_GO} does not support {TOOLS}" for name in ROWS if name.startswith(("go.tools.", "go.tool_result."))},
    **dict.fromkeys(("generate.format_json", "generate.format_schema"), f"{STARTER} does not support {FORMAT}"),
    **{name: f"{STARTER} does not support {FORMAT}" for name in ROWS if name.startswith("chat.format")},
    **{name: f"{STARTER_GO} does not support {FORMAT}" for name in ROWS if name.startswith("go.format.")},
    **{name: f"{STARTER_SEE} does not support vision" for name in ROWS if name.startswith("see.") and name != "see.debug"},
}
"""Answers that call tools, keep to a format or look at images come later: until then these are refused by name."""

OWN_TESTS: Final = {
    "tags": "the recording lists other models; see the test below",
    "ps.empty": "the recording shows what earlier requests left behind; see the test below",
    "ps.loaded": "sizes are our engine's; see the test below",
    "chat.long": "a last message that is too long is cut, as shift allows (catalogue 5.5); Ollama's text is an accident",
    "chat.prefill": "Ollama repeats the prefilled text (catalogue 6.1, accident); see tests/inference/test_transcripts.py",
}
SWALLOWED: Final = re.compile(r"</?think>|(?<=think>)\n+")
"""Tokens that leave no text once thoughts are split off."""
REPLAYED: Final = {name: row for name, row in ROWS.items() if name not in OWN_TESTS}


@pytest.fixture(scope="module")
def http(recorded):
    with httpx.Client(base_url=recorded.url, timeout=60) as client:
        yield client


def send(http: httpx.Client, row: dict[str, Any]) -> httpx.Response:
    body = unshortened(row["body"])
    content = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    return http.request(row["method"], row["path"], content=content, headers=row.get("headers", {}))


@pytest.mark.parametrize("row", REPLAYED.values(), ids=REPLAYED)
def test_an_answer_is_the_recorded_one(http, row):
    expected = row | OURS.get(row["name"], {})
    if row["name"] in NOT_YET:
        expected = row | refused(NOT_YET[row["name"]])
    reply = send(http, row)
    assert (reply.status_code, reply.headers.get("content-type", "")) == (expected["status"], expected["type"]), reply.text
    for name, value in expected.get("reply_headers", {}).items():
        assert reply.headers[name] == value
    if isinstance(expected["answer"], list):
        compare_frames([json.loads(line) for line in reply.text.splitlines()], expected["answer"], row)
    elif isinstance(expected["answer"], dict):
        assert not reply.content.endswith(b"\n")
        assert ordered(comparable(reply.json())) == ordered(comparable(split_thoughts(expected["answer"], row)))
    else:
        assert reply.text == expected["answer"]


def unshortened(body: Any) -> Any:
    """The body as it was sent: the recorder cut the one long text, 3,000 times "word "."""
    cut = "<13000 more>"
    if not isinstance(body, dict) or cut not in json.dumps(body):
        return body
    (message,) = body["messages"]
    return body | {"messages": [message | {"content": "word " * 3000}]}


def compare_frames(frames: list[dict[str, Any]], recorded_frames: list[dict[str, Any]], row: dict[str, Any]) -> None:
    """The same text in pieces, the same keys in each kind of frame, the same end."""
    whole = split_thoughts(merged(recorded_frames), row)
    assert ordered(comparable(merged(frames))) == ordered(comparable(whole))
    assert all(text_of(frame) or thoughts_of(frame) for frame in frames[:-1]), "an empty frame"
    assert [list(flat(frame)) for frame in frames[-1:]] == [list(flat(frame)) for frame in recorded_frames[-1:]]
    for frame in frames[:-1]:
        assert [key for key in flat(frame) if key != "thinking"] == [key for key in flat(recorded_frames[0]) if key != "thinking"]
    # at most a frame a token, fewer where the machine was too busy to take each alone; none for tags and the blanks around them
    pieces = [frame for frame in recorded_frames[:-1] if text_of(frame) or thoughts_of(frame)]
    most = len(pieces) - len(SWALLOWED.findall(text_of(merged(recorded_frames))))
    assert min(1, most) <= len(frames) - 1 <= most


def flat(frame: dict[str, Any]) -> Iterator[str]:
    """Keys of a frame in order, those of the message among them."""
    for key, value in frame.items():
        yield key
        if key == "message":
            yield from value


def text_of(frame: dict[str, Any]) -> str:
    return frame["message"]["content"] if "message" in frame else frame["response"]


def thoughts_of(frame: dict[str, Any]) -> str:
    return frame.get("message", frame).get("thinking", "")


def merged(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """All frames as the one that `stream: false` would be."""
    last = json.loads(json.dumps(frames[-1]))
    logprobs = [each for frame in frames for each in frame.get("logprobs", ())]
    if logprobs:
        last["logprobs"] = logprobs
    return with_texts(last, "".join(map(text_of, frames)), "".join(map(thoughts_of, frames)))


def with_texts(answer: dict[str, Any], text: str, thoughts: str) -> dict[str, Any]:
    """The answer with these texts, `thinking` right behind the text as in every frame."""
    if "message" in answer:
        return answer | {"message": put_texts(answer["message"], "content", text, thoughts)}
    return put_texts(answer, "response", text, thoughts)


def put_texts(frame: dict[str, Any], key: str, text: str, thoughts: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in frame.items():
        if name == "thinking":
            continue
        found[name] = text if name == key else value
        if name == key and thoughts:
            found["thinking"] = thoughts
    return found


def split_thoughts(answer: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """What ours shows for a recorded answer with the tags in its text."""
    if "message" not in answer and "response" not in answer:
        return answer
    if row["body"].get("raw") or not text_of(answer).startswith("<think>"):
        return answer
    parser = ThinkingParser("<think>", "</think>")
    deltas = (parser.add(text_of(answer)), parser.finish())
    text, thoughts = "".join(each.content for each in deltas), "".join(each.thinking for each in deltas)
    return with_texts(answer, text, thoughts) | drop_tags(answer)


def drop_tags(answer: dict[str, Any]) -> dict[str, Any]:
    """Log probabilities of swallowed tokens go with them (catalogue 2.5, 2.9)."""
    if "logprobs" not in answer:
        return {}
    return {"logprobs": [each for each in answer["logprobs"] if each["token"] not in ("<think>", "\n")]}


def comparable(value: Any) -> Any:
    """Without what differs from run to run: times, ids, digests, exact probabilities, long token lists."""
    if isinstance(value, list):
        return [comparable(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: 1 if key.endswith(("_duration", "logprob")) else comparable(each) for key, each in value.items()}
    for key in ("created_at", "modified_at", "expires_at", "version", "id"):
        if key in found:
            found[key] = f"<{key}>"
    if "context" in found:
        context = value["context"]
        found["context"] = (context["<numbers>"], context["first"]) if isinstance(context, dict) else shortened(context)
    return found


def shortened(context: list[int]) -> tuple[int, list[int]] | list[int]:
    """A token list as the recorder wrote it."""
    return (len(context), context[:4]) if len(context) > 40 else context


def ordered(value: Any) -> str:
    """Text that shows the order of keys too."""
    return json.dumps(value, indent=1, ensure_ascii=False)


ELSEWHERE: Final = {
    "/api/show": "test_model_transcripts.py",
    "/api/copy": "test_model_transcripts.py",
    "/api/delete": "test_model_transcripts.py",
    "/api/blobs/": "test_blobs.py",
    "/api/create": "test_create.py",
    "/api/pull": "test_pull.py",
    "/api/push": "test_pull.py",
}
LATER: Final = ("/api/embed", "/v1/")
"""Routes that are not there yet."""


def test_every_row_is_replayed_somewhere():
    places = (*PATHS, *(path for path, test in ELSEWHERE.items() if (Path(__file__).parent / test).exists()))
    assert {row["path"] for row in read_rows() if not row["path"].startswith((*places[1:], *LATER))} == {"/"}


def test_every_exception_is_a_row():
    assert (OURS.keys() | NOT_YET.keys() | OWN_TESTS.keys()) <= ROWS.keys()


def test_tags_lists_models_as_recorded(http):
    def list_models():
        return http.get("/api/tags").json()["models"]

    assert wait_until(lambda: all("capabilities" in each for each in list_models())), "what files tell follows within moments"
    listed = {each["name"]: each for each in list_models()}
    recorded_models = {each["name"]: each for each in ROWS["tags"]["answer"]["models"]}
    for name in (f"{each}:latest" for each in MODELS if f"{each}:latest" in recorded_models):
        assert list(listed[name]) == list(recorded_models[name])
        assert list(listed[name]["details"]) == list(recorded_models[name]["details"])
        assert listed[name]["details"] == recorded_models[name]["details"]
    # the capabilities of show; Ollama leaves out what the Jinja template can do (catalogue 2.13, accident)
    assert listed["starter:latest"]["capabilities"] == ["tools", "thinking", "completion"]


def test_ps_lists_a_loaded_model_as_recorded(http):
    http.post("/api/generate", json={"model": "starter"})
    running = {each["name"]: each for each in http.get("/api/ps").json()["models"]}
    (expected,) = ROWS["ps.loaded"]["answer"]["models"]
    shown = running["starter:latest"]
    assert list(shown) == list(expected)
    fixed = ("name", "model", "details", "size_vram", "context_length")
    assert {key: shown[key] for key in fixed} == {key: expected[key] for key in fixed}
    assert shown["size"] > 9_000_000


def test_a_model_that_was_unloaded_leaves_ps(http):
    http.post("/api/generate", json={"model": "starter"})
    http.post("/api/generate", json={"model": "starter", "keep_alive": 0})
    assert "starter:latest" not in [each["name"] for each in http.get("/api/ps").json()["models"]]


def test_a_last_message_that_is_too_long_is_cut(http):
    reply = send(http, ROWS["chat.long"])
    assert reply.status_code == 200
    assert reply.json()["prompt_eval_count"] < 512
