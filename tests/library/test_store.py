import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.errors import InUse, ModelBroken, ModelMismatch, StorageError, UsageError
from offline_agent.library.store import HOLDING, Library, holding_name
from offline_agent.models import Holding
from tests.library.shelves import check, fill, gguf, held, holding, library_in, put

OLD, NEW = gguf(b"old"), gguf(b"the newer one")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return library_in(tmp_path)


def content_of(library: Library, name: str = "m") -> bytes | None:
    """What is loaded, if the model is whole."""
    found = library.find(name)
    if found is None:
        return None
    content = library.path_of(found).read_bytes()
    assert held(found.files[0].name, content) == found.files[0]
    return content


# --- what there is


def test_what_is_admitted_is_found_and_listed_by_name(library: Library) -> None:
    assert library.all() == []
    assert library.find("b") is None
    b, a = put(library, "b", {"B.gguf": OLD}), put(library, "a", {"x/A.gguf": NEW, "x/y.json": b"{}"})
    assert library.all() == [a, b]
    assert library.find("B") == b
    assert library.path_of(b).read_bytes() == OLD
    assert library.path_of(a) == library.directory_of("a") / "x" / "A.gguf"


def test_what_is_loaded_of_an_embedder_is_its_directory(library: Library) -> None:
    kept = put(library, "e", {"modules.json": b"[]"}, "embedding")
    assert library.path_of(kept) == library.directory_of("e")


def test_a_new_library_is_its_owners_alone_and_a_shared_one_keeps_its_mode(tmp_path: Path) -> None:
    put(library_in(tmp_path), "m", {"m.gguf": OLD})
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "library", tmp_path / "library" / "m")} == {0o700}
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    put(Library(shared, check), "m", {"x/m.gguf": OLD})
    assert {stat.S_IMODE(path.stat().st_mode) for path in (shared, shared / "m", shared / "m" / "x")} == {0o755}
    assert stat.S_IMODE((shared / "m" / HOLDING).stat().st_mode) == 0o644


