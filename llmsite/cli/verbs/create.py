"""`llmsite create MODEL`: a model from a Modelfile; files of this machine are uploaded first (catalogue 9.5)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

from llmsite.cli.arguments import Arguments, Flag, Verb, exactly
from llmsite.cli.components import Components, gather
from llmsite.cli.model_files import names_of, unreadable
from llmsite.cli.progress_lines import ProgressLines
from llmsite.cli.rest import Server
from llmsite.cli.upload import upload_file
from llmsite.modelfile.parser import Modelfile, ModelfileError, parse
from llmsite.types.chunk import Progress
from llmsite.types.errors import InvalidModelName, InvalidRequest, LlmsiteError
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName

_DEFAULT_FILE: Final = "Modelfile"
_WITHOUT_FILE: Final = "FROM .\n"
"""What a Modelfile that is not there stands for."""


def run(arguments: Arguments) -> int:
    """Create the model."""
    asyncio.run(_create(arguments))
    return 0


async def _create(arguments: Arguments) -> None:
    model = arguments.words[0]
    async with Server() as server:
        await server.greet()
        async with ProgressLines(sys.stderr) as lines:
            try:
                modelfile, folder = _read_modelfile(model, arguments.text("file") or _DEFAULT_FILE)
                lines.set_status("gathering model components")
                components = gather(modelfile, folder)
            except ModelfileError as error:
                raise _with_hint(error) from error
            body = {"model": model} | _quantization(arguments, components) | await _upload_all(server, components, lines)
            await lines.follow(server.watch("/api/create", body), _label)
    for name in components.deprecated:
        sys.stdout.write(f"warning: parameter {name} is deprecated\n")


def _read_modelfile(model: str, file: str) -> tuple[Modelfile, Path]:
    """The instructions, and the folder that their paths start from. Raises `LlmsiteError`, `ModelfileError` among them."""
    if not ModelName.parse_loosely(model).is_valid:
        raise InvalidModelName(f"invalid model name: {model}")
    path = Path(file).absolute()
    try:
        with path.open("rb") as opened:
            source = opened.read(Limits().modelfile_bytes + 1)
    except FileNotFoundError:
        return parse(_WITHOUT_FILE), Path.cwd()
    except OSError as error:
        raise unreadable(path, error) from error
    return parse(source), path.parent


def _with_hint(error: ModelfileError) -> LlmsiteError:
    if not error.hint:
        return error
    return InvalidRequest(f"{error}\n\nDid you mean this in line {error.line}, column {error.column}?\n\t{error.hint}\n")


def _quantization(arguments: Arguments, components: Components) -> dict[str, Any]:
    draft = arguments.text("draft_quantize")
    if draft and not components.draft_files:
        raise InvalidRequest("--draft-quantize requires a DRAFT model")
    named = {"quantize": arguments.text("quantize"), "draft_quantize": draft}
    return {name: value for name, value in named.items() if value}


async def _upload_all(server: Server, components: Components, lines: ProgressLines) -> dict[str, Any]:
    """The fields of the request; those that name files hold the digests of the uploaded ones."""
    fields = dict(components.fields)
    for field, files in components.uploads.items():
        fields[field] = {name: await upload_file(server, path, lines) for path, name in names_of(files).items()}
    return fields


def _label(progress: Progress) -> str:
    return progress.status


VERB: Final = Verb(
    name="create",
    usage="create MODEL",
    summary="Create a model",
    run=run,
    check=exactly(1),
    flags=(
        Flag("draft-quantize", "Quantize draft model to this level"),
        Flag("file", 'Name of the Modelfile (default "Modelfile")', short="f"),
        Flag("quantize", "Quantize model to this level (e.g. q4_K_M)", short="q"),
    ),
)
