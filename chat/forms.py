"""What the pages of the chat send."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

_ID_CHARS = 64


class SendForm(forms.Form):
    """A message with the leaf the reader saw and the token of the form. `suggestion` is the text of the button pressed."""

    text = forms.CharField(required=False, strip=False)
    suggestion = forms.CharField(required=False, max_length=1000)
    model = forms.CharField(required=False, max_length=700)
    parent = forms.CharField(required=False, max_length=_ID_CHARS)
    send_token = forms.CharField(max_length=_ID_CHARS)
    think = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        """One `text`, line ends as people mean them."""
        data = super().clean() or {}
        text = (data.get("suggestion") or data.get("text") or "").replace("\r\n", "\n").strip("\n")
        if not text.strip():
            raise forms.ValidationError(_("Write something first."), code="empty")
        if len(text) > settings.LLMSITE_LIMITS.message_chars:
            raise forms.ValidationError(_("This message is too long for one."), code="too_long")
        return data | {"text": text}


class RenameForm(forms.Form):
    title = forms.CharField(max_length=200)
