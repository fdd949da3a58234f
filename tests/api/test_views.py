"""REST views above a scripted transport: statuses, content types, streams, and what happens when somebody leaves."""

import asyncio
import re

import pytest
from asgiref.sync import sync_to_async

import llmsite
from llmsite import backend
from llmsite.accounts import revocation
from llmsite.accounts.keys import issue_key
from llmsite.accounts.models import User
from llmsite.inference.client import Client
from llmsite.types import errors
from llmsite.types.chunk import Chunk, ModelDetails, Phase, RunningModel, RunningModels
from tests.api.asgi_client import call, start
from tests.inference.fake_transport import FakeTransport, answer

JSON = "application/json; charset=utf-8"
BUSY = "server busy, please try again.  maximum pending requests exceeded"
ROUTES = ("/api/generate", "/api/chat")


@pytest.fixture
def transport():
    fake = FakeTransport()
    backend.set_client(Client(fake))
    yield fake
    backend.set_client(None)


def content_of(frame):
    return frame["response"] if "response" in frame else frame["message"]["content"]


def question(route, **fields):
    asked = {"prompt": "p"} if route == "/api/generate" else {"messages": [{"role": "user", "content": "p"}]}
    return {"model": "m"} | asked | fields


@pytest.mark.parametrize("route", ROUTES)
async def test_an_answer_streams_as_lines(transport, route):
    transport.queue(Phase("queued", position=1), Phase("loading"), *answer("a", "b"))
    reply = await call("POST", route, question(route))
    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-ndjson")
    assert reply.body.endswith(b"}\n")
    assert [content_of(frame) for frame in reply.frames] == ["a", "b", ""]
    assert [frame["done"] for frame in reply.frames] == [False, False, True]


@pytest.mark.parametrize("route", ROUTES)
async def test_each_frame_is_sent_as_it_comes(transport, route):
    gate = asyncio.Event()
    transport.queue(Chunk("a"), gate, *answer("b"))
    reply = start("POST", route, b'{"model":"m","prompt":"p","messages":[{"role":"user"}]}')
    await reply.wait_for_piece()
    assert len(reply.frames) == 1
    gate.set()
    await reply.task
    assert len(reply.frames) == 3


@pytest.mark.parametrize("route", ROUTES)
async def test_an_answer_comes_at_once_without_stream(transport, route):
    transport.queue(*answer("a", "b", thinking=["x", "y"]))
    reply = await call("POST", route, question(route, stream=False))
    assert (reply.status, reply.headers["content-type"]) == (200, JSON)
    assert content_of(reply.json) == "ab"
    assert (reply.json.get("thinking") or reply.json["message"]["thinking"]) == "xy"
    assert not reply.body.endswith(b"\n")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("reason", ["load", "unload"])
