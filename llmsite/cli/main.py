"""`llmsite`: the table of verbs, and what every run of it has in common (catalogue 9.1).

Texts are Ollama's with our own name in them. Errors go to stderr as `Error: …` with exit code 1.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import llmsite
from llmsite import env
from llmsite.cli.arguments import (
    PROGRAM,
    Flag,
    UsageError,
    Verb,
    parse,
    suggestions,
    usage_of,
    usage_of_program,
)
from llmsite.cli.plain_text import plain
from llmsite.cli.rest import NoServer, Server
from llmsite.cli.verbs import check, cp, create, key, login, logout, ps, pull, push, rm, run, serve, show, stop, user
from llmsite.cli.verbs import list as list_verb
from llmsite.types.errors import LlmsiteError

VERBS: Final[tuple[Verb, ...]] = (
    *(serve.VERB, create.VERB, show.VERB, run.VERB, stop.VERB, pull.VERB, push.VERB, login.VERB, logout.VERB),
    *(list_verb.VERB, ps.VERB, cp.VERB, rm.VERB, user.VERB, key.VERB, check.VERB),
)

_SUMMARY: Final = "Large language models on your own machine"
_VERSION: Final = Flag("version", "Show version information", is_switch=True, short="v")
_HELP: Final = Flag("help", f"help for {PROGRAM}", is_switch=True, short="h")
_INTERRUPTED: Final = 130


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run_program(sys.argv[1:]))


def run_program(given: list[str]) -> int:
    """Do what the arguments say; returns the exit code."""
    try:
        return _dispatch(given)
    except (UsageError, LlmsiteError, env.BadVariable) as error:
        sys.stderr.write(f"Error: {plain(str(error))}\n")
        return 1
    except BrokenPipeError:  # the reader of a pipe went away, as in `llmsite list | head -1`
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _dispatch(given: list[str]) -> int:
    if not given or given[0].startswith("-"):
        return _run_root(given)
    name, rest = given[0], given[1:]
    if name == "help":
        return _help(rest)
    verb = find_verb(name)
    if verb is None:
        raise UsageError(_unknown_command(name))
    if verb.is_handed_on:
        arguments = parse(["--", *rest], ())
        return verb.run(arguments)
    arguments = parse(rest, verb.flags)
    if arguments.is_set("help"):
        sys.stdout.write(usage_of(verb, _describe))
        return 0
    problem = verb.check(len(arguments.words))
    if problem:
        raise UsageError(problem)
    return verb.run(arguments)


def find_verb(name: str) -> Verb | None:
    """The verb of that name or alias."""
    return next((each for each in VERBS if name == each.name or name in each.aliases), None)


def _unknown_command(name: str) -> str:
    text = f'unknown command "{name}" for "{PROGRAM}"'
    near = suggestions(name, VERBS)
    if not near:
        return text
    return text + "\n\nDid you mean this?\n" + "".join(f"\t{each}\n" for each in near)


def _run_root(given: list[str]) -> int:
    arguments = parse(given, (_VERSION,))
    if arguments.is_set("help"):
        sys.stdout.write(_usage())
        return 0
    if arguments.is_set("version"):
        return asyncio.run(_show_version())
    if arguments.words:
        raise UsageError(_unknown_command(arguments.words[0]))
    try:
        asyncio.run(_greet())
    except NoServer as error:
        sys.stderr.write(f"Error: {error}\n")
        return 0
    sys.stdout.write(_usage())
    return 0


def _help(words: list[str]) -> int:
    arguments = parse(words, ())
    if arguments.is_set("help"):
        sys.stdout.write(f"Help provides help for any command in the application.\nSimply type {PROGRAM} help [command].\n")
        return 0
    if not arguments.words:
        sys.stdout.write(_usage())
        return 0
    verb = find_verb(arguments.words[0])
    if verb is None:
        sys.stderr.write(f"Unknown help topic [`{' '.join(arguments.words)}`]\n{_usage(with_help=False)}")
        return 0
    sys.stdout.write(usage_of(verb, _describe))
    return 0


def _usage(*, with_help: bool = True) -> str:
    return usage_of_program(VERBS, _SUMMARY, (_HELP, _VERSION) if with_help else (_VERSION,))


def _describe(variable: str) -> str:
    return next(each.help for each in env.VARIABLES if each.name == variable)


async def _greet() -> None:
    async with Server() as server:
        await server.greet()


async def _show_version() -> int:
    """The server's version, and this program's where it differs or nobody answers."""
    try:
        async with Server() as server:
            versions = await server.get("/api/version")
        version = plain(str(versions.get("llmsite", versions["version"])))
        sys.stdout.write(f"{PROGRAM} version is {version}\n")
    except LlmsiteError:
        version = None
        sys.stdout.write(f"Warning: could not connect to a running {PROGRAM} instance\n")
    if version != llmsite.__version__:
        sys.stdout.write(f"Warning: client version is {llmsite.__version__}\n")
    return 0
