"""API keys in Django's admin: to look at and to end. They are made on the command line, which shows them once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest

from llmsite.accounts.models import ApiKey

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[ApiKey]  # the stubs' parameter, which Django's class does not take
else:
    _Admin = admin.ModelAdmin


@admin.register(ApiKey)
class ApiKeyAdmin(_Admin):
    list_display = ("prefix", "user", "name", "scopes", "last_used_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("prefix", "name", "user__username")
    exclude = ("key_hash",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False
