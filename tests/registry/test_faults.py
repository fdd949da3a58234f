"""What a registry may do wrong: recovery where another try helps, else the right sentence, and a clean store in both cases."""

from __future__ import annotations

import gzip
import re
import time
from dataclasses import replace

import pytest

from llmsite.registry.partial import PartialBlob, partial_path, recorded_bytes
from llmsite.registry.pull import pull
from llmsite.types.errors import RegistryError
from llmsite.types.limits import KIB
from llmsite.types.name import ModelName
from tests.registry import faults
from tests.registry.conftest import LIMITS, Client, random_bytes
from tests.registry.fake_registry import FakeRegistry, digest_of

SIZE = 300 * KIB
WEIGHTS = random_bytes(SIZE)
DIGEST = digest_of(WEIGHTS)
NAME = "library/m"


@pytest.fixture(autouse=True)
def model(registry: FakeRegistry) -> None:
    registry.add_model(NAME, WEIGHTS)


def _pull(client: Client, registry: FakeRegistry) -> None:
    client.pull(f"{registry.host}/{NAME}")


RECOVERED = {
    "F14_truncated": faults.truncate(1000),
    "F14_truncated_to_nothing": faults.truncate(0),
    "F14_reset": faults.reset(1000),
    "F14_reset_at_once": faults.reset(0),
    "F14_more_than_the_blob": faults.longer(b"x" * 100_000),
    "F14_one_byte_flipped": faults.corrupt(5000),
    "F15_silence_before_the_head": faults.stall(None),
    "F15_silence_in_the_body": faults.stall(1000),
    "F15_silence_after_the_head": faults.stall(0),
    "F15_a_byte_now_and_then": faults.trickle(0.05),
    "F15_a_byte_now_and_then_in_the_head": faults.trickle(0.05, in_head=True),
    "F16_another_range": faults.wrong_range(f"bytes 1-65536/{SIZE}"),
    "F16_a_range_of_another_file": faults.wrong_range("bytes 0-65535/99999999"),
    "F16_no_range_at_all": faults.wrong_range("what"),
    "F16_wrong_length": faults.wrong_length(77),
    "F17_500": faults.status(500),
    "F17_502": faults.status(502),
    "F17_503": faults.status(503, Retry_After="0"),
    "F17_429": faults.status(429, Retry_After="0"),
    "F16_416": faults.status(416),
    "T69_compressed": faults.gzipped(gzip.compress(bytes(10_000_000))),
}


# a wrong digest is cured once, all else as often as a part is tried
QUICK = [each for each in RECOVERED if "F15" not in each and "T69" not in each]
TIMES = [(each, times) for each in QUICK for times in (1, 3) if times == 1 or "flipped" not in each]


@pytest.mark.parametrize(("name", "times"), TIMES)
def test_it_recovers_from(name: str, times: int, client: Client, registry: FakeRegistry) -> None:
    registry.script(RECOVERED[name], path=DIGEST, times=times)
    _pull(client, registry)
    client.require_clean()
    assert client.store.find(f"{registry.host}/{NAME}")


@pytest.mark.parametrize("name", [each for each in RECOVERED if "F15" in each])
def test_it_leaves_a_connection_that_is(name: str, client: Client, registry: FakeRegistry) -> None:
    registry.script(RECOVERED[name], path=DIGEST)
    _pull(client, registry)
    client.require_clean()


@pytest.mark.parametrize("name", [each for each in RECOVERED if "F15" in each])
def test_F15_it_gives_up_when_all_are(name: str, client: Client, registry: FakeRegistry) -> None:
    """The bound is on tries, each of which has its deadline: three retries and half a second here."""
    client.config = replace(client.config, limits=replace(LIMITS, pull_retries=1, pull_connections=2))
    registry.script(RECOVERED[name], path=DIGEST, times=1000)
    with pytest.raises(RegistryError, match=r"^max retries exceeded: "):
        _pull(client, registry)
    assert len(registry.asked("GET", DIGEST)) <= 16
    assert not client.store.blobs.has(DIGEST)


