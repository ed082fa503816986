"""Chroma as a cache: private, offline, deaf to its surroundings, and replaceable."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offline_agent.retrieval.chroma import ChromaIndex
from offline_agent.retrieval.hashing import HashingEmbedder

KEYS = [f"{number:032x}" for number in range(50)]
VECTORS = HashingEmbedder().encode([f"text number {number}" for number in range(50)])


def test_it_keeps_keys_and_vectors_and_nothing_else(tmp_path: Path) -> None:
    directory = tmp_path / "chroma"
    index = ChromaIndex(directory, "any fingerprint / at all")
    index.add(KEYS, VECTORS)
    index.remove(KEYS[:10])
    index.close()
    again = ChromaIndex(directory, "any fingerprint / at all")
    assert again.note == ""
    assert again.keys() == set(KEYS[10:])
    assert again.search(VECTORS[20], 1)[0][0] == KEYS[20]
    found = {key for key, _ in again.search(VECTORS[20], 500)}
    assert found <= set(KEYS[10:])
    assert (
        len(found) >= 30
    )  # its graph is approximate: now and then a vector among many equally distant ones is not reached
    again.close()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_another_embedder_has_a_collection_of_its_own(tmp_path: Path) -> None:
    one = ChromaIndex(tmp_path / "chroma", "one")
    one.add(KEYS, VECTORS)
    other = ChromaIndex(tmp_path / "chroma", "other")
    assert other.keys() == set()
    assert other.search(VECTORS[0], 5) == []
    other.add(KEYS[:3], np.eye(3, 7, dtype=np.float32))
    other.close()
    one.close()


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory large enough for Chroma to have written its graph files, left by another process."""
    directory = tmp_path_factory.mktemp("grown") / "chroma"
    script = (
        "import sys; from pathlib import Path; import numpy as np; from offline_agent.retrieval.chroma import ChromaIndex;"
        "index = ChromaIndex(Path(sys.argv[1]), 'x');"
        "index.add([f'{n:032x}' for n in range(1500)], np.random.default_rng(0).normal(size=(1500, 8)).astype('f4'));"
        "index.close()"
    )
    subprocess.run([sys.executable, "-c", script, str(directory)], check=True)
    return directory


def garble(file: Path) -> None:
    file.write_bytes(b"not this" * 100)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("chroma.sqlite3", garble),
        ("data_level0.bin", cut),
        ("data_level0.bin", garble),
        ("header.bin", garble),
        ("index_metadata.pickle", cut),
        ("link_lists.bin", Path.unlink),
        ("opening", Path.touch),
    ],
)
def test_a_damaged_directory_is_made_anew(
    grown: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    directory = tmp_path / "chroma"
    shutil.copytree(grown, directory)
    damage(next(directory.rglob(name), directory / name))
    index = ChromaIndex(directory, "x")
    assert "rebuilt" in index.note
    assert index.keys() == set()
    index.add(KEYS, VECTORS[:, :8].copy())
    assert index.search(VECTORS[7, :8].copy(), 3)
    index.close()


def test_a_sound_directory_is_kept(grown: Path, tmp_path: Path) -> None:
    directory = tmp_path / "chroma"
    shutil.copytree(grown, directory)
    index = ChromaIndex(directory, "x")
    assert index.note == ""
    assert len(index.keys()) == 1500
    index.close()


HOSTILE = """
chroma_api_impl=chromadb.api.fastapi.FastAPI
chroma_server_host=127.0.0.1
chroma_server_http_port=9
chroma_product_telemetry_impl=evil.Evil
chroma_telemetry_impl=evil.Evil
chroma_otel_collection_endpoint=http://127.0.0.1:9
chroma_otel_granularity=all
is_persistent=false
migrations=none
"""
CONTROL = "from chromadb.config import Settings; print(Settings().chroma_api_impl)"
PROBE = """
import sys
from pathlib import Path
import numpy as np
from offline_agent.retrieval.chroma import ChromaIndex
index = ChromaIndex(Path(sys.argv[1]), "x")
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
        "PYTHONPATH": f"{Path(__file__).parents[2]}:{repository}",
    }

    def run(script: str) -> str:
        command = [sys.executable, "-c", script, str(tmp_path / "chroma")]
        done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert "fastapi" in run(CONTROL)  # the bait works on a client that is not careful
    assert run(PROBE) == "a RustBindingsAPI"
    assert not (repository / "evil-was-here").exists()
    assert (tmp_path / "chroma" / "chroma.sqlite3").exists()
    assert sorted(path.name for path in repository.iterdir() if path.name != "__pycache__") == [".env", "evil.py"]
