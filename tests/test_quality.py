"""What is measured of a model's quality, with scripted models and everything else real: index, rules, sandbox, vault."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from offline_agent.actions import Command
from offline_agent.agent.profiles import BUILD
from offline_agent.app import open_program
from offline_agent.app.quality import Graded, Outcome, measure_calls, measure_citations, measure_edits, score_of
from offline_agent.app.quality.calls import call_cases
from offline_agent.app.quality.citations import questions_about
from offline_agent.app.quality.edits import edit_tasks, workplace
from offline_agent.app.quality.stage import ask, scratch, staged
from offline_agent.errors import ModelDied, PromptTooLong
from offline_agent.events import Called, Misfired, Piece, Said
from offline_agent.llm.process import LlamaProcess
from offline_agent.llm.scripted import Answer, ScriptedModel
from offline_agent.models import ModelCard
from offline_agent.retrieval.repository import Repository
from offline_agent.settings import Settings, find_declarations, load_settings
from offline_agent.types import Sampling, ToolCall
from tests.cli.actor import write_actor

MODELS = find_declarations() / "models"
DONE = Path(__file__).parent / "cases" / "edits"
CARD = ModelCard(name="scripted", context=32_768)
RECORDS = ModelCard(name="tiny", answers="record", remembers_turns=False)
TASKS = edit_tasks(MODELS)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OFFLINE_AGENT_VAULT_KEY", "file")
    return load_settings()


def scripted(*answers: Answer) -> ScriptedModel:
    return ScriptedModel(answers, context=32_768)


def call(tool: str, **arguments: object) -> list[str | Piece]:
    return [Called(call=ToolCall(id="abcdefghi", name=tool, arguments=arguments))]


def right_of(graded: Graded) -> tuple[int, int]:
    assert graded.score is not None
    return graded.score.right, graded.score.of


def failures_of(graded: Graded) -> tuple[str, ...]:
    assert graded.score is not None
    return graded.score.failures


def stored(home: Path) -> list[str]:
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*"))


# --- outcomes ---


def test_a_score_is_made_of_the_outcomes_that_there_are() -> None:
    score = score_of([Outcome(right=True, seconds=1.0), Outcome(right=False, failure="It was wrong.", seconds=0.5)])
    assert (score.right, score.of, score.seconds, score.failures) == (1, 2, 1.5, ("It was wrong.",))
    assert score_of([]).share == 0.0


# --- calls ---


def test_every_request_is_for_tools_that_the_agent_has() -> None:
    cases = call_cases(MODELS)
    assert len(cases) == len({case.request for case in cases}) == 40
    assert {tool for case in cases for tool in case.tools} == {*BUILD.tools}
    for case in cases:
        assert {*case.tools} - {"edit"}, case  # which a small model is not offered


def test_a_call_counts_that_parses_names_a_tool_and_fits_its_schema(settings: Settings, home: Path) -> None:
    model = scripted(
        call("list", path="src"),
        call("read", path="app/server.py", start=0),
        call("pytest"),
        "I would look\nfor it.",
        [Misfired(text="<tool_call>{", reason="The call is cut off.")],
        [*call("glob"), *call("glob", pattern="**/*.yaml")],
        call("todo", items=["look"]),
        "",
    )
    graded = measure_calls(settings, model, CARD, limit=8)
    assert right_of(graded) == (3, 8)
    wrong = failures_of(graded)
    assert "start is 0" in wrong[0]
    assert "no tool 'pytest'" in wrong[1]
    assert 'it called nothing, and said "I would look for it."' in wrong[2]
    assert "The call is cut off." in wrong[3]
    assert "said nothing" in wrong[4]
    assert graded.notes == ("Of 8 calls that were asked for, 2 named a tool that serves.",)
    assert stored(home) == []


def test_a_model_is_asked_as_the_agent_asks_it(settings: Settings) -> None:
    model = scripted("", "")
    card = CARD.model_copy(update={"sampling": Sampling(temperature=0.6, grammar='root ::= "x"')})
    measure_calls(settings, model, card, limit=2)
    assert [tool.name for tool in model.tools[0]] == list(BUILD.tools)
    assert (model.samplings[0].temperature, model.samplings[0].grammar) == (0.6, "")
    system, question = model.prompts[1]
    assert BUILD.guidance in system.content
    assert question.content == f"Question: {call_cases(MODELS)[1].request}"


def test_progress_and_outcomes_are_told_as_they_come(settings: Settings) -> None:
    told: list[tuple[int, int]] = []
    outcomes: list[Outcome] = []
    model = scripted(call("list"), "", ModelDied("It ended."))
    with pytest.raises(ModelDied):
        measure_calls(settings, model, CARD, lambda *done: told.append(done), 4, outcomes.append)
    assert told == [(0, 4), (1, 4), (2, 4)]
    assert [outcome.right for outcome in outcomes] == [True, False]


def test_a_prompt_that_does_not_fit_is_a_failure_of_the_model(settings: Settings) -> None:
    graded = measure_calls(
        settings, scripted(PromptTooLong("It has 512 tokens."), call("read", path="a")), CARD, limit=2
    )
    assert right_of(graded) == (1, 2)
    assert "It has 512 tokens." in failures_of(graded)[0]


def test_what_uses_no_tools_has_no_score(settings: Settings) -> None:
    for measure in (measure_calls, measure_edits):
        graded = measure(settings, scripted(), RECORDS)
        assert graded.score is None
        assert graded.notes == ("tiny cannot go on from what a tool returned: that was not measured.",)


def test_a_model_that_llama_cpp_runs_calls_and_edits(settings: Settings, tmp_path: Path) -> None:
    """Its answer is the same each time: it does the first task, and nothing of the second."""
    done = (DONE / "add-field" / "tasks.py").read_text()
    acts = ("read", {"path": "tasks.py"}), ("write", {"path": "tasks.py", "content": done})
    path = write_actor(tmp_path / "actor.gguf", *acts)
    card = ModelCard(name="actor", file=str(path), context=16_384)
    with closing(LlamaProcess(card, path, settings.model)) as model:
        calls = measure_calls(settings, model, card, limit=5)
        edits = measure_edits(settings, model, card, limit=2)
    assert (right_of(calls), right_of(edits)) == ((5, 5), (1, 2))
    assert calls.notes == ("Of 5 calls that were asked for, 2 named a tool that serves.",)
    assert failures_of(edits)[0].startswith("add-option: the check failed (")


# --- citations ---


@pytest.fixture
def documented(tmp_path: Path) -> Repository:
    """Three questions can be asked about it; a fourth file may not be read, and a fifth is a test."""
    root = tmp_path.resolve() / "shop"
    for path, name, words in (
        ("adapters.py", "close", "Closes the adapters and as such the session."),
        ("price.py", "discounted", "Lowers a price by the discount of a code."),
        ("stock.py", "reserve", "Puts the goods aside for a customer who pays later."),
        ("hidden.py", "secret", "Opens the back door of the building at night."),
        ("tests/test_stock.py", "test_reserve", "Tests whether goods are put aside for a customer."),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f'def {name}(given):\n    """{words}"""\n    return given\n')
    (root / ".offline-agent").mkdir()
    (root / ".offline-agent" / "permission.json").write_text('{"permission": {"read": {"hidden.py": "deny"}}}')
    return Repository(root=root)


def cited(settings: Settings, repository: Repository, model: ScriptedModel, card: ModelCard = CARD) -> Graded:
    with open_program(settings, repository.root) as program:
        graded = measure_citations(settings, model, card, repository, program.one_shot_retriever())
        assert program.archive.sessions.recent(None, None) == []
        assert [record.kind for record in program.archive.audit.records()] == []
        return graded


def test_questions_are_about_what_may_be_read(settings: Settings, documented: Repository) -> None:
    asked = questions_about(settings, documented, 20)
    assert {question.text for question in asked} == {
        "Which function closes the adapters and as such the session?",
        "Which function lowers a price by the discount of a code?",
        "Which function puts the goods aside for a customer who pays later?",
    }
    assert questions_about(settings, documented, 2) == asked[:2]


def test_an_answer_is_right_that_cites_the_definition(settings: Settings, documented: Repository) -> None:
    model = scripted("It is there [1].", "It is somewhere.", call("search_code", query="back door"), "See [99].")
    graded = cited(settings, documented, model)
    assert right_of(graded) == (1, 3)
    assert all("It cited nothing; right is " in failure for failure in failures_of(graded))
    assert graded.notes == ("The first result of the search alone was right for 3 of 3 questions.",)


def test_a_right_place_among_all_places_is_no_answer(settings: Settings, documented: Repository) -> None:
    answers = ["See [3], [2], [1]."] * 3
    assert right_of(cited(settings, documented, scripted(*answers))) == (3, 3)
    for number in range(4):
        (documented.root / f"more{number}.py").write_text("def closing(adapters, session, price, goods):\n    pass\n")
    graded = cited(settings, documented, scripted(*["See [5], [4], [3], [2], [1]."] * 3))
    assert right_of(graded) == (0, 3)


def test_results_that_stand_in_place_of_an_answer_are_not_the_models(
    settings: Settings, documented: Repository
) -> None:
    graded = cited(settings, documented, scripted(*["nonsense"] * 3), RECORDS)
    assert right_of(graded) == (0, 3)


def test_what_is_not_documented_is_not_measured(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text("def bare() -> None: ...\n")
    graded = cited(settings, Repository(root=tmp_path.resolve()), scripted())
    assert right_of(graded) == (0, 0)
    assert "citations could not be measured" in graded.notes[0]


# --- edits ---


def test_a_check_fails_before_and_succeeds_after_a_right_edit(settings: Settings) -> None:
    """All in one sandbox, in whose repository each task is a directory."""
    every = "\n".join(
        f"(cd {task.name}\n{task.command.line}\n) >{task.name}.txt 2>&1\necho {task.name} $?" for task in TASKS
    )
    with scratch() as place:
        for task in TASKS:
            shutil.copytree(task.repository, place / "repo" / task.name)
        with workplace(settings, place, scripted(), CARD) as stage:
            red = stage.run(Command(line=every))
            faults = [(place / "repo" / f"{task.name}.txt").read_text() for task in TASKS]
            shutil.copytree(DONE, place / "repo", dirs_exist_ok=True)
            green = stage.run(Command(line=every))
    assert red.output.splitlines() == [f"{task.name} 1" for task in TASKS]
    assert [fault for fault in faults if "SyntaxError" in fault] == []
    assert green.output.splitlines() == [f"{task.name} 0" for task in TASKS]


def test_there_are_twenty_tasks() -> None:
    assert len(TASKS) == 20
    assert {language for task in TASKS for language in task.languages} == {
        "python",
        "shell",
        "json",
        "toml",
        "markdown",
        "c",
    }
    assert sorted(path.name for path in DONE.iterdir()) == [task.name for task in TASKS]


def test_tasks_are_done_by_the_agent_and_graded(settings: Settings, home: Path) -> None:
    """The rules of the person, who forbids everything, are for the person's own repositories."""
    settings.config_directory.mkdir(parents=True)
    (settings.config_directory / "permission.json").write_text('{"permission": "deny"}')
    before = stored(home)
    done = (DONE / "add-field" / "tasks.py").read_text()
    model = scripted(
        call("read", path="tasks.py"),
        call("write", path="tasks.py", content=done),
        call("run", command="pwd"),
        "Done.",
        "I cannot do that.",
    )
    told: list[tuple[int, int]] = []
    graded = measure_edits(settings, model, CARD, lambda *done: told.append(done), limit=2)
    assert right_of(graded) == (1, 2)
    assert failures_of(graded) == ("add-option: the check failed (count.py: error: unrecognized arguments: --words).",)
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert stored(home) == before
    place = Path(model.prompts[3][-1].content.splitlines()[-1])
    assert place.name == "repo"
    assert not place.parent.exists()


