"""The session over a piped terminal, with a real index worker and real llama.cpp; and its small parts."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.plain_text import PlainTextOutput

from offline_agent.app import Program, open_program
from offline_agent.repl.history import VaultHistory
from offline_agent.repl.loop import Repl
from offline_agent.repl.render import index_line, searched_line
from offline_agent.settings import LogSettings, VaultSettings, load_settings
from offline_agent.types import IndexPhase, IndexStatus, SearchResult
from offline_agent.vault.archive import Archive
from offline_agent.vault.plain import PlainVault


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "pricing.py").write_text('def apply_discount(total):\n    """Lower the total."""\n    return total\n')
    with open_program(load_settings(), root) as opened:
        yield opened


@pytest.fixture
def terminal() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe:
        yield pipe


def play(program: Program, terminal: PipeInput, *keys: str) -> str:
    """Types the keys into a session, leaves with Ctrl-D, and returns the screen."""
    screen = io.StringIO()
    terminal.send_text("".join(keys) + "\x04")
    assert Repl(program, keyboard=terminal, screen=PlainTextOutput(screen)).run() == 0
    return screen.getvalue()


def test_a_question_is_answered_with_a_place(program: Program, terminal: PipeInput) -> None:
    screen = play(program, terminal, "Where is apply_discount defined?\r")
    assert "pocket is a demonstration model" in screen
    assert "pricing.py:1-3" in screen
    assert "search results by words, symbols and meaning" in screen


def test_a_question_of_two_lines_is_one_question(program: Program, terminal: PipeInput) -> None:
    play(program, terminal, "Where is\x1b\rapply_discount?\r")
    assert list(VaultHistory(program.archive.main, program.key).load_history_strings()) == ["Where is\napply_discount?"]


def test_commands_and_typing_errors(program: Program, terminal: PipeInput) -> None:
    screen = play(
        program, terminal, "/help\r", "/nonsense\r", "/search discount\r", "/search\r", "/new\r", "/status\r", "   \r"
    )
    for said in (
        "/search WORDS",
        "There is no command /nonsense",
        "pricing.py:1-3",
        "Say what to search for",
        "A new conversation",
    ):
        assert said in screen


def test_rules_that_cannot_be_understood_are_told_at_the_start(program: Program, terminal: PipeInput) -> None:
    (program.repository.root / "opencode.json").write_text("{")
    assert "everything in this repository is asked about" in " ".join(play(program, terminal).split())


def test_quit_leaves_at_once(program: Program, terminal: PipeInput) -> None:
    assert "pricing.py" not in play(program, terminal, "/quit\r", "Where is apply_discount?\r")


def test_ctrl_c_clears_the_line_and_keeps_the_session(program: Program, terminal: PipeInput) -> None:
    screen = play(program, terminal, "half a questi\x03", "/new\r")
    assert "(Ctrl-D leaves)" in screen
    assert "A new conversation" in screen


def test_a_model_that_cannot_be_loaded_is_one_line_and_the_session_stays(tmp_path: Path, terminal: PipeInput) -> None:
    pocket = load_settings().models_directory / "pocket.gguf"
    broken = tmp_path / "cut.gguf"
    broken.write_bytes(pocket.read_bytes()[:5_000_000])
    settings = load_settings()
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"path": broken})})
    (tmp_path / "shop").mkdir()
    with open_program(settings, tmp_path / "shop") as program:
        screen = play(program, terminal, "Where is x?\r", "/new\r")
    assert "cut.gguf" in screen
    assert "A new conversation" in screen


def test_history_is_newest_first_and_bounded(tmp_path: Path) -> None:
    archive = Archive(PlainVault(tmp_path), PlainVault.blob_key, VaultSettings(), LogSettings())
    history, other = VaultHistory(archive.main, "repos/a"), VaultHistory(archive.main, "repos/b")
    other.store_string("asked elsewhere")
    with archive.main.transaction():
        for number in range(1005):
            history.store_string(f"question {number}")
    kept = list(history.load_history_strings())
    assert list(other.load_history_strings()) == ["asked elsewhere"]
    assert (len(kept), kept[0], kept[-1]) == (1000, "question 1004", "question 5")


def test_on_a_full_disk_a_turn_says_so_in_one_line_and_the_session_stays(program: Program, terminal: PipeInput) -> None:
    main = program.archive.main
    [(pages,)] = main.execute("PRAGMA page_count")
    main.execute(f"PRAGMA max_page_count = {pages}")
    screen = play(program, terminal, "Where is apply_discount? " * 400 + "\r", "/new\r")
    assert "Free some disk space" in screen
    assert "Traceback" not in screen
    assert "A new conversation" in screen


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (None, "index: starting"),
        (IndexStatus(files=3, files_total=9), "index: reading 3 of 9 files"),
        (
            IndexStatus(phase=IndexPhase.EMBEDDING, files=9, chunks=20, vectors=4),
            "index: 9 files, embedding, 4 of 20 vectors",
        ),
        (IndexStatus(phase=IndexPhase.CURRENT, files=9, chunks=20, vectors=20), "index: current, 9 files, 20 chunks"),
        (IndexStatus(problem="The disk is full."), "index: The disk is full."),
    ],
)
def test_the_toolbar_says_how_far_the_index_is(status: IndexStatus | None, line: str) -> None:
    assert index_line(status) == line


def test_the_line_under_an_answer_names_what_took_part() -> None:
    assert searched_line(SearchResult(dense=True)) == "0 search results by words, symbols and meaning"
    assert searched_line(SearchResult()) == "0 search results by words and symbols"


def test_the_map_is_shown(program: Program, terminal: PipeInput) -> None:
    screen = play(program, terminal, "/map\r", "/map discount\r")
    assert screen.count("def apply_discount(total)") == 2


def test_what_takes_the_context_is_shown(program: Program, terminal: PipeInput) -> None:
    screen = play(program, terminal, "/context\r", "Where is apply_discount defined?\r", "/context\r", "/thinking\r")
    assert "That is known once the model was asked something." in screen
    assert "earlier turns" in screen
    assert "The model did not think aloud in the last turn." in screen
