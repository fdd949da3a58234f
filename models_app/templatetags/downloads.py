"""The dock of downloads, for the shell around every page of an administrator."""

from __future__ import annotations

from django import template
from django.template import Context

from llmsite.accounts.authorize import Action, may
from models_app.progress import Board, read_board

register = template.Library()


@register.simple_tag(takes_context=True)
def downloads_board(context: Context) -> Board | None:
    """All downloads; None for people who have nothing to do with them."""
    if not may(context["principal"], Action.MANAGE):
        return None
    board: Board = context.get("board") or read_board()
    return board