def test_what_an_agent_does_in_a_task_stays_in_its_copy(settings: Settings, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    check = MODELS / "tasks" / "edits" / "add-field" / "check.py"
    before = check.read_bytes()
    model = scripted(
        call("write", path=str(outside), content="x"),
        call("run", command=f"echo x > {outside}; echo > {check}"),
        call("write", path=str(check), content=""),
        "Done.",
    )
    assert right_of(measure_edits(settings, model, CARD, limit=1)) == (0, 1)
    assert not outside.exists()
    assert check.read_bytes() == before


def test_an_agent_in_circles_is_stopped_and_said_to_be(settings: Settings) -> None:
    model = scripted(*[call("read", path="tasks.py")] * 10)
    [failure] = failures_of(measure_edits(settings, model, CARD, limit=1))
    assert (
        "the check failed (AttributeError: 'Task' object has no attribute 'priority'), and the turn had ended early: "
        in failure
    )
    assert len(model.prompts) < 10


def test_nothing_is_run_that_cannot_be_confined(settings: Settings) -> None:
    bare = settings.sandbox.model_copy(update={"mechanism": "none"})
    model = scripted(*["Done."] * 20)
    graded = measure_edits(settings.model_copy(update={"sandbox": bare}), model, CARD)
    assert graded.score is None
    assert "not run bare" in graded.notes[0]
    assert model.prompts == []


# --- the stage ---


class Endless(ScriptedModel):
    """It says the same for ever."""

    def stream(self, *_: object) -> Iterator[Piece]:
        try:
            while True:
                yield Said(text="and ")
        finally:
            self.stopped_early += 1


def test_a_model_that_takes_too_long_is_stopped(settings: Settings, tmp_path: Path) -> None:
    model = Endless()
    with staged(settings, tmp_path.resolve(), model, CARD) as stage:
        assert ask(stage.task(), "Do it.", minutes=0.02).answered is None
    assert model.stopped_early == 1
    assert not model.closed


def test_what_is_left_in_a_scratch_directory_goes(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("x")
    with scratch() as place:
        (place / "link").symlink_to(tmp_path)
        (place / "closed").mkdir()
        (place / "closed" / "file").write_text("x")
        (place / "closed").chmod(0)
    assert not place.exists()
    assert kept.exists()
