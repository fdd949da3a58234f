"""What every template may use: `csp_nonce`, `theme`, `themes`, `languages`, `language`, `version`, `principal`."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

import llmsite
from llmsite.accounts.authorize import ANONYMOUS

THEME_COOKIE: Final = "llmsite_theme"
THEMES: Final = (("system", _("System")), ("light", _("Light")), ("dark", _("Dark")))


def site(request: HttpRequest) -> dict[str, Any]:
    """Context processor."""
    return {
        "csp_nonce": getattr(request, "csp_nonce", ""),
        "theme": chosen_theme(request),
        "themes": THEMES,
        "languages": settings.LANGUAGES,
        "language": get_language() or settings.LANGUAGE_CODE,
        "version": llmsite.__version__,
        "principal": getattr(request, "principal", ANONYMOUS),
    }


def chosen_theme(request: HttpRequest) -> str:
    """The theme of the cookie, `system` without one."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return theme if theme in dict(THEMES) else THEMES[0][0]
