"""Rows about installed models: the catalogue that pages and `/api/tags` read. `catalogue.py` makes them from the manifests."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from llmsite.types.name import ModelName


class Blob(models.Model):
    """A layer's content in the store. `facts` is what the inspector found in a GGUF file (`store.gguf.GgufFacts`)."""

    digest = models.CharField(_("digest"), max_length=71, primary_key=True)
    size_bytes = models.BigIntegerField(_("size"))
    facts = models.JSONField(_("facts"), null=True, blank=True)

    class Meta:
        verbose_name = _("blob")
        verbose_name_plural = _("blobs")

    def __str__(self) -> str:
        return self.digest


class Model(models.Model):
    """A model's manifest on disk. `digest` is the manifest's; `manifest_ns` and `manifest_bytes` tell when its file changes.

    `error` says why the model cannot be used: then the fields from `template` on are empty, and lists for users leave it out.
    """

    host = models.CharField(_("host"), max_length=350)
    namespace = models.CharField(_("namespace"), max_length=80)
    model = models.CharField(_("model"), max_length=80)
    tag = models.CharField(_("tag"), max_length=80)
    digest = models.CharField(_("digest"), max_length=64, blank=True)
    manifest = models.TextField(_("manifest"), blank=True)
    manifest_ns = models.BigIntegerField(_("modified"))
    manifest_bytes = models.IntegerField(_("size of the manifest"))
    error = models.TextField(_("error"), blank=True)
    template = models.TextField(_("template"), blank=True)
    system = models.TextField(_("system prompt"), blank=True)
    parameters = models.JSONField(_("parameters"), default=dict)
    messages = models.JSONField(_("messages"), default=list)
    licenses = models.JSONField(_("licences"), default=list)
    details = models.JSONField(_("details"), default=dict)
    capabilities = models.JSONField(_("capabilities"), default=list)
    size_bytes = models.BigIntegerField(_("size"), default=0)
    is_pulled = models.BooleanField(_("pulled"), default=False)
    added_at = models.DateTimeField(_("added"), auto_now_add=True)
    blobs = models.ManyToManyField(Blob, related_name="models", verbose_name=_("blobs"))

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["host", "namespace", "model", "tag"], name="models_app_model_name_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["manifest_ns"], name="models_app_model_newest")]

    def __str__(self) -> str:
        return self.name.shortest

    @property
    def name(self) -> ModelName:
        return ModelName(self.host, self.namespace, self.model, self.tag)
