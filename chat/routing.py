"""Websocket routes of the chat."""

from __future__ import annotations

from django.urls import path

from chat.consumers import TabConsumer

websocket_urlpatterns = [path("ws/ui/", TabConsumer.as_asgi())]
