import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.errors import GuardError, StorageError, UndoConflict, VaultInUse
from offline_agent.guard.undo import Undo
from offline_agent.settings import UndoSettings
from offline_agent.vault.journal import SealedJournals
from offline_agent.vault.memory import MemoryJournals

from .trees import act, look, plant

KEY = bytes(range(32))
TOP = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")


class Place:
    """A planted tree in `scratch`, with sealed journals beside it."""

    def __init__(self, scratch: Path, **limits: int) -> None:
        self.root = scratch / "tree"
        self.journals = SealedJournals(scratch / "vault/undo/1f0c", KEY)
        self.limits = limits
        if not self.root.exists():
            self.root.mkdir(parents=True)
            plant(self.root)
        self.undo = self.again()

    def again(self) -> Undo:
        """As the next start of the program has it."""
        return Undo(self.root, self.journals, UndoSettings(**self.limits), "session")

    def turn(self, title: str, *steps: Callable[[], object]) -> None:
        self.undo.begin(title)
        for step in steps:
            step()
            self.undo.settle()
        self.undo.end()

    def write(self, path: str, content: str | bytes) -> None:
        self.undo.touch(path)
        (self.root / path).write_bytes(content.encode() if isinstance(content, str) else content)

    def remove(self, path: str) -> None:
        self.undo.touch(path)
        (self.root / path).unlink()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_any_turns_can_be_undone_and_made_again(seed: int, steps: list[int]) -> None:
    """Turns of so many steps; after each undo and each redo the tree is as it was at that moment, times of directories too."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(Path(scratch))
        looks = [look(place.root)]
        for number, count in enumerate(steps):
            place.undo.begin(f"turn {number}")
            for _ in range(count):
                for _ in range(dice.randint(1, 4)):
                    act(dice, place.root, place.undo)
                place.undo.settle()
            if place.undo.end() is not None:
                looks.append(look(place.root))
        undo = place.again()
        assert len(undo.turns()) == len(looks) - 1
        for before in reversed(looks[:-1]):
            undo.undo()
            assert look(place.root) == before
        for after in looks[1:]:
            undo.redo()
            assert look(place.root) == after
        for before in reversed(looks[:-1]):
            undo.undo()
            assert look(place.root) == before
        with pytest.raises(GuardError, match="nothing to undo"):
            undo.undo()


def test_a_turn_tells_what_it_did(place: Place) -> None:
    place.turn("Fix it", lambda: place.write("src/a.py", "x"), lambda: place.write("src/new.py", "y"))
    place.turn("Nothing")
    place.turn("Untouched", lambda: place.undo.touch("src/b.py"))
    [record] = place.again().turns()
    assert (record.number, record.title, record.session) == (1, "Fix it", "session")
    assert record.paths == ("src/a.py", "src/new.py")
    assert (record.undone, record.complete) == (False, True)
    undone = place.again().undo()
    assert (undone.paths, undone.turn.undone, undone.notes) == (record.paths, True, ())
    assert place.again().turns()[0].undone


def test_undo_takes_the_newest_and_redo_the_oldest_undone(place: Place) -> None:
    for number in range(3):
        place.turn(str(number), lambda number=number: place.write("README", f"{number}\n"))
    undo = place.again()
    assert [undo.undo().turn.number for _ in range(3)] == [3, 2, 1]
    assert [undo.redo().turn.number for _ in range(2)] == [1, 2]
    assert (place.root / "README").read_text() == "1\n"
    place.turn("another", lambda: place.write("docs/new", ""))
    with pytest.raises(GuardError, match="nothing to redo"):
        undo.redo()
    for number, match in ((3, "undone already"), (9, "There is no turn 9")):
        with pytest.raises(GuardError, match=match):
            undo.undo(number)
    with pytest.raises(GuardError, match="not undone"):
        undo.redo(2)
    assert undo.redo(3).turn.number == 3
    assert (place.root / "README").read_text() == "2\n"


def test_an_older_turn_can_be_undone_by_itself(place: Place) -> None:
    place.turn("one", lambda: place.write("README", "1\n"))
    place.turn("two", lambda: place.write("src/a.py", "2\n"))
    assert place.undo.undo(1).paths == ("README",)
    assert (place.root / "README").read_text() == "hello\n"
    assert (place.root / "src/a.py").read_text() == "2\n"


def test_what_was_changed_since_is_not_overwritten(place: Place) -> None:
    place.turn(
        "one",
        lambda: place.write("README", "the turn\nwrote\n"),
        lambda: place.write("pic", b"\0\1"),
        lambda: place.write("docs/new", "x"),
        lambda: place.remove("src/b.py"),
    )
    (place.root / "README").write_text("the turn\nand I wrote\n")
    (place.root / "pic").write_bytes(b"\0\1\2")
    (place.root / "docs/new").unlink()
    (place.root / "src/b.py").symlink_to("a.py")
    before = look(place.root)
    with pytest.raises(UndoConflict) as caught:
        place.undo.undo()
    text = str(caught.value)
    assert "in 3 places: README, pic, src/b.py. Nothing was changed" in text
    assert "-wrote\n+and I wrote" in text
    assert "pic: the turn left a file of 2 bytes with mode 644; now there is a file of 3 bytes with mode 644." in text
    assert "src/b.py: the turn left nothing; now there is a symbolic link to a.py." in text
    assert look(place.root) == before
    assert not place.undo.turns()[0].undone


def test_by_force_what_is_there_is_kept_for_the_way_back(place: Place) -> None:
    start = look(place.root)
    place.turn("one", lambda: place.write("README", "turn\n"), lambda: place.write("docs/one", "turn\n"))
    (place.root / "README").write_text("mine\n")
    mine = look(place.root)
    assert set(place.undo.undo(force=True).paths) == {"README", "docs/one", "docs/same"}
    assert look(place.root) == start
    place.undo.redo()
    assert look(place.root) == mine
    place.undo.undo()
    assert look(place.root) == start
    (place.root / "README").write_text("mine again\n")
    with pytest.raises(UndoConflict):
        place.undo.redo()
    place.undo.redo(force=True)
    assert look(place.root) == mine
    place.undo.undo()
    assert (place.root / "README").read_text() == "mine again\n"


def test_a_time_or_a_change_beside_it_is_no_conflict(place: Place) -> None:
    place.turn("one", lambda: place.write("docs/two", "turn\n"), lambda: place.write("docs/new", "x"))
    os.utime(place.root / "docs/two")
    (place.root / "docs/mine").write_text("mine")
    when = (place.root / "docs").stat().st_mtime_ns
    (place.root / "docs").chmod(0o711)
    place.undo.undo()
    assert (place.root / "docs/two").read_text() == "2\n"
    assert not (place.root / "docs/new").exists()
    assert (place.root / "docs/mine").read_text() == "mine"
    assert (place.root / "docs").stat().st_mtime_ns >= when  # what I did there is not made undone
    assert (place.root / "docs").stat().st_mode & 0o777 == 0o711


def test_files_of_others_keep_a_new_directory(place: Place) -> None:
    def make() -> None:
        place.undo.touch("new")
        (place.root / "new").mkdir()
        place.write("new/file", "turn")

    place.turn("one", make)
    (place.root / "new/mine").write_text("mine")
    with pytest.raises(UndoConflict, match="new/mine: it came since"):
        place.undo.undo()
    assert (place.root / "new/file").exists()
    undone = place.undo.undo(force=True)
    assert undone.notes == ("new stays: new/mine in it is not the turn's.",)
    assert [path.name for path in (place.root / "new").iterdir()] == ["mine"]


def test_a_file_that_was_not_kept_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path, file_megabytes=1)
    (place.root / "huge").write_bytes(bytes(1_000_001))
    os.mkfifo(place.root / "pipe")
    place.turn(
        "one",
        lambda: place.write("README", "x"),
        lambda: place.remove("huge"),
        lambda: place.remove("pipe"),
        lambda: place.write("big", bytes(1_000_002)),
    )
    undone = place.undo.undo()
    assert (place.root / "README").read_text() == "hello\n"
    assert sorted(path.name for path in place.root.iterdir() if path.name in ("huge", "pipe", "big")) == []
    assert set(undone.notes) == {
        "huge cannot be brought back: it has 1,000,001 bytes, more than is kept.",
        "pipe cannot be brought back: it is a named pipe.",
        "big as it was until now cannot be brought back: it has 1,000,002 bytes, more than is kept.",
    }
    assert place.undo.redo().notes == ("big cannot be brought back: it has 1,000,002 bytes, more than is kept.",)
    assert (place.root / "README").read_text() == "x"


def test_a_turn_that_touches_too_much_keeps_what_has_room(tmp_path: Path) -> None:
    place = Place(tmp_path, megabytes=1)
    for number in range(3):
        (place.root / f"some{number}").write_bytes(os.urandom(600_000))
    place.turn("one", *(lambda number=number: place.remove(f"some{number}") for number in range(3)))
    assert place.undo.undo().notes == tuple(
        f"some{number} cannot be brought back: there was no room to keep it." for number in (1, 2)
    )
    assert (place.root / "some0").stat().st_size == 600_000


def test_the_oldest_turns_are_forgotten_and_the_log_tells(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    place = Place(tmp_path, turns=3, megabytes=1)
    for number in range(5):
        place.turn(str(number), lambda number=number: place.write("README", f"{number}"))
    assert [turn.number for turn in place.undo.turns()] == [5, 4, 3]
    assert "turn 1 cannot be undone any more" in caplog.text
    for _ in range(2):
        place.turn("large", lambda: place.write("large", os.urandom(300_000)))
    place.turn("large", lambda: place.write("large", os.urandom(900_000)))
    place.turn("last", lambda: place.remove("large"))
    assert [turn.number for turn in place.undo.turns()] == [9]


def test_what_a_killed_turn_left_is_completed(place: Place) -> None:
    start = look(place.root)
    place.undo.begin("killed")
    place.write("README", "first\n")
    place.undo.settle()
    place.write("src/a.py", "second\n")
    place.undo.touch("docs/new")  # and nothing came of it
    place.undo._turn.journal.close()  # type: ignore[union-attr]  # the process is gone, and with it the lock
    later = place.again()
    assert [turn.complete for turn in later.turns()] == [False]
    with pytest.raises(GuardError, match="nothing to undo"):
        later.undo()
    [record] = later.recover()
    assert (record.complete, record.paths) == (False, ("README", "src/a.py"))
    assert later.recover() == []
    later.undo()
    assert look(place.root) == start


def test_what_was_settled_before_the_kill_is_still_guarded(place: Place) -> None:
    place.undo.begin("killed")
    place.write("README", "first\n")
    place.undo.settle()
    place.write("src/a.py", "second\n")
    place.undo._turn.journal.close()  # type: ignore[union-attr]
    (place.root / "README").write_text("mine\n")
    later = place.again()
    later.recover()
    with pytest.raises(UndoConflict, match="one place: README"):
        later.undo()


def test_a_turn_of_a_living_program_is_left_alone(place: Place) -> None:
    place.undo.begin("alive")
    place.write("README", "x")
    other = place.again()
    assert other.recover() == []
    assert place.undo.recover() == []
    with pytest.raises(GuardError, match="Turn 1 has not ended"):
        other.undo(1)
    with pytest.raises(GuardError, match="under way"):
        place.undo.undo()
    record = place.undo.end()
    assert record is not None
    assert record.complete


CHILD = """
import os, random, sys; from pathlib import Path
from tests.guard.test_undo import Place
from tests.guard.trees import act, look
place, dice = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
here = Place(place)
if sys.argv[3] == "turn":
    here.undo.begin("killed")
    while True:
        act(dice, here.root, here.undo)
        if dice.random() < 0.3:
            here.undo.settle()
        os.write(1, b".")
