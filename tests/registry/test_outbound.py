"""What may be reached, what is sent along, and where redirects may lead (threats T65 to T67)."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from llmsite.registry.auth import Credentials
from llmsite.registry.connecting import proxy_for, tls_context
from llmsite.registry.outbound import Outbound
from llmsite.registry.request import Request
from llmsite.types.errors import Forbidden, LlmsiteError, RegistryError
from tests.registry import faults
from tests.registry.conftest import Client, random_bytes
from tests.registry.fake_registry import FakeRegistry, Handler, digest_of, running_registry

LOOPBACK = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "017700000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.254"),
    *("0", "0.0.0.0", "localhost", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "::"),
    *("64:ff9b:1:7f00:0:100:808:808", "fec0::2"),
)
PRIVATE = (
    *(
        "10.0.0.1",
        "10.1",
        "0xa000001",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.1.1",
        "3232235777",
        "100.64.0.1",
        "100.127.255.255",
    ),
    *(
        "fc00::1",
        "fd12::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "224.0.0.1",
        "ff02::1",
        "240.0.0.1",
        "255.255.255.255",
    ),
    *("198.18.0.1", "192.0.2.1", "2001:db8::1", "0.1.2.3"),
)
ALWAYS = (
    *("169.254.169.254", "169.254.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "::ffff:169.254.169.254"),
    *(
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "fe80::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ),
)


@pytest.fixture
def outbound(client: Client) -> Iterator[Outbound]:
    with Outbound(client.config) as outbound:
        yield outbound


def _url(host: str) -> str:
    return f"http://[{host}]:9/" if ":" in host else f"http://{host}:9/"


@pytest.fixture
def no_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object, **__: object) -> None:
        pytest.fail("a connection was tried")

    monkeypatch.setattr(socket, "create_connection", connect)


@pytest.mark.usefixtures("no_packets")
@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE, *ALWAYS])
def test_T65_beyond_loopback_this_is_not_reached(client: Client, host: str) -> None:
    with (
        Outbound(replace(client.config, is_exposed=True)) as outbound,
        pytest.raises(Forbidden, match=r"^registry host not allowed$"),
    ):
        outbound.fetch(Request("GET", _url(host), is_insecure=True))


@pytest.mark.usefixtures("no_packets")
@pytest.mark.parametrize("host", ALWAYS)
def test_T65_this_is_reached_by_nobody(client: Client, host: str) -> None:
    config = replace(client.config, allowed_hosts=(host, f"{host}:9"))
    with Outbound(config) as outbound, pytest.raises(Forbidden, match=r"^registry host not allowed$"):
        outbound.fetch(Request("GET", _url(host), is_insecure=True))


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_host_that_no_name_service_can_know_is_told(client: Client, host: str) -> None:
    with Outbound(client.config) as outbound, pytest.raises(RegistryError, match="no such host"):
        outbound.fetch(Request("GET", f"http://{host}:9/", is_insecure=True))


@pytest.mark.usefixtures("no_packets")
def test_T65_one_bad_answer_of_the_name_service_is_enough(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 9)) for address in ("8.8.8.8", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with Outbound(replace(client.config, is_exposed=True)) as outbound, pytest.raises(Forbidden):
        outbound.fetch(Request("GET", "http://registry.test:9/", is_insecure=True))


def test_T65_a_name_is_asked_for_once_and_that_answer_connected_to(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second answer of the name service, to a private address, has no moment to be used in."""
    answers = iter(["8.8.8.8", "127.0.0.1"])
    tried: list[str] = []

    def refuse(address: tuple[str, int], **_: object) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 9))])
    monkeypatch.setattr(socket, "create_connection", refuse)
    with Outbound(replace(client.config, is_exposed=True)) as outbound, pytest.raises(RegistryError):
        outbound.fetch(Request("GET", "http://registry.test:9/", is_insecure=True))
    assert tried == ["8.8.8.8"]
    assert next(answers) == "127.0.0.1"