FATAL = {
    "F14_truncated": (faults.truncate(0), r"max retries exceeded: unexpected EOF"),
    "F14_one_byte_flipped": (
        faults.corrupt(5000),
        f"digest mismatch, file must be downloaded again: want {DIGEST}, got sha256:[0-9a-f]{{64}}",
    ),
    "F16_another_range": (
        faults.wrong_range("bytes 1-2/3"),
        "max retries exceeded: the registry sends another range than was asked for",
    ),
    "F17_500": (faults.status(500, b"broken"), "max retries exceeded: 500: broken"),
    "F17_503": (faults.status(503, b"busy", Retry_After="0"), "max retries exceeded: 503: busy"),
    "401": (faults.status(401), "unauthorized: access denied"),
    "403": (faults.status(403, b"denied"), "403: denied"),
    "404": (faults.status(404), "file does not exist"),
    "400": (faults.status(400, b"what"), "400: what"),
    "T69_compressed": (
        RECOVERED["T69_compressed"],
        "the registry 127.0.0.1 compressed its answer although it was asked not to",
    ),
    "T70_an_error_page": (
        faults.status(403, b"<script>\x1b[31m" + b"A" * 100_000, Content_Type="text/html"),
        re.escape("403: <script>[31m" + "A" * 188),
    ),
}


@pytest.mark.parametrize("name", FATAL)
def test_it_ends_with_the_right_sentence_for(name: str, client: Client, registry: FakeRegistry) -> None:
    act, text = FATAL[name]
    registry.script(act, path=DIGEST, times=1000)
    with pytest.raises(RegistryError, match=f"^{text}$"):
        _pull(client, registry)
    assert not client.store.blobs.has(DIGEST)
    assert client.store.manifests.find(ModelName.parse(f"{registry.host}/{NAME}")) is None
    registry.scripts.clear()
    _pull(client, registry)
    client.require_clean()


MANIFEST_FATAL = {
    "401": (faults.status(401), "unauthorized: access denied"),
    "403": (faults.status(403, b"denied"), "403: denied"),
    "500": (faults.status(500, b"broken"), "500: broken"),
    "F15_silence": (faults.stall(None), 'Get ".*": timeout while waiting for the answer'),
}


@pytest.mark.parametrize("name", MANIFEST_FATAL)
def test_2_16_the_manifest_cannot_be_had(name: str, client: Client, registry: FakeRegistry) -> None:
    act, text = MANIFEST_FATAL[name]
    registry.script(act, path="/manifests/", times=1000)
    with pytest.raises(RegistryError, match=f"^pull model manifest: {text}$"):
        _pull(client, registry)


def test_F17_a_manifest_comes_after_the_wait_that_was_asked_for(client: Client, registry: FakeRegistry) -> None:
    registry.script(faults.status(503, Retry_After="0"), path="/manifests/", times=2)
    _pull(client, registry)
    assert client.statuses[:2] == ["pulling manifest", "the registry asks to wait 0 s"]


def test_F17_a_wait_is_obeyed_up_to_a_bound_and_told(client: Client, registry: FakeRegistry) -> None:
    client.config = replace(client.config, limits=replace(LIMITS, pull_wait_seconds=0.2))
    registry.script(faults.status(429, Retry_After="86400"), path=DIGEST)
    started = time.monotonic()
    _pull(client, registry)
    assert time.monotonic() - started >= 0.2
    assert "the registry asks to wait 0 s" in client.statuses


def test_F17_an_expired_token_is_renewed(client: Client, registry: FakeRegistry) -> None:
    registry.token = "first"

    def expire(handler: faults.Handler) -> None:
        registry.token = "second"
        handler.answer()

    registry.script(expire, path=DIGEST)
    _pull(client, registry)
    client.require_clean()


def test_F16_a_registry_without_ranges_is_read_in_one_go(client: Client, registry: FakeRegistry) -> None:
    registry.script(faults.ignore_range, path=DIGEST, times=1000)
    _pull(client, registry)
    client.require_clean()


def test_F16_a_registry_without_ranges_that_breaks_off_starts_anew(client: Client, registry: FakeRegistry) -> None:
    client.config = replace(client.config, limits=replace(LIMITS, pull_connections=1))

    def break_off(handler: faults.Handler) -> None:
        """Enough bytes that are right, so that they are hashed, then the end; the next time around other ones first."""
        handler.start(200, SIZE)
        handler.send_piece(DIGEST, WEIGHTS[: 100 * KIB])
        handler.close_connection = True

    registry.script(faults.ignore_range, path=DIGEST)
    registry.script(break_off, path=DIGEST)
    registry.script(faults.ignore_range, path=DIGEST, times=1000)
    _pull(client, registry)
    client.require_clean()


