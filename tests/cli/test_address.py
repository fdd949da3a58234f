"""OLLAMA_HOST as clients read it: the host vectors of catalogue 13 and the rows `host.*` of the recorded runs."""

import pytest

from llmsite.cli.address import BadAddress, server_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        ("1.2.3.4:5678", "http://1.2.3.4:5678"),
        (":1234", "http://127.0.0.1:1234"),
        (":66000", "http://127.0.0.1:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:5", "http://[::1]:5"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
        ("https://example.com:1/a/b/", "https://example.com:1/a/b"),
        ('" 1.2.3.4 "', "http://1.2.3.4:11434"),
        (" '1.2.3.4:5' ", "http://1.2.3.4:5"),
        ("example.com:0", "http://example.com:0"),
    ],
)
def test_an_address_is_read(text, url):
    assert server_url({"OLLAMA_HOST": text}) == url


@pytest.mark.parametrize("port", ["port", "99999", "-1", ""])
def test_an_unusable_port_becomes_the_default_with_a_warning(port, caplog):
    assert server_url({"OLLAMA_HOST": f"127.0.0.1:{port}"}) == "http://127.0.0.1:11434"
    assert f"invalid port, using default port={port} default=11434" in caplog.text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("ftp://127.0.0.1:1", 'Head "ftp://127.0.0.1:1/": unsupported protocol scheme "ftp"'),
        ("http://[bad", "parse \"http://[bad:80/\": missing ']' in host"),
        ("a b", 'parse "http://a%20b:11434/": invalid URL escape "%20"'),
    ],
)
def test_an_address_that_is_none_is_told_in_go_s_words(text, error):
    with pytest.raises(BadAddress) as caught:
        server_url({"OLLAMA_HOST": text})
    assert str(caught.value) == error
