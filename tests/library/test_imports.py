import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from offline_agent.errors import (
    AgentError,
    Denied,
    EmbedderError,
    InUse,
    ModelBroken,
    ModelMismatch,
    ModelMissing,
    StorageError,
    UsageError,
)
from offline_agent.library.bring import Original
from offline_agent.library.imports import Importer, import_path
from offline_agent.library.others import find_others, found_at
from offline_agent.library.store import Library
from offline_agent.library.verify import verify
from offline_agent.models import Card, EmbedderCard, Source, SourceFile
from tests.library.shelves import card, check, gguf, library_in, put, sha256
from tests.library.test_others import EMBEDDER, REVISION, hugging_face, ollama, written

MODEL, OTHER = gguf(b"weights"), gguf(b"other weights")
LISTED = card("listed", "Listed-Q4_K_M.gguf", MODEL)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return library_in(tmp_path)


def content_of(library: Library, name: str) -> bytes:
    found = library.find(name)
    assert found is not None
    return library.path_of(found).read_bytes()


# --- what it becomes


def test_a_listed_model_is_known_by_its_content_whatever_it_is_called(tmp_path: Path, library: Library) -> None:
    path = written(tmp_path / "stick", {"anything.gguf": MODEL}) / "anything.gguf"
    done: list[tuple[int, int]] = []
    imports = import_path(library, [LISTED], path, progress=lambda part, total: done.append((part, total)))
    (imported,) = imports.models
    kept = imported.holding
    assert library.find("listed") == kept
    assert (kept.trust, kept.licence, kept.repository, kept.revision) == ("catalogue", "MIT", "owner/name", "abc")
    assert (kept.files[0].name, kept.files[0].sha256, kept.origin) == ("Listed-Q4_K_M.gguf", sha256(MODEL), str(path))
    assert done[-1] == (len(MODEL), len(MODEL))
    assert verify(library, kept) == []
    assert path.read_bytes() == MODEL


def test_what_no_card_knows_is_trusted_on_first_use_and_that_is_said(tmp_path: Path, library: Library) -> None:
    path = written(tmp_path / "stick", {"My Model.Q4.gguf": OTHER}) / "My Model.Q4.gguf"
    (imported,) = import_path(library, [LISTED], path).models
    assert (imported.holding.name, imported.holding.trust) == ("my-model.q4", "first use")
    assert sha256(OTHER) in imported.notes[-1]
    assert import_path(library, [], path, name="Mine").models[0].holding.name == "mine"


def test_all_parts_of_a_model_come_along(tmp_path: Path, library: Library) -> None:
    parts = {f"big-0000{number}-of-00002.gguf": gguf(bytes([number])) for number in (1, 2)}
    stick = written(tmp_path / "stick", parts)
    pinned = tuple(
        SourceFile(name=f"Q8/{name}", size=len(content), sha256=sha256(content)) for name, content in parts.items()
    )
    listed = LISTED.model_copy(update={"name": "big-one", "source": Source(repository="a/b", files=pinned)})
    for cards, name in ((), "big"), ((listed,), "big-one"):
        (imported,) = import_path(library, cards, stick).models
        assert imported.holding.name == name
        assert [file.sha256 for file in imported.holding.files] == [sha256(content) for content in parts.values()]
        assert verify(library, imported.holding) == []
    assert [file.name for file in imported.holding.files] == [file.name for file in pinned]


def test_an_embedder_is_known_by_all_its_files_and_leaves_the_others(tmp_path: Path, library: Library) -> None:
    stick = written(tmp_path / "stick" / "Some-Embedder", {**EMBEDDER, "extra.json": b"{}"})
    listed = EmbedderCard(
        name="All-Embedder",
        dimensions=8,
        max_tokens=256,
        sha256={name: sha256(content) for name, content in EMBEDDER.items()},
    )
    unknown, known = (import_path(library, cards, stick).models[0].holding for cards in ([], [listed]))
    assert (unknown.name, unknown.kind, unknown.trust) == ("some-embedder", "embedding", "first use")
    assert "extra.json" in {file.name for file in unknown.files}
    assert (known.name, known.trust, {file.name for file in known.files}) == ("all-embedder", "catalogue", {*EMBEDDER})
    for kept in (unknown, known):
        assert verify(library, kept) == []


