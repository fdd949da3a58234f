"""People and their credentials."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
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
