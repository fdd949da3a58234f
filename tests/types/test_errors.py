"""The exception tree crosses processes as class name and message."""

from __future__ import annotations

import pytest

from llmsite.types import errors
from llmsite.types.errors import EngineError, LlmsiteError, ModelNotFound, from_wire, to_wire

EVERY = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, LlmsiteError)]


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_an_error_survives_the_wire(kind: type[LlmsiteError]) -> None:
    again = from_wire(*to_wire(kind("what failed and what to do")))
    assert (type(again), str(again)) == (kind, "what failed and what to do")


@pytest.mark.parametrize("name", ["", "Nope", "ValueError", "SystemExit", "__class__", "LlmsiteErro"])
def test_an_unknown_name_is_an_engine_error(name: str) -> None:
    again = from_wire(name, "text")
    assert (type(again), str(again)) == (EngineError, "text")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    assert all(each.__name__ in errors.__doc__ for each in EVERY)
    assert to_wire(ModelNotFound("model 'x' not found")) == ("ModelNotFound", "model 'x' not found")


def test_a_class_of_somebodys_own_goes_by_its_nearest_ancestor() -> None:
    class Refused(errors.TemplateError): ...

    assert to_wire(Refused("turns must alternate")) == ("TemplateError", "turns must alternate")
