"""Flags and arguments of a verb: reading them, and the usage text. Texts are those of Ollama's command line (catalogue 9.1).

Grammar: `--name`, `--name=value`, `--name value`, `-x`, `-xy`, `-x value`; flags and words mix; `--` ends the flags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PROGRAM: Final = "llmsite"
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class UsageError(Exception):
    """Arguments that cannot be meant. The text is the sentence after `Error: `."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. A switch is true or false; others take text, or `alone` when they stand without a value."""

    name: str
    help: str
    is_switch: bool = False
    short: str = ""
    alone: str | None = None

    @property
    def attribute(self) -> str:
        return self.name.replace("-", "_")

    @property
    def display(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"

    @property
    def usage(self) -> str:
        """The left column of the usage text."""
        kind = "" if self.is_switch else " string" if self.alone is None else f' string[="{self.alone}"]'
        return (f"  -{self.short}, " if self.short else "      ") + f"--{self.name}{kind}"


HELP: Final = Flag("help", "", is_switch=True, short="h")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was given: words in order, and the values of flags by attribute name (None or False when absent)."""

    words: tuple[str, ...]
    values: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        value = self.values[name]
        return None if value is None else str(value)

    def is_set(self, name: str) -> bool:
        return bool(self.values[name])


CheckWords = Callable[[int], str]
"""Number of words to what is wrong with it, empty when fine."""


def exactly(count: int) -> CheckWords:
    return lambda given: "" if given == count else f"accepts {count} arg(s), received {given}"


def at_least(count: int) -> CheckWords:
    return lambda given: "" if given >= count else f"requires at least {count} arg(s), only received {given}"


def any_number(given: int) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Verb:
    """One row of the argument table. `run` returns the exit code.

    `is_handed_on`: the words go to another program as they are. `variables` are described in the usage text.
    """

    name: str
    usage: str
    summary: str
    run: Callable[[Arguments], int]
    check: CheckWords = any_number
    flags: tuple[Flag, ...] = ()
    aliases: tuple[str, ...] = ()
    variables: tuple[str, ...] = field(default=("OLLAMA_HOST",))
    is_handed_on: bool = False


def parse(given: list[str], flags: tuple[Flag, ...]) -> Arguments:
    """Words and flags. `--help` is always known. Raises `UsageError`."""
    by_name = {each.name: each for each in (*flags, HELP)}
    by_short = {each.short: each for each in (*flags, HELP) if each.short}
    values: dict[str, Any] = {each.attribute: False if each.is_switch else None for each in by_name.values()}
    words: list[str] = []
    waiting = list(given)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            words += waiting
            break
        if argument.startswith("--"):
            _read_long(argument, by_name, values, waiting)
        elif argument.startswith("-") and argument != "-":
            _read_short(argument, by_short, values, waiting)
        else:
            words.append(argument)
    return Arguments(tuple(words), values)


def _read_long(argument: str, flags: Mapping[str, Flag], values: dict[str, Any], waiting: list[str]) -> None:
    name, equals, value = argument[2:].partition("=")
    flag = flags.get(name)
    if flag is None:
        raise UsageError(f"unknown flag: --{name}")
    if equals:
        values[flag.attribute] = _value(flag, value)
    elif flag.is_switch:
        values[flag.attribute] = True
    elif flag.alone is not None:
        values[flag.attribute] = flag.alone
    elif waiting:
        values[flag.attribute] = _value(flag, waiting.pop(0))
    else:
        raise UsageError(f"flag needs an argument: --{name}")


def _read_short(argument: str, flags: Mapping[str, Flag], values: dict[str, Any], waiting: list[str]) -> None:
    letters = argument[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = flags.get(letter)
        if flag is None:
            raise UsageError(f"unknown shorthand flag: {letter!r} in {argument}")
        if letters.startswith("="):
            values[flag.attribute] = _value(flag, letters[1:])
            return
        if flag.is_switch:
            values[flag.attribute] = True
            continue
        if not letters and not waiting:
            raise UsageError(f"flag needs an argument: {letter!r} in {argument}")
        values[flag.attribute] = _value(flag, letters or waiting.pop(0))
        return


def _value(flag: Flag, text: str) -> Any:
    if not flag.is_switch:
        return text if text or flag.alone is None else flag.alone
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    problem = f'strconv.ParseBool: parsing "{text}": invalid syntax'
    raise UsageError(f'invalid argument "{text}" for "{flag.display}" flag: {problem}')


def usage_of(verb: Verb, describe: Callable[[str], str]) -> str:
    """The help of one verb. `describe` gives the line for an environment variable."""
    lines = [verb.summary, "", "Usage:", f"  {PROGRAM} {verb.usage} [flags]"]
    if verb.aliases:
        lines += ["", "Aliases:", "  " + ", ".join((verb.name, *verb.aliases))]
    help_flag = Flag("help", f"help for {verb.name}", is_switch=True, short="h")
    lines += ["", "Flags:", *_columns([(each.usage, each.help) for each in sorted((*verb.flags, help_flag), key=_by_name)])]
    if verb.variables:
        rows = [(f"      {name}", describe(name)) for name in verb.variables]
        lines += ["", "Environment Variables:", *_columns(rows)]
    return "\n".join(lines) + "\n"


def usage_of_program(verbs: tuple[Verb, ...], summary: str, flags: tuple[Flag, ...]) -> str:
    """The help of the program: its verbs and flags."""
    lines = [summary, "", "Usage:", f"  {PROGRAM} [flags]", f"  {PROGRAM} [command]", "", "Available Commands:"]
    lines += _columns([*((f"  {each.name}", each.summary) for each in verbs), ("  help", "Help about any command")])
    lines += ["", "Flags:", *_columns([(each.usage, each.help) for each in flags])]
    lines += ["", f'Use "{PROGRAM} [command] --help" for more information about a command.']
    return "\n".join(lines) + "\n"


def _by_name(flag: Flag) -> str:
    return flag.name


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows) + 3
    return [f"{left:<{width}}{right}".rstrip() for left, right in rows]


def suggestions(word: str, verbs: tuple[Verb, ...]) -> list[str]:
    """Verbs that were perhaps meant: at most two letters away, or begun by the word."""
    return [each.name for each in verbs if each.name.startswith(word.lower()) or _distance(word.lower(), each.name) <= 2]


def _distance(one: str, other: str) -> int:
    """How many letters must be put in, taken out or changed (Levenshtein)."""
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, 1):
        before, row[0] = row[0], index
        for column, target in enumerate(other, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (letter != target))
    return row[-1]
