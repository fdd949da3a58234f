"""Conversations in Django's administration: who has how many and how large, never what is in them.

Others' words are read only through an export that leaves a trace; so there is no text here and nothing can be changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest

from chat.models import Conversation

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Conversation]
else:
    Base = admin.ModelAdmin


@admin.register(Conversation)
class ConversationAdmin(Base):
    list_display = ("id", "owner", "model", "created_at", "updated_at")
    list_filter = ("owner",)
    search_fields = ("id", "owner__username", "model")
    date_hierarchy = "updated_at"
    fields = ("id", "owner", "model", "created_at", "updated_at")
    readonly_fields = ("id", "owner", "model", "created_at", "updated_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Conversation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Conversation | None = None) -> bool:
        return False