async def test_a_load_is_one_object_also_when_a_stream_was_asked_for(transport, route, reason):
    transport.queue(Chunk(done=True, done_reason=reason))
    reply = await call("POST", route, {"model": "m"})
    assert reply.headers["content-type"] == JSON
    assert reply.json["done_reason"] == reason
    assert not reply.body.endswith(b"\n")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("error", "status", "content_type"),
    [
        (errors.InvalidModelName("invalid model name"), 400, JSON),
        (errors.ModelNotFound("model 'm' not found"), 404, JSON),
        (errors.MissingCapability('"m" does not support thinking'), 400, JSON),
        (errors.InvalidOption('option "num_ctx" must be of type integer'), 500, JSON),
        (errors.PromptTooLong("the prompt is longer"), 400, JSON),
        (errors.TemplateError("template: :1: missing value for if"), 500, JSON),
        (errors.TemplateError("template exceeded its limit"), 400, JSON),
        (errors.Forbidden("chat templates cannot be set per request"), 403, JSON),
        (errors.Busy(BUSY), 503, JSON),
        (errors.Canceled("request canceled"), 499, JSON),
        (errors.NotEnoughMemory("no room"), 503, JSON),
        (errors.StorageFull("disk full"), 507, JSON),
        (errors.LoadFailed("cannot load"), 500, JSON),
        (errors.LoadTimeout("timed out waiting for llama-server to start"), 500, JSON),
        (errors.RunnerDied("model runner has unexpectedly stopped"), 500, "application/json"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_an_error_before_the_first_frame_has_a_status_of_its_own(transport, route, error, status, content_type):
    transport.queue(Phase("queued"), error)
    streamed = await call("POST", route, question(route))
    assert (streamed.status, streamed.headers["content-type"]) == (status, content_type)
    assert streamed.body == b'{"error":' + streamed.body.removeprefix(b'{"error":')
    assert streamed.json == {"error": str(error)}
    transport.queue(error)
    whole = await call("POST", route, question(route, stream=False))
    assert (whole.status, whole.headers["content-type"], whole.body) == (status, JSON, streamed.body)


@pytest.mark.parametrize("route", ROUTES)
async def test_an_error_after_the_first_frame_is_the_last_line(transport, route):
    transport.queue(Chunk("a"), errors.RunnerDied("model runner has unexpectedly stopped"))
    reply = await call("POST", route, question(route))
    assert reply.status == 200
    assert [content_of(reply.frames[0]), reply.frames[1]] == ["a", {"error": "model runner has unexpectedly stopped"}]


@pytest.mark.parametrize("route", ROUTES)
async def test_an_error_in_the_middle_is_a_status_without_stream(transport, route):
    transport.queue(Chunk("a"), errors.RunnerDied("model runner has unexpectedly stopped"))
    reply = await call("POST", route, question(route, stream=False))
    assert (reply.status, reply.json) == (500, {"error": "model runner has unexpectedly stopped"})


@pytest.mark.parametrize("steps", [[ValueError("secret")], [Chunk("a"), ValueError("secret")]], ids=["before", "after"])
async def test_what_should_not_happen_is_logged_and_not_shown(transport, steps, caplog):
    transport.queue(*steps)
    reply = await call("POST", "/api/generate", question("/api/generate"))
    text = reply.frames[-1]["error"]
    assert text.startswith("internal error (id ")
    assert "secret" not in reply.body.decode()
    assert text.removeprefix("internal error (id ").removesuffix(")") in caplog.text
    assert "ValueError: secret" in caplog.text


class Barrier(asyncio.Event):
    """Never opens; `reached` tells that somebody waits at it."""

    def __init__(self):
        super().__init__()
        self.reached = asyncio.Event()

    async def wait(self):
        self.reached.set()
        return await super().wait()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("steps", [[], [Chunk("a")]], ids=["queued", "writing"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_frees_its_slot(transport, route, steps, stream):
    barrier = Barrier()
    transport.queue(Phase("queued"), *steps, barrier)
    body = b'{"model":"m","prompt":"p","messages":[{"role":"user"}],"stream":%s}' % (b"true" if stream else b"false")
    reply = start("POST", route, body)
    await barrier.reached.wait()
    await reply.disconnect()
    assert (transport.running, transport.closed) == (0, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("steps", [[], [Chunk("a")]], ids=["queued", "writing"])
@pytest.mark.parametrize("stream", [True, False])
async def test_rule_6_an_answer_ends_with_the_right_to_it_and_frees_its_slot(transport, monkeypatch, steps, stream):
    monkeypatch.setattr(revocation, "CHECK_SECONDS", 0.02)
    key = await sync_to_async(issue_key)(await User.objects.acreate_user("alice"))
    barrier = Barrier()
    transport.queue(Phase("queued"), *steps, barrier)
    body = b'{"model":"m","prompt":"p","stream":%s}' % (b"true" if stream else b"false")
    reply = start("POST", "/api/generate", body, authorization=f"Bearer {key}")
    await barrier.reached.wait()
    await User.objects.aupdate(state=User.State.DISABLED)
    await reply.task
    assert reply.status == (200 if steps and stream else 401)
    assert reply.frames[-1] == {"error": revocation.ENDED}
    assert (transport.running, transport.closed) == (0, 1)


BAD_BODIES = [
    (b"", "missing request body"),
    (b"{", "unexpected EOF"),
    (b"[" * 100_000, "invalid json: nested deeper than 64 levels"),
    (b'{"model":NaN}', "invalid character 'N' looking for beginning of value"),
    (b'{"model":"\\ud800"}', "text contains an invalid character"),
    (b'{"model":"\\u0000"}', "text contains an invalid character"),
    (b'{"model":"\xff"}', "text contains an invalid character"),
    (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("body", "text"), BAD_BODIES)
async def test_T30_bad_json_is_a_400(transport, route, body, text):
    reply = await call("POST", route, body)
    assert (reply.status, reply.headers["content-type"], reply.json) == (400, JSON, {"error": text})


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("field", ["chat_template", "chat_template_kwargs", "Chat_Template"])
async def test_T19_chat_templates_come_with_models_only(transport, route, field):
    reply = await call("POST", route, question(route, **{field: "{{ messages }}"}))
    assert (reply.status, reply.json) == (403, {"error": "chat templates cannot be set per request"})
    assert transport.requests == []


async def test_nobody_has_a_cloud_account():
    reply = await call("POST", "/api/me")
    assert (reply.status, reply.json) == (503, {"error": "account unavailable"})


async def test_a_form_s_content_type_is_as_good_as_json(transport):
    transport.queue(*answer("a"))
    reply = await call("POST", "/api/generate", b'{"model":"m","prompt":"p"}', content_type="application/x-www-form-urlencoded")
    assert reply.status == 200


async def test_ps_lists_what_is_loaded(transport):
    model = RunningModel("starter:latest", "ab", ModelDetails(format="gguf"), 100, 0, 1024, 1_767_312_245.0)
    transport.queue(RunningModels((model,)))
    reply = await call("GET", "/api/ps")
    assert reply.headers["content-type"] == JSON
    assert [each["name"] for each in reply.json["models"]] == ["starter:latest"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/api/generate", 405, "POST"),
        ("PUT", "/api/tags", 405, "GET, HEAD"),
        ("HEAD", "/api/ps", 405, "GET"),
        ("POST", "/api/version", 405, "GET, HEAD"),
        ("DELETE", "/", 405, "GET, HEAD"),
        ("OPTIONS", "/api/chat", 405, "POST"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(method, path, status, allow):
    reply = await call(method, path)
    assert (reply.status, reply.headers["allow"], reply.headers["content-type"]) == (status, allow, "text/plain")
    assert reply.body == (b"" if method == "HEAD" else b"405 method not allowed")


@pytest.mark.parametrize("path", ["/api/nothing", "/api", "/api/", "/v1/nothing", "/api/tokenize", "/api/x%0ay", "/api/a\nb"])
async def test_an_unknown_path_is_gin_s_404(path):
    reply = await call("GET", path)
    assert (reply.status, reply.headers["content-type"], reply.body) == (404, "text/plain", b"404 page not found")


@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/api/tags/", 301, "/api/tags"),
        ("POST", "/api/chat/", 307, "/api/chat"),
        ("GET", "/api/version/?a=b", 301, "/api/version?a=b"),
        ("GET", "/api/nothing/", 404, None),
    ],
)
async def test_a_trailing_slash_is_redirected(method, path, status, location):
    reply = await call(method, path)
    assert (reply.status, reply.headers.get("location")) == (status, location)


async def test_version_and_status():
    version = await call("GET", "/api/version")
    assert (version.headers["content-type"], list(version.json)) == (JSON, ["version", "llmsite"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", version.json["version"]), "clients compare it"
    assert version.json["llmsite"] == llmsite.__version__
    head = await call("HEAD", "/api/version")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(version.body)))
    status = await call("GET", "/api/status")
    assert status.json == {"cloud": {"disabled": True, "source": "config"}}


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "application/json"])
async def test_a_program_at_the_root_hears_that_it_runs(accept):
    reply = await call("GET", "/", **({"accept": accept} if accept else {}))
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert reply.body == b"Ollama is running"
    assert {"Accept", "HX-Request"} <= {each.strip() for each in reply.headers["vary"].split(",")}


@pytest.mark.parametrize("headers", [{"accept": BROWSER}, {"hx_request": "true"}], ids=["browser", "htmx"])
@pytest.mark.django_db
async def test_a_person_at_the_root_gets_the_page(headers):
    reply = await call("GET", "/", **headers)
    assert b"Ollama is running" not in reply.body
    assert {"Accept", "HX-Request"} <= {each.strip() for each in reply.headers["vary"].split(",")}
