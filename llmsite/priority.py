"""How much of the processor our processes claim beside those that answer people."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_NICE: Final = 15
_AUTOGROUP: Final = Path("/proc/self/autogroup")


def step_back() -> None:
    """From now on this process and all it starts compute mostly when nobody is being answered.

    Linux shares its processors among sessions first where it groups processes by them (`man 7 sched`, autogroup). Inside such a
    group of our own niceness says nothing to the others, so the group gets it too. Where there are no such groups (containers,
    other systems) niceness alone counts.
    """
    os.nice(_NICE)
    with suppress(OSError):  # no such groups here, or changed a moment ago: then this is as polite as it gets
        _AUTOGROUP.write_text(str(_NICE))
