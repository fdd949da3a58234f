"""Figures as people read them: counts, durations, rates and sizes in the reader's language."""

from __future__ import annotations

from typing import Final

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

from llmsite.types.chunk import Phase

register = template.Library()
_FOLD_LINES: Final = 12
_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def _number(value: float, decimals: int) -> str:
    """Rounded; Django's own formatting cuts digits off."""
    return number_format(round(value, decimals), decimal_pos=decimals, use_l10n=True)


@register.filter
def count(value: int | None) -> str:
    """A whole number with its digits grouped."""
    return number_format(int(value or 0), decimal_pos=0, use_l10n=True, force_grouping=True)


@register.filter
def tokens(value: int | None) -> str:
    number = int(value or 0)
    return ngettext("%(count)s token", "%(count)s tokens", number) % {"count": count(number)}


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds: two decimals below a tenth, one below ten, none below a minute; else minutes and seconds."""
    value = float(seconds or 0)
    if value < 0.095:
        return gettext("%(seconds)s s") % {"seconds": _number(value, 2)}
    if value < 9.95:
        return gettext("%(seconds)s s") % {"seconds": _number(value, 1)}
    if value < 59.5:
        return gettext("%(seconds)s s") % {"seconds": _number(value, 0)}
    minutes, rest = divmod(round(value), 60)
    return gettext("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}


@register.filter
def rate(value: float | None) -> str:
    """Tokens per second: one decimal below ten."""
    number = float(value or 0)
    text = _number(number, 1 if number < 9.95 else 0)
    return gettext("%(rate)s tok/s") % {"rate": text}


@register.filter
def size(num_bytes: int | None) -> str:
    """Bytes in decimal units, as disks and model pages give them."""
    value, unit = float(num_bytes or 0), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    decimals = 1 if unit and value < 9.95 else 0
    return f"{_number(value, decimals)} {_UNITS[unit]}"


@register.filter
def eighths(phase: Phase | None) -> int:
    """How full the loading mark is drawn, 0 to 8."""
    return 0 if phase is None else max(0, min(8, round(phase.fraction * 8)))


@register.filter
def percent(fraction: float | None) -> str:
    return f"{round((fraction or 0) * 100)}%"


@register.filter
def is_long(text: str) -> bool:
    """Whether a message of one's own is folded at first: more than twelve lines of about sixty characters."""
    return sum(1 + len(line) // 60 for line in text.splitlines()) > _FOLD_LINES
