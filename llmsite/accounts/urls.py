"""Routes of the accounts app."""

from __future__ import annotations

from django.urls import path

from llmsite.accounts import views

app_name = "accounts"
urlpatterns = [
    path("setup", views.setup, name="setup"),
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-out", views.sign_out, name="sign_out"),
    path("language", views.language, name="language"),
    path("theme", views.theme, name="theme"),
]
