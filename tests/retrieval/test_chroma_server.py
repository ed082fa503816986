"""A team's engine: a real Chroma server on loopback, behind a proxy that wants a token, with teammates who share it."""

import datetime
import ipaddress
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from offline_agent.errors import StorageError
from offline_agent.protocols import VectorIndex
from offline_agent.retrieval.chroma_http import Server
from offline_agent.retrieval.chroma_server import ChromaServerIndex, Lender, collection_name
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.hydrate import Passing, RisingIndex
from offline_agent.retrieval.relay import Relay
from tests.retrieval.proxy import Proxy, chroma_server, free_port

TOP = Path(__file__).parents[2]
TOKEN = "Bearer tok-4711"
COUNT = 120
KEYS = [f"{number:032x}" for number in range(COUNT)]
VECTORS = HashingEmbedder().encode([f"text number {number}" for number in range(COUNT)])


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with chroma_server(tmp_path_factory.mktemp("chroma")) as port:
        yield port


@pytest.fixture(scope="module")
def shared(upstream: int) -> Iterator[Proxy]:
    with Proxy(upstream, TOKEN).running() as running:
        yield running


@pytest.fixture
def proxy(shared: Proxy) -> Iterator[Proxy]:
    """Well-behaved again for each test."""
    shared.bodies.clear()
    shared.headers.clear()
    yield shared
    shared.delay, shared.drip, shared.says = 0.0, False, None


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    return str(request.node.nodeid)


def server(proxy: Proxy, project: str, token: str | None = TOKEN) -> Server:
    return Server(proxy.url, lambda: project, lambda: token)


def never() -> bool:
    return False


def test_it_keeps_keys_and_vectors(proxy: Proxy, project: str) -> None:
    index = ChromaServerIndex(server(proxy, project), "any fingerprint / at all")
    assert index.search(VECTORS[0], 5) == []
    index.add(KEYS, VECTORS)
    index.remove([*KEYS[:10], "never seen"])
    assert index.keys() == set(KEYS[10:])
    [(key, similarity)] = index.search(VECTORS[20], 1)
    assert key == KEYS[20]
    assert similarity == pytest.approx(1.0, abs=1e-4)
    assert {key for key, _ in index.search(VECTORS[3], COUNT)} <= set(KEYS[10:])
    index.close()


def test_a_teammate_uses_what_is_there_and_is_found_nothing_else(proxy: Proxy, project: str) -> None:
    one = ChromaServerIndex(server(proxy, project), "same")
    one.add(KEYS[:80], VECTORS[:80])
    other = ChromaServerIndex(server(proxy, project), "same")
    assert other.keys() == set()
    proxy.bodies.clear()
    other.add(KEYS[60:], VECTORS[60:])
    upserts = [body for body in proxy.bodies if b"embeddings" in body]
    assert not any(KEYS[70].encode() in body for body in upserts)  # it is there already
    assert any(KEYS[90].encode() in body for body in upserts)
    # The nearest of all is the other's own: it is passed over, and the rest moves up.
    assert KEYS[5] in {key for key, _ in one.search(VECTORS[5], 3)}
    found = [key for key, _ in other.search(VECTORS[5], 30)]
    assert len(found) == 30
    assert set(found) <= set(KEYS[60:])


def test_removing_here_takes_nothing_from_others(proxy: Proxy, project: str) -> None:
    one, other = (ChromaServerIndex(server(proxy, project), "same") for _ in range(2))
    one.add(KEYS, VECTORS)
    other.add(KEYS, VECTORS)
    one.remove(KEYS)
    assert one.search(VECTORS[0], 3) == []
    assert len(other.search(VECTORS[0], 3)) == 3


def test_other_embedders_and_projects_are_kept_apart(proxy: Proxy, project: str) -> None:
    one = ChromaServerIndex(server(proxy, project), "one")
    one.add(KEYS, VECTORS)
    for other in (
        ChromaServerIndex(server(proxy, project), "other"),
        ChromaServerIndex(server(proxy, "else"), "one"),
    ):
        assert list(other.fetch(KEYS)) == []
        other.add(KEYS[:2], np.eye(2, 7, dtype=np.float32))
        assert len(other.search(np.eye(2, 7, dtype=np.float32)[0], 5)) == 2
    assert collection_name("a", "b") != collection_name("b", "a")


def test_a_name_tells_neither_embedder_nor_project() -> None:
    assert collection_name("all-MiniLM-L6-v2", "secret") == collection_name("all-MiniLM-L6-v2", "secret")
    assert not any(word in collection_name("all-MiniLM-L6-v2", "secret") for word in ("MiniLM", "secret"))


# --- vectors that others have made ---


