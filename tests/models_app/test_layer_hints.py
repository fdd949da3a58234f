"""Where the database cannot tell of changes, the channel layer does; and a lost hint only costs a second."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from models_app import layer_hints
from models_app.layer_hints import GROUP, LayerHints


def test_a_hint_is_heard_once() -> None:
    hints = LayerHints()
    try:
        assert hints.has_changed(), "the first look finds everything"
        hints._last_look = float("inf")  # none of the looks that come anyway
        assert not hints.has_changed()
        layer = get_channel_layer()
        assert layer is not None
        async_to_sync(layer.group_send)(GROUP, {"type": "jobs.changed"})
        assert any(hints.has_changed() for _ in range(10))
        assert not any(hints.has_changed() for _ in range(10))
    finally:
        hints.close()


def test_without_hints_it_looks_all_the_same() -> None:
    hints = LayerHints()
    try:
        hints.has_changed()
        hints._last_look -= layer_hints._ANYWAY_SECONDS + 1
        assert hints.has_changed()
    finally:
        hints.close()
