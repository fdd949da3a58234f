"""Rows about installed models, which `catalogue.py` makes from the manifests, and about jobs, which are the truth themselves."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
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


class JobState(models.TextChoices):
    """Where a job is. It leaves the last three only when somebody resumes it."""

    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELED = "canceled", _("Cancelled")


OPEN_STATES = (JobState.QUEUED, JobState.RUNNING)


class Job(models.Model):
    """Work of the job worker: pull, push, create. This row is the truth; a message of the broker only wakes a worker.

    `owner` is the process that runs it (`owners.py`) until `lease_until`; each claim raises `fence`, and whoever holds an older
    number writes nothing more. `num_starts` counts since the last progress. `seq` rises with every change that watchers see.
    `frames` are `Progress` frames as dicts, `watchers` the processes in which somebody waits for the end. While a job is open,
    `error` is why it was asked to end, where there is more to say than that it was.
    """

    kind = models.CharField(_("kind"), max_length=20)
    name = models.CharField(_("name"), max_length=600)
    request = models.JSONField(_("request"), default=dict)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("started by"))
    state = models.CharField(_("state"), max_length=10, choices=JobState, default=JobState.QUEUED)
    is_cancel_requested = models.BooleanField(_("to be cancelled"), default=False)
    leaves_with_watchers = models.BooleanField(_("ends with its watchers"), default=False)
    watchers = models.JSONField(_("watchers"), default=list)
    owner = models.CharField(_("owner"), max_length=200, blank=True)
    fence = models.PositiveIntegerField(_("claims"), default=0)
    lease_until = models.DateTimeField(_("lease until"), null=True, blank=True)
    num_starts = models.PositiveIntegerField(_("starts without progress"), default=0)
    seq = models.PositiveBigIntegerField(_("changes"), default=1)
    frames = models.JSONField(_("progress"), default=list)
    error_class = models.CharField(_("kind of error"), max_length=40, blank=True)
    error = models.TextField(_("error"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        indexes: ClassVar = [models.Index(fields=["state", "kind"], name="models_app_job_state")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in OPEN_STATES