SCRIPT = """
import os, sys
from pathlib import Path
from offline_agent.errors import StorageError
from offline_agent.library.store import Library
os.setgroups([]); os.setgid(65534); os.setuid(65534)
library = Library(Path(sys.argv[1]), lambda kind, path: None)
print([held.name for held in library.all()], library.path_of(library.find("m")).read_bytes(), end=" ")
print(library.free() > 0, library.unfinished())
try:
    library.remove("m")
except StorageError as error:
    print("refused", error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")
def test_a_library_of_somebody_else_can_be_used(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    put(Library(shared, check), "m", {"m.gguf": OLD})
    for above in (shared, *shared.parents):
        if above.owner() == "root" and above.is_relative_to(tmp_path.parents[2]):
            above.chmod(above.stat().st_mode | 0o055)
    run = subprocess.run([sys.executable, "-c", SCRIPT, str(shared)], capture_output=True, text=True, check=True)
    assert f"['m'] {OLD!r} True {{}}" in run.stdout
    assert "refused" in run.stdout


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda place: (place / HOLDING).unlink(), "has no holding.json"),
        (lambda place: (place / HOLDING).write_bytes(b""), "damaged"),
        (lambda place: (place / HOLDING).write_bytes(b"\xff" * 100), "damaged"),
        (lambda place: (place / HOLDING).write_bytes(b"[" * 100_000), "damaged"),
        (lambda place: (place / HOLDING).write_text('{"name": "m"}'), "damaged"),
        (lambda place: os.truncate(place / HOLDING, 1 << 30), "too long"),
        (lambda place: ((place / HOLDING).unlink(), os.mkfifo(place / HOLDING)), "no regular file"),
        (lambda place: ((place / HOLDING).unlink(), (place / HOLDING).mkdir()), "cannot be read"),
        (lambda place: place.rename(place.with_name("other")), "it is that of 'm'"),
    ],
)
def test_what_cannot_be_believed_is_a_fault_and_can_be_replaced(
    library: Library, damage: Callable[[Path], object], told: str
) -> None:
    put(library, "m", {"m.gguf": OLD})
    good = put(library, "z", {"z.gguf": OLD})
    damage(library.directory_of("m"))
    assert library.all() == [good]
    (fault,) = library.faults()
    assert told in fault
    name = "other" if "that of" in told else "m"
    assert library.find(name) is None
    put(library, name, {"m.gguf": NEW})
    assert content_of(library, name) == NEW
    assert library.faults() == []


@pytest.mark.parametrize("name", ["../escaped", "/etc/passwd", "a/../../b", "a\\b", "a\nb", "", ".", "a//b", HOLDING])
def test_no_file_of_a_model_lies_elsewhere(library: Library, name: str) -> None:
    put(library, "m", {"m.gguf": OLD})
    bad = holding("m", {name: OLD})
    (library.directory_of("m") / HOLDING).write_text(bad.model_dump_json(), encoding="utf-8")
    assert library.find("m") is None
    assert len(library.faults()) == 1
    with library.incoming("m"), pytest.raises(UsageError, match="cannot be kept"):
        library.admit(bad)


def test_what_is_no_model_is_not_looked_at(tmp_path: Path, library: Library) -> None:
    put(library, "m", {"m.gguf": OLD})
    for name in ("lost+found", ".hidden", "Capital", "x.lock"):
        (tmp_path / "library" / name).mkdir()
    (tmp_path / "library" / "a-file").write_text("x")
    assert [kept.name for kept in library.all()] == ["m"]
    assert library.faults() == []


def test_a_library_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="name a directory of your own"):
        Library(tmp_path / ("x" * 300), check).free()


def test_a_library_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "library").write_text("x")
    with pytest.raises(StorageError, match="library"):
        library_in(tmp_path).all()
    with pytest.raises(StorageError, match="library"), library_in(tmp_path).incoming("m"):
        pytest.fail("there is no quarantine")


# --- quarantine


def test_what_is_left_in_quarantine_is_there_the_next_time(library: Library) -> None:
    with library.incoming("m") as quarantine:
        (quarantine / "half").write_bytes(b"12345")
    assert library.unfinished() == {"m": 5}
    with library.incoming("m") as quarantine:
        assert (quarantine / "half").read_bytes() == b"12345"
    library.discard("m")
    assert library.unfinished() == {}
    library.discard("m")


def test_nothing_is_left_of_a_quarantine_that_was_not_used(tmp_path: Path, library: Library) -> None:
    with library.incoming("m") as quarantine:
        library.discard("m")
        assert list(quarantine.iterdir()) == []
    assert list((tmp_path / "library" / ".incoming").iterdir()) == []


def test_one_fills_a_model_at_a_time(library: Library, tmp_path: Path) -> None:
    with library.incoming("m"), library.incoming("other"):
        for act in (lambda: library.incoming("m").__enter__(), lambda: library_in(tmp_path).discard("m")):
            with pytest.raises(InUse, match=f"pid {os.getpid()}"):
                act()
    put(library, "m", {"m.gguf": OLD})
    with library_in(tmp_path).incoming("m"), pytest.raises(InUse):
        library.remove("m")
    assert content_of(library) == OLD


def test_the_lock_of_a_process_that_was_killed_holds_nobody(library: Library) -> None:
    child = os.fork()
    if child == 0:
        library.incoming("m").__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    with library.incoming("m"):
        pass


@pytest.mark.parametrize("place", [".incoming", ".incoming/m", ".removed", ".replaced"])
def test_no_link_leads_work_elsewhere(tmp_path: Path, library: Library, place: str) -> None:
    put(library, "z", {"z.gguf": OLD})
    (tmp_path / "home" / "m").mkdir(parents=True)
    (tmp_path / "home" / "m" / "letter").write_text("dear")
    (tmp_path / "library" / ".incoming").rmdir()
    link = tmp_path / "library" / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "home" / ("m" if place.endswith("m") else ""))
    with pytest.raises(StorageError, match=r"it is a link.*\[library\] directory"):
        put(library, "m", {"m.gguf": OLD})
    assert (tmp_path / "home" / "m" / "letter").read_text() == "dear"
    assert library.find("z") is not None


def test_no_link_in_quarantine_is_written_through(tmp_path: Path, library: Library) -> None:
    (tmp_path / "home").mkdir()
    quarantine = tmp_path / "library" / ".incoming" / "m"
    quarantine.mkdir(parents=True)
    (quarantine / "deep").symlink_to(tmp_path / "home")
    put(library, "m", {"deep/m.gguf": OLD})
    assert content_of(library) == OLD
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("place", [".incoming", ".incoming/m"])
def test_nothing_is_hashed_where_somebody_else_could_change_it(tmp_path: Path, library: Library, place: str) -> None:
    quarantine = tmp_path / "library" / ".incoming" / "m"
    quarantine.mkdir(parents=True)
    os.chown(tmp_path / "library" / place, 4711, -1)
    with pytest.raises(StorageError, match="belongs to somebody else"):
        put(library, "m", {"m.gguf": OLD})
    assert library.all() == []


def test_quarantine_is_its_owners_alone(tmp_path: Path, library: Library) -> None:
    for place in (tmp_path / "library" / ".incoming", tmp_path / "library" / ".incoming" / "m"):
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o777)
    with library.incoming("m") as quarantine:
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (quarantine.parent, quarantine)]
    assert modes == [0o700, 0o700]


def test_only_what_was_said_is_admitted(tmp_path: Path, library: Library) -> None:
    with library.incoming("m") as quarantine:
        fill(quarantine, {"m.gguf": OLD, "m.gguf.part": b"x", "deep/down/junk": b"x"})
        (quarantine / "link").symlink_to("/etc/passwd")
        library.admit(holding("m", {"m.gguf": OLD}))
    assert sorted(path.name for path in (tmp_path / "library" / "m").iterdir()) == [HOLDING, "m.gguf"]


def test_what_does_not_pass_is_not_admitted_and_stays_in_quarantine(library: Library) -> None:
    put(library, "m", {"m.gguf": OLD})
    with library.incoming("m") as quarantine:
        (quarantine / "m.gguf").write_bytes(b"<html>")
        with pytest.raises(ModelMismatch, match="bytes in place of"):
            library.admit(holding("m", {"m.gguf": NEW}))
        with pytest.raises(ModelMismatch, match=r"lacks its file n\.gguf"):
            library.admit(holding("m", {"n.gguf": NEW}))
        with pytest.raises(ModelBroken):
            library.admit(holding("m", {"m.gguf": b"<html>"}))
        (quarantine / "l.gguf").symlink_to("m.gguf")
        with pytest.raises(ModelMismatch, match=r"lacks its file l\.gguf"):
            library.admit(holding("m", {"l.gguf": b"<html>"}))
    assert content_of(library) == OLD
    assert library.unfinished()["m"] > 0


def test_nothing_is_admitted_without_its_lock(library: Library) -> None:
    with pytest.raises(ValueError, match="outside"):
        library.admit(holding("m", {"m.gguf": OLD}))


# --- removal


def test_removing_frees_the_disk(tmp_path: Path, library: Library) -> None:
    put(library, "m", {"m.gguf": OLD})
    (tmp_path / "other name").hardlink_to(library.directory_of("m") / "m.gguf")
    record = (library.directory_of("m") / HOLDING).stat().st_size
    with library.incoming("m") as quarantine:
        (quarantine / "half").write_bytes(b"12345")
    assert library.remove("M") == record + 5
    assert library.all() == []
    assert library.unfinished() == {}
    with pytest.raises(UsageError, match="no model m"):
        library.remove("m")
    assert (tmp_path / "other name").read_bytes() == OLD


def test_a_directory_that_is_no_model_can_be_removed(library: Library) -> None:
    put(library, "m", {"m.gguf": OLD})
    (library.directory_of("m") / HOLDING).unlink()
    assert library.remove("m") == len(OLD)
    assert library.faults() == []


# --- kills

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree", "open"}
"""Audit events of steps on the disk (https://docs.python.org/3/library/audit_events.html)."""


def killed_after(steps: int, act: Callable[[], object]) -> bool:
    """Does `act` in a process that is gone, without a word, before the next step on the disk after so many; whether it got to
    its end before."""
    child = os.fork()
    if child == 0:
        left = steps

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in CHANGES:
                if left == 0:
                    os._exit(9)
                left -= 1

        sys.addaudithook(count)
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def leftovers(root: Path) -> list[str]:
    """What lies in the library besides models and places for them."""
    places = [root / "library" / place for place in (".incoming", ".replaced", ".removed")]
    return [path.name for place in places if place.is_dir() for path in place.iterdir()]


def test_a_model_that_is_replaced_is_found_whole_after_a_kill_anywhere(tmp_path: Path) -> None:
    seen: set[bytes | None] = set()
    for steps in range(200):
        root = tmp_path / str(steps)
        library = library_in(root)
        put(library, "m", {"m.gguf": OLD, "older/part.json": b"{}"})
        done = killed_after(steps, lambda: put(library_in(root), "m", {"m.gguf": NEW}))  # noqa: B023  called at once
        content = content_of(library)
        assert [kept.name for kept in library.all()] == ["m"], steps
        seen.add(content)
        with library.incoming("m"):
            assert content_of(library) == content, steps
        library.discard("m")
        assert leftovers(root) == [], steps
        assert content_of(library) == content, steps
        if done:
            break
    assert done
    assert seen == {OLD, NEW}


def test_a_model_that_is_removed_is_there_whole_or_not_at_all_after_a_kill_anywhere(tmp_path: Path) -> None:
    seen: set[bytes | None] = set()
    for steps in range(200):
        root = tmp_path / str(steps)
        library = library_in(root)
        put(library, "m", {"m.gguf": OLD, "deep/part.json": b"{}"})
        done = killed_after(steps, lambda: library_in(root).remove("m"))  # noqa: B023  called at once
        seen.add(content_of(library))
        assert library.faults() == [], steps
        with library.incoming("m"):
            pass
        assert leftovers(root) == [], steps
        if done:
            break
    assert done
    assert seen == {OLD, None}


def test_who_looks_while_a_model_is_replaced_finds_it(library: Library, tmp_path: Path) -> None:
    put(library, "m", {"m.gguf": OLD})
    child = os.fork()
    if child == 0:
        try:
            for _ in range(30):
                put(library_in(tmp_path), "m", {"m.gguf": NEW})
        finally:
            os._exit(0)
    looks = 0
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        found = library.find("m")
        assert found is not None
        assert found.files[0].size in (len(OLD), len(NEW))
        looks += 1
    assert looks > 0
    assert content_of(library) == NEW


# --- names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Qwen2.5-Coder-7B-Instruct-Q4_K_M.gguf", "qwen2.5-coder-7b-instruct-q4_k_m"),
        ("owner/Big_Model-00001-of-00003.gguf", "big_model"),
        ("sentence-transformers/all-MiniLM-L6-v2/", "all-minilm-l6-v2"),
        ("qwen2.5-coder:7b", "qwen2.5-coder-7b"),
        ("Modèle très bon.GGUF", "modele-tres-bon"),
        ("../../etc/passwd", "passwd"),
        ("x.lock", "x"),
        ("a" * 300, "a" * 100),
    ],
)
def test_names_are_made_of_what_a_file_is_called(text: str, name: str) -> None:
    assert holding_name(text) == name


