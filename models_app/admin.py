"""Rows about models in Django's admin, to look at: the manifests on disk are the truth, so editing here would lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.contrib import admin
from django.db.models import Model as AnyModel
from django.http import HttpRequest

from models_app.models import Blob, Model

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[AnyModel]  # the stubs' parameter, which Django's class does not take
else:
    _Admin = admin.ModelAdmin


class _ReadOnly(_Admin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AnyModel | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AnyModel | None = None) -> bool:
        return False


@admin.register(Model)
class ModelAdmin(_ReadOnly):
    list_display = ("__str__", "digest", "size_bytes", "capabilities", "error")
    search_fields = ("host", "namespace", "model", "tag", "digest")
    list_filter: ClassVar = ["is_pulled"]


@admin.register(Blob)
class BlobAdmin(_ReadOnly):
    list_display = ("digest", "size_bytes")
    search_fields = ("digest",)
