"""Where what the bench builds is kept: outside the tree, in the user's cache."""

import os
from pathlib import Path
from typing import Final

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmsite-bench"
