from stack import Stack


def test_last_in_first_out() -> None:
    stack = Stack()
    stack.push(1)
    stack.push(2)
    assert stack.pop() == 2
    assert stack.pop() == 1


def test_peek_leaves_what_it_shows() -> None:
    stack = Stack()
    stack.push(7)
    assert stack.peek() == 7
    assert len(stack) == 1


def test_nothing_to_pop() -> None:
    try:
        Stack().pop()
    except IndexError:
        return
    raise AssertionError("no IndexError")
