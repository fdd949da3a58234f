"""A terminal of 100 columns with the command line in it: keys go in, the screen comes out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

_IN_TERMINAL = """
import fcntl, signal, termios
signal.signal(signal.SIGINT, signal.default_int_handler)  # as a login gives it; a test run in the background ignores it
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from llmsite.cli.main import main
main()
"""
_PARTS = re.compile(r"\x1b\[\?[0-9;]*[hl]|\x1b\[\d*D|\x1b\[[0-9;]*[A-Za-z]|\r|\n|\x08|\x07|[^\x1b\r\n\x08\x07]+|\x1b")
_SECONDS = 60.0


class Terminal:
    """Starts `llmsite` on a pseudo-terminal. `type` sends keys, `wait_for` reads until a text is on the screen."""

    def __init__(self, argv: list[str], environ: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, *argv],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environ | {"TERM": "xterm"},
        )  # fmt: skip
        os.close(slave)
        self.written = ""

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, pattern: str, count: int = 1) -> None:
        """Until the pattern was written so many times since the start."""
        deadline = time.monotonic() + _SECONDS
        while len(re.findall(pattern, self.written)) < count:
            assert time.monotonic() < deadline, f"{pattern!r} did not come:\n{self.written}"
            assert self._read(), f"{pattern!r} did not come before the end:\n{self.written}"

    def finish(self) -> int:
        """Read to the end; returns the exit code."""
        while self._read():
            pass
        return self._process.wait(_SECONDS)

    def close(self) -> None:
        """End it whatever it is doing."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        assert select.select([self._master], [], [], _SECONDS)[0], f"nothing came for {_SECONDS:g} s:\n{self.written}"
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # Linux tells so that the last process closed the terminal
            return False
        self.written += piece.decode()
        return bool(piece)

    @property
    def screen(self) -> list[str]:
        """The lines as a person sees them, without colours, blanks at their ends and empty lines at the bottom."""
        return "\n".join(line.rstrip() for line in screen_of(self.written)).rstrip("\n").split("\n")


def screen_of(written: str) -> list[str]:
    """What a terminal shows: characters taken back are overwritten, `ESC[K` erases to the end of the line, `ESC[A` goes up."""
    lines, row, column = [""], 0, 0
    for part in _PARTS.findall(written):
        if part == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        elif part == "\r":
            column = 0
        elif part == "\x08":
            column = max(column - 1, 0)
        elif part.startswith("\x1b["):
            if part.endswith("D"):
                column = max(column - int(part[2:-1] or 1), 0)
            elif part.endswith("A"):
                row = max(row - int(part[2:-1] or 1), 0)
            elif part.endswith("K"):
                lines[row] = lines[row][:column]
        elif part != "\x07":
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return lines
