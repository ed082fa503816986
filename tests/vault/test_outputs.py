from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.protocols import Outputs
from offline_agent.settings import LogSettings, VaultSettings
from offline_agent.types import Message
from offline_agent.vault.archive import Archive
from offline_agent.vault.outputs import KIND, SealedOutputs, forget_outputs
from offline_agent.vault.plain import PlainVault
from offline_agent.vault.schema import storable

NEEDLE = "the password of the staging server"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with closing(Archive(PlainVault(tmp_path), PlainVault.blob_key, VaultSettings(), LogSettings())) as made:
        yield made


def test_an_output_comes_back_by_its_name(archive: Archive) -> None:
    outputs: Outputs = SealedOutputs(archive.blobs, "a1")
    assert (outputs.keep("one\n"), outputs.keep("two"), outputs.keep("two")) == ("output:1", "output:2", "output:3")
    assert [outputs.find(f"output:{number}") for number in (1, 2, 3, 4)] == ["one\n", "two", "two", None]


def test_names_go_on_where_the_session_does_and_are_its_own(archive: Archive) -> None:
    for _ in range(11):
        SealedOutputs(archive.blobs, "a1").keep("first")
    again, other = SealedOutputs(archive.blobs, "a1"), SealedOutputs(archive.blobs, "a")
    assert again.keep("second") == "output:12"
    assert again.find("output:11") == "first"
    assert other.find("output:1") is None
    assert other.keep("first") == "output:1"


def test_two_of_the_same_session_never_give_a_name_twice(archive: Archive) -> None:
    one, other = (SealedOutputs(archive.blobs, "a1") for _ in range(2))
    assert [one.keep("a"), other.keep("b"), one.keep("c")] == ["output:1", "output:2", "output:3"]
    archive.blobs.evict(0)
    assert one.keep("d") == "output:4"
    assert one.find("output:2") is None


def test_nothing_of_it_is_readable_on_disk(archive: Archive, tmp_path: Path) -> None:
    SealedOutputs(archive.blobs, "a1").keep(f"{NEEDLE}\n" * 1000)
    files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if NEEDLE.encode() in path.read_bytes()]


def test_what_is_too_long_loses_its_middle_and_says_so(archive: Archive) -> None:
    outputs = SealedOutputs(archive.blobs, "a1", limit=10)
    assert outputs.find(outputs.keep("abcdefghijklmno")) == "abcde\n[... 5 characters were not kept]\nklmno"
    assert outputs.find(outputs.keep("abcdefghij")) == "abcdefghij"


def test_one_that_made_room_is_not_known(archive: Archive) -> None:
    outputs = SealedOutputs(archive.blobs, "a1")
    name = outputs.keep("gone")
    archive.blobs.evict(0)
    assert outputs.find(name) is None


def test_outputs_go_with_their_session(archive: Archive) -> None:
    for session in ("kept", "deleted"):
        SealedOutputs(archive.blobs, session).keep("an output")
    archive.blobs.put(b"other", "snapshot", "a label")
    assert forget_outputs(archive.blobs, lambda session: session == "kept") == 1
    assert [blob.label for blob in archive.blobs.entries(KIND)] == ["session kept output:1"]
    assert archive.blobs.count() == 2


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(), max_size=40), max_size=4))
def test_whatever_a_command_wrote(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    root = tmp_path_factory.mktemp("vault")
    with closing(Archive(PlainVault(root), PlainVault.blob_key, VaultSettings(), LogSettings())) as archive:
        outputs = SealedOutputs(archive.blobs, "a1")
        assert [outputs.find(name) for name in map(outputs.keep, texts)] == [storable(text) for text in texts]


def test_the_outputs_of_a_session_go_with_it(archive: Archive) -> None:
    kept, gone = (archive.sessions.begin("/repo", "m") for _ in range(2))
    for transcript in (kept, gone):
        transcript.add(Message(role="user", content="Run it."))
        SealedOutputs(archive.blobs, transcript.id).keep("what it wrote")
    archive.sessions.delete(gone.id)
    assert SealedOutputs(archive.blobs, gone.id).find("output:1") is None
    assert SealedOutputs(archive.blobs, kept.id).find("output:1") == "what it wrote"