def test_what_others_have_made_is_fetched(proxy: Proxy, project: str) -> None:
    one = ChromaServerIndex(server(proxy, project), "same")
    one.add(KEYS[:50], VECTORS[:50])
    fetched = dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]()
    for keys, vectors in Lender(server(proxy, project))("same", KEYS):
        fetched |= dict(zip(keys, vectors, strict=True))
    assert set(fetched) == set(KEYS[:50])
    assert np.allclose([fetched[key] for key in KEYS[:50]], VECTORS[:50], atol=1e-6)


def test_what_is_no_unit_vector_is_not_fetched(proxy: Proxy, project: str) -> None:
    """Whoever may write to the server could hand out anything."""
    index = ChromaServerIndex(server(proxy, project), "same")
    index.add(KEYS[:3], np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 0.0]], dtype=np.float32))
    [(keys, vectors)] = index.fetch(KEYS[:3])
    assert keys == [KEYS[1]]
    assert vectors.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    "said",
    [
        b'{"ids": ["%s", "other"], "embeddings": [[1.0, 0.0], [0.0, 1.0]], "include": []}' % KEYS[0].encode(),
        b'{"ids": ["%s"], "embeddings": [[1.0, NaN]], "include": []}' % KEYS[0].encode(),
        b'{"ids": ["%s"], "embeddings": [[1.0], [2.0, 3.0]], "include": []}' % KEYS[0].encode(),
        b'{"ids": ["%s"], "embeddings": ["words"], "include": []}' % KEYS[0].encode(),
        b'{"ids": ["%s"], "embeddings": null, "include": []}' % KEYS[0].encode(),
        b'{"ids": 7}',
        b"[[[[",
        b"null",
        b"",
    ],
)
def test_what_a_server_makes_up_is_not_believed(proxy: Proxy, project: str, said: bytes) -> None:
    index = ChromaServerIndex(server(proxy, project), "same")
    proxy.says = (200, said)
    try:
        fetched = [key for keys, _ in index.fetch(KEYS[:1]) for key in keys]
    except Passing:
        fetched = []
    assert set(fetched) <= {KEYS[0]}


def test_nothing_is_borrowed_from_a_server_that_is_away() -> None:
    lender = Lender(Server(f"http://127.0.0.1:{free_port()}", lambda: "p", lambda: None), retry_seconds=60)
    assert list(lender("same", KEYS)) == []
    assert list(lender("same", KEYS)) == []


# --- what is sent ---


def test_ids_and_vectors_are_sent_and_the_token_in_its_header(proxy: Proxy, project: str) -> None:
    index = ChromaServerIndex(server(proxy, project), "same")
    index.add(KEYS[:2], VECTORS[:2])
    index.search(VECTORS[0], 1)
    assert {headers.get("Authorization") for headers in proxy.headers} == {TOKEN}
    sent = b"".join(proxy.bodies)
    assert KEYS[0].encode() in sent
    assert b"tok-4711" not in sent
    upserts = [body for body in proxy.bodies if b'"embeddings"' in body and b'"documents"' in body]
    assert upserts
    assert all(b'"documents":null' in body and b'"uris":null' in body for body in upserts)


PROBE = """
import os, sys
import numpy as np
from offline_agent.retrieval.chroma_http import Server
from offline_agent.retrieval.chroma_server import ChromaServerIndex
index = ChromaServerIndex(Server(sys.argv[1], lambda: "p", lambda: "Bearer tok-4711"), "hostile")
index.add(["a"], np.eye(1, 8, dtype=np.float32))
print(index.search(np.eye(1, 8, dtype=np.float32)[0], 1)[0][0])
"""


def test_no_environment_and_no_repository_can_steer_it(proxy: Proxy, tmp_path: Path) -> None:
    """Neither through Chroma's settings nor through the proxies and the netrc that HTTP libraries look for."""
    (tmp_path / ".env").write_text("chroma_server_host=http://127.0.0.1:9\nchroma_telemetry_impl=evil.Evil\n")
    (tmp_path / ".netrc").write_text("default login me password stolen\n")
    nowhere = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), nowhere),
        "NO_PROXY": "",
        "NETRC": str(tmp_path / ".netrc"),
        "CHROMA_SERVER_HOST": nowhere,
        "CHROMA_CLIENT_AUTH_PROVIDER": "evil.Evil",
        "PYTHONPATH": str(TOP),
    }
    command = [sys.executable, "-c", PROBE, proxy.url]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "a"
    assert {headers.get("Authorization") for headers in proxy.headers} == {TOKEN}


# --- what goes wrong ---


def opened_badly(where: Server) -> str:
    with pytest.raises(Passing) as caught:
        ChromaServerIndex(where, "same")
    assert "tok-" not in str(caught.value)
    return str(caught.value)


