"""A second look at the best results, by a model that reads question and text together. Off by default: it takes about as long as
embedding twenty texts, for every search.

The model is a sentence-transformers CrossEncoder with one score, from a directory on this machine. Its files are the person's own
to trust, as those of [embedder] directory are: no hash is checked.
"""

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.errors import EmbedderError
from offline_agent.protocols import Reranker
from offline_agent.retrieval.embed import go_offline
from offline_agent.retrieval.terms import terms
from offline_agent.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import CrossEncoder

log = logging.getLogger(__name__)

DEPTH = 20
"""Results that are looked at again: a model of 22 M parameters takes one to two seconds for as many on two cores."""
_LONGEST = 512  # tokens of question and text together; attention costs the square of it
_CHARACTERS = (
    6  # more than a token of code or English has on average, so that the tokenizer is not given what it will cut
)


def rerank(
    query: str, chunks: Sequence[Chunk], scores: Sequence[float], reranker: Reranker, weight: float
) -> list[float]:
    """New scores for the best `chunks` of a search, in their order; `scores` are those of the first ranking, all finite.

    Both rankings are stretched over the span of the first, then mixed: `weight` 0 leaves the first as it is, 1 takes the second
    alone. (Linear fusion after min-max scaling: Bruch, Gai, Ingber, ACM TOIS 42(1), 2023, who find it better than fusing ranks.)
    No new score is outside the span of the old ones, so what was ranked behind these chunks stays behind. Raises an EmbedderError.
    """
    if len(chunks) < 2:
        return list(scores)
    lowest, span = min(scores), max(scores) - min(scores)
    second = _stretched([float(score) for score in reranker.scores(query, [one.embedded_text for one in chunks])])
    return [
        (1 - weight) * first + weight * (lowest + span * again) for first, again in zip(scores, second, strict=True)
    ]


def _stretched(scores: Sequence[float]) -> list[float]:
    """Over 0 to 1; all in the middle where they are equal."""
    lowest, span = min(scores), max(scores) - min(scores)
    return [(score - lowest) / span if span else 0.5 for score in scores]


class OverlapReranker:
    """A Reranker that needs no model: the share of the question's words that a text has. For tests."""

    def scores(self, query: str, texts: Sequence[str]) -> "NDArray[np.float32]":
        import numpy as np

        asked = set(terms(query))
        shared = [len(asked & set(terms(text))) / max(1, len(asked)) for text in texts]
        return np.array(shared, dtype=np.float32)


class CrossEncoderReranker:
    """A Reranker on CPU, or on a GPU where torch sees one. Any thread may call it; one at a time gets through.

    Raises an EmbedderError where `directory` holds no such model. Loading takes seconds, for torch.
    """

    def __init__(self, directory: Path) -> None:
        started = time.monotonic()
        go_offline()
        self._lock = threading.Lock()  # the tokenizer inside the model must not be used by two threads
        self._model = _load(directory)
        self._longest = _tokens_of(self._model)
        log.info("reranker loaded from %s in %.1f s", directory, time.monotonic() - started)

    def scores(self, query: str, texts: Sequence[str]) -> "NDArray[np.float32]":
        import numpy as np

        if not texts:
            return np.zeros(0, dtype=np.float32)
        size = _CHARACTERS * self._longest
        pairs = [(_readable(query[:size]), _readable(text[:size])) for text in texts]
        try:
            with self._lock:
                found = self._model.predict(pairs, show_progress_bar=False, convert_to_numpy=True)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = str(error).partition("\n")[0]
            raise EmbedderError(f"Reranking failed: {reason}. Unset [index] reranker to do without.") from error
        scores = np.asarray(found, dtype=np.float32)
        if scores.shape != (len(texts),) or not np.isfinite(scores).all():
            raise EmbedderError("The reranker's scores are no numbers. Unset [index] reranker to do without.")
        return scores


def _readable(text: str) -> str:
    """With a mark for what is no character: tokenizers refuse halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _load(directory: Path) -> "CrossEncoder":
    if not directory.is_dir():
        raise EmbedderError(f"The reranker directory {directory} is not there. Correct [index] reranker.")
    try:
        import torch
        from sentence_transformers import CrossEncoder

        # Identity: its order is the sigmoid's, which a configuration would name, without its ends where all scores are equal.
        model: CrossEncoder = CrossEncoder(
            str(directory), local_files_only=True, trust_remote_code=False, activation_fn=torch.nn.Identity()
        )
        labels = model.num_labels
    except Exception as error:  # each of the libraries below raises its own kinds for a file that is damaged
        reason = str(error).strip().partition("\n")[0]
        raise EmbedderError(
            f"The reranker in {directory} cannot be loaded: {reason}. Correct [index] reranker."
        ) from error
    if labels != 1:
        raise EmbedderError(
            f"The model in {directory} has {labels} labels; a reranker has one. Correct [index] reranker."
        )
    if model.device.type == "cpu":
        model.to(torch.bfloat16 if _computes_bfloat16() else torch.float32)
    return model


def _computes_bfloat16() -> bool:
    """Where the CPU does, it is twice as fast, and float16 is slow (see embed.py, which also sets the number of threads)."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _tokens_of(model: "CrossEncoder") -> int:
    """The most the model reads at once, and never more than 512: some say they read without a limit."""
    longest = min(int(model.max_seq_length or _LONGEST), _LONGEST)
    model.max_seq_length = longest
    return longest
