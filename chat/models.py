"""Rows of a conversation: the conversation and its tree of messages. No behaviour beyond what one row can say of itself."""

from __future__ import annotations

import secrets
from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

ID_CHARS: Final = 22
"""Length of the random ids: letters, digits, `-` and `_` (128 bits and a little)."""


def new_id() -> str:
    return secrets.token_urlsafe(16)


class State(models.TextChoices):
    """Life of an answer (ui-spec 5). A question is `done` from the start."""

    WAITING = "waiting", _("not answered")
    QUEUED = "queued", _("queued")
    LOADING = "loading", _("loading")
    READING = "reading", _("reading")
    THINKING = "thinking", _("thinking")
    WRITING = "writing", _("writing")
    STOPPING = "stopping", _("stopping")
    DONE = "done", _("done")
    STOPPED = "stopped", _("stopped")
    LIMIT = "limit", _("limit")
    INTERRUPTED = "interrupted", _("interrupted")
    FAILED = "failed", _("failed")


ACTIVE: Final = (State.QUEUED, State.LOADING, State.READING, State.THINKING, State.WRITING, State.STOPPING)
"""States in which a task is at work on the answer."""


class Role(models.TextChoices):
    USER = "user", _("user")
    ASSISTANT = "assistant", _("assistant")


class Conversation(models.Model):
    """One chat of one person. `active_leaf` is the last message of the path on screen."""

    id = models.CharField(primary_key=True, max_length=ID_CHARS)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations")
    title = models.CharField(_("title"), max_length=200, blank=True)
    model = models.CharField(_("model"), max_length=700, blank=True)
    active_leaf = models.ForeignKey("chat.Message", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    is_unseen = models.BooleanField(_("finished unseen"), default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(_("last activity"))

    mark: str = ""
    """For lists: the state of its running answer, `unseen`, or nothing."""

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        indexes: ClassVar = [models.Index(fields=["owner", "-updated_at"], name="chat_conversation_recent")]

    def __str__(self) -> str:
        return self.title or self.id


class Message(models.Model):
    """One turn. An answer is a row from the first moment; its text is at most a second behind `generation.py`.

    `number` counts the messages of a conversation in the order they were made (clocks jump, numbers do not).
    `seq` grows with every change of an answer: the cursor of tabs that resume. Durations are nanoseconds, as in `Metrics`.
    """

    id = models.CharField(primary_key=True, max_length=ID_CHARS, default=new_id)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="children")
    number = models.PositiveIntegerField()
    role = models.CharField(_("role"), max_length=16, choices=Role.choices)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.DONE)
    content = models.TextField(_("content"), blank=True)
    thinking = models.TextField(_("thinking"), blank=True)
    thinking_seconds = models.FloatField(default=0)
    model = models.CharField(_("model"), max_length=700, blank=True)
    model_digest = models.CharField(max_length=64, blank=True)
    think = models.JSONField(null=True, blank=True)
    error = models.TextField(_("error"), blank=True)
    send_token = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001 - several rows without a token
    seq = models.PositiveBigIntegerField(default=0)

    prompt_eval_count = models.PositiveBigIntegerField(default=0)
    cached_count = models.PositiveBigIntegerField(default=0)
    eval_count = models.PositiveBigIntegerField(default=0)
    prompt_eval_duration = models.PositiveBigIntegerField(default=0)
    eval_duration = models.PositiveBigIntegerField(default=0)
    load_duration = models.PositiveBigIntegerField(default=0)
    total_duration = models.PositiveBigIntegerField(default=0)
    first_word_duration = models.PositiveBigIntegerField(default=0)

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["conversation", "number"], name="chat_message_number_once"),
            models.UniqueConstraint(fields=["conversation", "send_token"], name="chat_message_token_once"),
            models.UniqueConstraint(
                fields=["conversation"], condition=models.Q(state__in=ACTIVE), name="chat_message_one_active"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.number}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_answer(self) -> bool:
        return self.role == Role.ASSISTANT