def test_T65_a_listed_host_may_be_private(client: Client, registry: FakeRegistry) -> None:
    config = replace(client.config, is_exposed=True, allowed_hosts=(registry.host,))
    with Outbound(config) as outbound, outbound.fetch(Request("GET", f"{registry.url}/", is_insecure=True)) as reply:
        assert reply.status == 404


def test_T65_a_redirect_is_checked_like_the_first_request(client: Client, registry: FakeRegistry) -> None:
    config = replace(client.config, is_exposed=True, allowed_hosts=(registry.host,))
    with running_registry() as inner, Outbound(config) as outbound:
        for target in (inner.url, "http://169.254.169.254/latest"):
            registry.script(faults.redirect(target), path="/go")
            with pytest.raises(Forbidden, match=r"^registry host not allowed$"):
                outbound.fetch(Request("GET", f"{registry.url}/go", is_insecure=True))
        assert not inner.seen


_BAD_REALM = r'(realm host "[^"]+" does not match original host "127\.0\.0\.1:\d+"|the registry\'s address is not a URL)$'


@pytest.mark.parametrize(
    "realm",
    [
        "http://other.example/token",
        "http://sub.{host}/token",
        "http://{host}@other.example/token",
        "http://127.0.0.1:1/token",
        "http://\x1b[2J{host}/token",
        "http://" + "a" * 3000 + ".example/token",
    ],
)
def test_T66_a_realm_of_another_host_gets_no_signature(client: Client, registry: FakeRegistry, realm: str) -> None:
    registry.add_model("library/m", random_bytes(100))
    registry.token, registry.realm = "secret", realm.format(host=registry.host)
    with pytest.raises(RegistryError, match=_BAD_REALM) as caught:
        client.pull(f"{registry.host}/library/m")
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()
    assert not (client.config.home / "id_ed25519").exists()


@pytest.mark.parametrize(
    ("realm", "is_refused"),
    [
        ("https://ollama.com/token", False),
        ("https://registry.ollama.ai/token", False),
        ("https://ollama.com:444/token", True),
        ("https://ollama.com.example/token", True),
        ("https://registry.ollama.ai@ollama.example/token", True),
    ],
)
def test_T66_only_fixed_pairs_of_hosts_belong_together(outbound: Outbound, realm: str, is_refused: bool) -> None:
    """Ollama's own registry has its tokens from another host; what is not refused here would be asked for without a network."""
    credentials = Credentials(outbound, "registry.ollama.ai", is_insecure=False)
    outbound.close()
    with pytest.raises(RegistryError) as caught:
        credentials.renew(f'Bearer realm="{realm}"', {})
    assert ("does not match original host" in str(caught.value)) == is_refused
    assert (outbound.config.home / "id_ed25519").exists() != is_refused


def test_T67_credentials_end_at_the_border_of_an_origin(outbound: Outbound, registry: FakeRegistry) -> None:
    with running_registry() as other:
        registry.script(faults.redirect(f"{registry.url}/same"), path="/go")
        registry.script(faults.redirect(f"{other.url}/other"), path="/same")
        headers = {"Authorization": "Bearer secret", "Cookie": "a=b", "X-Kept": "1"}
        outbound.fetch(Request("GET", f"{registry.url}/go", headers, is_insecure=True)).close()
        assert registry.asked("GET", "/same")[0].headers["Authorization"] == "Bearer secret"
        seen = other.asked("GET", "/other")[0].headers
        assert "Authorization" not in seen
        assert "Cookie" not in seen
        assert seen["X-Kept"] == "1"


