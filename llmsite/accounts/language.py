"""Which language a page speaks: the account's, then the cookie's, then what the browser accepts (ui-spec 13)."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

from llmsite.accounts.models import User

_CHINESE: Final = ("zh", "zh-cn", "zh-hans", "zh-sg", "zh-my")


def known_languages() -> tuple[str, ...]:
    """Codes of the languages that the pages are written in."""
    return tuple(code for code, _ in settings.LANGUAGES)


def choose_language(request: HttpRequest, user: User | None) -> str:
    """Code of the language for this request."""
    candidates = (user.language if user else "", request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, ""))
    for candidate in candidates:
        if candidate in known_languages():
            return candidate
    return _accepted(request.headers.get("Accept-Language", "")) or settings.LANGUAGE_CODE


def _accepted(header: str) -> str:
    """First acceptable language that we have. Traditional Chinese is not Simplified: zh-TW and zh-Hant do not match."""
    for code, weight in parse_accept_lang_header(header.lower()):
        if not weight:
            continue
        if code in _CHINESE or code.startswith("zh-hans-"):
            return "zh-hans"
        if code.partition("-")[0] == "en":
            return "en"
    return ""
