"""A process that stepped back says so itself: what counts is what the kernel holds for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os
from llmsite.priority import step_back
step_back()
print(os.getpriority(os.PRIO_PROCESS, 0))
print(open("/proc/self/autogroup").read() if os.path.exists("/proc/self/autogroup") else "")
"""


@pytest.fixture(scope="module")
def told() -> tuple[int, str]:
    """Niceness of a process in a session of its own, as the worker is, and what its group of the scheduler is called."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, start_new_session=True)
    niceness, _, group = ran.stdout.partition("\n")
    return int(niceness), group.strip()


def test_a_process_is_nicer_than_before(told: tuple[int, str]) -> None:
    assert told[0] == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 15)


def test_so_is_its_group_of_the_scheduler(told: tuple[int, str]) -> None:
    groups = Path("/proc/sys/kernel/sched_autogroup_enabled")
    if not groups.exists() or groups.read_text().strip() != "1" or not told[1].startswith("/autogroup-"):
        pytest.skip("this system does not group processes by session")
    assert told[1].endswith("nice 15")
