"""What becomes of a file whose server fails, lies or says nothing: resumed, begun anew, or refused; never joined wrongly."""

import gzip
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import HubRefused, ModelMismatch, PullError, StorageError
from offline_agent.library.part import NEARLY_FULL
from offline_agent.library.plan import Wanted
from offline_agent.library.store import Library
from offline_agent.library.transfer import NOTES, PART, fetched
from tests.library.hub_server import Fault, digest
from tests.library.pulling import FILE, REFERENCE, REPOSITORY, SIZE, Ground, check, gguf, ground

HALF = SIZE // 2


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Ground]:
    with ground(tmp_path) as made:
        yield made


def content(here: Ground) -> bytes:
    holding = here.library.find("model-q4")
    assert holding is not None
    return here.library.path_of(holding).read_bytes()


def ranges(here: Ground) -> list[str]:
    """What was asked for of the content host, in order."""
    return [seen.headers.get("range", "") for seen in here.hub.of("content")]


def leave_a_part(here: Ground, wanted: str = REFERENCE) -> None:
    """Half of the file is in quarantine."""
    here.hub.faults.append(Fault("content", close_after=HALF))
    with pytest.raises(PullError):
        here.pull(wanted, attempts=1)
    here.hub.seen.clear()


# --- going on


def test_a_connection_that_ends_early_is_resumed(here: Ground) -> None:
    here.hub.faults.append(Fault("content", close_after=100_000, times=2))
    here.pull()
    assert content(here) == gguf()
    assert ranges(here) == ["", "bytes=100000-", "bytes=200000-"]
    assert here.hub.sent() == SIZE


def test_a_connection_that_stalls_is_made_anew(here: Ground) -> None:
    here.hub.faults.append(Fault("content", stall_after=HALF))
    here.pull(timeout_seconds=0.3)
    assert content(here) == gguf()
    assert ranges(here) == ["", f"bytes={HALF}-"]
    assert any("sent nothing for 0.3 seconds" in told.note for told in here.told)


def test_giving_up_says_that_one_may_go_on_later(here: Ground) -> None:
    here.hub.faults.append(Fault("content", close_after=70_000))
    here.hub.faults.append(Fault("content", close_after=0, times=-1))
    with pytest.raises(PullError, match=r"3 times in a row.*pull again to go on"):
        here.pull()
    assert here.part.stat().st_size == 70_000
    here.hub.faults.clear()
    here.pull()
    assert content(here) == gguf()


def test_a_server_that_sends_a_byte_at_a_time_is_not_asked_for_ever(here: Ground) -> None:
    here.hub.faults.append(Fault("content", close_after=600, times=-1))
    with pytest.raises(PullError):
        here.pull()
    assert len(here.hub.of("content")) == 3


def test_a_later_pull_goes_on_from_what_is_there(here: Ground) -> None:
    leave_a_part(here)
    plan = here.puller().plan(REFERENCE)
    assert (plan.on_disk, plan.missing) == (HALF, SIZE - HALF)
    here.told.clear()
    here.puller().pull(plan, here.told.append)
    assert content(here) == gguf()
    assert ranges(here) == [f"bytes={HALF}-"]
    assert here.told[0].phase == "hashing what is there"


def test_a_part_that_the_disk_damaged_is_found_out(here: Ground) -> None:
    leave_a_part(here)
    damaged = bytearray(here.part.read_bytes())
    damaged[1000] ^= 1
    here.part.write_bytes(damaged)
    with pytest.raises(ModelMismatch, match="Pull again"):
        here.pull()
    here.pull()
    assert content(here) == gguf()


def test_a_part_that_is_too_long_is_begun_anew(here: Ground) -> None:
    leave_a_part(here)
    here.part.write_bytes(gguf(SIZE + 5))
    here.pull()
    assert content(here) == gguf()


def test_a_file_that_was_whole_when_a_kill_came_is_hashed_and_not_fetched(here: Ground) -> None:
    leave_a_part(here)
    here.part.write_bytes(gguf())
    here.part.rename(here.part.with_name(FILE))
    here.pull()
    assert content(here) == gguf()
    assert here.hub.of("content") == []


