"""How static files are stored: hashed names, compressed beside, and imports between our script modules rewritten to match."""

from __future__ import annotations

from typing import ClassVar, Final

from servestatic.storage import CompressedManifestStaticFilesStorage

_NAMED: Final = (
    r"""(?P<matched>import(?P<names>\s*\{[^}]*\})\s*from\s*"(?P<url>\./[^"]+)";)""",
    """import%(names)s from "%(url)s";""",
)
_BARE: Final = (r"""(?P<matched>import\s*"(?P<url>\./[^"]+)";)""", """import "%(url)s";""")


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Our modules load each other by hashed names, so no cache mixes two versions.

    Django's own switch for this also rewrites what looks like an import in comments of other people's files.
    """

    patterns: ClassVar = (*CompressedManifestStaticFilesStorage.patterns, ("js/*.js", (_NAMED, _BARE)))
