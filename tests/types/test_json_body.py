"""Bodies of strangers: Go's texts for bad JSON (catalogue 2, "JSON facts"), bounds and characters (threat T30)."""

import pytest

from llmsite.types.errors import InvalidRequest
from llmsite.types.json_body import decode_body
from llmsite.types.limits import Limits

LIMITS = Limits()


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b' \n{"a":1}\r\n', {"a": 1}),
        (b'{"a":1} trailing', {"a": 1}),
        (b'{"a":1}{"a":2}', {"a": 1}),
        (b"[1]]", [1]),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'"\\\\u0000"', "\\u0000"),
        ('"é\\ud83d\\ude00"'.encode(), "é😀"),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"null", None),
    ],
)
def test_the_first_value_is_read_and_the_rest_ignored(body, value):
    assert decode_body(body, LIMITS) == value


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "missing request body"),
        (b" \r\n", "missing request body"),
        (b"{", "unexpected EOF"),
        (b'{"a":', "unexpected EOF"),
        (b'{"a"', "unexpected EOF"),
        (b'["a"', "unexpected EOF"),
        (b'"abc', "unexpected EOF"),
        (b'{"a":"\\', "unexpected EOF"),
        (b'"\\u12', "unexpected EOF"),
        (b"tru", "unexpected EOF"),
        (b"-", "unexpected EOF"),
        (b"xyz", "invalid character 'x' looking for beginning of value"),
        (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b'{"a":"[{","b":[1 2]}', "invalid character '2' after array element"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b'"a\nb"', "invalid character '\\n' in string literal"),
        (b'"a\x00b"', "invalid character '\\x00' in string literal"),
        (b'"\\x"', "invalid character 'x' in string escape code"),
        (b'"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"['a']", "invalid character '\\'' looking for beginning of value"),
    ],
)
def test_bad_json_is_told_in_go_s_words(body, text):
    with pytest.raises(InvalidRequest) as caught:
        decode_body(body, LIMITS)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b"[" * 100_000, "invalid json: nested deeper than 64 levels", id="T30-brackets"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, "invalid json: nested deeper than 64 levels", id="T30-objects"),
        pytest.param(b"[" + b"[]," * 1_000_001 + b"[]]", "invalid json: too many values", id="T30-values"),
        pytest.param(
            b"{" + b",".join(b'"%d":1' % n for n in range(100_001)) + b"}", "invalid json: too many values", id="T30-keys"
        ),
        pytest.param(b'{"a":NaN}', "invalid character 'N' looking for beginning of value", id="T30-nan"),
        pytest.param(b'{"a":-Infinity}', "invalid character 'I' looking for beginning of value", id="T30-infinity"),
        pytest.param(b'{"a":"\\ud800"}', "text contains an invalid character", id="T30-surrogate"),
        pytest.param(b'{"\\udc00":1}', "text contains an invalid character", id="T30-surrogate-key"),
        pytest.param(b'{"a":["x\\u0000"]}', "text contains an invalid character", id="T30-nul"),
        pytest.param(b'{"a":"\xff"}', "text contains an invalid character", id="T30-not-utf8"),
        pytest.param(b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value", id="T30-bom"),
        pytest.param(b"9" * 5000, "invalid json: a number is too long", id="T25-long-integer"),
    ],
)
def test_what_cannot_be_held_is_refused(body, text):
    with pytest.raises(InvalidRequest) as caught:
        decode_body(body, LIMITS)
    assert str(caught.value) == text


def test_brackets_and_commas_inside_text_count_for_nothing():
    text = '[{"a, ' * 300_000
    assert decode_body(b'{"prompt":' + __import__("json").dumps(text).encode() + b"}", LIMITS) == {"prompt": text}


def test_as_many_levels_as_allowed_are_read():
    assert decode_body(b"[" * 64 + b"]" * 64, LIMITS)
