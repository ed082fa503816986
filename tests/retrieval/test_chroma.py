"""Chroma in memory: private, offline, deaf to its surroundings, and without a trace on disk."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from offline_agent.errors import StorageError
from offline_agent.retrieval.chroma import ChromaIndex
from offline_agent.retrieval.hashing import HashingEmbedder

TOP = Path(__file__).parents[2]
KEYS = [f"{number:032x}" for number in range(50)]
VECTORS = HashingEmbedder().encode([f"text number {number}" for number in range(50)])


def test_it_keeps_keys_and_vectors() -> None:
    index = ChromaIndex("any fingerprint / at all")
    assert index.search(VECTORS[0], 5) == []
    index.add(KEYS, VECTORS)
    index.remove([*KEYS[:10], "never seen"])
    assert index.keys() == set(KEYS[10:])
    assert index.search(VECTORS[20], 1)[0][0] == KEYS[20]
    found = {key for key, _ in index.search(VECTORS[20], 500)}
    assert found <= set(KEYS[10:])
    # Its graph is approximate: now and then a vector among many equally distant ones is not reached.
    assert len(found) >= 30
    index.close()


def test_two_in_one_process_know_nothing_of_each_other() -> None:
    one, other = ChromaIndex("same"), ChromaIndex("same")
    one.add(KEYS, VECTORS)
    assert other.keys() == set()
    assert other.search(VECTORS[0], 5) == []
    other.add(KEYS[:3], np.eye(3, 7, dtype=np.float32))
    one.close()
    assert len(other.search(np.eye(3, 7, dtype=np.float32)[0], 5)) == 3
    other.close()
    again = ChromaIndex("same")
    assert again.search(VECTORS[0], 5) == []
    again.close()


def test_what_it_refuses_is_a_storage_error() -> None:
    index = ChromaIndex("x")
    index.add(KEYS, VECTORS)
    with pytest.raises(StorageError, match="ChromaDB failed"):
        index.add(["a"], np.ones((1, 7), dtype=np.float32))
    index.close()


NO_FILE = """
import numpy as np
from offline_agent.retrieval.chroma import ChromaIndex
index = ChromaIndex("x")
vectors = np.random.default_rng(0).normal(size=(1500, 8)).astype("f4")
index.add([f"{n:032x}" for n in range(1500)], vectors)
index.remove([f"{n:032x}" for n in range(100)])
index.search(vectors[200], 5)
index.close()
index = ChromaIndex("y")
index.add(["left open"], vectors[:1])
"""


def test_it_writes_no_file(tmp_path: Path) -> None:
    """As many vectors as make Chroma write its graph files where it has a directory."""
    places = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    environment = {**os.environ, **places, "PYTHONPATH": str(TOP)}
    subprocess.run([sys.executable, "-c", NO_FILE], cwd=tmp_path, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


HOSTILE = """
chroma_api_impl=chromadb.api.fastapi.FastAPI
chroma_server_host=127.0.0.1
chroma_server_http_port=9
chroma_product_telemetry_impl=evil.Evil
chroma_telemetry_impl=evil.Evil
chroma_otel_collection_endpoint=http://127.0.0.1:9
chroma_otel_granularity=all
is_persistent=true
persist_directory=stolen
migrations=none
"""
CONTROL = "from chromadb.config import Settings; print(Settings().chroma_api_impl)"
PROBE = """
import os
import numpy as np
from offline_agent.retrieval.chroma import ChromaIndex
here = os.getcwd()
index = ChromaIndex("x")
assert os.getcwd() == here
index.add(["a"], np.ones((1, 8), dtype=np.float32))
print(index.search(np.ones(8, dtype=np.float32), 1)[0][0], type(index._client._server).__name__)
"""


def test_a_hostile_repository_cannot_steer_it(tmp_path: Path) -> None:
    repository = tmp_path / "hostile"
    repository.mkdir()
    (repository / ".env").write_text(HOSTILE)
    (repository / "evil.py").write_text("open('evil-was-here', 'w')\nclass Evil: pass\n")
    environment = {
        **os.environ,
        "CHROMA_SERVER_HOST": "127.0.0.1",
        "CHROMA_API_IMPL": "chromadb.api.fastapi.FastAPI",
        "PYTHONPATH": f"{TOP}:{repository}",
    }

    def run(script: str) -> str:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert "fastapi" in run(CONTROL)  # the bait works on a client that is not careful
    assert run(PROBE) == "a RustBindingsAPI"
    assert sorted(path.name for path in repository.iterdir() if path.name != "__pycache__") == [".env", "evil.py"]
