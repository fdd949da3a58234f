"""Routes of all apps."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from api.urls import make_urls
from chat.pages import rail_of
from chat.views import home
from llmsite.accounts.authorize import Action
from llmsite.accounts.middleware import guarded
from models_app.urls import make_urls as make_model_urls

handler400 = "llmsite.accounts.refusals.bad_request"
handler403 = "llmsite.accounts.refusals.permission_denied"
handler404 = "llmsite.accounts.refusals.page_not_found"
handler500 = "llmsite.accounts.refusals.server_error"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include((make_urls(page=guarded(home, Action.CHAT)), "api"))),
    path("", include("llmsite.accounts.urls")),
    path("", include("chat.urls")),
    path("", include((make_model_urls(rail=rail_of), "models"))),
    path("admin/rows/", admin.site.urls),
]