def test_the_same_content_under_two_names_is_two_files(tmp_path: Path, library: Library) -> None:
    files = {**EMBEDDER, "special_tokens_map.json": EMBEDDER["tokenizer.json"]}
    listed = EmbedderCard(
        name="e", dimensions=8, max_tokens=8, sha256={name: sha256(content) for name, content in files.items()}
    )
    (imported,) = import_path(library, [listed], written(tmp_path / "stick", files)).models
    assert verify(library, imported.holding) == []
    assert len(imported.holding.files) == len(files)


def test_what_other_programs_keep_is_imported(tmp_path: Path, library: Library) -> None:
    ollama(tmp_path / ".ollama" / "models")
    written(tmp_path / ".lmstudio" / "models", {"p/r/studio.gguf": gguf(b"studio")})
    hugging_face(tmp_path / "hub", "o/hugging-GGUF", {"hugging.gguf": gguf(b"hugging")})
    found = find_others(tmp_path, {"HF_HUB_CACHE": str(tmp_path / "hub")}, tmp_path / "system")
    kept = [Importer(library, []).bring(one).holding for one in found]
    assert [(one.name, one.files[0].name, one.repository, one.revision) for one in kept] == [
        ("qwen2.5-coder-7b", "qwen2.5-coder-7b.gguf", "", ""),
        ("studio", "studio.gguf", "p/r", ""),
        ("hugging", "hugging.gguf", "o/hugging-GGUF", REVISION),
    ]
    assert kept[0].origin == "Ollama: qwen2.5-coder:7b"
    for one in kept:
        assert verify(library, one) == []
        assert not library.path_of(one).is_symlink()


def test_a_directory_gives_what_it_has_and_says_what_it_could_not(tmp_path: Path, library: Library) -> None:
    stick = written(tmp_path / "stick", {"a.gguf": MODEL, "b.gguf": b"<html>", "c.gguf": b"", "d/d.gguf": OTHER})
    imports = import_path(library, [], stick)
    assert [imported.holding.name for imported in imports.models] == ["a", "d"]
    assert len(imports.faults) == 2
    with pytest.raises(UsageError, match="4 models"):
        import_path(library, [], stick, name="one")
    with pytest.raises(ModelBroken):
        import_path(library, [], stick / "b.gguf")


# --- linked or copied


def test_a_file_of_ones_own_is_linked_and_takes_no_space(tmp_path: Path, library: Library) -> None:
    path = written(tmp_path / "stick", {"m.gguf": MODEL}) / "m.gguf"
    path.chmod(0o644)
    (imported,) = import_path(library, [], path).models
    assert imported.way in ("link", "clone")  # the file system of the tests may be one that clones
    assert (imported.way == "link") == library.path_of(imported.holding).samefile(path)
    path.unlink()
    assert content_of(library, "m") == MODEL


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (lambda path: path.chmod(0o664), "others may write"),
        (lambda path: path.chmod(0o646), "others may write"),
        (lambda path: os.chown(path, 65534, 65534), "belongs to somebody else"),
        (lambda path: path.chmod(0o600), "not all who may use the library"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give a file away")
def test_a_link_that_others_could_change_or_some_not_read_is_a_copy(
    tmp_path: Path, prepare: Callable[[Path], None], why: str
) -> None:
    path = written(tmp_path / "stick", {"m.gguf": MODEL}) / "m.gguf"
    path.chmod(0o644)
    prepare(path)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (imported,) = import_path(Library(shared, check), [], path).models
    kept = shared / "m" / "m.gguf"
    assert imported.way in ("copy", "clone")
    assert (imported.way == "clone") or why in imported.notes[0]
    assert not kept.samefile(path)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o644
    assert kept.stat().st_uid == os.geteuid()


def test_no_link_is_made_where_none_is_wanted(tmp_path: Path, library: Library) -> None:
    path = written(tmp_path / "stick", {"m.gguf": MODEL}) / "m.gguf"
    (imported,) = import_path(library, [], path, link=False).models
    assert imported.way in ("copy", "clone")
    path.write_bytes(b"changed in place")
    assert verify(library, imported.holding) == []


def test_from_another_disk_it_is_copied(tmp_path: Path, library: Library) -> None:
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    path = shm / f"offline-agent-test-{os.getpid()}.gguf"
    try:
        path.write_bytes(MODEL)
        (imported,) = import_path(library, [], path, name="m").models
    finally:
        path.unlink()
    assert imported.way == "copy"
    assert "another disk" in imported.notes[0]
    assert content_of(library, "m") == MODEL


def test_what_changed_under_a_link_is_found(tmp_path: Path, library: Library) -> None:
    path = written(tmp_path / "stick", {"m.gguf": MODEL}) / "m.gguf"
    (imported,) = import_path(library, [], path).models
    if imported.way == "clone":
        pytest.skip("this file system clones")
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"X")
    assert len(verify(library, imported.holding)) == 1
    assert import_path(library, [], path, replace=True).models[0].holding.files[0].sha256 == sha256(path.read_bytes())


