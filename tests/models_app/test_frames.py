"""Status lines stay, counts replace each other, and a job that starts again tells nothing twice."""

from __future__ import annotations

from llmsite.types.chunk import Progress
from models_app.frames import FrameLog, News, news_since

DIGEST, OTHER = "sha256:a", "sha256:b"


def test_lines_stay_and_counts_replace_each_other() -> None:
    log = FrameLog()
    told = [
        Progress("pulling manifest"),
        Progress("pulling a", DIGEST, 10),
        Progress("pulling b", OTHER, 5),
        Progress("pulling a", DIGEST, 10, 4),
        Progress("pulling a", DIGEST, 10, 4),
        Progress("parsing GGUF"),
        Progress("parsing GGUF"),
    ]
    assert [log.add(each) for each in told] == [
        *(News.LINE, News.LINE, News.LINE, News.COUNT, News.NOTHING, News.LINE, News.LINE),
    ]
    assert log.snapshot() == (told[0], told[3], told[2], told[5], told[6])


def test_one_digest_in_two_steps_is_two_lines() -> None:
    log = FrameLog()
    log.add(Progress("quantizing", DIGEST, 10, 10))
    assert log.add(Progress("validating", DIGEST, 10)) is News.LINE


def test_a_second_start_tells_only_what_is_new() -> None:
    before = [Progress("begin"), Progress("pulling a", DIGEST, 10, 6), Progress("begin")]
    log = FrameLog(before)
    assert log.add(Progress("begin")) is News.NOTHING
    assert log.add(Progress("begin")) is News.NOTHING
    assert log.add(Progress("begin")) is News.LINE, "an earlier start told it twice"
    assert log.add(Progress("pulling a", DIGEST, 10, 6)) is News.NOTHING
    assert log.snapshot() == (*before, Progress("begin"))


def test_only_what_no_start_had_reached_is_progress() -> None:
    log = FrameLog([Progress("begin"), Progress("pulling a", DIGEST, 10, 6)])
    for each in (Progress("begin"), Progress("pulling a", DIGEST, 10, 2), Progress("pulling a", DIGEST, 10, 6)):
        log.add(each)
        assert not log.has_progressed
    log.add(Progress("pulling a", DIGEST, 10, 7))
    assert log.has_progressed


def test_a_watcher_hears_what_it_has_not_heard() -> None:
    first = (Progress("begin"), Progress("a", DIGEST, 9, 1))
    later = (Progress("begin"), Progress("a", DIGEST, 9, 5), Progress("end"))
    assert list(news_since((), first)) == list(first)
    assert list(news_since(first, later)) == list(later[1:])
    assert list(news_since(later, later)) == []