def test_F16_another_etag_starts_the_part_anew(client: Client, registry: FakeRegistry) -> None:
    client.config = replace(client.config, limits=replace(LIMITS, pull_connections=1))
    registry.script(faults.other_etag('"other"', 1000), path=DIGEST)
    _pull(client, registry)
    ranges = [seen.headers["Range"] for seen in registry.asked("GET", DIGEST)]
    assert ranges[:3] == ["bytes=0-65535", "bytes=1000-65535", "bytes=0-65535"]
    client.require_clean()


def test_T69_no_more_than_the_declared_size_is_written(client: Client, registry: FakeRegistry) -> None:
    registry.script(faults.endless(), path=DIGEST, times=1000)
    registry.script(faults.endless(206), path=DIGEST, times=1000)
    with pytest.raises(RegistryError):
        _pull(client, registry)
    partial = partial_path(client.store.blobs, DIGEST)
    assert not partial.exists() or partial.stat().st_size == SIZE


@pytest.mark.parametrize("size", [SIZE - 100, SIZE + 100])
def test_T69_a_blob_of_another_size_than_declared(size: int, client: Client, registry: FakeRegistry) -> None:
    registry.blobs[DIGEST] = random_bytes(size)
    with pytest.raises(
        RegistryError, match=rf"^max retries exceeded: the registry has {size} bytes where the manifest says {SIZE}$"
    ):
        _pull(client, registry)
    assert not client.store.blobs.has(DIGEST)


def test_F14_the_blob_is_never_visible_before_it_was_checked(client: Client, registry: FakeRegistry) -> None:
    registry.script(faults.corrupt(7), path=DIGEST, times=1000)
    target = client.store.blobs.path(DIGEST)
    seen: list[bool] = []
    with pytest.raises(RegistryError):
        pull(
            client.store,
            ModelName.parse(f"{registry.host}/{NAME}"),
            insecure=True,
            report=lambda _: seen.append(target.exists()),
            check=lambda: seen.append(target.exists()),
            config=client.config,
        )
    assert seen
    assert not any(seen)


def test_F14_bytes_that_come_a_second_time_are_hashed_a_second_time(client: Client, registry: FakeRegistry) -> None:
    """A part is rewound after its first bytes were hashed, and then other bytes come: they must not hide behind that hash."""
    client.config = replace(client.config, limits=replace(LIMITS, pull_connections=1, pull_part_bytes=SIZE))
    registry.script(faults.truncate(200 * KIB), path=DIGEST)
    registry.script(faults.other_etag('"other"', 1000), path=DIGEST)
    registry.script(faults.corrupt(5), path=DIGEST)
    _pull(client, registry)
    assert len(registry.asked("GET", DIGEST)) == 4
    client.require_clean()


@pytest.mark.parametrize("act", [faults.drip(0.002), faults.endless_trailers])
def test_F15_a_small_reply_must_come_to_its_end(client: Client, registry: FakeRegistry, act: faults.Act) -> None:
    client.config = replace(client.config, limits=replace(LIMITS, registry_reply_seconds=0.5))
    registry.script(act, path="/manifests/")
    text = 'pull model manifest: Get ".*": timeout: the registry does not come to the end of its answer'
    with pytest.raises(RegistryError, match=f"^{text}$"):
        _pull(client, registry)


def test_F15_endless_trailers_of_a_blob_end(client: Client, registry: FakeRegistry) -> None:
    registry.script(faults.endless_trailers, path=DIGEST)
    _pull(client, registry)
    client.require_clean()


def test_F07_bytes_that_were_given_up_are_not_resumed_from(client: Client) -> None:
    """A process that is killed between giving a part up and writing it again leaves no record that counts the old bytes."""
    blobs = client.store.blobs
    partial = PartialBlob.take(blobs, DIGEST, SIZE)
    assert partial is not None
    with partial:
        part = partial.parts[0]
        partial.write(part, WEIGHTS[: part.size_bytes])
        assert recorded_bytes(blobs, DIGEST) == part.size_bytes
        partial.rewind(part)
        assert recorded_bytes(blobs, DIGEST) == 0
        partial.write(part, b"others")
        assert recorded_bytes(blobs, DIGEST) == 0


def test_F15_attempts_are_bounded_even_when_each_brings_a_little(client: Client, registry: FakeRegistry) -> None:
    client.config = replace(client.config, limits=replace(LIMITS, pull_attempts=10, pull_connections=1))
    registry.script(faults.truncate(LIMITS.pull_record_bytes), path=DIGEST, times=1000)
    with pytest.raises(RegistryError, match=r"^max retries exceeded: unexpected EOF$"):
        _pull(client, registry)
    assert len(registry.asked("GET", DIGEST)) == 14  # each part of four pieces fails three times
