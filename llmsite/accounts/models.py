"""People and their credentials."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person. `is_superuser` is the role *admin*; everybody else has the role *user*."""

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        PENDING = "pending", _("waiting for approval")
        DISABLED = "disabled", _("disabled")

    email = models.EmailField(_("e-mail address"), blank=True)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.ACTIVE)
    language = models.CharField(_("language"), max_length=16, blank=True)

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint("email", condition=~models.Q(email=""), name="accounts_user_email_once"),
        ]

    @property
    def is_admin(self) -> bool:
        return self.is_superuser

    @property
    def can_sign_in(self) -> bool:
        """Whether the account is in use now; otherwise its sessions and keys are worth nothing."""
        return self.is_active and self.state == self.State.ACTIVE


class OwnerLink(models.Model):
    """The one-time right to make the first administrator. Only a hash of its token is stored; one link lives at a time."""

    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"owner link until {self.expires_at:%Y-%m-%d %H:%M}"

    @classmethod
    def issue(cls, valid_seconds: float) -> str:
        """A new token; older links end."""
        token = secrets.token_urlsafe(32)
        with transaction.atomic():
            cls.objects.all().delete()
            cls.objects.create(token_hash=hash_token(token), expires_at=timezone.now() + timedelta(seconds=valid_seconds))
        return token

    @classmethod
    def is_valid(cls, token: str) -> bool:
        """Whether this token could make an administrator now. Links end when an administrator exists."""
        return not has_admin() and cls._find(token).exists()

    @classmethod
    def use(cls, token: str) -> bool:
        """Use the link up; True for exactly one caller. Call inside the transaction that makes the account."""
        deleted, _rows = cls._find(token).delete()
        return deleted == 1 and not has_admin()

    @classmethod
    def _find(cls, token: str) -> models.QuerySet[OwnerLink]:
        return cls.objects.filter(token_hash=hash_token(token), expires_at__gt=timezone.now())


class ApiKey(models.Model):
    """A program's right to use the REST API in its owner's name; `keys.py` makes and finds them.

    Only a hash of the key is stored; `prefix` is its beginning, by which people and the database recognise it.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="keys", verbose_name=_("owner"))
    name = models.CharField(_("name"), max_length=80, blank=True)
    prefix = models.CharField(_("prefix"), max_length=24, db_index=True)
    key_hash = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(_("scopes"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.user.username}"


def has_admin() -> bool:
    """Whether somebody can administer this site."""
    return User.objects.filter(is_superuser=True, is_active=True, state=User.State.ACTIVE).exists()


def hash_token(token: str) -> str:
    """A token has 256 random bits, so a plain hash is enough and can be looked up."""
    return hashlib.sha256(token.encode()).hexdigest()
