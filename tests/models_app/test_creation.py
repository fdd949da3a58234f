"""Jobs of kind `create` from inside: what is pulled, cancelled, refused and kept secret. The answers are asked in tests/api."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from chat.models import Conversation, Message
from llmsite.accounts.models import User
from llmsite.registry.config import RegistryConfig
from llmsite.registry.push import push
from llmsite.store import manifest as media
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Progress
from llmsite.types.codec import to_builtins
from llmsite.types.errors import Canceled, InvalidModelFile, InvalidModelName, RegistryError
from llmsite.types.name import ModelName
from llmsite.types.request import CreateRequest
from models_app import catalogue, creation, starter, transfers
from models_app.job_rows import Claim, canceled
from models_app.job_run import JobRun, JobStopped
from tests.registry.fake_registry import running_registry
from tests.store.gguf_files import GgufFile, Tensor
from tests.store.listing import list_models

pytestmark = [pytest.mark.django_db, pytest.mark.model]


@pytest.fixture
def installed(store: ModelStore) -> ModelStore:
    """A store with the starter in it."""
    starter.install_once()
    catalogue.sync()
    return store


def job(**fields: Any) -> JobRun:
    request = CreateRequest(**{"model": "made", "source": "starter"} | fields)
    return JobRun(Claim(1, "", 1, "create", request.model, to_builtins(request), ()), lambda: None)


def make(**fields: Any) -> list[str]:
    """Make a model; returns what was told of it."""
    run = job(**fields)
    creation.run(run)
    return [each.status for each in run.log.snapshot()]


def files_of(store: ModelStore) -> set[str]:
    return {str(path) for path in store.root.rglob("*") if path.is_file()}


# from elsewhere


def test_2_18_a_missing_base_is_pulled_and_its_frames_are_told(installed: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def pull(run: JobRun, name: ModelName, insecure: bool) -> None:
        assert (name.shortest, insecure) == ("far/away:1b", False)
        run.report(Progress("pulling manifest"))
        installed.copy(ModelName.parse("starter"), name)

    monkeypatch.setattr(transfers, "pull_into", pull)
    lines = make(source="far/away:1b", system="S")
    assert lines[0] == "pulling manifest"
    assert lines[-1] == "success"
    assert [layer.source for layer in installed.find("made").manifest.layers] == ["far/away:1b", ""]


def test_2_18_a_base_that_no_registry_has_ends_it(installed: ModelStore) -> None:
    run = job(source="127.0.0.1:9/library/nothing")
    with pytest.raises(RegistryError, match="pull model manifest: "):
        creation.run(run)
    assert [each.status for each in run.log.snapshot()] == ["pulling manifest"]


def test_2_18_nothing_is_pulled_for_a_type_or_a_template_that_cannot_be(
    installed: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "pull_into", lambda *_, **__: pytest.fail("it was pulled"))
    for fields in ({"quantize": "q9_9"}, {"template": "{{ if }}"}):
        with pytest.raises(Exception, match=r"unsupported quantization type|template error"):
            make(source="far/away", **fields)


def test_T03_from_takes_no_path_of_this_machine(store: ModelStore) -> None:
    for path in ("/etc/passwd", "/etc/nothing", "/dev/zero", "/etc", "../../etc/passwd", "~/.bashrc", "C:\\x"):
        with pytest.raises(InvalidModelName, match=r"^invalid model name$"):
            make(source=path)


# drafts


def test_2_18_a_draft_stands_behind_the_model_and_is_quantized_for_itself(installed: ModelStore) -> None:
    digest = installed.find("starter").model_digest
    lines = make(draft_files={"draft.gguf": digest}, draft_quantize="q8_0", adapters=None)
    assert {"parsing GGUF", "quantizing F16 model to Q8_0"} <= set(lines)
    model, draft = installed.find("made").manifest.layers
    assert (model.media_type, model.digest) == (media.MODEL, digest)
    assert (draft.media_type, draft.source) == (media.DRAFT, "")
    assert draft.size_bytes < model.size_bytes
    eye = installed.blobs.put((Path(__file__).parents[1] / "data/starter-mmproj.gguf").read_bytes())
    with pytest.raises(InvalidModelFile, match=r'the draft "eye\.gguf" is no language model'):
        make(draft_files={"eye.gguf": eye})


def test_a_model_can_be_made_of_itself(installed: ModelStore) -> None:
    make(system="one", licenses=("L",))
    make(source="MADE", system="two", parameters={"seed": 1})
    model = installed.find("made")
    assert (model.system, model.licenses, model.parameters) == ("two", ("L",), {"seed": 1})
    assert [layer.source for layer in model.manifest.layers] == ["made:latest", "made:latest", "", ""]
    assert [each.name.shortest for each in list_models(installed)].count("made:latest") == 1


# cancelled and stopped


def cancel(run: JobRun) -> None:
    run.cancel(canceled("create"))


@pytest.mark.parametrize(("act", "error"), [(cancel, Canceled), (JobRun.stop, JobStopped)])
def test_it_ends_at_once_and_leaves_the_store_as_it_was(
    installed: ModelStore, act: Callable[[JobRun], None], error: type[Exception]
) -> None:
    before = files_of(installed)
    run = job(quantize="q4_K_M", system="S")
    report = run.report

    def act_on_progress(progress: Progress) -> None:
        report(progress)
        if progress.status.startswith("quantizing"):
            act(run)

    run.report = act_on_progress  # type: ignore[method-assign]
    with pytest.raises(error):
        creation.run(run)
    assert files_of(installed) == before


def test_what_it_made_goes_when_the_last_step_fails(installed: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(installed)

    def refuse(*_: Any) -> None:
        raise OSError("no")

    monkeypatch.setattr(installed.manifests, "write", refuse)
    with pytest.raises(OSError, match="no"):
        make(quantize="q8_0", system="S", licenses=("L",))
    assert files_of(installed) == before


def test_what_it_made_stays_when_somebody_else_uses_it(installed: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write = installed.manifests.write

    def refuse_first(name: ModelName, data: bytes) -> Any:
        if name.model == "made":
            write(ModelName.parse("other"), data)
            raise OSError("no")
        return write(name, data)

    monkeypatch.setattr(installed.manifests, "write", refuse_first)
    with pytest.raises(OSError, match="no"):
        make(system="S")
    assert installed.find("other").system == "S"


# what nobody may learn

CANARY = "canary-4f1c9a77e0d2"


def test_T15_nothing_of_this_process_gets_into_what_is_made(installed: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSITE_CANARY", CANARY)
    secret = [CANARY.encode() * 100 for _ in range(1000)]
    make(quantize="q8_0")
    made = installed.find("made").model_path.read_bytes()
    assert secret[0][: len(CANARY)] not in made
    assert len(made) == installed.find("made").manifest.layers[0].size_bytes


def test_T15_what_is_pushed_is_what_the_store_has_and_nothing_of_this_process(
    installed: ModelStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A secret stands in the environment, in somebody's chat and on the heap; the registry gets no byte of it."""
    monkeypatch.setenv("LLMSITE_CANARY", CANARY)
    chat = Conversation.objects.create(owner=User.objects.create(username="alice"), title=CANARY, updated_at=timezone.now())
    Message.objects.create(conversation=chat, number=1, role="user", content=CANARY)
    secret = [CANARY.encode() * 100 for _ in range(1000)]
    with running_registry() as registry:
        name = ModelName.parse(f"{registry.host}/library/made")
        make(model=str(name), quantize="q8_0", system="S", parameters={"seed": 1})
        config = RegistryConfig(home=tmp_path / "keys")
        push(installed, name, insecure=True, report=lambda frame: None, check=lambda: None, config=config)
        sent = [*registry.blobs.values(), *registry.manifests.values(), repr(registry.seen).encode()]
    stored = {path.read_bytes() for path in map(installed.blobs.path, installed.find(name).manifest.digests)}
    assert set(registry.blobs.values()) == stored
    assert not any(secret[0][: len(CANARY)] in data for data in sent)


def test_T15_weights_that_lie_about_their_size_are_not_quantized(installed: ModelStore) -> None:
    tensors = [Tensor("token_embd.weight", (64, 4), 1), Tensor("blk.0.attn_q.weight", (1 << 20, 64), 1, 512)]
    digest = installed.blobs.put(GgufFile(tensors=tensors, data_bytes=4096).encode())
    before = files_of(installed)
    with pytest.raises(InvalidModelFile, match=r'tensor "blk\.0\.attn_q\.weight" lies outside the file'):
        make(source="", files={"x.gguf": digest}, quantize="q8_0")
    assert files_of(installed) == before