@pytest.mark.parametrize("text", ["", "/", "...", "模型.gguf", ".gguf", "\0", "\udcff"])
def test_of_some_no_name_can_be_made(text: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        holding_name(text)


@given(st.text(st.characters(), max_size=150))
def test_a_name_that_is_made_is_one_and_stays(text: str) -> None:
    try:
        name = holding_name(text)
    except UsageError:
        return
    assert Library(Path("/nowhere"), check).directory_of(name) == Path("/nowhere") / name
    assert holding_name(name) == name


@given(st.text(st.characters(), max_size=120))
def test_no_name_leads_outside(name: str) -> None:
    library = Library(Path("/nowhere"), check)
    try:
        place = library.directory_of(name)
    except UsageError:
        assert library.find(name) is None
        with pytest.raises(UsageError):
            library.remove(name)
    else:
        assert place.parent == Path("/nowhere")
        assert not place.name.startswith(".")


@settings(max_examples=40)
@given(
    st.builds(
        Holding,
        name=st.just("m"),
        kind=st.just("chat"),
        files=st.lists(st.builds(held, st.text(min_size=1), st.binary(max_size=4)), max_size=3).map(tuple),
        trust=st.just("hub"),
        origin=st.text(),
        licence=st.text(),
        at=st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_a_record_is_read_as_it_was_written_or_not_believed(
    tmp_path_factory: pytest.TempPathFactory, record: Holding
) -> None:
    library = library_in(tmp_path_factory.mktemp("records"))
    put(library, "m", {"m.gguf": OLD})
    try:
        text = record.model_dump_json()
    except ValueError:
        return  # a lone surrogate has no place in a file
    (library.directory_of("m") / HOLDING).write_text(text, encoding="utf-8")
    found = library.find("m")
    assert found in (record, None)
    assert (found is None) == (len(library.faults()) == 1)
