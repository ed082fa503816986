"""What the library admits: nothing that runs code when it is opened, and nothing that is cut short."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.app.checks import check_model
from offline_agent.errors import EmbedderError, ModelBroken
from tests.app.models import POCKET, safetensors, write_embedder


def test_what_is_sound_is_taken(tmp_path: Path) -> None:
    check_model("chat", POCKET)
    check_model("embedding", write_embedder(tmp_path / "e"))
    check_model("reranking", write_embedder(tmp_path / "r"))
    check_model("embedding", write_embedder(tmp_path / "large", tokenizer_json=b'{"a": "' + b"x" * 30_000_000 + b'"}'))


def test_no_gguf_is_no_language_model(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelBroken):
        check_model("chat", tmp_path / "x.gguf")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling.py", "a.pkl", "B.PT"])
def test_what_runs_code_is_refused(tmp_path: Path, name: str) -> None:
    directory = write_embedder(tmp_path / "e")
    (directory / "deep").mkdir()
    (directory / "deep" / name).write_bytes(b"\x80\x04.")
    with pytest.raises(EmbedderError, match=r"deep/.* can run code"):
        check_model("embedding", directory)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.json", b'{"auto_map": {"AutoModel": "x.Y"}}', "wants Python code"),
        ("config.json", b"{", "no JSON"),
        ("config.json", b"[" * 100_000, "no JSON"),
        ("config.json", b'{"a": "' + b"x" * 16_000_000 + b'"}', "too large"),
        ("model.safetensors", b"", "no safetensors header"),
        ("model.safetensors", struct.pack("<Q", 16_000_001) + b"{}", "no safetensors header"),
        ("model.safetensors", safetensors()[:-1], "bytes where its header says"),
        ("model.safetensors", struct.pack("<Q", 1 << 60) + b"{}", "no safetensors header"),
        ("model.safetensors", struct.pack("<Q", 2) + b"[]", "damaged"),
        ("model.safetensors", struct.pack("<Q", 9) + b'{"w": {}}', "damaged"),
    ],
)
def test_what_is_damaged_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    directory = write_embedder(tmp_path / "e")
    (directory / name).write_bytes(content)
    with pytest.raises(EmbedderError, match=reason):
        check_model("embedding", directory)


def test_weights_and_tokenizer_are_needed(tmp_path: Path) -> None:
    directory = write_embedder(tmp_path / "e")
    (directory / "tokenizer.json").unlink()
    check_model("reranking", directory)
    with pytest.raises(EmbedderError, match=r"no tokenizer\.json"):
        check_model("embedding", directory)
    (directory / "model.safetensors").unlink()
    with pytest.raises(EmbedderError, match="no weights"):
        check_model("reranking", directory)


@given(content=st.binary(max_size=300))
def test_any_bytes_are_weights_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = write_embedder(tmp_path_factory.mktemp("e"), model_safetensors=content)
    with pytest.raises(EmbedderError, match=r"model\.safetensors cannot be used"):
        check_model("embedding", directory)
