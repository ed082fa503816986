"""A record carried out: the real tools take every call that is made of one."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from offline_agent.agent.act import Toolbox
from offline_agent.agent.explore import ExploreArguments
from offline_agent.agent.hands import NoInspector
from offline_agent.agent.pocket import Carrier
from offline_agent.agent.record import TOOLS
from offline_agent.events import Acted, Acting, Answered, Event
from offline_agent.protocols import Inspector
from offline_agent.tools.ask import AskUser
from offline_agent.tools.edit import Edit, Write
from offline_agent.tools.find import Glob, Grep
from offline_agent.tools.outputs import MemoryOutputs
from offline_agent.tools.plain import PlainWorkspace
from offline_agent.tools.read import ListDirectory, ReadFile
from offline_agent.tools.recall import SearchCode
from offline_agent.tools.shell import Run
from offline_agent.tools.todo import Todo, TodoList
from offline_agent.types import Chunk, Hit, IndexStatus, SearchResult, ToolCall

ARGUMENTS = {
    tool.spec.name: tool.arguments
    for tool in (ListDirectory, ReadFile, SearchCode, Grep, Glob, Edit, Write, Run, Todo, AskUser)
} | {"explore": ExploreArguments}


def hit(path: str, symbol: str, text: str, line: int = 1) -> Hit:
    end = line + text.count("\n") - 1
    return Hit(chunk=Chunk(path=path, start_line=line, end_line=end, symbol=symbol, text=text), score=1.0)


CART = hit("src/shop/cart.py", "Cart.add", "def add(self, item):\n    self.add(item)\n", 4)
CALLER = hit("src/main.py", "main", "def main():\n    cart.add(1)  # hunter2\n")


class Found:
    """A retriever that finds `hits`, whatever is looked for."""

    def __init__(self, *hits: Hit) -> None:
        self.hits = hits
        self.asked: list[tuple[str, int]] = []

    def search(self, query: str, limit: int) -> SearchResult:
        self.asked.append((query, limit))
        return SearchResult(hits=self.hits)

    def status(self) -> IndexStatus:
        return IndexStatus()


class Censor(NoInspector):
    def mask(self, text: str) -> str:
        return text.replace("hunter2", "[redacted]")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in {"src/shop/cart.py": "def add(item):\n    print(item)\n", "notes.txt": "hunter2\n"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path.resolve()


@pytest.fixture
def toolbox(root: Path) -> Toolbox:
    """Those tools that need nobody and no sandbox."""
    workspace, outputs = PlainWorkspace(root), MemoryOutputs()
    return Toolbox(
        [
            ListDirectory(workspace), ReadFile(workspace, outputs), SearchCode(Found(CART)), Grep(workspace, outputs),
            Glob(workspace), Edit(workspace), Write(workspace), Todo(TodoList(), workspace),
        ]
    )  # fmt: skip


def carry(
    text: str,
    toolbox: Toolbox | None = None,
    shown: Sequence[Hit] = (CART,),
    carrier: Carrier | None = None,
    retriever: Found | None = None,
    inspector: Inspector | None = None,
) -> tuple[Answered, list[Event]]:
    turn = (carrier or Carrier()).carry_out(
        text, shown, retriever or Found(CALLER, CART), toolbox or Toolbox(), inspector or NoInspector()
    )
    events: list[Event] = []
    while True:
        try:
            events.append(next(turn))
        except StopIteration as end:
            return end.value, events


def calls_of(events: Sequence[Event]) -> list[ToolCall]:
    return [event.call for event in events if isinstance(event, Acting)]


@pytest.mark.parametrize(
    "record",
    [
        "list .", "list src", "read a.py", "read a.py | 3", "read a.py | 3 | 9", "grep TODO", "grep TODO | src", "grep print(",
        "glob **/*.py", "search_code where retries are", "run pytest", "run cat a | wc -l", "edit a.py | old | new | er",
        "write a.py | x = 1", "todo write the tests", "ask_user which one", "explore how retries work",
    ],
)  # fmt: skip
def test_every_call_is_one_that_the_real_tools_take(record: str) -> None:
    class Taking:
        """A tool of that name which only checks."""

        def __init__(self, name: str) -> None:
            self.arguments = ARGUMENTS[name]
            self.spec = ReadFile.spec.model_copy(update={"name": name})

        def run(self, arguments: object) -> object:
            return SearchCode(Found(CART)).run(ARGUMENTS["search_code"](query="x"))

    answered, events = carry(record, Toolbox([Taking(name) for name in TOOLS]))
    [call] = calls_of(events)
    assert ARGUMENTS[call.name].model_validate(call.arguments)
    assert call.name == record.split(" ")[0]
    assert [event.failed for event in events if isinstance(event, Acted)] == [False]
    assert answered.text


def test_there_is_a_record_for_every_tool() -> None:
    assert set(TOOLS) == set(ARGUMENTS)


def test_the_result_is_the_answer(toolbox: Toolbox) -> None:
    answered, events = carry("read src/shop/cart.py | 2 | 2", toolbox)
    assert answered.text == "src/shop/cart.py lines 2-2 of 2\n    print(item)"
    assert answered.verified
    assert [event.type for event in events] == ["acting", "acted"]


def test_what_a_search_finds_is_cited(toolbox: Toolbox) -> None:
    answered, _ = carry("search_code add", toolbox)
    assert answered.text == "Searched as you asked. The search results, best first:\n- src/shop/cart.py:4-5 Cart.add"
    assert [str(place) for place in answered.citations] == ["src/shop/cart.py:4-5"]


@pytest.mark.parametrize("name", ["cart.py", "shop/cart.py", "./cart.py"])
def test_a_short_path_is_that_of_the_one_file_that_was_found(name: str, toolbox: Toolbox) -> None:
    answered, events = carry(f"read {name} | 1 | 1", toolbox)
    assert [call.arguments["path"] for call in calls_of(events)] == [name, "src/shop/cart.py"]
    assert answered.text.startswith("src/shop/cart.py lines 1-1")


def test_a_path_that_could_be_two_files_is_not_guessed(toolbox: Toolbox) -> None:
    other = hit("old/cart.py", "f", "def f(): ...\n")
    answered, events = carry("read cart.py", toolbox, [CART, other])
    assert len(calls_of(events)) == 1
    assert not answered.verified
    assert "Near: src/shop/cart.py" in answered.text


def test_a_change_that_does_not_fit_its_file_is_not_tried_on_another(root: Path, toolbox: Toolbox) -> None:
    (root / "cart.py").write_text("x = 1\n", encoding="utf-8")
    _, events = carry("edit cart.py | print(item) | pass", toolbox)
    assert len(calls_of(events)) == 1
    assert "print" in (root / "src/shop/cart.py").read_text(encoding="utf-8")


def test_files_are_changed(root: Path, toolbox: Toolbox) -> None:
    carry("edit cart.py | print(item) | return item", toolbox)
    carry("write new.txt | hello there", toolbox)
    assert "return item" in (root / "src/shop/cart.py").read_text(encoding="utf-8")
    assert (root / "new.txt").read_text(encoding="utf-8") == "hello there\n"


@pytest.mark.parametrize("pattern", ["print(", "*item", "[a", "a{2", "(?P<", "\\"])
def test_what_is_no_pattern_is_a_text(pattern: str, toolbox: Toolbox) -> None:
    answered, _ = carry(f"grep {pattern}", toolbox)
    assert answered.verified
    if pattern == "print(":
        assert "2: print(item)" in answered.text


def test_steps_add_up(toolbox: Toolbox) -> None:
    carrier = Carrier()
    carry("todo first", toolbox, carrier=carrier)
    answered, events = carry("todo second", toolbox, carrier=carrier)
    assert answered.text == "2 steps, 0 done. Next: first"
    assert [event.shown for event in events if isinstance(event, Acted)] == ["[ ] first\n[ ] second"]


def test_a_tool_that_is_not_offered_is_not_called() -> None:
    answered, events = carry("run rm -rf .")
    assert not events
    assert not answered.verified
    assert 'run "rm -rf ."' in answered.text


@pytest.mark.parametrize("record", ["read notes.txt", "grep hunter2", "uses add", "run hunter2"])
def test_secrets_are_masked(record: str, toolbox: Toolbox) -> None:
    answered, events = carry(record, toolbox, inspector=Censor())
    assert "hunter2" not in answered.text
    assert all("hunter2" not in event.summary + event.shown for event in events if isinstance(event, Acted))


@pytest.mark.parametrize(
    "text", ["", "nonsense at all", "read a.py | x", f"read a.py | {'9' * 5000}", "where \ud800 none"]
)
def test_what_is_no_record_comes_to_the_search_results(text: str) -> None:
    answered, events = carry(text)
    assert answered.text.startswith("I am not sure. The search results")
    assert not events


def test_what_is_cited_is_said_without_a_search() -> None:
    retriever = Found()
    answered, _ = carry("where Cart.add[1]", retriever=retriever)
    assert answered.text == "`Cart.add` is defined at src/shop/cart.py:4-5."
    assert not retriever.asked


def test_a_definition_of_the_whole_name_is_meant_rather_than_a_method_that_was_shown() -> None:
    add = hit("src/sums.py", "add", "def add(a, b):\n    return a + b\n")
    for intent, told in (("where", "`add` is defined at src/sums.py:1-2."), ("args", "`add` takes `(a, b)`")):
        answered, _ = carry(f"{intent} add[1]", retriever=Found(CALLER, CART, add))
        assert answered.text.startswith(told)


def test_users_are_looked_for_far_and_wide() -> None:
    retriever = Found(CART, CALLER)
    answered, _ = carry("uses Cart.add", shown=(), retriever=retriever)
    assert retriever.asked == [("Cart.add", 60)]
    assert [str(place) for place in answered.citations] == ["src/shop/cart.py:5-5", "src/main.py:2-2"]


def test_nobody_uses_it_and_nothing_is_called_so() -> None:
    lonely = hit("a.py", "lonely", "def lonely():\n    pass\n")
    answered, _ = carry("uses lonely", retriever=Found(lonely))
    assert answered.text == "Nothing that the search found uses `lonely`, which is defined at a.py:1-2."
    assert carry("uses frob", retriever=Found(lonely))[0].text.startswith("I do not know `frob`")


def test_a_name_that_the_model_was_not_shown_is_found_by_a_second_search() -> None:
    answered, _ = carry("where Cart.add none", shown=(CALLER,), retriever=Found(CALLER, CART))
    assert answered.text == "`Cart.add` is defined at src/shop/cart.py:4-5."
    assert answered.verified


def test_a_name_that_is_nowhere_is_said_to_be_unknown() -> None:
    answered, _ = carry("where frobnicate none")
    assert answered.text.startswith("I do not know `frobnicate`")
    assert not answered.verified


def test_a_variable_is_where_it_is_set_before_a_name_that_only_has_its_words() -> None:
    found = hit("src/globals.py", "", "import x\ncurrent_app: App = x.proxy()\n", 5)
    module = found.model_copy(update={"chunk": found.chunk.model_copy(update={"kind": "module"})})
    test = hit("tests/test_app.py", "test_current_app", "def test_current_app():\n    assert current_app\n")
    for record in ("where current_app none", "where current_app[1]"):
        answered, _ = carry(record, shown=(test,), retriever=Found(test, module))
        assert answered.text == "`current_app` is set at src/globals.py:6: `current_app: App = x.proxy()`."
        assert [str(place) for place in answered.citations] == ["src/globals.py:6-6"]
    answered, _ = carry("where current_app[1]", shown=(test,), retriever=Found(test))
    assert answered.text.startswith("`test_current_app` is defined")


def test_a_class_takes_what_its_constructor_takes() -> None:
    cart = Hit(
        chunk=CART.chunk.model_copy(update={"symbol": "Cart", "kind": "class", "text": "class Cart:\n"}), score=1.0
    )
    init = hit("src/shop/cart.py", "Cart.__init__", "def __init__(self, owner, limit=3):\n    pass\n", 5)
    other = hit("src/other.py", "Cart.__init__", "def __init__(self):\n    pass\n", 5)
    answered, _ = carry("args Cart[1]", shown=(cart,), retriever=Found(other, init))
    assert answered.text == "`Cart.__init__` takes `(self, owner, limit=3)` (src/shop/cart.py:5-6)."
    assert "names no arguments" in carry("args Cart[1]", shown=(cart,), retriever=Found(other))[0].text
    assert not carry("args frobnicate[1]", shown=(cart,), retriever=Found(init))[0].verified


def test_the_beginning_of_a_long_definition_is_looked_for() -> None:
    found = hit("src/shop/cart.py", "Cart.add", "    more()\n", 30)
    part = found.model_copy(update={"chunk": found.chunk.model_copy(update={"signature": "def add(self, item):"})})
    answered, _ = carry("where Cart.add[1]", shown=(part,), retriever=Found(CALLER, part, CART))
    assert answered.text == "`Cart.add` is defined at src/shop/cart.py:4-5."
    assert "is a part of it" in carry("where Cart.add[1]", shown=(part,), retriever=Found(CALLER))[0].text
