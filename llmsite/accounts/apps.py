"""The app under the three apps."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "llmsite.accounts"
    label = "accounts"
    verbose_name = "Accounts"
