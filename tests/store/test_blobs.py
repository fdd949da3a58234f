"""BlobStore: what gets a name is right, what is unfinished leaves, what is a link is not followed."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llmsite.store import blob_writer
from llmsite.store import blobs as blobs_module
from llmsite.store.blobs import BlobStore
from llmsite.store.digest import hash_bytes
from llmsite.types.errors import InvalidDigest, LoadFailed, NotFound, StorageFull
from llmsite.types.limits import Limits
from tests.store.digests import BAD_DIGESTS, NUL_DIGESTS

HOUR = 3600.0
HELLO = hash_bytes(b"hello")


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def write(blobs: BlobStore, data: bytes, expected: str | None = None) -> str:
    with blobs.writer(expected) as writer:
        writer.write(data)
        return writer.commit()


def names(blobs: BlobStore) -> set[str]:
    return {path.name for path in blobs.folder.iterdir()}


def test_it_stores_bytes_under_their_digest(blobs: BlobStore) -> None:
    assert write(blobs, b"hello", HELLO) == HELLO
    assert blobs.has(HELLO)
    assert blobs.size(HELLO) == 5
    with blobs.open(HELLO.replace(":", "-")) as file:
        assert file.read() == b"hello"
    assert names(blobs) == {HELLO.replace(":", "-")}
    assert blobs.path(HELLO).stat().st_mode & 0o777 == 0o644
    assert list(blobs.digests()) == [(HELLO, 5)]


def test_small_content_is_written_once(blobs: BlobStore) -> None:
    digest = blobs.put(b"text")
    os.utime(blobs.path(digest), (1, 1))
    inode = blobs.path(digest).stat().st_ino
    assert blobs.put(b"text") == digest
    assert blobs.path(digest).stat().st_ino == inode
    assert blobs.path(digest).stat().st_mtime > 1, "reusing a blob protects it from the sweep"


@pytest.mark.parametrize("data", [b"hellp", b"hell", b"hello!", b""], ids=["changed", "truncated", "extended", "empty"])
def test_T05_other_bytes_are_discarded(blobs: BlobStore, data: bytes) -> None:
    with pytest.raises(InvalidDigest) as caught:
        write(blobs, data, HELLO)
    assert str(caught.value) == f'digest mismatch, expected "{HELLO}", got "{hash_bytes(data)}"'
    assert names(blobs) == set()


def test_2_19_the_dash_form_never_matches_an_upload(blobs: BlobStore) -> None:
    dashed = HELLO.replace(":", "-")
    with pytest.raises(InvalidDigest, match=f'expected "{dashed}", got "{HELLO}"'):
        write(blobs, b"hello", dashed)


def test_what_is_not_committed_is_gone(blobs: BlobStore) -> None:
    with blobs.writer() as writer:
        writer.write(b"hello")
        assert len(names(blobs)) == 1
    assert names(blobs) == set()


def test_T06_racing_uploads_never_show_a_wrong_blob(blobs: BlobStore) -> None:
    right, wrong = os.urandom(50_000), os.urandom(50_000)
    digest = hash_bytes(right)
    is_over = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not is_over.is_set():
            if blobs.has(digest):
                with blobs.open(digest) as file:
                    seen.add(hash_bytes(file.read()))

    def send(data: bytes, results: list[str]) -> None:
        try:
            results.append(write(blobs, data, digest))
        except InvalidDigest:
            results.append("refused")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(50):
            results: list[str] = []
            writers = [threading.Thread(target=send, args=(data, results)) for data in (right, wrong, right)]
            for thread in writers:
                thread.start()
            for thread in writers:
                thread.join()
            assert sorted(results) == ["refused", digest, digest]
    finally:
        is_over.set()
        reader.join()
    assert seen <= {digest}
    assert blobs.has(digest)


@pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link", "folder"])
def test_T07_links_and_folders_are_no_blobs(blobs: BlobStore, tmp_path: Path, kind: str) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(b"secret")
    blobs.folder.mkdir()
    planted = blobs.path(HELLO)
    match kind:
        case "symlink":
            planted.symlink_to(canary)
        case "dangling":
            planted.symlink_to(tmp_path / "nowhere")
        case "hard link":
            planted.hardlink_to(canary)
        case _:
            planted.mkdir()
    assert not blobs.has(HELLO)
    assert list(blobs.digests()) == []
    for look in (blobs.size, blobs.open, blobs.touch, blobs.checked_path):
        with pytest.raises(LoadFailed, match="something else than a plain file"):
            look(HELLO)


def test_T07_an_upload_replaces_a_planted_link_and_not_its_target(blobs: BlobStore, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(b"secret")
    blobs.folder.mkdir()
    blobs.path(HELLO).symlink_to(canary)
    write(blobs, b"hello", HELLO)
    assert canary.read_bytes() == b"secret"
    assert blobs.has(HELLO)


def test_a_missing_blob_is_not_found(blobs: BlobStore) -> None:
    assert not blobs.has(HELLO)
    for look in (blobs.size, blobs.open, blobs.touch, blobs.checked_path):
        with pytest.raises(NotFound, match=f"blob {HELLO} is missing"):
            look(HELLO)
    blobs.remove(HELLO)


def test_F22_a_blob_of_another_size_is_damaged(blobs: BlobStore) -> None:
    write(blobs, b"hello")
    assert blobs.checked_path(HELLO, 5) == blobs.path(HELLO)
    with pytest.raises(LoadFailed, match="model data is damaged, pull it again"):
        blobs.checked_path(HELLO, 6)


@pytest.mark.parametrize("digest", [*BAD_DIGESTS, *NUL_DIGESTS], ids=ascii)
def test_T01_no_door_takes_a_bad_digest(blobs: BlobStore, digest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the disk was asked")

    for name in ("open", "lstat", "stat", "utime", "unlink", "mkdir"):
        monkeypatch.setattr(os, name, fail)
    for door in (blobs.path, blobs.has, blobs.size, blobs.checked_path, blobs.open, blobs.touch, blobs.remove):
        with pytest.raises(InvalidDigest, match=r"^invalid digest format$"):
            door(digest)
    with pytest.raises(InvalidDigest, match=r"^invalid digest format$"), blobs.writer(digest):
        pass


def test_a_full_disk_says_so_and_leaves_nothing(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="the disk of the model store is full"):
        write(blobs, b"hello")
    assert names(blobs) == set()


def test_big_uploads_must_leave_the_reserve_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = BlobStore(tmp_path / "blobs", Limits(disk_floor_bytes=1 << 60))
    blobs.require_space(1 << 20)
    with pytest.raises(StorageFull, match=r"not enough space in the model store: \d+ more bytes are needed"):
        blobs.require_space(1 << 30)
    monkeypatch.setattr(blobs_module, "SPACE_CHECK_BYTES", 4)
    monkeypatch.setattr(blob_writer, "SPACE_CHECK_BYTES", 4)
    with blobs.writer() as writer:
        writer.write(b"1234")
        with pytest.raises(StorageFull, match="not enough space"):
            writer.write(b"5678")
    assert names(blobs) == set()


def plant(blobs: BlobStore, name: str, age_seconds: float, now: float) -> None:
    blobs.folder.mkdir(exist_ok=True)
    path = blobs.folder / name
    path.write_bytes(b"x")
    os.utime(path, (now - age_seconds, now - age_seconds))


@pytest.mark.parametrize(
    ("name", "age_seconds", "stays"),
    [
        pytest.param("sha256-" + "1" * 64, HOUR + 1, False, id="unused and old"),
        pytest.param("sha256-" + "1" * 64, HOUR - 60, True, id="unused and young"),
        pytest.param("sha256-" + "2" * 64, 9 * HOUR, True, id="used"),
        pytest.param("upload-ab_9x", HOUR + 1, False, id="our unfinished file"),
        pytest.param("upload-ab_9x", 61, False, id="our unfinished file whose writer has gone"),
        pytest.param("upload-ab_9x", 59, True, id="our young unfinished file"),
        pytest.param("sha256-123456789", HOUR + 1, False, id="ollama's unfinished file"),
        pytest.param("sha256-" + "1" * 64 + "-partial", 24 * HOUR, True, id="a download of yesterday"),
        pytest.param("sha256-" + "1" * 64 + "-partial-3", 8 * 24 * HOUR, False, id="a download of last week"),
        pytest.param("README", 999 * HOUR, True, id="somebody's file"),
    ],
)
def test_10_5_the_sweep_takes_what_is_unused_and_old(blobs: BlobStore, name: str, age_seconds: float, stays: bool) -> None:
    now = 1_800_000_000.0
    plant(blobs, name, age_seconds, now)
    assert blobs.sweep({"sha256:" + "2" * 64}, now) == int(not stays)
    assert (name in names(blobs)) is stays


def test_the_sweep_spares_the_file_of_a_living_writer(blobs: BlobStore) -> None:
    with blobs.writer() as writer:
        writer.write(b"hello")
        (name,) = names(blobs)
        os.utime(blobs.folder / name, (1, 1))
        assert blobs.sweep((), 10 * HOUR) == 0
        assert writer.commit() == HELLO


def test_the_sweep_takes_the_file_of_a_killed_writer(blobs: BlobStore) -> None:
    program = (
        "import sys, time; from pathlib import Path; from llmsite.store.blobs import BlobStore\n"
        "with BlobStore(Path(sys.argv[1])).writer() as writer:\n"
        "    writer.write(b'half'); print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(blobs.folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (name,) = names(blobs)
        os.utime(blobs.folder / name, (1, 1))
        assert blobs.sweep((), 10 * HOUR) == 0, "its writer lives"
        process.kill()
        process.wait()
    assert blobs.sweep((), 10 * HOUR) == 1
    assert names(blobs) == set()


def test_without_locks_an_unfinished_file_is_left_for_an_hour(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(blobs_module.fcntl, "flock", no_locks)
    now = 1_800_000_000.0
    plant(blobs, "upload-young", HOUR - 60, now)
    plant(blobs, "upload-old", HOUR + 1, now)
    assert blobs.sweep((), now) == 1
    assert names(blobs) == {"upload-young"}


def test_10_1_blobs_of_old_releases_get_their_present_names(blobs: BlobStore) -> None:
    write(blobs, b"both")
    for data in (b"old", b"both"):
        (blobs.folder / hash_bytes(data)).write_bytes(data)
    (blobs.folder / "sha256:short").write_bytes(b"x")
    assert blobs.adopt() == 1
    assert blobs.has(hash_bytes(b"old"))
    assert names(blobs) == {
        hash_bytes(b"old").replace(":", "-"),
        hash_bytes(b"both").replace(":", "-"),
        hash_bytes(b"both"),
        "sha256:short",
    }
    assert blobs.adopt() == 0


@pytest.mark.parametrize("kind", ["symlink", "hard link"])
def test_T07_links_are_told_of_at_start(blobs: BlobStore, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    write(blobs, b"fine")
    canary = tmp_path / "canary"
    canary.write_bytes(b"secret")
    planted = blobs.path(HELLO)
    if kind == "symlink":
        planted.symlink_to(canary)
    else:
        planted.hardlink_to(canary)
    blobs.adopt()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{planted.name} in the model store is a link or has a second name, so it is not used"
    ]


# what is damaged


def damage(blobs: BlobStore, digest: str, kind: str) -> None:
    """One of the damages of F22."""
    path = blobs.path(digest)
    data = path.read_bytes()
    match kind:
        case "bit flip":
            path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        case "truncated":
            path.write_bytes(data[:-1])
        case "missing":
            path.unlink()
        case "folder":
            path.unlink()
            path.mkdir()


@pytest.mark.parametrize("kind", ["bit flip", "truncated", "missing", "folder"])
def test_F22_verifying_finds_every_damage(blobs: BlobStore, kind: str) -> None:
    write(blobs, b"hello")
    blobs.verify(HELLO)
    damage(blobs, HELLO, kind)
    with pytest.raises(NotFound if kind == "missing" else LoadFailed):
        blobs.verify(HELLO)
    assert not blobs.is_verified(HELLO)


def test_F22_a_blob_that_cannot_be_read_is_damaged(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(blobs, b"hello")

    class Broken(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(blobs, "open", lambda digest: Broken(io.FileIO(blobs.path(digest))))
    with pytest.raises(LoadFailed, match="cannot be read: Input/output error"):
        blobs.verify(HELLO)


@pytest.mark.parametrize("kind", ["bit flip", "truncated", "folder"])
def test_F22_a_damaged_blob_is_kept_aside_until_it_is_there_again(blobs: BlobStore, kind: str) -> None:
    write(blobs, b"hello")
    damage(blobs, HELLO, kind)
    blobs.put_aside(HELLO)
    assert not blobs.has(HELLO)
    assert names(blobs) == set()
    assert len(list((blobs.folder.parent / "damaged").iterdir())) == 1
    for look in (blobs.size, blobs.open, blobs.touch, blobs.checked_path):
        with pytest.raises(LoadFailed, match=r"^model data is damaged, pull it again$"):
            look(HELLO)
    write(blobs, b"hello", HELLO)
    with blobs.open(HELLO) as file:
        assert file.read() == b"hello"
    assert kind == "folder" or not (blobs.folder.parent / "damaged").exists()


def test_F22_who_comes_second_to_put_a_blob_aside_finds_it_done(blobs: BlobStore) -> None:
    write(blobs, b"hello")
    damage(blobs, HELLO, "bit flip")
    for _ in range(2):
        blobs.put_aside(HELLO)
    assert len(list((blobs.folder.parent / "damaged").iterdir())) == 1


def test_F22_what_was_put_aside_goes_with_its_blob(blobs: BlobStore) -> None:
    write(blobs, b"hello")
    blobs.put_aside(HELLO)
    blobs.remove(HELLO)
    with pytest.raises(NotFound):
        blobs.size(HELLO)


@pytest.mark.parametrize("change", ["size", "time", "another file"])
def test_F22_a_changed_file_is_no_longer_known_to_be_right(blobs: BlobStore, change: str) -> None:
    write(blobs, b"hello")
    assert blobs.is_verified(HELLO), "what we wrote was hashed on the way"
    path = blobs.path(HELLO)
    before = path.stat()
    match change:
        case "size":
            path.write_bytes(b"hello!")
            os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
        case "time":
            os.utime(path, ns=(1, 1))
        case _:
            twin = path.with_name("twin")
            twin.write_bytes(b"hellp")
            os.utime(twin, ns=(before.st_mtime_ns, before.st_mtime_ns))
            twin.replace(path)
    assert not blobs.is_verified(HELLO)


def test_a_part_can_be_taken_back(blobs: BlobStore) -> None:
    with blobs.writer() as writer:
        writer.write(b"hel")
        mark = writer.mark()
        for _ in range(2):
            writer.write(b"p and more")
            writer.rewind(mark)
        writer.write(b"lo")
        assert writer.commit(HELLO) == HELLO
    with blobs.open(HELLO) as file:
        assert file.read() == b"hello"


def test_the_sweep_of_no_folder_does_nothing(blobs: BlobStore) -> None:
    assert blobs.sweep((), 0) == 0


def test_a_blob_that_vanishes_or_refuses_while_it_is_opened_is_told(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = blobs.put(b"content")
    monkeypatch.setattr(blobs, "size", lambda _: 7)  # what was seen a moment before
    blobs.remove(digest)
    with pytest.raises(NotFound, match="is missing"):
        blobs.open(digest)
    blobs.path(digest).symlink_to("elsewhere")
    with pytest.raises(LoadFailed, match="cannot be read"):
        blobs.open(digest)