def test_T67_five_hops_are_enough(outbound: Outbound, registry: FakeRegistry) -> None:
    registry.script(faults.redirect(f"{registry.url}/go"), path="/go", times=100)
    with pytest.raises(RegistryError, match=r"^maximum redirects exceeded \(5\)$"):
        outbound.fetch(Request("GET", f"{registry.url}/go", is_insecure=True))
    assert len(registry.seen) == 6


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://127.0.0.1:99999/"])
def test_T67_a_redirect_to_what_is_no_web_address(outbound: Outbound, registry: FakeRegistry, target: str) -> None:
    registry.script(faults.redirect(target), path="/go")
    with pytest.raises(LlmsiteError):
        outbound.fetch(Request("GET", f"{registry.url}/go", is_insecure=True))


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/ä/b", "/%C3%A4/b"),
        ("/a b?c=\x1b[2J&d=%20", "/a%20b?c=%1B[2J&d=%20"),
        ("{url}/模型", "/%E6%A8%A1%E5%9E%8B"),
    ],
)
def test_T67_what_no_request_may_hold_is_escaped(outbound: Outbound, registry: FakeRegistry, location: str, target: str) -> None:
    header = location.format(url=registry.url).encode().decode("latin-1")  # a server writes bytes
    registry.script(faults.redirect(header), path="/go")
    outbound.fetch(Request("GET", f"{registry.url}/go", is_insecure=True)).close()
    assert registry.seen[-1].path == target


@pytest.mark.parametrize("location", ["http://[::1", "http://\u00e9/x", "http://" + "a" * 400, "http://\x1b[2J/"])
def test_T67_a_place_that_is_none_is_told(outbound: Outbound, registry: FakeRegistry, location: str) -> None:
    registry.script(faults.redirect(location), path="/go")
    with pytest.raises(RegistryError, match=r"the registry's address is not a URL$|no such host$") as caught:
        outbound.fetch(Request("GET", f"{registry.url}/go", is_insecure=True))
    assert str(caught.value).isprintable()