def test_without_a_token_the_sentence_says_how_to_give_one(proxy: Proxy) -> None:
    assert "wants a token (401). Set it with `offline-agent credentials set" in opened_badly(server(proxy, "p", None))
    assert "does not accept the token (401)" in opened_badly(server(proxy, "p", "Bearer tok-wrong"))
    proxy.says = (403, b"")
    assert "does not accept the token (403)" in opened_badly(server(proxy, "p"))


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"<html>nothing here</html>", "no Chroma server of version 1"),
        (410, b'{"error":"Unimplemented","message":"The v1 API is deprecated"}', "answers 410: The v1 API"),
        (200, b'"0.5.23"', "no Chroma server of version 1 (it says 0.5.23)"),
        (200, b"<html>welcome</html>", "failed"),
        (302, b"", "answers 302"),
        (502, b"<html>bad gateway</html>", "answers 502"),
        (500, b'{"error":"InternalError","message":"disk\\n full"}', "answers 500: disk full."),
        (500, b'{"message":' + b"[" * 100_000, "answers 500."),
    ],
)
def test_what_is_no_such_server_is_said(proxy: Proxy, status: int, body: bytes, said: str) -> None:
    proxy.says = (status, body)
    assert said in opened_badly(server(proxy, "p"))


def test_a_server_that_is_down() -> None:
    said = opened_badly(Server(f"http://127.0.0.1:{free_port()}", lambda: "p", lambda: TOKEN))
    assert "cannot be reached" in said
    assert "refused" in said


def test_vectors_of_other_dimensions_are_refused(proxy: Proxy, project: str) -> None:
    ChromaServerIndex(server(proxy, project), "same").add(KEYS[:1], np.eye(1, 7, dtype=np.float32))
    with pytest.raises(Passing, match="dimension"):
        ChromaServerIndex(server(proxy, project), "same").add(KEYS, VECTORS)


@pytest.mark.parametrize("how", ["delay", "drip"])
def test_a_slow_server_stalls_no_search(proxy: Proxy, project: str, how: str) -> None:
    """One that never falls silent for long would get past every timeout of HTTP."""
    index = ChromaServerIndex(server(proxy, project), "same")
    index.add(KEYS, VECTORS)
    proxy.delay, proxy.drip = (3.0, False) if how == "delay" else (0.0, True)
    with pytest.raises(Passing, match="did not answer within 1 s"):
        index.search(VECTORS[0], 5)
    index.close()


def test_a_server_that_fails_is_done_without_and_used_again(proxy: Proxy, project: str) -> None:
    opened: list[VectorIndex] = []

    def open_graph() -> VectorIndex:
        opened.append(ChromaServerIndex(server(proxy, project), "same"))
        return opened[-1]

    index = RisingIndex(open_graph, retry_seconds=0.05)
    index.add(KEYS, VECTORS)
    index.hydrate(never)
    assert index.risen
    assert index.retry_in is None
    proxy.says = (503, b"")
    assert index.search(VECTORS[7], 1)[0][0] == KEYS[7]  # exactly, from here
    assert not index.risen
    assert "answers 503. Search by meaning goes on without it" in index.problem
    assert index.retry_in is not None
    time.sleep(index.retry_in + 0.01)
    index.hydrate(never)
    assert index.problem
    proxy.says = None
    time.sleep((index.retry_in or 0.0) + 0.01)
    index.hydrate(never)
    assert index.risen
    assert index.problem == ""
    assert len(opened) == 2
    assert opened[1].keys() == set(KEYS)
    index.close()


def test_threads_may_search_while_it_is_closed(proxy: Proxy, project: str) -> None:
    index = ChromaServerIndex(server(proxy, project), "same")
    index.add(KEYS, VECTORS)
    ends: list[Exception] = []

    def look() -> None:
        try:
            while True:
                index.search(VECTORS[0], 3)
        except Exception as error:
            ends.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    index.close()
    for thread in threads:
        thread.join(10)
    assert [type(end) for end in ends] == [Passing] * 3


# --- TLS, and the relay ---


def certificate(directory: Path, name: str = "127.0.0.1") -> Path:
    """A certificate that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "team")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / f"{name}.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("through_relay", [False, True])
def test_tls_is_checked_against_the_certificates_of_the_system(
    upstream: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: str, through_relay: bool
) -> None:
    pem = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    with Proxy(upstream, TOKEN, tls).running() as proxy:
        relay = Relay(proxy.url) if through_relay else None
        where = Server(proxy.url, lambda: project, lambda: TOKEN, None if relay is None else relay.path)
        assert "certificate" in opened_badly(where).lower()
        assert proxy.headers == []
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        index = ChromaServerIndex(where, "same")
        index.add(KEYS, VECTORS)
        assert index.search(VECTORS[3], 1)[0][0] == KEYS[3]
        index.close()
        if relay is not None:
            relay.close()


def test_a_certificate_of_another_host_is_refused(
    upstream: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "10.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with Proxy(upstream, TOKEN, tls).running() as proxy:
        assert "certificate" in opened_badly(server(proxy, "p")).lower()
        assert proxy.headers == []


def test_every_failure_is_a_storage_error() -> None:
    assert issubclass(Passing, StorageError)
