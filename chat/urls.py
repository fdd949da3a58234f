"""Routes of the chat. The root, `chat:home`, is answered through the API's root view."""

from __future__ import annotations

from django.urls import path

from chat import views
from chat.polling import poll

app_name = "chat"
urlpatterns = [
    path("", views.home, name="home"),
    path("c/<str:conversation_id>", views.conversation, name="conversation"),
    path("c/<str:conversation_id>/send", views.send, name="send"),
    path("c/<str:conversation_id>/rename", views.rename, name="rename"),
    path("c/<str:conversation_id>/delete", views.delete, name="delete"),
    path("c/<str:conversation_id>/m/<str:message_id>", views.message, name="message"),
    path("g/<str:message_id>/stop", views.stop, name="stop"),
    path("m/<str:message_id>/regenerate", views.regenerate, name="regenerate"),
    path("rail", views.rail, name="rail"),
    path("live/poll", poll, name="poll"),
]
