"""Bodies of show, copy and delete to requests: rows of catalogue 1.4 and 2.2 for these routes, Go's words for wrong types."""

import json

import pytest

from api.model_requests import parse_copy, parse_delete, parse_show
from llmsite.types.errors import InvalidModelName, InvalidRequest
from llmsite.types.limits import Limits

LIMITS = Limits()
PARSERS = {"show": parse_show, "copy": parse_copy, "delete": parse_delete}


def refusal(route, **body):
    with pytest.raises(InvalidRequest) as caught:
        PARSERS[route](json.dumps(body).encode(), LIMITS)
    return caught.value


@pytest.mark.parametrize(
    ("route", "body", "text"),
    [
        ("show", {}, "model is required"),
        ("show", {"model": ""}, "model is required"),
        ("show", {"model": "  "}, "model is required"),
        ("show", {"model": None, "name": None}, "model is required"),
        ("show", {"model": "-x"}, "invalid model name"),
        ("show", {"model": "m@sha256:00"}, "invalid model name"),
        ("delete", {}, "model is required"),
        ("delete", {"name": ""}, "model is required"),
        ("delete", {"model": "^"}, 'name "^" is invalid'),
        ("delete", {"model": "-bad:local"}, 'name "-bad:local" is invalid'),
        ("copy", {}, 'source "" is invalid'),
        ("copy", {"source": "a//b", "destination": "x"}, 'source "a//b" is invalid'),
        ("copy", {"source": "m"}, 'destination "" is invalid'),
        ("copy", {"source": "m", "destination": "-bad"}, 'destination "-bad" is invalid'),
        ("copy", {"source": "m\u202e", "destination": "x"}, 'source "m\\u202e" is invalid'),
        ("copy", {"source": "m", "destination": 'é"\n'}, 'destination "é\\"\\n" is invalid'),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_2_2_what_is_no_name(route, body, text):
    assert str(refusal(route, **body)) == text


@pytest.mark.parametrize("route", ["show", "delete"])
def test_2_2_name_is_an_alias_and_model_wins(route):
    for body, expected in (({"name": "a"}, "a"), ({"name": "b", "model": "a"}, "a"), ({"MODEL": "a"}, "a")):
        asked = PARSERS[route](json.dumps(body).encode(), LIMITS)
        assert (asked.name.model, asked.asked_as) == (expected, expected)


@pytest.mark.parametrize("route", ["show", "delete"])
@pytest.mark.parametrize(
    ("name", "tag"), [("m:local", "latest"), ("m:8b:local", "8b"), ("m:8b: LOCAL ", "8b"), ("m:cloud", "cloud")]
)
def test_1_4_the_suffix_of_a_source_is_cut_off(route, name, tag):
    asked = PARSERS[route](json.dumps({"model": name}).encode(), LIMITS)
    assert (asked.name.model, asked.name.tag, asked.asked_as) == ("m", tag, name)


@pytest.mark.parametrize("route", ["show", "delete"])
def test_1_4_both_sources_are_refused(route):
    assert str(refusal(route, model="x:cloud:local")) == 'use either :local or :cloud, not both: "x:cloud:local"'


def test_1_4_copy_takes_names_as_they_stand():
    asked = parse_copy(b'{"source":"m:local","destination":"n:local"}', LIMITS)
    assert (asked.source.tag, asked.target.tag) == ("local", "local")


@pytest.mark.parametrize(
    ("route", "body", "text"),
    [
        ("show", {"model": 1}, "number into Go struct field ShowRequest.model of type string"),
        ("show", {"model": "m", "verbose": "yes"}, "string into Go struct field ShowRequest.verbose of type bool"),
        ("show", {"model": "m", "system": []}, "array into Go struct field ShowRequest.system of type string"),
        (
            "show",
            {"model": "m", "options": 1},
            "number into Go struct field ShowRequest.options of type map[string]interface {}",
        ),
        ("copy", {"source": {}}, "object into Go struct field CopyRequest.source of type string"),
        ("delete", {"name": True}, "bool into Go struct field DeleteRequest.name of type string"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_wrong_type_is_told_in_gos_words(route, body, text):
    assert str(refusal(route, **body)) == f"json: cannot unmarshal {text}"


def test_a_bad_name_is_an_error_of_its_own():
    assert isinstance(refusal("copy", source="-"), InvalidModelName)
    assert isinstance(refusal("delete", name="-"), InvalidModelName)
