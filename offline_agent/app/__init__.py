"""The composition root: settings in, a wired program out. The only package that knows every part.

    Program ---- Stored            stored.py    what the vault keeps for the repository, encrypted
       |-------- Answerer          model.py     what answers: a child process that owns llama.cpp, or a server
       |-------- RepositoryIndex   index.py     a child process (serve.py): watches, chunks, embeds, answers searches
       |            `-- Place      place.py     all that an index is made of: embedders.py, vectors.py
       |-------- Workbench         hands.py     rules, sandbox, undo, tools
       `-------- Sessions          sessions.py  search -> prompt -> answer, or act and again

    without a repository: library.py, shelf.py, fetch.py (models by name), bench.py, quality/ (how fast and good they are),
    bundle.py, unbundle.py (the program and models for another machine)

Heavy libraries are imported by the children. What only some commands need is imported here inside the function that needs it, and
so are `place` and `vectors`: the first prompt of a session costs no more than half a second of CPU. What the faces use is named
below, and they look no further.
"""

from offline_agent.agent.loop import Session
from offline_agent.app.bench import FEW, PARTS, Part, Subject, Trial, Wanted, bench_subjects
from offline_agent.app.bundle import (
    SIGNING,
    Planned,
    Wish,
    create_bundle,
    make_signing_key,
    plan_bundle,
    signing_key,
)
from offline_agent.app.configure import Key
from offline_agent.app.fetch import Fetcher, How, find_others, import_models, reference_of, verify_models
from offline_agent.app.fetch import Verified as VerifiedModel
from offline_agent.app.index import SETTLED, render_map
from offline_agent.app.library import catalogue_of, is_name, library_of, model_of
from offline_agent.app.library_vault import HUB, record
from offline_agent.app.model import explain_fit, fit_of
from offline_agent.app.program import Program, open_program
from offline_agent.app.rules import import_rules, write_rules
from offline_agent.app.serve import serve_index
from offline_agent.app.shelf import (
    Entry,
    card_file,
    entries_of,
    entry_of,
    make_default,
    recommended,
    removable,
    remove_model,
)
from offline_agent.app.stored import CHROMA, ENDPOINT
from offline_agent.app.unbundle import Installing, Verified, install_bundle, install_models, verify_bundle
from offline_agent.app.vault import end_index_workers, existing_keeper, forget_gone, keeper_of, open_kept, open_vault
from offline_agent.bundle.order import Made
from offline_agent.library.imports import Imported, Imports
from offline_agent.library.plan import Plan
from offline_agent.library.progress import Pulled
from offline_agent.llm.bench_advice import (
    READABLE,
    Advice,
    Change,
    advise,
    compare,
    latest_benchmarks,
    quality_of,
    scores_of,
)
from offline_agent.llm.bench_plan import QUICK, THOROUGH
from offline_agent.llm.catalogue import pins
from offline_agent.llm.endpoints import Found, discover
from offline_agent.llm.recommend import Machine, Recommendation, billions, gigabytes, needs
from offline_agent.retrieval.repository import Repository, open_repository
from offline_agent.vault.audit import Head, verify_export
from offline_agent.vault.benchmarks import Benchmarks
from offline_agent.vault.inspect import size_of, swaps_in_clear
from offline_agent.vault.keeper import Keeper
from offline_agent.vault.logs import parse_since
from offline_agent.vault.opened import OpenVault

__all__ = [
    "CHROMA",
    "ENDPOINT",
    "FEW",
    "HUB",
    "PARTS",
    "QUICK",
    "READABLE",
    "SETTLED",
    "SIGNING",
    "THOROUGH",
    "Advice",
    "Benchmarks",
    "Change",
    "Entry",
    "Fetcher",
    "Found",
    "Head",
    "How",
    "Imported",
    "Imports",
    "Installing",
    "Keeper",
    "Key",
    "Machine",
    "Made",
    "OpenVault",
    "Part",
    "Plan",
    "Planned",
    "Program",
    "Pulled",
    "Recommendation",
    "Repository",
    "Session",
    "Subject",
    "Trial",
    "Verified",
    "VerifiedModel",
    "Wanted",
    "Wish",
    "advise",
    "bench_subjects",
    "billions",
    "card_file",
    "catalogue_of",
    "compare",
    "create_bundle",
    "discover",
    "end_index_workers",
    "entries_of",
    "entry_of",
    "existing_keeper",
    "explain_fit",
    "find_others",
    "fit_of",
    "forget_gone",
    "gigabytes",
    "import_models",
    "import_rules",
    "install_bundle",
    "install_models",
    "is_name",
    "keeper_of",
    "latest_benchmarks",
    "library_of",
    "make_default",
    "make_signing_key",
    "model_of",
    "needs",
    "open_kept",
    "open_program",
    "open_repository",
    "open_vault",
    "parse_since",
    "pins",
    "plan_bundle",
    "quality_of",
    "recommended",
    "record",
    "reference_of",
    "removable",
    "remove_model",
    "render_map",
    "scores_of",
    "serve_index",
    "signing_key",
    "size_of",
    "swaps_in_clear",
    "verify_bundle",
    "verify_export",
    "verify_models",
    "write_rules",
]