def test_a_kill_while_the_model_was_admitted_costs_nothing(here: Ground) -> None:
    leave_a_part(here)
    here.part.write_bytes(gguf())
    here.part.rename(here.part.with_name(FILE))
    here.part.with_name(NOTES).unlink()
    assert here.puller().plan(REFERENCE).missing == 0
    here.pull()
    assert content(here) == gguf()
    assert here.hub.of("content") == []


def test_a_whole_file_that_is_another_is_fetched_anew(here: Ground) -> None:
    leave_a_part(here)
    here.part.with_name(FILE).write_bytes(gguf(seed=9))
    here.part.with_name(NOTES).unlink()
    here.pull()
    assert content(here) == gguf()
    assert ranges(here) == [""]


def test_a_link_in_quarantine_is_not_written_through(here: Ground, tmp_path: Path) -> None:
    leave_a_part(here)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    here.part.unlink()
    here.part.symlink_to(victim)
    here.pull()
    assert content(here) == gguf()
    assert victim.read_bytes() == b"mine"


def test_ctrl_c_keeps_the_part(here: Ground) -> None:
    here.hub.faults.append(Fault("content", stall_after=HALF))
    puller = here.puller()
    plan = puller.plan(REFERENCE)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        while not here.part.exists() or here.part.stat().st_size < HALF:
            here.hub.released.wait(0.01)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        puller.pull(plan)
    thread.join()
    assert here.part.stat().st_size == HALF
    here.pull()
    assert content(here) == gguf()


# --- servers that do not do as they were asked


@pytest.mark.parametrize("fault", [{"ranges": "ignored"}, {"ranges": "ignored", "chunked": True}])
def test_a_server_that_knows_no_ranges_is_asked_for_all(here: Ground, fault: dict[str, object]) -> None:
    leave_a_part(here)
    here.hub.faults.append(Fault("content", **fault))  # type: ignore[arg-type]
    here.pull()
    assert content(here) == gguf()
    assert here.hub.of("content")[-1].headers["range"] == f"bytes={HALF}-"


def test_a_wrong_range_is_not_joined_to_the_part(here: Ground) -> None:
    leave_a_part(here)
    here.hub.faults.append(Fault("content", ranges="wrong"))
    here.pull()
    assert content(here) == gguf()
    assert ranges(here) == [f"bytes={HALF}-", ""]


def test_a_range_that_the_server_does_not_have_begins_anew(here: Ground) -> None:
    leave_a_part(here)
    here.hub.faults.append(Fault("content", status=416, headers={"Content-Range": "bytes */5"}))
    here.pull()
    assert content(here) == gguf()
    assert ranges(here) == [f"bytes={HALF}-", ""]


def test_a_web_page_in_the_middle_does_not_cost_the_part(here: Ground) -> None:
    leave_a_part(here)
    page = b"<html>Please log in to this network" + b" " * SIZE
    here.hub.faults.append(Fault("content", body=page[:SIZE], headers={"Content-Type": "text/html; charset=utf-8"}))
    with pytest.raises(PullError, match="web page"):
        here.pull()
    assert here.part.stat().st_size == HALF
    here.pull()
    assert content(here) == gguf()
    assert ranges(here)[-1] == f"bytes={HALF}-"


@pytest.mark.parametrize(
    ("body", "type", "said"),
    [
        (b"<!DOCTYPE html>", "application/octet-stream", "web page"),
        (b"GGUF", "text/html", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "text/plain", "Git LFS"),
        (b"\x7fELF", "application/octet-stream", "no GGUF"),
    ],
)
def test_what_is_no_model_is_said_at_once(here: Ground, body: bytes, type: str, said: str) -> None:  # noqa: A002
    here.hub.faults.append(Fault("content", body=body.ljust(SIZE, b" "), headers={"Content-Type": type}))
    with pytest.raises(PullError, match=said):
        here.pull()
    assert here.library.all() == []
    assert here.part.stat().st_size == 0


