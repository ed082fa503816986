"""What a person writes to name a model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import UsageError
from offline_agent.library.reference import is_reference, parts_of, read_reference


@pytest.mark.parametrize(
    ("text", "repository", "revision", "files"),
    [
        ("hub:o/n/m.gguf", "o/n", "", ("m.gguf",)),
        ("hub:o/n/deep/er/m.GGUF", "o/n", "", ("deep/er/m.GGUF",)),
        ("hub:o/n/m.gguf@main", "o/n", "main", ("m.gguf",)),
        ("hub:o/n/m.gguf@refs/pr/1", "o/n", "refs/pr/1", ("m.gguf",)),
        ("hub:o/n", "o/n", "", ()),
        ("hub:o/n@v1.0", "o/n", "v1.0", ()),
        ("hub:o/n/m-00001-of-00002.gguf", "o/n", "", ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf")),
    ],
)
def test_a_file_of_a_hub(text: str, repository: str, revision: str, files: tuple[str, ...]) -> None:
    source = read_reference(text)
    assert (source.repository, source.revision) == (repository, revision)
    assert tuple(file.name for file in source.files) == files


@pytest.mark.parametrize(
    "text",
    [
        "hub:",
        "hub:o",
        "hub:o/",
        "hub:/n/m.gguf",
        "hub:o/n/m.bin",
        "hub:o/n/../m.gguf",
        "hub:o/n//m.gguf",
        "hub:o/n/a\\m.gguf",
        "hub:o/n/\x1b[2Jm.gguf",
        "hub:o/n/m.gguf@",
        "hub:o/n/m.gguf@a b",
        "hub:o o/n/m.gguf",
        "hub:o/n/m-00003-of-00002.gguf",
        "hub:o/n/m-00001-of-99999.gguf",
    ],
)
def test_what_is_no_file_of_a_hub(text: str) -> None:
    with pytest.raises(UsageError):
        read_reference(text)


def test_a_file_of_any_server() -> None:
    source = read_reference("https://host.example/a/my%20model.gguf?download=true")
    assert source.url == "https://host.example/a/my%20model.gguf?download=true"
    assert source.files[0].name == "my model.gguf"


@pytest.mark.parametrize(
    "text",
    [
        "http://host.example/m.gguf",
        "https://me:secret@host.example/m.gguf",
        "https://host.example/m.zip",
        "https://host.example/.gguf/..%2f",
        "https://host.example/a%00.gguf",
        "https://host.example/m-00001-of-00002.gguf",
        "ftp://host.example/m.gguf",
    ],
)
def test_what_is_no_file_of_a_server(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_reference(text)
    assert "secret" not in str(caught.value)


def test_http_is_for_this_machine() -> None:
    assert read_reference("http://127.0.0.1:8000/m.gguf").url == "http://127.0.0.1:8000/m.gguf"


def test_names_of_the_catalogue_are_no_references() -> None:
    assert not is_reference("qwen2.5-coder-1.5b")
    assert is_reference("hub:o/n/m.gguf")
    assert is_reference("https://host/m.gguf")


@given(st.text(max_size=60))
def test_anything_is_understood_or_a_usage_error(text: str) -> None:
    for prefix in ("hub:", "https://", "hub:o/n/"):
        try:
            source = read_reference(prefix + text)
        except UsageError:
            continue
        assert source.repository or source.url


@given(st.integers(0, 99_999), st.integers(0, 99_999))
def test_parts_are_all_or_an_error(number: int, count: int) -> None:
    name = f"m-{number:05}-of-{count:05}.gguf"
    try:
        parts = parts_of(name)
    except UsageError:
        return
    assert name in parts
    assert len(parts) == count
