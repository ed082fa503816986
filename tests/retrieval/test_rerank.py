"""A second look at the best results: it reorders them among themselves and nothing else."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import EmbedderError
from offline_agent.retrieval.rerank import CrossEncoderReranker, OverlapReranker, rerank
from offline_agent.types import Chunk

WORDS = [
    "def",
    "retry",
    "upload",
    "open",
    "file",
    "close",
    "session",
    "token",
    "parse",
    "cache",
    "the",
    "of",
    "when",
    "fails",
]


def chunk(text: str, path: str = "a.py") -> Chunk:
    return Chunk(path=path, start_line=1, end_line=1, text=text)


RETRY, OPEN, CACHE = chunk("def retry(upload):"), chunk("def open(file):"), chunk("cache = {}")


def test_the_second_ranking_alone() -> None:
    new = rerank("retry upload", [CACHE, OPEN, RETRY], [0.9, 0.5, 0.1], OverlapReranker(), weight=1.0)
    assert new == pytest.approx([0.1, 0.1, 0.9])


def test_no_weight_leaves_the_first_as_it_is() -> None:
    scores = [0.9, 0.5, 0.1]
    assert rerank("retry upload", [CACHE, OPEN, RETRY], scores, OverlapReranker(), weight=0.0) == scores


def test_both_are_mixed() -> None:
    new = rerank("retry upload", [CACHE, RETRY], [2.0, 1.0], OverlapReranker(), weight=0.25)
    assert new == pytest.approx([1.75, 1.25])


@pytest.mark.parametrize("scores", [[], [0.4]])
def test_one_result_has_no_order(scores: list[float]) -> None:
    assert rerank("x", [RETRY] * len(scores), scores, OverlapReranker(), weight=1.0) == scores


def test_where_the_second_sees_no_difference_the_first_decides() -> None:
    new = rerank("nothing of it", [CACHE, OPEN, RETRY], [3.0, 2.0, 1.0], OverlapReranker(), weight=0.5)
    assert new == pytest.approx([2.5, 2.0, 1.5])


SCORES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)


@given(SCORES, st.floats(0, 1), st.text())
def test_nothing_leaves_the_span_of_the_first_ranking(scores: list[float], weight: float, query: str) -> None:
    chunks = [chunk(" ".join(WORDS[: number + 1])) for number in range(len(scores))]
    new = rerank(query, chunks, scores, OverlapReranker(), weight)
    slack = 1e-9 * max(1.0, max(map(abs, scores)))
    assert len(new) == len(scores)
    assert all(min(scores) - slack <= score <= max(scores) + slack for score in new)


def build(directory: Path, labels: int = 1) -> Path:
    """A CrossEncoder that knows nothing: a BERT of one layer with random weights, as a download would lie there."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = BertWordPieceTokenizer({word: number for number, word in enumerate([*marks, *WORDS])})
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), marks, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(directory)  # type: ignore[no-untyped-call]
    torch.manual_seed(4)
    config = BertConfig(
        vocab_size=len(marks) + len(WORDS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    config.num_labels = labels
    BertForSequenceClassification(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("reranker") / "model")


@pytest.fixture(scope="module")
def reranker(model: Path) -> CrossEncoderReranker:
    return CrossEncoderReranker(model)


def test_a_cross_encoder_scores_each_text(reranker: CrossEncoderReranker) -> None:
    texts = ["def retry upload", "open file", "cache"]
    scores = reranker.scores("retry upload", texts)
    assert scores.shape == (3,)
    assert scores.dtype == np.float32
    assert len(set(scores.tolist())) == 3
    # What is padded beside another text is rounded differently, where the CPU computes in bfloat16.
    alone = [reranker.scores("retry upload", [text])[0] for text in texts]
    assert alone == pytest.approx(scores.tolist(), abs=0.1)
    assert reranker.scores("retry upload", []).shape == (0,)


def test_question_and_text_are_read_together(reranker: CrossEncoderReranker) -> None:
    first, second = (reranker.scores(query, ["open file"])[0] for query in ("open", "cache"))
    assert first != second


@pytest.mark.parametrize("query", ["", "retry " * 50_000, "\x00\ud800 \U0001f600", "a" * 1_000_000])
def test_any_question_is_read(reranker: CrossEncoderReranker, query: str) -> None:
    assert reranker.scores(query, ["open file", "", "token " * 50_000]).shape == (3,)


def test_several_threads_may_ask(reranker: CrossEncoderReranker) -> None:
    expected = reranker.scores("retry", ["open file", "cache"]).tolist()
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: found.append(reranker.scores("retry", ["open file", "cache"]).tolist()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"is not there. Correct \[index\] reranker"):
        CrossEncoderReranker(tmp_path / "none")


def test_a_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="cannot be loaded"):
        CrossEncoderReranker(tmp_path)


def test_a_model_that_classifies_is_no_reranker(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="3 labels; a reranker has one"):
        CrossEncoderReranker(build(tmp_path / "model", labels=3))


def test_a_model_with_broken_weights(tmp_path: Path) -> None:
    directory = build(tmp_path / "model")
    (directory / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(EmbedderError, match="cannot be loaded"):
        CrossEncoderReranker(directory)


def test_a_model_that_brings_code_does_not_run_it(tmp_path: Path) -> None:
    directory = build(tmp_path / "model")
    (directory / "evil.py").write_text(f"open({str(tmp_path / 'evil-was-here')!r}, 'w')\n")
    config = json.loads((directory / "config.json").read_text())
    config |= {"auto_map": {"AutoModelForSequenceClassification": "evil.Evil", "AutoConfig": "evil.Evil"}}
    config["sentence_transformers"] = {"activation_fn": "evil.Evil"}
    (directory / "config.json").write_text(json.dumps(config))
    CrossEncoderReranker(directory)
    assert not (tmp_path / "evil-was-here").exists()