# --- what is refused


def test_a_model_with_the_name_of_another_and_not_its_content_is_refused(tmp_path: Path, library: Library) -> None:
    put(library, "listed", {"Listed-Q4_K_M.gguf": MODEL})
    stick = written(tmp_path / "stick", {"Listed-Q4_K_M.gguf": OTHER, "listed.gguf": OTHER})
    for name in ("Listed-Q4_K_M.gguf", "listed.gguf"):
        with pytest.raises(ModelMismatch, match="not its content"):
            import_path(library, [LISTED], stick / name)
    with pytest.raises(ModelMismatch, match="not its content"):
        import_path(library, [LISTED], stick / "listed.gguf", name="Listed")
    assert import_path(library, [LISTED], stick / "Listed-Q4_K_M.gguf", name="mine").models[0].holding.name == "mine"
    assert content_of(library, "listed") == MODEL


def test_a_card_without_a_hash_is_pinned_by_the_first_that_has_its_name(tmp_path: Path, library: Library) -> None:
    open_card = card("open", "Open-Q4.gguf", None)
    path = written(tmp_path / "stick", {"open-q4.gguf": OTHER}) / "open-q4.gguf"
    kept = import_path(library, [open_card], path).models[0].holding
    assert (kept.name, kept.trust, kept.licence) == ("open", "first use", "MIT")


def test_where_only_listed_models_are_allowed_others_are_denied(tmp_path: Path, library: Library) -> None:
    stick = written(tmp_path / "stick", {"m.gguf": MODEL, "n.gguf": OTHER, "same-size.gguf": gguf(b"WEIGHTS")})
    cards: list[Card] = [LISTED, card("open", "n.gguf", None)]
    assert import_path(library, cards, stick / "m.gguf", listed_only=True).models[0].holding.name == "listed"
    for name in ("n.gguf", "same-size.gguf"):
        with pytest.raises(Denied, match="listed_only"):
            import_path(library, cards, stick / name, listed_only=True)
    assert [kept.name for kept in library.all()] == ["listed"]


def test_a_model_does_not_take_the_place_of_another_unasked(tmp_path: Path, library: Library) -> None:
    put(library, "m", {"m.gguf": MODEL})
    path = written(tmp_path / "stick", {"m.gguf": OTHER}) / "m.gguf"
    with pytest.raises(UsageError, match="another model called m"):
        import_path(library, [], path)
    assert content_of(library, "m") == MODEL
    import_path(library, [], path, replace=True)
    assert content_of(library, "m") == OTHER
    import_path(library, [], path)  # the same again mends it
    assert content_of(library, "m") == OTHER


def test_a_listed_model_under_a_given_name_does_not_either(tmp_path: Path, library: Library) -> None:
    put(library, "mine", {"m.gguf": MODEL})
    path = written(tmp_path / "stick", {"listed.gguf": OTHER}) / "listed.gguf"
    with pytest.raises(UsageError, match="--replace"):
        import_path(library, [card("listed", "listed.gguf", OTHER)], path, name="mine")
    assert content_of(library, "mine") == MODEL


def test_an_embedder_that_would_run_code_is_refused(tmp_path: Path, library: Library) -> None:
    with pytest.raises(EmbedderError, match="program"):
        import_path(library, [], written(tmp_path / "m", {**EMBEDDER, "modeling.py": b""}))
    assert library.all() == []


def test_a_blob_that_is_not_what_its_name_says_is_refused(tmp_path: Path, library: Library) -> None:
    manifest = ollama(tmp_path / "o")
    (tmp_path / "o" / "blobs" / f"sha256-{sha256(MODEL)}").write_bytes(gguf(b"WEIGHTS"))
    snapshot = hugging_face(tmp_path / "h", "o/n", {"m.gguf": MODEL})
    (tmp_path / "h" / "models--o--n" / "blobs" / sha256(MODEL)).write_bytes(OTHER)
    for path in (manifest, snapshot / "m.gguf"):
        with pytest.raises(ModelMismatch, match="is damaged"):
            import_path(library, [], path)
    assert library.all() == []
    assert library.unfinished() == {}


