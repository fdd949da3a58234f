"""How log lines look: one event a line, whatever a name, header or model put into it (threat T58)."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LONGEST: Final = 8 * 1024


class OneLine(logging.Formatter):
    """Escapes control characters of the message; a trace follows on lines of its own, indented, so that it forges no event."""

    def format(self, record: logging.LogRecord) -> str:
        trace = ""
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            trace = "".join(f"\n    {_escape(line)}" for line in record.exc_text.splitlines())
        head = f"{self.formatTime(record)} {record.levelname:<7} {record.name}: "
        return head + _escape(record.getMessage())[:_LONGEST] + trace


def _escape(text: str) -> str:
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def configuration(*, is_verbose: bool) -> dict[str, Any]:
    """For Django's LOGGING."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": OneLine}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": "INFO" if is_verbose else "WARNING"},
        "loggers": {
            "django": {"level": "INFO" if is_verbose else "ERROR", "handlers": ["console"], "propagate": False},
            "llmsite": {"level": "DEBUG" if is_verbose else "INFO"},
            "daphne": {"level": "WARNING"},
            "twisted": {"level": "CRITICAL"},
            "axes": {"level": "WARNING"},
        },
    }
