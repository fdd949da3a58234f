"""Rows about models and jobs in Django's admin, to look at: manifests and the worker are the truth, so editing here would lie.

What may be done to a job is done by `jobs.py`, as from anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.db.models import Model as AnyModel
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from llmsite.types.errors import LlmsiteError
from models_app import jobs, tasks
from models_app.models import Blob, Job, Model

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


class _UsableFilter(admin.SimpleListFilter):
    title = _("usable")
    parameter_name = "usable"

    def lookups(self, request: HttpRequest, model_admin: _Admin) -> list[tuple[str, str]]:
        return [("yes", str(_("Yes"))), ("no", str(_("No")))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AnyModel]) -> QuerySet[AnyModel]:
        match self.value():
            case "yes":
                return queryset.filter(error="")
            case "no":
                return queryset.exclude(error="")
        return queryset


@admin.register(Model)
class ModelAdmin(_ReadOnly):
    list_display = ("__str__", "digest", "size_bytes", "capabilities", "added_at", "error")
    search_fields = ("host", "namespace", "model", "tag", "digest", "blobs__digest")
    list_filter: ClassVar = ["is_pulled", _UsableFilter, "host"]
    actions = ("read_again",)

    @admin.action(description=_("Compare all rows with the manifests on disk"))
    def read_again(self, request: HttpRequest, queryset: QuerySet[AnyModel]) -> None:
        tasks.refresh()
        self.message_user(request, _("The rows are those of the manifests."))


@admin.register(Blob)
class BlobAdmin(_ReadOnly):
    list_display = ("digest", "size_bytes", "num_models")
    search_fields = ("digest", "models__model")
    readonly_fields = ("num_models",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AnyModel]:
        rows: QuerySet[AnyModel] = super().get_queryset(request)
        counted: QuerySet[AnyModel] = rows.annotate(num_models=Count("models"))
        return counted

    @admin.display(description=_("models"), ordering="num_models")
    def num_models(self, blob: AnyModel) -> int:
        count: int = blob.num_models  # type: ignore[attr-defined]
        return count


@admin.register(Job)
class JobAdmin(_ReadOnly):
    list_display = ("id", "kind", "name", "state", "last_frame", "user", "created_at", "finished_at", "error")
    list_display_links = ("id", "name")
    search_fields = ("name", "error", "owner", "user__username")
    list_filter: ClassVar = ["kind", "state", "created_at"]
    date_hierarchy = "created_at"
    list_select_related: ClassVar = ["user"]
    actions = ("cancel", "resume", "discard")

    @admin.display(description=_("progress"))
    def last_frame(self, job: AnyModel) -> str:
        frames: list[dict[str, int | str]] = job.frames  # type: ignore[attr-defined]
        if not frames:
            return ""
        last = frames[-1]
        return f"{last['status']} {last['completed']}/{last['total']}" if last["total"] else str(last["status"])

    @admin.action(description=_("Cancel"))
    def cancel(self, request: HttpRequest, queryset: QuerySet[AnyModel]) -> None:
        self._each(request, queryset, jobs.cancel)

    @admin.action(description=_("Resume"))
    def resume(self, request: HttpRequest, queryset: QuerySet[AnyModel]) -> None:
        self._each(request, queryset, jobs.resume)

    @admin.action(description=_("Forget, and remove what is half done"))
    def discard(self, request: HttpRequest, queryset: QuerySet[AnyModel]) -> None:
        self._each(request, queryset, jobs.discard)

    def _each(self, request: HttpRequest, queryset: QuerySet[AnyModel], act: Callable[[int], None]) -> None:
        """Do it to each job, and say for which it was not possible."""
        done = 0
        for job in queryset:
            try:
                act(job.pk)
                done += 1
            except LlmsiteError as error:
                self.message_user(request, f"{job}: {error}", messages.WARNING)
        if done:
            self.message_user(request, ngettext("%(count)d job", "%(count)d jobs", done) % {"count": done})