def test_more_than_was_announced_is_not_kept(here: Ground) -> None:
    here.hub.faults.append(Fault("content", chunked=True))
    here.hub.announced[FILE] = {"size": SIZE - 10}
    with pytest.raises(ModelMismatch, match=f"more bytes.*{SIZE - 10}"):
        here.pull()
    assert here.library.all() == []


def test_chunks_without_a_length_are_a_file_too(here: Ground) -> None:
    here.hub.faults.append(Fault("content", chunked=True))
    here.pull()
    assert content(here) == gguf()


def test_chunks_that_end_early_are_resumed(here: Ground) -> None:
    here.hub.faults.append(Fault("content", chunked=True, close_after=HALF))
    here.pull()
    assert content(here) == gguf()
    assert ranges(here)[-1].startswith("bytes=")


def test_a_file_whose_length_nobody_says_is_refused(here: Ground) -> None:
    here.hub.faults.append(
        Fault("content", status=200, body=gguf(), headers={"Content-Length": "unknown", "Connection": "close"})
    )
    with pytest.raises(PullError, match="how long"):
        here.pull()


def test_packed_content_is_refused(here: Ground) -> None:
    here.hub.faults.append(
        Fault("content", status=200, body=gzip.compress(gguf()), headers={"Content-Encoding": "gzip"})
    )
    with pytest.raises(PullError, match="packs"):
        here.pull()


def test_redirects_in_circles(here: Ground) -> None:
    circle = f"{here.hub.url}/{REPOSITORY}/resolve/main/{FILE}"
    puller = here.puller()
    plan = puller.plan(REFERENCE)
    here.hub.faults.append(Fault("resolve", times=-1, headers={"Location": circle}))
    with pytest.raises(PullError, match="circles"):
        puller.pull(plan)
    assert len(here.hub.of("resolve")) == 6


# --- statuses


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, HubRefused, "credentials set hub"),
        (403, HubRefused, "credentials set hub"),
        (404, HubRefused, "404"),
        (400, PullError, "400"),
        (302, PullError, "302"),
    ],
)
def test_a_refusal_is_not_asked_again(here: Ground, status: int, error: type[Exception], said: str) -> None:
    puller = here.puller()
    plan = puller.plan(REFERENCE)
    here.hub.faults.append(Fault("resolve", status=status, times=-1))
    with pytest.raises(error, match=said):
        puller.pull(plan)
    assert len(here.hub.of("resolve")) == 1


