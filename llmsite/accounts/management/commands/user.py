"""`llmsite user add NAME`: accounts from the command line, also before the first start."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from llmsite import startup
from llmsite.accounts.forms import AccountForm


class Command(BaseCommand):
    help = "Manage accounts: user add NAME [--admin] [--email ADDRESS]"
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="make an account; the password is asked for, or read from standard input")
        add.add_argument("name")
        add.add_argument("--admin", action="store_true", help="may administer the site")
        add.add_argument("--email", default="", help="also signs in")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            startup.migrate()
        except startup.Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        first, second = self._ask_password()
        fields = {"username": options["name"], "email": options["email"], "password1": first, "password2": second}
        form = AccountForm(fields)
        if not form.is_valid():
            raise CommandError("\n".join(form.error_lines()))
        user = form.make(is_admin=options["admin"])
        self.stdout.write(f"{user.username} can sign in now" + (", as an administrator" if user.is_admin else ""))

    def _ask_password(self) -> tuple[str, str]:
        if sys.stdin.isatty():
            return getpass.getpass("Password: "), getpass.getpass("Password again: ")
        line = sys.stdin.readline().rstrip("\r\n")
        return line, line
