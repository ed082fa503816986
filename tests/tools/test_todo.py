import pytest

from offline_agent.tools.plain import PlainWorkspace
from offline_agent.tools.todo import Todo, TodoArguments, TodoList


def test_the_model_hears_what_is_next_and_the_person_sees_all(workspace: PlainWorkspace) -> None:
    todo = TodoList()
    tool = Todo(todo, workspace)
    result = tool.run(TodoArguments(items=("[x] read shop.py", "[>] rename price", "run the tests")))
    assert result.text == "3 steps, 1 done. Next: rename price"
    assert result.summary == "todo: 1 of 3 done"
    assert result.shown == str(todo) == "[x] read shop.py\n[>] rename price\n[ ] run the tests"
    assert workspace.permitted == [("todowrite", "*")]
    assert tool.run(TodoArguments(items=("[x] all",))).text == "1 step, 1 done."
    assert tool.run(TodoArguments(items=())).shown == ""


@pytest.mark.parametrize(
    ("item", "step"),
    [
        ("- [x] done", "[x] done"),
        ("* [X]done", "[x] done"),
        ("3. [ ] open", "[ ] open"),
        ("[] open", "[ ] open"),
        ("[~] doing", "[>] doing"),
        ("two\n lines", "[ ] two lines"),
        ("use a[0]", "[ ] use a[0]"),
    ],
)
def test_how_models_write_a_step(item: str, step: str) -> None:
    todo = TodoList()
    todo.replace((item, "  "))
    assert str(todo) == step