os.write(1, b"." * 10)
while True:
    here.undo.undo(); os.write(1, b"."); here.undo.redo()
"""


def kill(place: Place, seed: int, what: str, after: int) -> None:
    """Has a child do it, and kills that after so many bytes and an odd moment."""
    command = [sys.executable, "-c", CHILD, str(place.root.parent), str(seed), what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TOP, env=os.environ | {"PYTHONPATH": str(TOP)}) as child:
        assert child.stdout is not None
        child.stdout.read(after)
        threading.Event().wait(random.Random(seed).random() / 100)
        child.kill()


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_in_the_middle_of_a_turn(place: Place, seed: int) -> None:
    start = look(place.root)
    kill(place, seed, "turn", 3 + 5 * seed)
    later = place.again()
    killed = look(place.root)
    later.recover()
    later.undo()
    assert look(place.root) == start
    later.redo()
    assert look(place.root) == killed


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_in_the_middle_of_an_undo_or_a_redo(place: Place, seed: int) -> None:
    start, dice = look(place.root), random.Random(seed)
    place.undo.begin("long")
    for _ in range(60):
        act(dice, place.root, place.undo)
    place.undo.end()
    end = look(place.root)
    kill(place, seed, "undo", 10 + seed % 3)
    later = place.again()
    if later.turns()[0].undone:
        later.redo()
        assert look(place.root) == end
        later.undo()
    else:
        later.undo()
    assert look(place.root) == start
    later.redo()
    assert look(place.root) == end


def test_any_step_of_an_undo_may_be_the_last(tmp_path: Path) -> None:
    """Stops before each change of the tree in turn, as a kill would, and goes on in both directions."""
    place = Place(tmp_path / "one")
    start, dice = look(place.root), random.Random(7)
    place.undo.begin("long")
    for _ in range(40):
        act(dice, place.root, place.undo)
    place.undo.end()
    end = look(place.root)
    stopped = 0
    for stop in (0, 1, 4, 9, 16, 25, 36, 49, 64, 81):
        shutil.rmtree(tmp_path / "two", ignore_errors=True)
        subprocess.run(["cp", "-a", str(tmp_path / "one"), str(tmp_path / "two")], check=True)
        copy = Place(tmp_path / "two")
        assert look(copy.root) == end
        script = STOPPED.format(place=str(tmp_path / "two"), stop=stop)
        code = subprocess.run([sys.executable, "-c", script], cwd=TOP).returncode
        stopped += code == 9
        undo = copy.again()
        if stop % 2:
            undo.redo() if code == 9 else None
            assert code != 9 or look(copy.root) == end
        if not undo.turns()[0].undone:
            undo.undo()
        assert look(copy.root) == start
        undo.redo()
        assert look(copy.root) == end
    assert stopped > 5


STOPPED = """
import os, sys; from pathlib import Path
left = {stop}
def watch(event, arguments):
    global left
    if event in ("os.rename", "os.mkdir", "os.chmod", "os.utime", "os.rmdir", "os.remove", "os.symlink"):
        left -= 1
        if left < 0:
            os._exit(9)
