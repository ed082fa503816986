"""What a file begins with tells whether it may be a model."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.library.kinds import ENOUGH, fault_of_start, is_data

HEADER = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("m.gguf", b"GGUF\x03\0\0\0"),
        ("M.GGUF", b"GGUF\x03\0\0\0"),
        ("m.safetensors", len(HEADER).to_bytes(8, "little") + HEADER),
        ("config.json", b'\n {"a": [1]}'),
        ("tokenizer.json", b'{"version": "1.0", "added_tokens": ['.ljust(ENOUGH)),
        ("vocab.txt", b"[PAD]\n[unused0]\n"),
        ("tokenizer.model", b"\n\x0e\n\x05<unk>"),
        ("README.md", b"---\nlicense: mit\n"),
    ],
)
def test_what_may_be(name: str, start: bytes) -> None:
    assert fault_of_start(name, start, "application/octet-stream") == ""


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("m.gguf", b"GGML"),
        ("m.gguf", b""),
        ("m.safetensors", b"\x80\x02}q\x00"),  # a pickle
        ("m.safetensors", b"\xff" * 8 + b"{"),
        ("m.safetensors", b"\x10\0\0\0\0\0\0\0" + b"x"),
        ("config.json", b"{"),
        ("config.json", b"Not Found"),
        ("config.json", b"PK\x03\x04".ljust(ENOUGH)),
        ("vocab.txt", b" \n<!DOCTYPE HTML><title>Log in</title>"),
    ],
)
def test_what_cannot_be(name: str, start: bytes) -> None:
    assert fault_of_start(name, start, "") != ""


@given(st.binary(max_size=ENOUGH), st.sampled_from([".gguf", ".json", ".safetensors", ".txt"]), st.text(max_size=20))
def test_any_beginning_is_judged(start: bytes, suffix: str, content_type: str) -> None:
    fault = fault_of_start(f"m{suffix}", start, content_type)
    assert fault == "" or fault.startswith("sends ")


@pytest.mark.parametrize(
    "name", ["a.bin", "a.pt", "a.pth", "a.ckpt", "a.pkl", "a.py", "a.so", "a.gguf.exe", "a", ".gguf"]
)
def test_what_could_run_is_no_data(name: str) -> None:
    assert not is_data(name)
