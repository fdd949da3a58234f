"""`llmsite key add|list|remove`: API keys from the command line. Whoever has this shell may give any right that keys can have."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from llmsite import startup
from llmsite.accounts.authorize import SCOPES
from llmsite.accounts.keys import DEFAULT_SCOPES, issue_key, list_keys, remove_key
from llmsite.accounts.models import User
from llmsite.types.errors import LlmsiteError


class Command(BaseCommand):
    help = "Manage API keys: key add USER, key list [USER], key remove PREFIX"
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="make a key for an account and print it, once")
        add.add_argument("user")
        add.add_argument("--name", default="", help="what it is for")
        add.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            choices=SCOPES,
            help=f"what it may do, again for more; without one: {', '.join(DEFAULT_SCOPES)}",
        )
        add.add_argument("--days", type=int, help="ends after so many days")
        listing = verbs.add_parser("list", help="the keys of an account, or of all")
        listing.add_argument("user", nargs="?", default="")
        remove = verbs.add_parser("remove", help="end a key; it is named by its beginning, as the list shows it")
        remove.add_argument("prefix")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            startup.migrate()
            match options["verb"]:
                case "add":
                    self._add(options["user"], options["name"], options["scopes"] or DEFAULT_SCOPES, options["days"])
                case "list":
                    self._list(options["user"])
                case _:
                    removed = remove_key(options["prefix"])
                    self.stdout.write(f"{removed} is worth nothing from now on")
        except (startup.Refused, LlmsiteError) as error:
            raise CommandError(str(error)) from error

    def _add(self, username: str, name: str, scopes: Sequence[str], days: int | None) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f'there is no account "{username}"; make it first: llmsite user add {username}')
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        self.stdout.write(issue_key(user, name=name[:80], scopes=scopes, expires_at=expires_at))
        self.stderr.write("keep it: it is not shown again")

    def _list(self, username: str) -> None:
        rows = [("KEY", "USER", "NAME", "SCOPES", "LAST USED", "EXPIRES")]
        rows += [
            (f"{key.prefix}…", key.user.username, key.name, ",".join(key.scopes), _day(key.last_used_at), _day(key.expires_at))
            for key in list_keys(username)
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            self.stdout.write("    ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"
