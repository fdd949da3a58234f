"""A process is known to be dead as soon as it is; what cannot be known is left to the lease."""

from __future__ import annotations

import os
import subprocess
import sys

from models_app import owners


def test_this_process_lives_and_has_one_name() -> None:
    assert owners.this_process() == owners.this_process()
    assert not owners.is_dead(owners.this_process())


def test_a_process_that_ended_is_dead_before_anybody_waited_for_it() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "from models_app import owners; print(owners.this_process(), flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    name = child.stdout.readline().strip()
    assert name != owners.this_process()
    assert not owners.is_dead(name)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owners.is_dead(name)
    child.wait()
    assert owners.is_dead(name)
    child.stdin.close()
    child.stdout.close()


def test_another_process_with_the_same_pid_is_not_the_owner() -> None:
    node, pid, mark = owners.this_process().split("|")
    assert owners.is_dead("|".join((node, pid, mark + "0")))


def test_processes_of_other_machines_are_not_known_to_be_dead() -> None:
    assert not owners.is_dead("elsewhere|1|0")
    assert not owners.is_dead("")
