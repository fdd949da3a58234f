"""Lines of progress: what they say, and what stays of them (catalogue 9.5)."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator

import pytest

from llmsite.cli.bars import BarLine, StatusLine, format_remaining
from llmsite.cli.progress_lines import ProgressLines
from llmsite.types.chunk import Progress
from llmsite.types.errors import EngineError

GB = 10**9


def label(progress: Progress) -> str:
    return f"pulling {progress.digest}:"


async def frames(*each: Progress) -> AsyncGenerator[Progress, None]:
    for frame in each:
        yield frame


@pytest.mark.parametrize("columns", [80, 100])
def test_9_5_a_full_bar_has_the_recorded_width(columns):
    bar = BarLine("pulling 3a0c1eaf4982:", 9_600_000, 9_600_000, started=0)
    assert bar.is_settled
    assert bar.render(columns, 1) == f"pulling 3a0c1eaf4982: 100% ▕{'█' * (columns - 62)}▏ 9.6 MB"


def test_9_5_a_growing_bar_shows_bytes_rate_and_time_to_go():
    bar = BarLine("pulling 3a0c1eaf4982:", 4 * GB, 0, started=0)
    assert bar.render(80, 0) == f"pulling 3a0c1eaf4982:   0% ▕{' ' * 18}▏    0 B/  4 GB"
    bar.update(1 * GB, 4 * GB, now=2)
    assert bar.render(80, 2) == f"pulling 3a0c1eaf4982:  25% ▕{'█' * 4}{' ' * 14}▏   1 GB/  4 GB  500 MB/s      6s"
    assert len(bar.render(80, 2)) < 80
    bar.update(4 * GB, 4 * GB, now=3)
    assert bar.render(80, 3).endswith("▏   4 GB")


def test_a_rate_is_that_of_the_last_seconds():
    bar = BarLine("x", 100 * GB, 0, started=0)
    for second in range(1, 30):
        bar.update(second * (10**6 if second < 15 else 10**9), 0, now=second)
    assert "  1 GB/s" in bar.render(100, 30) or "1.0 GB/s" in bar.render(100, 30)


def test_a_bar_fits_a_screen_that_is_narrow_and_a_blob_of_unknown_size():
    assert "▕▏" in BarLine("pulling 3a0c1eaf4982:", 0, 0, started=0).render(20, 0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (8.4, "8s"), (59.6, "1m0s"), (200, "3m20s"), (7500, "2h5m"), (360_000, "99h+")]
)
def test_9_5_time_to_go(seconds, text):
    assert format_remaining(seconds) == text


def test_a_status_longer_than_the_screen_keeps_its_end_while_it_lives():
    line = StatusLine(f"copying file sha256:{'0' * 64} 45%")
    live = line.render(80, 0)
    assert len(live) < 80
    assert " 45%" in live
    line.is_settled = True
    assert line.render(80, 0) == line.text


async def test_9_5_without_a_terminal_each_line_is_written_once():
    stream = io.StringIO()
    async with ProgressLines(stream) as lines:
        pulled = [Progress("pulling a", "a", 20, done) for done in (0, 5, 20)]
        await lines.follow(
            frames(Progress("pulling manifest"), Progress("pulling manifest"), *pulled, Progress("success")),
            label,
            skips_empty=True,
        )
        assert stream.getvalue().startswith("pulling manifest\npulling a: 100% ▕")
    assert stream.getvalue().count("\n") == 3
    assert stream.getvalue().endswith("▏   20 B\nsuccess\n")


async def test_T58_what_a_server_says_moves_no_cursor():
    stream = io.StringIO()
    async with ProgressLines(stream) as lines:
        said = [Progress("one\x1b[2J\rtwo\nthree\x9b1A\u202e"), Progress("pulling", "\x1b[1Aa", 20, 20)]
        await lines.follow(frames(*said), label)
    assert stream.getvalue().splitlines() == ["one[2Jtwo three1A", f"pulling [1Aa: 100% ▕{'█' * 26}▏   20 B"]


async def test_9_5_a_blob_without_a_byte_has_no_bar():
    stream = io.StringIO()
    async with ProgressLines(stream) as lines:
        await lines.follow(frames(Progress("pulling a", "a", 20, 0), Progress("success")), label, skips_empty=True)
    assert stream.getvalue() == "success\n"


async def test_bars_keep_the_order_in_which_they_began():
    stream = io.StringIO()
    async with ProgressLines(stream) as lines:
        for digest, done in (("a", 1), ("b", 1), ("b", 20), ("a", 20)):
            lines.set_bar(digest, f"pulling {digest}:", Progress("", digest, 20, done))
    assert [line.split(":")[0] for line in stream.getvalue().splitlines()] == ["pulling a", "pulling b"]


async def test_two_steps_that_share_a_digest_have_a_bar_each():
    stream = io.StringIO()
    async with ProgressLines(stream) as lines:
        both = [Progress(status, "made", 20, 20) for status in ("merging", "quantizing")]
        await lines.follow(frames(*both, Progress("success")), lambda progress: f"{progress.status}:")
    assert [line.split(":")[0] for line in stream.getvalue().splitlines()] == ["merging", "quantizing", "success"]


async def test_9_5_after_an_error_the_lines_reached_so_far_stay():
    stream = io.StringIO()

    async def broken() -> AsyncGenerator[Progress, None]:
        yield Progress("pulling manifest")
        yield Progress("", "a", 20, 5)
        raise EngineError("broken")

    async with ProgressLines(stream) as lines:
        with pytest.raises(EngineError, match="broken"):
            await lines.follow(broken(), label)
    assert stream.getvalue().splitlines() == ["pulling manifest", f"pulling a:  25% ▕{'█' * 7}{' ' * 22}▏    5 B/  20 B"]


async def test_9_5_without_lines_there_is_an_empty_one():
    stream = io.StringIO()
    async with ProgressLines(stream):
        pass
    assert stream.getvalue() == "\n"
