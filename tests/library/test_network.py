"""TLS with an authority of one's own, and proxies: a hub whose name only the proxy knows."""

import base64
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from offline_agent.errors import Denied, PullError, UsageError
from offline_agent.library.network import Network
from offline_agent.library.pull import Puller
from offline_agent.library.store import Library
from offline_agent.settings import HubSettings
from tests.library.hub_server import Fault, Hub
from tests.library.pulling import FILE, REFERENCE, REPOSITORY, Ground, check, gguf, ground

HOST = "hub.test"  # a name that no resolver knows (RFC 6761)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for HOST and 127.0.0.1 that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@contextmanager
def secure(directory: Path, certificate: Path, host: str) -> Iterator[Hub]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    (directory / "hub" / REPOSITORY).mkdir(parents=True)
    (directory / "hub" / REPOSITORY / FILE).write_bytes(gguf())
    with Hub(directory / "hub", tls=context, host=host) as hub:
        yield hub


class ConnectProxy:
    """An HTTP proxy that connects every host to this machine, on the port that is asked for."""

    def __init__(self, password: str = "") -> None:
        self.asked: list[str] = []
        self._password = password
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            target = head.split()[1].decode()
            self.asked.append(target)
            login = base64.b64encode(f"me:{self._password}".encode())
            if self._password and b"Proxy-Authorization: Basic " + login not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()

    def __enter__(self) -> "ConnectProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def puller(directory: Path, hub: Hub, environment: dict[str, str] | None = None, **settings: object) -> Puller:
    given = {"endpoint": hub.url, "timeout_seconds": 5, "attempts": 2, **settings}
    library = Library(directory / "models", check)
    return Puller(library, HubSettings.model_validate(given), lambda: "Bearer t", environment or {}, first_wait=0.01)


def test_an_authority_of_ones_own_vouches(tmp_path: Path, certificate: Path) -> None:
    with secure(tmp_path, certificate, "127.0.0.1") as hub:
        mine = puller(tmp_path, hub, ca_file=certificate)
        assert mine.pull(mine.plan(REFERENCE)).files[0].size == len(gguf())


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tmp_path: Path, certificate: Path) -> None:
    with secure(tmp_path, certificate, "127.0.0.1") as hub:
        with pytest.raises(PullError, match=r"cannot be trusted.*\[hub\] ca_file"):
            puller(tmp_path, hub).plan(REFERENCE)
        assert hub.seen == []


def test_a_certificate_is_for_the_host_it_names(tmp_path: Path, certificate: Path) -> None:
    with secure(tmp_path, certificate, "localhost") as hub, pytest.raises(PullError, match="cannot be trusted"):
        puller(tmp_path, hub, ca_file=certificate).plan(REFERENCE)


def test_certificates_that_cannot_be_read_are_said(tmp_path: Path, certificate: Path) -> None:
    with secure(tmp_path, certificate, "127.0.0.1") as hub:
        with pytest.raises(UsageError, match="ca_file"):
            puller(tmp_path, hub, ca_file=tmp_path / "missing.pem").plan(REFERENCE)
        (tmp_path / "none.pem").write_text("no certificate")
        with pytest.raises(UsageError, match="ca_file"):
            puller(tmp_path, hub, ca_file=tmp_path / "none.pem").plan(REFERENCE)


def test_everything_goes_by_way_of_the_proxy(tmp_path: Path, certificate: Path) -> None:
    with secure(tmp_path, certificate, HOST) as hub, ConnectProxy("secret") as proxy:
        environment = {"HTTPS_PROXY": f"http://me:secret@{proxy.address}"}
        mine = puller(tmp_path, hub, environment, ca_file=certificate, hosts=(HOST,))
        plan = mine.plan(REFERENCE)
        assert plan.hosts == (HOST,)
        assert any("proxy 127.0.0.1" in note for note in plan.notes)
        assert mine.pull(plan).files[0].size == len(gguf())
        assert {asked.partition(":")[0] for asked in proxy.asked} == {HOST}
        assert all("proxy-authorization" not in seen.headers for seen in hub.seen)


def test_a_proxy_that_refuses_is_said_without_its_password(tmp_path: Path, certificate: Path) -> None:
    with secure(tmp_path, certificate, HOST) as hub, ConnectProxy("secret") as proxy:
        environment = {"HTTPS_PROXY": f"http://me:mistaken@{proxy.address}"}
        with pytest.raises(PullError, match=r"proxy 127\.0\.0\.1.*407") as caught:
            puller(tmp_path, hub, environment, ca_file=certificate).plan(REFERENCE)
        assert "mistaken" not in str(caught.value)


def test_without_the_proxy_the_name_is_not_found(tmp_path: Path, certificate: Path) -> None:
    with secure(tmp_path, certificate, HOST) as hub, pytest.raises(PullError, match=f"name {HOST} is not found"):
        puller(tmp_path, hub, ca_file=certificate).plan(REFERENCE)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Ground]:
    with ground(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("http://192.0.2.1/model.gguf", "without encryption"),
        ("ftp://192.0.2.1/model.gguf", "no usable address"),
        ("https://user:secret@192.0.2.1/model.gguf", "no usable address"),
        ("file:///etc/passwd", "no usable address"),
    ],
)
def test_a_redirect_to_nowhere_is_not_followed(here: Ground, location: str, said: str) -> None:
    mine = here.puller()
    plan = mine.plan(REFERENCE)
    here.hub.faults.append(Fault("resolve", headers={"Location": location}))
    with pytest.raises(PullError, match=said) as caught:
        mine.pull(plan)
    assert "secret" not in str(caught.value)


def test_a_stranger_does_not_have_us_ask_this_machine() -> None:
    network = Network(HubSettings(), lambda: None)
    start = network.permit("https://huggingface.co/x")
    with pytest.raises(PullError, match="without encryption"):
        network.permit("http://127.0.0.1:631/admin", start)
    assert network.permit("https://cdn.example/x", start).host == "cdn.example"


def test_policy_names_the_host_that_it_forbids() -> None:
    network = Network(HubSettings(hosts=("huggingface.co", "*.hf.co")), lambda: None)
    start = network.permit("https://huggingface.co/x")
    assert network.permit("https://cdn-lfs.hf.co/x", start).host == "cdn-lfs.hf.co"
    with pytest.raises(Denied, match=r"cdn\.evil\.org.*huggingface\.co points to"):
        network.permit("https://cdn.evil.org/x", start)