def test_what_vanished_since_it_was_found_is_told(tmp_path: Path, library: Library) -> None:
    stick = written(tmp_path / "stick", {"m.gguf": MODEL})
    (found,) = found_at(stick)
    (stick / "m.gguf").unlink()
    unchecked = Library(tmp_path / "unchecked", lambda kind, path: None)
    with pytest.raises(ModelMissing, match="not there"):
        Importer(unchecked, []).bring(found)
    os.mkfifo(stick / "m.gguf")
    with pytest.raises(StorageError, match="not a regular"):
        Importer(unchecked, []).bring(found)


@pytest.mark.parametrize("link", [True, False])
@pytest.mark.parametrize("change", ["grows", "shrinks", "is written to"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, library: Library, link: bool, change: str
) -> None:
    path = written(tmp_path / "stick", {"m.gguf": gguf(bytes(3 << 20))}) / "m.gguf"

    def interfere(done: int, total: int) -> None:
        if done <= 1 << 20:
            with path.open("r+b") as file:
                match change:
                    case "grows":
                        file.seek(0, os.SEEK_END)
                        file.write(b"x")
                    case "shrinks":
                        file.truncate(2 << 20)
                    case _:
                        file.seek(100)
                        file.write(b"x")
            os.utime(path, ns=(1, 1))  # clocks of file systems tick only so often

    with pytest.raises(ModelMismatch, match="changed while"):
        import_path(library, [], path, link=link, progress=interfere)
    assert library.all() == []
    assert library.unfinished() == {}


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "x.lock", "ünï", "a" * 101])
def test_a_name_that_cannot_be_had_is_refused(tmp_path: Path, library: Library, name: str) -> None:
    path = written(tmp_path / "stick", {"m.gguf": MODEL}) / "m.gguf"
    with pytest.raises(UsageError, match="no name"):
        import_path(library, [], path, name=name)
    assert library.all() == []


def test_a_file_whose_name_is_not_utf_8_gets_one(tmp_path: Path, library: Library) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.gguf"))
    path.write_bytes(MODEL)
    kept = import_path(library, [], path).models[0].holding
    assert (kept.name, kept.files[0].name) == ("caf", "caf.gguf")
    assert library.find("caf") == kept


def test_a_disk_without_room_is_told_before_a_byte_is_copied(tmp_path: Path, library: Library) -> None:
    path = tmp_path / "huge.gguf"
    path.write_bytes(gguf())
    try:
        os.truncate(path, library.free() + (1 << 40))
    except OSError:
        pytest.skip("this file system has no files so large")
    huge = Library(tmp_path / "library", lambda kind, place: None)  # it need not be read whole
    with pytest.raises(StorageError, match="Free some space"):
        import_path(huge, [], path, link=False)
    assert library.unfinished() == {}


def test_what_was_half_fetched_outlives_an_import_that_fails(tmp_path: Path, library: Library) -> None:
    with library.incoming("listed") as quarantine:
        (quarantine / "half.part").write_bytes(b"12345")
    path = written(tmp_path / "stick", {"listed.gguf": OTHER}) / "listed.gguf"
    with pytest.raises(ModelMismatch):
        import_path(library, [LISTED], path)
    assert library.unfinished() == {"listed": 5}


def test_two_do_not_import_the_same_model_at_once(tmp_path: Path, library: Library) -> None:
    path = written(tmp_path / "stick", {"m.gguf": MODEL}) / "m.gguf"
    errors: list[AgentError] = []

    def again(done: int, total: int) -> None:
        try:
            import_path(library_in(tmp_path), [], path)
        except AgentError as error:
            errors.append(error)

    import_path(library, [], path, progress=again)
    assert errors
    assert all(isinstance(error, InUse) for error in errors)


def test_what_a_kill_left_of_an_import_is_gone_after_the_next(tmp_path: Path, library: Library) -> None:
    path = written(tmp_path / "stick", {"m.gguf": gguf(bytes(2 << 20))}) / "m.gguf"
    child = os.fork()
    if child == 0:
        import_path(library, [], path, link=False, progress=lambda done, total: os._exit(9))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert library.unfinished()["m"] > 0
    import_path(library, [], path)
    assert library.unfinished() == {}
    assert content_of(library, "m") == path.read_bytes()


def test_an_original_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for make in (lambda path: path.mkdir(), os.mkfifo):
        path = tmp_path / make.__name__
        make(path)
        with pytest.raises(StorageError, match="regular"):
            Original(path)
