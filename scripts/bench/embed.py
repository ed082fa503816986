"""Indexing from nothing, vectors included: chunks per second, reading, chunking and the encrypted store and all.

Against: a bare `SentenceTransformer.encode` loop over the same texts, batch 32, in the same process; the two take turns. The bare
loop has torch's default number of threads, ours the number it chooses.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from offline_agent.llm.catalogue import load_catalogue
from offline_agent.retrieval import embed
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.indexer import Indexer, embed_pending
from offline_agent.retrieval.store import Store
from offline_agent.retrieval.tokens import WordPieceCounter
from offline_agent.settings import load_settings
from offline_agent.vault.sealed import SealedVault
from offline_agent.vault.secret import Secret
from scripts.bench.corpus import make_repository


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    settings = load_settings()
    card = load_catalogue(settings.models_directory).embedder(settings.embedder.name)
    import torch

    default_threads = torch.get_num_threads()
    embedder = embed.load(card, settings.embedder)
    own_threads = torch.get_num_threads()
    directory = embed.directory_of(card, settings.embedder)
    counter = WordPieceCounter(directory, card.max_tokens)

    from sentence_transformers import SentenceTransformer

    bare_model = SentenceTransformer(str(directory), local_files_only=True)
    ratios = []
    with tempfile.TemporaryDirectory() as scratch:
        repository = make_repository(Path(scratch), arguments.files)
        vault = SealedVault(Path(scratch) / "data", Secret.random())
        for number in range(arguments.rounds + 1):
            torch.set_num_threads(own_threads)  # of the whole process: without this the two would share ours
            began = time.monotonic()
            store = Store(vault.database(f"round{number}/index"))
            Indexer(repository, store, counter, settings.index_declarations, settings.index).refresh()
            texts = [text for _, text in store.pending(embedder.fingerprint, 1_000_000)]
            words_ready = time.monotonic() - began
            index = ExactIndex()  # answers at once; Chroma fills up behind it when nothing is left to embed
            embed_pending(store, embedder, index, settings.embedder.batch, should_stop=lambda: False)
            ours = len(texts) / (time.monotonic() - began)
            torch.set_num_threads(default_threads)
            began = time.monotonic()
            bare_model.encode(texts, batch_size=32, show_progress_bar=False)
            bare = len(texts) / (time.monotonic() - began)
            if number:  # the first round warms both up
                ratios.append(ours / bare)
                print(f"round {number}: {len(texts)} chunks, searchable by words after {words_ready:.2f} s")
                print(f"         {ours:.1f} chunks/s; bare {bare:.1f}")
    print(f"threads: ours {own_threads}, bare {default_threads}")
    print(f"indexing at {100 * statistics.median(ratios):.0f} % of the bare encode loop (median of {arguments.rounds})")


if __name__ == "__main__":
    main()
