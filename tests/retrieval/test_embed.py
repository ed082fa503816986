"""The real embedder: found without importing it, checked file by file, offline."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from offline_agent.errors import EmbedderError, EmbedderHashMismatch
from offline_agent.models import EmbedderCard
from offline_agent.retrieval.chunk import Chunker
from offline_agent.retrieval.embed import directory_of, fingerprint_of, load, max_tokens_of, verify
from offline_agent.retrieval.syntax import Languages
from offline_agent.retrieval.tokens import WordPieceCounter
from offline_agent.settings import EmbedderSettings

from .conftest import DECLARATIONS

NAME = "all-MiniLM-L6-v2"
SETTINGS = EmbedderSettings()


@pytest.fixture
def card() -> EmbedderCard:
    catalogue = tomllib.loads((DECLARATIONS.parent / "models" / "catalogue.toml").read_text())
    return EmbedderCard(name=NAME, **catalogue["embedders"][NAME])


@pytest.fixture
def copy(card: EmbedderCard, tmp_path: Path) -> Path:
    """The model's files, linked so that 90 MB are not copied."""
    source, target = directory_of(card, SETTINGS), tmp_path / "my model"
    for name in card.sha256:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(source / name)
    return target


def test_the_installed_files_are_the_pinned_ones(card: EmbedderCard) -> None:
    verify(card, directory_of(card, SETTINGS))
    assert card.package not in sys.modules


def test_a_changed_file_is_named_with_what_to_do(card: EmbedderCard, copy: Path) -> None:
    verify(card, copy)
    (copy / "config.json").unlink()
    (copy / "config.json").write_text("{}")
    with pytest.raises(EmbedderHashMismatch, match=r"config\.json is not the pinned one.*Reinstall"):
        verify(card, copy)
    (copy / "config.json").unlink()
    with pytest.raises(EmbedderError, match="cannot be read"):
        verify(card, copy)


def test_a_package_that_is_not_installed_says_so(card: EmbedderCard) -> None:
    with pytest.raises(EmbedderError, match="not installed"):
        directory_of(card.model_copy(update={"package": "no_such_package_at_all"}), SETTINGS)


def test_a_directory_of_ones_own_takes_its_limits_from_its_files(
    card: EmbedderCard, copy: Path, tmp_path: Path
) -> None:
    own = EmbedderSettings(directory=copy)
    assert directory_of(card, own) == copy
    assert max_tokens_of(card, own) == 256
    assert fingerprint_of(card, own) == f"my model-{card.sha256['model.safetensors'][:16]}"
    with pytest.raises(EmbedderError, match="not there"):
        directory_of(card, EmbedderSettings(directory=tmp_path / "gone"))
    with pytest.raises(EmbedderError, match="no weights"):
        fingerprint_of(card, EmbedderSettings(directory=tmp_path))


def test_tokens_are_counted_as_the_embedder_does_without_loading_it(card: EmbedderCard) -> None:
    counter = WordPieceCounter(directory_of(card, SETTINGS), card.max_tokens)
    assert counter.count(["", "def close(self):", "word " * 300]) == [0, 6, 300]
    source = Path(__file__).read_text()
    for chunk in Chunker(counter, Languages(DECLARATIONS)).chunk("tests/retrieval/test_embed.py", source).chunks:
        assert sum(counter.count([chunk.embedded_text])) + 2 <= card.max_tokens


def test_counting_and_locating_load_nothing_heavy(card: EmbedderCard) -> None:
    script = (
        "import sys; from offline_agent.retrieval import client, local, tokens, embed, worker, place, watch;"
        "print([name for name in ('torch', 'sentence_transformers', 'chromadb', 'transformers', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=DECLARATIONS.parent
    )
    assert done.stdout.strip() == "[]"


def test_the_real_embedder_means_what_it_says(card: EmbedderCard) -> None:
    embedder = load(card, SETTINGS)
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    texts = [
        "def read_cookies(jar):\n    return list(jar)",
        "the files where cookies are read",
        "def matrix_product(a, b):\n    return a @ b",
        "x " * 400,
    ]
    vectors = embedder.encode(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, card.dimensions)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    for text, vector in zip(texts, vectors, strict=True):
        assert np.allclose(embedder.encode([text])[0], vector, atol=0.02)
