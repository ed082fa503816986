"""Two people, two machines as far as the program can tell, one project and one server: what one has embedded the other need not."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from offline_agent.app import CHROMA, Program, open_program, open_vault
from offline_agent.settings import Settings, load_settings
from offline_agent.types import IndexStatus
from tests.retrieval.proxy import Proxy, chroma_server

TOKEN = "Bearer tok-of-the-team"
SOURCE = "def zebrafish_lookup(quokka):\n    return quokka + 1\n"
_PATIENCE = 60.0


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with chroma_server(tmp_path_factory.mktemp("chroma")) as port, Proxy(port, TOKEN).running() as running:
        yield running


def person(home: Path, url: str, token: str = TOKEN) -> Settings:
    home.mkdir()
    settings = load_settings({"HOME": str(home), "OFFLINE_AGENT_INDEX_CHROMA_URL": url})
    if token:
        with closing(open_vault(settings)) as opened:
            opened.archive.credentials.set(CHROMA, token)
    return settings


def checkout(place: Path) -> Path:
    """A repository whose first commit is the same wherever it is made."""
    place.mkdir()
    (place / "one.py").write_text(SOURCE)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    when = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
    for step in (["init"], ["add", "."], [*who, "commit", "-m", "one"]):
        subprocess.run(["git", *step], cwd=place, env={"HOME": str(place), "PATH": "/usr/bin:/bin"} | when, check=True)
    return place


def wait_for(what: Callable[[], object]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def settled(program: Program) -> IndexStatus:
    program.complete_retriever()
    return program.index_status()


def test_what_one_has_embedded_the_other_fetches_and_no_text_is_sent(proxy: Proxy, tmp_path: Path) -> None:
    url = proxy.url
    with open_program(person(tmp_path / "ann", url), checkout(tmp_path / "ann's")) as ann:
        assert settled(ann).problem == ""
        wait_for(lambda: any(b'"documents"' in body for body in proxy.bodies))  # behind everything else
        process = ann.following_retriever()._process
        assert process is not None
        if sys.platform == "linux":
            assert "Seccomp:\t2" in Path(f"/proc/{process.pid}/status").read_text()
    asked = len(proxy.bodies)
    with open_program(person(tmp_path / "bob", url), checkout(tmp_path / "bob's")) as bob:
        status = settled(bob)
        assert (status.problem, status.vectors, status.chunks) == ("", 1, 1)
        assert bob.following_retriever().search("lookup", 1).hits[0].chunk.path == "one.py"
        wait_for(lambda: len(proxy.bodies) > asked + 3)
    assert any(b'"include":["embeddings"]' in body for body in proxy.bodies[asked:])
    assert not any(b'"documents"' in body for body in proxy.bodies[asked:])  # nothing had to be sent
    sent = b"".join(proxy.bodies)
    assert not any(word in sent for word in (b"zebrafish", b"quokka", b"one.py", b"MiniLM", b"tok-of"))
    assert {headers.get("Authorization") for headers in proxy.headers} == {TOKEN}


def test_without_a_token_the_status_says_so_and_search_goes_on(proxy: Proxy, tmp_path: Path) -> None:
    with open_program(person(tmp_path / "eve", proxy.url, token=""), checkout(tmp_path / "eve's")) as eve:
        settled(eve)
        wait_for(lambda: eve.index_status().problem)
        assert "wants a token (401). Set it with `offline-agent credentials set chroma`" in eve.index_status().problem
        result = eve.following_retriever().search("zebrafish", 1)
        assert result.dense
        assert result.hits[0].chunk.path == "one.py"
