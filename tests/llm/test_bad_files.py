"""Files that are no model: a one-line error of the right kind, and neither a traceback nor a wait."""

import os
import random
from pathlib import Path

import gguf
import pytest

from offline_agent.errors import ModelBroken, ModelError, ModelMissing, ModelTemplateMissing
from offline_agent.llm.catalogue import card_for
from offline_agent.llm.gguf import check_gguf, check_pinned, hash_file
from offline_agent.llm.process import LlamaProcess
from offline_agent.settings import ModelSettings

from .conftest import POCKET, QUESTION, SHORT, copy_gguf

WORDS = POCKET.read_bytes()


def load(path: Path) -> None:
    process = LlamaProcess(card_for(path), path, ModelSettings(load_timeout_seconds=20))
    try:
        process.load()
        list(process.stream(QUESTION, SHORT))
    finally:
        process.close()


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def flipped(*bits: int) -> bytes:
    data = bytearray(WORDS)
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def test_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "no.gguf", POCKET / "below"):
        with pytest.raises(ModelMissing, match="check the path"):
            LlamaProcess(card_for(path), path).start()


def test_directory_and_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    for path in (tmp_path, tmp_path / "pipe.gguf"):
        with pytest.raises(ModelBroken, match=r"is a directory|not a regular file"):
            check_gguf(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = written(tmp_path / "locked.gguf", WORDS)
    path.chmod(0)
    with pytest.raises(ModelBroken, match="chmod"):
        check_gguf(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"#!/bin/sh\n", "is not a GGUF file"),
        (random.Random(1).randbytes(4096), "is not a GGUF file"),
        (WORDS[:3], "is not a GGUF file"),
        (WORDS[:20], "cut short after 20 bytes"),
        (b"GGUF" + (1).to_bytes(4, "little") + WORDS[8:64], "has GGUF version 1"),
        (b"GGUF" + (3).to_bytes(4, "big") + WORDS[8:64], "has GGUF version 50331648"),
        (b"GGUF" + WORDS[4:8] + b"\xff" * 16, "damaged header"),
    ],
)
def test_the_front_sees_it_without_a_process(tmp_path: Path, data: bytes, reason: str) -> None:
    process = LlamaProcess(card_for(tmp_path / "bad.gguf"), written(tmp_path / "bad.gguf", data))
    with pytest.raises(ModelBroken, match=reason):
        process.start()
    assert process.pid is None


@pytest.mark.parametrize("length", [24, 100, 5_000, 200_000, len(WORDS) // 2, len(WORDS) - 1])
def test_truncated(tmp_path: Path, length: int) -> None:
    path = written(tmp_path / "short.gguf", WORDS[:length])
    with pytest.raises(ModelBroken) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_random_bytes_after_a_good_header(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(written(tmp_path / "noise.gguf", WORDS[:24] + random.Random(2).randbytes(100_000)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bits_in_the_metadata_load_or_say_why_not(tmp_path: Path, seed: int) -> None:
    bits = random.Random(seed).sample(range(64, 8 * 2000), 8)
    try:
        load(written(tmp_path / "flipped.gguf", flipped(*bits)))
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017  loading is as good an outcome


def test_a_file_that_crashes_llama_cpp_is_called_broken(tmp_path: Path) -> None:
    tokens = gguf.GGUFReader(POCKET).fields["tokenizer.ggml.tokens"].contents()
    path = copy_gguf(tmp_path / "twins.gguf", tokens=[*tokens[:-1], tokens[-2]])
    with pytest.raises(ModelBroken, match=r"crashed on .*twins.gguf \(GGML_ASSERT\(.*failed\)"):
        load(path)


def test_an_error_cannot_steer_the_terminal(tmp_path: Path) -> None:
    template = "{{ raise_exception('\x1b[2J\\n\\n' ~ 'gotcha') }}"
    with pytest.raises(ModelTemplateMissing, match="gotcha") as caught:
        load(copy_gguf(tmp_path / "escape.gguf", chat_template=template))
    assert str(caught.value).isprintable()


def test_no_chat_template(tmp_path: Path) -> None:
    with pytest.raises(ModelTemplateMissing, match="choose an instruction-tuned GGUF"):
        load(copy_gguf(tmp_path / "bare.gguf", drop="tokenizer.chat_template"))


def test_broken_chat_template(tmp_path: Path) -> None:
    with pytest.raises(ModelTemplateMissing, match="does not work"):
        load(copy_gguf(tmp_path / "template.gguf", chat_template="{{ messages[99].content.x() }}"))


def test_pins(tmp_path: Path) -> None:
    size = len(WORDS)
    check_pinned(POCKET, "", 0)
    check_pinned(POCKET, hash_file(POCKET), size)
    with pytest.raises(ModelBroken, match=f"has {size} bytes where 5 are pinned"):
        check_pinned(POCKET, hash_file(POCKET), 5)
    with pytest.raises(ModelBroken, match="not the file that was pinned"):
        check_pinned(POCKET, "0" * 64, 0)


def test_a_wrong_hash_is_refused_by_the_worker() -> None:
    card = card_for(POCKET).model_copy(update={"sha256": "0" * 64})
    process = LlamaProcess(card, POCKET)
    with pytest.raises(ModelBroken, match="not the file that was pinned"):
        process.load()
    assert process.pid is None