from tests.guard.test_undo import Place
place = Place(Path({place!r}))
sys.addaudithook(watch)
place.undo.undo()
"""


def test_threads_touch_at_once(place: Place) -> None:
    start = look(place.root)
    place.undo.begin("threads")

    def write(number: int) -> None:
        for each in range(10):
            place.write(f"src/{number}-{each}", f"{number} {each}")
            place.write("README", f"{number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record = place.undo.end()
    assert record is not None
    assert len(record.paths) == 41
    place.undo.undo()
    assert look(place.root) == start


def test_nothing_is_touched_outside_a_turn_or_the_root(place: Place, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="outside a turn"):
        place.undo.touch("README")
    place.undo.begin("one")
    (tmp_path / "elsewhere").mkdir()
    (place.root / "out").symlink_to(tmp_path / "elsewhere")
    for path, match in (
        ("../elsewhere/x", "no path below"),
        ("/etc/passwd", "no path below"),
        ("out/x", "symbolic link out"),
        ("loop/x", "symbolic link loop"),
        ("n" * 300, "File name too long"),
    ):
        with pytest.raises(GuardError, match=match):
            place.undo.touch(path)
    place.undo.touch("out")
    place.undo.touch("loop")


def test_a_link_that_took_a_directory_s_place_leads_nobody_out(place: Place, tmp_path: Path) -> None:
    place.turn("one", lambda: place.write("src/a.py", "x"))
    shutil.move(place.root / "src", tmp_path / "elsewhere")
    (place.root / "src").symlink_to(tmp_path / "elsewhere")
    outside = look(tmp_path / "elsewhere")
    for force, match in ((False, "now there is nothing"), (True, "symbolic link src")):
        with pytest.raises(GuardError, match=match):
            place.undo.undo(force=force)
    assert look(tmp_path / "elsewhere") == outside


def test_a_full_vault_stops_the_change(tmp_path: Path) -> None:
    class Full(MemoryJournals):
        def begin(self) -> "object":  # type: ignore[override]
            raise StorageError("No room.")

    root = tmp_path / "tree"
    root.mkdir()
    undo = Undo(root, Full(), UndoSettings())  # type: ignore[arg-type]
    undo.begin("one")
    with pytest.raises(StorageError):
        undo.touch("x")


def test_journals_in_memory_do_too(tmp_path: Path) -> None:
    plant(tmp_path)
    undo = Undo(tmp_path, MemoryJournals(), UndoSettings())
    start = look(tmp_path)
    undo.begin("one")
    undo.touch_tree("src")
    shutil.rmtree(tmp_path / "src")
    undo.end()
    undo.undo()
    assert look(tmp_path) == start


def test_nobody_undoes_what_another_process_is_undoing(place: Place) -> None:
    place.turn("one", lambda: place.write("README", "x"))
    journal = place.journals.open(1)
    assert journal.take()
    before = look(place.root)
    with pytest.raises(VaultInUse, match="Try again"):
        place.undo.undo()
    assert look(place.root) == before
    journal.close()
    place.undo.undo()


@as_root
def test_a_repository_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "tree")], capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        plant(tmp_path / "tree")
        place = Place(tmp_path)
        start = look(place.root)
        place.turn("one", lambda: place.write("README", "x"))
        subprocess.run(["mount", "-o", "remount,ro", str(place.root)], check=True)
        with pytest.raises(GuardError, match="README cannot be restored: Read-only file system"):
            place.undo.undo()
        subprocess.run(["mount", "-o", "remount,rw", str(place.root)], check=True)
        place.undo.undo()
        assert look(place.root) == start
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "tree")], check=True)


@as_root
def test_where_case_makes_no_difference_two_names_are_one_file(place: Place) -> None:
    """A bind mount stands in for such a file system, which few kernels have."""
    (place.root / "SRC").mkdir()
    mount = ["mount", "--bind", str(place.root / "src"), str(place.root / "SRC")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        start = look(place.root)
        place.turn("one", lambda: place.write("src/a.py", "one"), lambda: place.write("SRC/a.py", "two"))
        assert place.undo.turns()[0].paths == ("src/a.py",)
        place.undo.undo()
        assert look(place.root) == start
        place.undo.redo()
        assert (place.root / "src/a.py").read_text() == "two"
    finally:
        subprocess.run(["umount", "-l", str(place.root / "SRC")], check=True)


OTHER_USER = """
import sys; from pathlib import Path; from tests.guard.test_undo import Place
from tests.guard.trees import look
place = Place(Path(sys.argv[1]))
before = look(place.root)
def unlock():
    place.undo.touch("locked"); (place.root / "locked").chmod(0o755)
    place.write("locked/in", "other"); place.write("locked/more", "more")
    (place.root / "locked").chmod(0o555)
place.turn("one", unlock)
after = look(place.root)
place.undo.undo(); assert look(place.root) == before
place.undo.redo(); assert look(place.root) == after
print("fine")
"""


@as_root
def test_a_directory_without_leave_to_write_is_opened_and_closed_again() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.chown(scratch, 65534, 65534)
        command = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            sys.executable,
            "-c",
            OTHER_USER,
            scratch,
        ]
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
        if "ModuleNotFoundError" in done.stderr or "PermissionError" in done.stderr.partition("offline_agent")[0]:
            pytest.skip("another user cannot read this checkout")
        assert done.stdout == "fine\n", done.stderr