def test_T70_a_long_place_is_cut_where_it_is_shown(outbound: Outbound, registry: FakeRegistry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    registry.script(faults.redirect(closed + "x\x1b[2J" * 1000), path="/go")
    with pytest.raises(RegistryError, match=r"connect: connection refused$") as caught:
        outbound.fetch(Request("GET", f"{registry.url}/go", is_insecure=True))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_T67_http_is_for_registries_that_were_called_insecure(outbound: Outbound, registry: FakeRegistry) -> None:
    with pytest.raises(Forbidden, match=r"without encryption; use --insecure"):
        outbound.fetch(Request("GET", f"{registry.url}/"))
    assert not registry.seen


def test_2_16_a_closed_port_is_told_in_gos_words(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    name = f"127.0.0.1:{port}/library/x"
    with pytest.raises(RegistryError) as caught:
        client.pull(name)
    where = f"127.0.0.1:{port}"
    url = f"http://{where}/v2/library/x/manifests/latest"
    assert str(caught.value) == f'pull model manifest: Get "{url}": dial tcp {where}: connect: connection refused'


def test_2_16_plain_http_where_tls_was_expected(client: Client, registry: FakeRegistry) -> None:
    with pytest.raises(RegistryError, match=r": tls: first record does not look like a TLS handshake$"):
        client.pull(f"http://{registry.host}/library/x", insecure=False)


def test_a_connection_is_used_again_and_replaced_when_it_was_closed(outbound: Outbound, registry: FakeRegistry) -> None:
    ports: list[int] = []

    def note(handler: Handler) -> None:
        ports.append(handler.client_address[1])
        handler.reply(200, b"x")
        handler.close_connection = len(ports) == 2

    registry.script(note, path="/x", times=3)
    for _ in range(3):
        with outbound.fetch(Request("GET", f"{registry.url}/x", is_insecure=True)) as reply:
            assert reply.read(10) == b"x"
    assert ports[0] == ports[1] != ports[2]


def test_closing_ends_what_waits(client: Client, registry: FakeRegistry) -> None:
    outbound = Outbound(replace(client.config, limits=replace(client.config.limits, pull_first_byte_seconds=60)))
    asked = threading.Event()

    def silence(handler: Handler) -> None:
        asked.set()
        handler.registry.closing.wait()

    registry.script(silence, path="/x")
    failures: list[LlmsiteError] = []

    def ask() -> None:
        try:
            outbound.fetch(Request("GET", f"{registry.url}/x", is_insecure=True))
        except LlmsiteError as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(10)
    outbound.close()
    thread.join(10)
    assert not thread.is_alive()
    assert failures


def test_tls_is_checked_under_the_hosts_own_name(
    client: Client, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to the checked address; the certificate and `Host` are those of the name."""
    certificate = _certificate(tmp_path, "registry.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = registry._server
    server.socket = context.wrap_socket(server.socket, server_side=True)
    port, resolve = server.server_port, socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolve(
            host.replace("registry.test", "127.0.0.1").replace("other.test", "127.0.0.1"), *rest, **more
        ),
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls_context.cache_clear()
    weights = random_bytes(200_000)
    registry.add_model("library/m", weights)
    client.pull(f"registry.test:{port}/library/m", insecure=False)
    assert client.store.blobs.has(digest_of(weights))
    assert {seen.headers["Host"] for seen in registry.seen} == {f"registry.test:{port}"}
    with pytest.raises(RegistryError, match=r"tls: failed to verify certificate: Hostname mismatch"):
        client.pull(f"other.test:{port}/library/m", insecure=False)
    tls_context.cache_clear()


def test_T67_no_redirect_leads_down_to_http(
    outbound: Outbound, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = _certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    registry._server.socket = context.wrap_socket(registry._server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls_context.cache_clear()
    with running_registry() as plain:
        registry.script(faults.redirect(f"{plain.url}/x"), path="/go")
        with pytest.raises(Forbidden, match=r"would be asked without encryption"):
            outbound.fetch(Request("GET", f"https://localhost:{registry._server.server_port}/go"))
        assert [seen.path for seen in registry.seen] == ["/go"]
        assert not plain.seen
    tls_context.cache_clear()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("a.example", "http://p:1"), ("in.example", ""), ("x.in.example", ""), ("notin.example", "http://p:1"), ("127.0.0.1", "")],
)
def test_proxies_are_asked_as_configured(client: Client, host: str, expected: str) -> None:
    config = replace(client.config, https_proxy="http://p:1", unproxied_hosts=(".In.Example", "127.0.0.1"))
    assert proxy_for("https", host, config) == expected
    assert proxy_for("http", host, config) == ""


def test_a_configured_proxy_carries_the_pull_and_none_else_does(
    client: Client, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = random_bytes(200_000)
    registry.add_model("library/m", weights)
    with _Proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        client.pull(f"{registry.host}/library/m")
        assert not proxy.asked
        client.store.remove(client.store.find(f"{registry.host}/library/m").name)
        client.config = replace(client.config, http_proxy=proxy.url.replace("://", "://user:pass@"))
        client.pull(f"{registry.host}/library/m")
        assert set(proxy.asked) == {f"CONNECT {registry.host} HTTP/1.1"}
    assert client.store.blobs.has(digest_of(weights))


class _Proxy:
    """Makes tunnels, and keeps the first line of each request."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(1)
            line = head.split(b"\r\n")[0].decode()
            self.asked.append(line)
            host, _, port = line.split()[1].rpartition(":")
            target = socket.create_connection((host, int(port)))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._sockets += [client, target]
            for one, other in ((client, target), (target, client)):
                thread = threading.Thread(target=_pump, args=(one, other))
                thread.start()
                self._threads.append(thread)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def _certificate(folder: Path, host: str) -> Path:
    """A certificate for a host that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return path


def test_kept_connections_are_few_however_many_requests_need_fresh_ones(client: Client, registry: FakeRegistry) -> None:
    limits = replace(client.config.limits, pull_connections=2)
    with Outbound(replace(client.config, limits=limits)) as outbound:
        for _ in range(12):
            with outbound.send(Request("POST", f"{registry.url}/nothing", body=b"", is_insecure=True)) as reply:
                assert reply.read(1000)
        assert registry.wait_for_connections(2)
