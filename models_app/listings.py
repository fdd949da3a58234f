"""What stands in GGUF files, for whoever shows a model: asked of the inspector, remembered as far as that costs little."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final
from weakref import WeakValueDictionary

from llmsite.inspector.pool import InspectorPool
from llmsite.store.blobs import BlobStore
from llmsite.store.gguf_listing import GgufListing

_REMEMBERED: Final = 64
_HIDDEN: Final = ("general.name", "tokenizer.chat_template")


class Listings:
    """Short listings stay; whole ones, which are megabytes, are shared while somebody still sends one. For the event loop."""

    def __init__(self) -> None:
        self._short: OrderedDict[tuple[str, bool], GgufListing] = OrderedDict()
        self._whole: WeakValueDictionary[tuple[str, bool], GgufListing] = WeakValueDictionary()

    async def of(
        self, digest: str, blobs: BlobStore, inspector: InspectorPool, *, is_verbose: bool, is_projector: bool = False
    ) -> GgufListing:
        """The listing of a GGUF blob; names and template are told elsewhere, except a projector's (catalogue 2.15).

        Raises `InvalidModelFile`, `NotFound`, `LoadFailed`.
        """
        key = (digest, is_projector)
        known = (self._whole if is_verbose else self._short).get(key)
        if known is not None:
            return known
        hidden = () if is_projector else _HIDDEN
        listing = await inspector.list_gguf(blobs.checked_path(digest), with_arrays=is_verbose, hidden=hidden)
        if is_verbose:
            return self._whole.setdefault(key, listing)
        self._short[key] = listing
        if len(self._short) > _REMEMBERED:
            self._short.popitem(last=False)
        return listing