@pytest.mark.parametrize("place", ["api", "resolve", "content"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_that_passes_is_waited_for(here: Ground, place: str, status: int) -> None:
    here.hub.faults.append(Fault(place, status=status, times=2))  # type: ignore[arg-type]
    here.pull()
    assert content(here) == gguf()


def test_trouble_that_does_not_pass_is_said(here: Ground) -> None:
    here.hub.faults.append(Fault("api", status=500, times=-1))
    with pytest.raises(PullError, match=r"\(500\), 3 times in a row"):
        here.pull()


def test_a_pause_that_is_asked_for_is_made_and_said(here: Ground) -> None:
    here.hub.faults.append(Fault("content", status=429, headers={"Retry-After": "1"}))
    here.pull()
    waits = [told for told in here.told if told.phase == "waiting"]
    assert "too much to do (429)" in waits[0].note
    assert waits[0].seconds_left == pytest.approx(1, abs=0.2)


def test_a_pause_that_is_too_long_is_left_to_the_person(here: Ground) -> None:
    here.hub.faults.append(Fault("content", status=429, headers={"Retry-After": "86400"}))
    with pytest.raises(PullError, match="wait for 1440 minutes"):
        here.pull()


def test_an_address_that_expired_is_asked_for_anew(here: Ground) -> None:
    here.hub.faults.append(Fault("content", status=403))
    here.pull()
    assert content(here) == gguf()
    assert len(here.hub.of("resolve")) == 2


# --- a file whose hash nobody knows


def test_a_file_that_changed_is_not_joined_to_what_it_was(here: Ground) -> None:
    here.hub.faults.append(Fault("content", close_after=HALF))
    puller = here.puller()
    plan = puller.plan(here.url)

    def change(_: object) -> None:
        if here.part.exists() and here.part.stat().st_size == HALF:
            here.file.write_bytes(gguf(seed=2))

    puller.pull(plan, lambda told: change(told) if told.phase == "waiting" else None)
    assert content(here) == gguf(seed=2)
    assert here.hub.of("content")[-1].headers["if-range"] == plan.files[0].version


def test_a_file_of_any_server_is_resumed_later(here: Ground) -> None:
    leave_a_part(here, here.url)
    here.pull(here.url)
    assert content(here) == gguf()
    assert ranges(here) == [f"bytes={HALF}-"]


def test_a_file_that_changed_between_two_pulls_is_begun_anew(here: Ground) -> None:
    leave_a_part(here, here.url)
    here.file.write_bytes(gguf(seed=2))
    here.pull(here.url)
    assert content(here) == gguf(seed=2)
    assert ranges(here) == [""]


def test_a_server_that_tells_nothing_of_its_file_is_asked_for_all_of_it(here: Ground) -> None:
    here.hub.faults.append(Fault("content", method="HEAD", status=405, times=-1))
    here.hub.faults.append(Fault("content", close_after=HALF))
    here.pull(here.url)
    assert content(here) == gguf()
    assert ranges(here) == ["", ""]


# --- what is told, what is written down, and the disk


def test_progress_is_in_order_and_seldom(here: Ground) -> None:
    here.hub.faults.append(Fault("content", rate=SIZE))
    here.pull()
    phases = [told.phase for told in here.told]
    assert phases[0] == "fetching"
    assert phases[-1] == "checking"
    assert len(phases) < 20
    assert [told.done for told in here.told] == sorted(told.done for told in here.told)
    assert here.told[-1].done == here.told[-1].total == SIZE
    assert any(told.seconds_left is not None for told in here.told)


@given(st.binary(max_size=200) | st.sampled_from([b"[]", b"{}", b'{"model.gguf": 5}', b"[" * 100_000]))
def test_notes_that_cannot_be_read_are_none(tmp_path_factory: pytest.TempPathFactory, notes: bytes) -> None:
    directory = tmp_path_factory.mktemp("quarantine")
    (directory / NOTES).write_bytes(notes)
    (directory / f"model.gguf{PART}").write_bytes(b"12345")
    assert fetched(directory, Wanted(name="model.gguf", url="https://x/model.gguf", sha256="a" * 64)) == 0


class FullSoon(Library):
    """A library whose disk is full when somebody looks a second time."""

    looked = 0

    def free(self) -> int:
        self.looked += 1
        return 1 << 40 if self.looked < 3 else NEARLY_FULL - 1


def test_a_disk_that_fills_up_meanwhile_is_left_some_room(here: Ground) -> None:
    small = Ground(here.hub, FullSoon(here.library.directory_of("x").parent, check))
    with pytest.raises(StorageError, match="nearly full"):
        small.pull()
    assert here.library.all() == []


def test_what_the_disk_does_not_take_is_said_and_the_part_stays(here: Ground) -> None:
    script = f"""
import resource, sys
from pathlib import Path
from offline_agent.errors import StorageError
from offline_agent.library.pull import Puller
from offline_agent.library.store import Library
from offline_agent.settings import HubSettings
library = Library(Path({str(here.library.directory_of("x").parent)!r}), lambda kind, path: None)
puller = Puller(library, HubSettings(endpoint={here.hub.url!r}), lambda: None)
plan = puller.plan({REFERENCE!r})
resource.setrlimit(resource.RLIMIT_FSIZE, ({HALF}, {resource.RLIM_INFINITY}))
try:
    puller.pull(plan)
except StorageError as error:
    print(error)
    sys.exit(error.exit_code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 21, done.stderr
    assert "cannot be written: File too large" in done.stdout
    assert here.part.stat().st_size == HALF
    here.pull()
    assert content(here) == gguf()
    assert digest(here.file) == digest(here.library.directory_of("model-q4") / FILE)
