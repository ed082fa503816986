import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from offline_agent.app import SETTLED, Program, open_program, open_repository
from offline_agent.errors import EmbedderHashMismatch, IndexUnavailable, RepositoryError
from offline_agent.llm.scripted import ScriptedModel
from offline_agent.retrieval.process import IndexProcess
from offline_agent.settings import load_settings
from offline_agent.types import IndexPhase


def test_a_repository_is_the_nearest_checkout_above(tmp_path: Path) -> None:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    inside = tmp_path / "project" / "src" / "deep"
    inside.mkdir(parents=True)
    assert open_repository(inside).root == tmp_path / "project"
    (inside / ".git").write_text("gitdir: elsewhere\n")  # a worktree or a submodule
    assert open_repository(inside).root == inside


def test_without_a_checkout_it_is_the_directory_itself(tmp_path: Path) -> None:
    assert open_repository(tmp_path).root == tmp_path


def key_of(place: Path) -> str:
    with open_program(load_settings(), place) as program:
        return program.key


def test_a_link_and_its_target_are_one_repository(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert key_of(tmp_path / "link") == key_of(tmp_path / "real")


def test_repositories_of_one_name_are_kept_apart_and_no_directory_tells_it(tmp_path: Path, home: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent / "same näme").mkdir(parents=True)
    assert len({key_of(tmp_path / parent / "same näme") for parent in ("a", "b")}) == 2
    assert not [path for path in home.rglob("*") if "same" in path.name]


@pytest.mark.parametrize("place", ["/", "/no/where", __file__])
def test_what_is_no_project_is_refused(place: str) -> None:
    with pytest.raises(RepositoryError):
        open_repository(Path(place))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "one.py").write_text("def first():\n    return 1\n")
    return open_program(load_settings(), tmp_path)


def wait_until_read(program: Program) -> None:
    while program.following_retriever().status().phase is IndexPhase.SCANNING:
        time.sleep(0.05)


def test_a_saved_file_is_found_through_the_worker_that_others_share(program: Program, tmp_path: Path) -> None:
    with program, open_program(load_settings(), tmp_path) as other:
        wait_until_read(program)
        (tmp_path / "two.py").write_text("def freshly_saved():\n    return 2\n")
        assert program.following_retriever().wait_current(10)
        hits = other.one_shot_retriever().search("freshly_saved", 1).hits
        assert [hit.chunk.symbol for hit in hits] == ["freshly_saved"]
        with pytest.raises(IndexUnavailable, match="End it first"):
            other.clear_index()


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_the_index_worker_is_held_by_the_kernel(program: Program) -> None:
    with program:
        wait_until_read(program)
        process = program.following_retriever()._process
        assert process is not None
        filtered = "Seccomp:\t2"
        assert filtered in Path(f"/proc/{process.pid}/status").read_text()


def test_a_killed_index_worker_is_replaced(program: Program) -> None:
    with program:
        wait_until_read(program)
        index = program.following_retriever()
        assert index._process is not None
        os.kill(index._process.pid, signal.SIGKILL)
        assert index.search("first", 1).hits[0].chunk.symbol == "first"


def test_threads_that_ask_while_it_closes_start_nothing_anew(program: Program) -> None:
    ends: list[Exception] = []

    def poll(index: IndexProcess) -> None:
        try:
            while True:
                index.status()
        except Exception as error:
            ends.append(error)

    with program:
        wait_until_read(program)
        index = program.following_retriever()
        pollers = [threading.Thread(target=poll, args=(index,)) for _ in range(4)]
        for poller in pollers:
            poller.start()
        time.sleep(0.2)
        first = index._process
    for poller in pollers:
        poller.join(10)
    assert [type(end) for end in ends] == [IndexUnavailable] * 4
    assert index._process is first


def test_the_whole_index_has_a_vector_for_every_chunk(program: Program) -> None:
    with program:
        result = program.complete_retriever().search("the function that comes first", 3)
        status = program.index_status()
    assert result.dense
    assert status.phase in SETTLED
    assert status.vectors == status.chunks == 1


def test_a_wrong_embedder_hash_is_said_and_words_still_answer(tmp_path: Path) -> None:
    settings = load_settings()
    declarations = tmp_path / "declarations"
    shutil.copytree(settings.index_declarations, declarations / "index")
    (declarations / "models").mkdir()
    catalogue = (settings.models_directory / "catalogue.toml").read_text()
    weights = '"model.safetensors" = "53aa'
    assert weights in catalogue
    (declarations / "models" / "catalogue.toml").write_text(catalogue.replace(weights, weights[:-4] + "dead"))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "one.py").write_text("def first():\n    return 1\n")
    with open_program(settings.model_copy(update={"declarations": declarations}), tmp_path / "shop") as program:
        with pytest.raises(EmbedderHashMismatch, match="model"):
            program.complete_retriever()
        index = program.following_retriever()
        while (status := index.status()).phase is not IndexPhase.LEXICAL_ONLY:
            time.sleep(0.05)
        assert "is not the pinned one" in status.problem
        assert "pocket-static" in status.problem  # which is not there at all
        assert index.search("first", 1).hits[0].chunk.symbol == "first"


def test_a_worker_that_is_about_to_end_is_not_asked(program: Program, tmp_path: Path) -> None:
    """Its process may live for seconds after its session, to finish a batch."""
    with program:
        wait_until_read(program)
    for _ in range(5):
        with open_program(load_settings(), tmp_path) as next_one:
            assert next_one.index_status().files == 1
            assert next_one.one_shot_retriever().search("first", 1).hits


def test_a_clone_borrows_its_vectors(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.py").write_text(f"def shared():\n    return 1\n\n\ndef only_{name}():\n    return 2\n")
    first, second = (open_program(load_settings(), tmp_path / name) for name in ("a", "b"))
    with open_program(load_settings(), tmp_path / "c") as never_indexed:
        assert never_indexed.key
    with first, second:
        [stored] = first.complete_retriever().search("shared", 1).hits
        fingerprint, wanted = first.index_status().embedder, [stored.chunk.key, "0" * 32]
        assert [keys for keys, _ in second.borrow(fingerprint, wanted)] == [[stored.chunk.key]]
        assert list(second.borrow("another", wanted)) == []
        assert list(first.borrow(fingerprint, wanted)) == []  # what is its own is not borrowed
        assert not list(second.vault.directory(never_indexed.key).iterdir())


def test_instructions_come_from_the_root_down_to_where_the_person_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "src" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "AGENTS.md").write_text("Of the root.\n")
    (deep / "AGENTS.md").write_text("Of the depth.\n")
    settings = load_settings()
    settings.config_directory.mkdir(parents=True)
    (settings.config_directory / "AGENTS.md").write_text("Of the person.\n")
    monkeypatch.chdir(deep)
    model = ScriptedModel(["Fine."], context=32_768)
    with open_program(settings, deep, model=model) as program:
        list(program.task(program.one_shot_retriever()).ask("hello"))
    system = model.prompts[0][0].content
    places = [system.index(f"Of the {whose}.") for whose in ("person", "root", "depth")]
    assert places == sorted(places)
