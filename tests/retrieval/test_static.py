"""The static embedder: the vectors of sentence-transformers from the same files, without it, for any text."""

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import EmbedderError, EmbedderHashMismatch
from offline_agent.models import EmbedderCard
from offline_agent.retrieval.embed import go_offline
from offline_agent.retrieval.static import TOKENIZER, WEIGHTS, StaticEmbedder, WordPieces, load_static

from .conftest import DECLARATIONS

NAME = "pocket-static"
MODELS = DECLARATIONS.parent / "models"
TEXTS = [
    "where are cookies read from the jar?",
    "src/session.py Session.close\n    def close(self) -> None:\n        for each in self.open:\n            each.close()",
    "HTTPAdapter getAuth2x sha256 x86_64 [UNK] [CLS] ##ing",
    "Caf\u00e9 na\u00efve \ufb01le \u0416\u0414\u0418 \u65e5\u672c\u8a9e \U0001f600 \u00b2 \u212a",
    "0123456789 3.14159 0xDEADBEEF " + "a1" * 200 + " " + "x" * 500,
    *Path(__file__).read_text(encoding="utf-8").split("\n\n"),
]


@pytest.fixture(scope="module")
def card() -> EmbedderCard:
    catalogue = tomllib.loads((MODELS / "catalogue.toml").read_text(encoding="utf-8"))
    return EmbedderCard(name=NAME, **catalogue["embedders"][NAME])


@pytest.fixture(scope="module")
def embedder(card: EmbedderCard) -> StaticEmbedder:
    return load_static(card, MODELS / card.directory)


@pytest.fixture
def copy(card: EmbedderCard, tmp_path: Path) -> Path:
    for name in card.sha256:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((MODELS / card.directory / name).read_bytes())
    return tmp_path


def test_it_gives_the_vectors_of_sentence_transformers(card: EmbedderCard, embedder: StaticEmbedder) -> None:
    go_offline()
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(MODELS / card.directory), local_files_only=True, device="cpu")
    theirs = model.float().encode(TEXTS, normalize_embeddings=True, convert_to_numpy=True)
    ours = embedder.encode(TEXTS)
    assert theirs.shape == ours.shape == (len(TEXTS), embedder.dimensions)
    assert (theirs * ours).sum(axis=1).min() > 0.9999


def test_it_splits_as_the_tokenizer_file_says(card: EmbedderCard, embedder: StaticEmbedder) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(MODELS / card.directory / TOKENIZER))
    pieces = WordPieces(tokenizer.get_vocab())
    unknown = tokenizer.token_to_id("[UNK]")

    @given(st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cs"]), max_size=80))
    def same(text: str) -> None:
        theirs = [row for row in tokenizer.encode(text, add_special_tokens=False).ids if row != unknown]
        assert pieces.rows([text]) == [theirs]

    same()


@given(text=st.text(st.characters(), max_size=200))
def test_any_text_has_a_unit_vector(embedder: StaticEmbedder, text: str) -> None:
    [vector] = embedder.encode([text])
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_text_without_known_pieces_has_a_fixed_direction(embedder: StaticEmbedder) -> None:
    vectors = embedder.encode(["", " \n", "\u65e5\u672c\u8a9e", "{}()", "\ud800"])
    assert (vectors == vectors[0]).all()
    assert np.linalg.norm(vectors[0]) == 1
    assert embedder.encode([]).shape == (0, embedder.dimensions)


def test_a_text_has_the_same_vector_in_any_company(embedder: StaticEmbedder) -> None:
    together = embedder.encode([*TEXTS, "", *TEXTS])
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    assert together.dtype == np.float32
    assert (together[: len(TEXTS)] == alone).all()
    assert (together[len(TEXTS) + 1 :] == alone).all()


def test_words_are_split_at_humps_and_case_is_no_matter(embedder: StaticEmbedder) -> None:
    one, other, third = embedder.encode(["getAuthToken(HTTPServer)", "get_auth_token http server", "matrix product"])
    assert one @ other == pytest.approx(1, abs=1e-5)
    assert one @ third < 0.5


def test_it_means_what_it_says(embedder: StaticEmbedder) -> None:
    wanted, other, question = embedder.encode(
        [
            "store/files.py Files.remove\n    def remove(self, path):\n        path.unlink()",
            "store/files.py Files.sizes\n    def sizes(self):\n        return [path.stat().st_size for path in self.every()]",
            "how is a file deleted?",
        ]
    )
    assert question @ wanted > question @ other


def test_a_changed_file_is_an_error(card: EmbedderCard, copy: Path) -> None:
    with (copy / WEIGHTS).open("r+b") as file:
        file.seek(5_000)
        file.write(b"\1\2\3\4")
    with pytest.raises(EmbedderHashMismatch, match=r"model\.safetensors is not the pinned one.*Install"):
        load_static(card, copy)


def test_a_missing_file_is_an_error(card: EmbedderCard, copy: Path) -> None:
    (copy / TOKENIZER).unlink()
    with pytest.raises(EmbedderError, match=r"tokenizer\.json cannot be read \(No such file"):
        load_static(card, copy)


@pytest.mark.parametrize("weights", [b"", b"\xff" * 100, b"\2\0\0\0\0\0\0\0{}", b"\2\0\0\0\0\0\0\0[]"])
def test_a_pinned_file_that_is_no_table_is_an_error(card: EmbedderCard, copy: Path, weights: bytes) -> None:
    (copy / WEIGHTS).write_bytes(weights)
    hashes = {**card.sha256, WEIGHTS: hashlib.sha256(weights).hexdigest()}
    with pytest.raises(EmbedderError, match="is not a static one"):
        load_static(card.model_copy(update={"sha256": hashes}), copy)


def test_the_directory_is_small_and_needs_nothing_heavy(card: EmbedderCard) -> None:
    size = sum(path.stat().st_size for path in (MODELS / card.directory).rglob("*") if path.is_file())
    assert size < 10_000_000
    script = (
        "import sys; from pathlib import Path; from offline_agent.models import EmbedderCard;"
        "from offline_agent.retrieval.static import load_static;"
        "card = EmbedderCard.model_validate_json(sys.argv[1]); load_static(card, Path(sys.argv[2])).encode(['a word']);"
        "print([name for name in ('torch', 'transformers', 'tokenizers', 'safetensors', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, card.model_dump_json(), str(MODELS / card.directory)],
        capture_output=True, text=True, check=True, cwd=DECLARATIONS.parent, env=dict(os.environ),
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
