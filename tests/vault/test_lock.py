import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from offline_agent.errors import StorageError, VaultInUse
from offline_agent.vault.lock import exclusive, shared


def test_many_share(tmp_path: Path) -> None:
    with shared(tmp_path / "lock"), shared(tmp_path / "lock"):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with shared(path), pytest.raises(VaultInUse, match=r"has the vault open\. End it and try again\."):
        exclusive(path)
    with exclusive(path):
        with pytest.raises(VaultInUse, match="when it has finished"):
            shared(path)
        with pytest.raises(VaultInUse):
            exclusive(path, patience=0.05)
    exclusive(path).close()


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    held = exclusive(tmp_path / "lock")
    held.close()
    with shared(tmp_path / "lock"):
        held.close()


def test_a_killed_holder_holds_nothing_and_no_child_inherits(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys; from pathlib import Path; from offline_agent.vault.lock import exclusive\n"
        "held = exclusive(Path(sys.argv[1])); child = subprocess.Popen(['sleep', '60'], close_fds=False, stdout=2)\n"
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(VaultInUse):
            shared(tmp_path / "lock")
        holder.kill()
        holder.communicate()
        exclusive(tmp_path / "lock").close()
    finally:
        os.kill(child, 9)


def test_patience_outlasts_a_short_holder(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from offline_agent.vault.lock import exclusive\n"
        "held = exclusive(Path(sys.argv[1])); print(flush=True); time.sleep(0.2)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    shared(tmp_path / "lock", patience=30).close()
    holder.communicate()


def test_a_lock_whose_file_was_removed_is_taken_on_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with exclusive(path):
        path.unlink()
        with exclusive(path), pytest.raises(VaultInUse):
            shared(path)


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="cannot be taken"):
        shared(tmp_path / "lock")
    with pytest.raises(StorageError):
        exclusive(tmp_path / "none" / "lock")
    assert not (tmp_path / "elsewhere").exists()
