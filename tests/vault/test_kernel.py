import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from offline_agent.errors import VaultLocked
from offline_agent.vault.kernel import KernelKeyCache, KeyCache, MemoryKeyCache
from offline_agent.vault.secret import Secret

KEY, OTHER = Secret(b"1" * 32), Secret(b"2" * 32)


def kernel_keeps_keys() -> bool:
    vault_id, cache = secrets.token_bytes(16), KernelKeyCache()
    try:
        cache.put(vault_id, KEY, 5)
    except VaultLocked:
        return False
    cache.drop(vault_id)
    return True


needs_kernel = pytest.mark.skipif(not kernel_keeps_keys(), reason="the kernel keeps no keys here")


@pytest.fixture(params=["memory", pytest.param("kernel", marks=needs_kernel)])
def cache(request: pytest.FixtureRequest) -> KeyCache:
    return MemoryKeyCache() if request.param == "memory" else KernelKeyCache()


@pytest.fixture
def vault_id() -> Iterator[bytes]:
    vault_id = secrets.token_bytes(16)
    yield vault_id
    KernelKeyCache().drop(vault_id)


def test_a_cache_keeps_and_drops(cache: KeyCache, vault_id: bytes) -> None:
    assert cache.get(vault_id) is None
    cache.drop(vault_id)
    cache.put(vault_id, KEY, 60)
    assert cache.get(vault_id) == KEY
    cache.put(vault_id, OTHER, 60)
    assert cache.get(vault_id) == OTHER
    assert cache.get(bytes(16)) is None
    cache.drop(vault_id)
    assert cache.get(vault_id) is None


def in_another_process(call: str, vault_id: bytes, prefix: tuple[str, ...] = ()) -> str:
    script = (
        "import os, sys; from offline_agent.vault.kernel import KernelKeyCache\n"
        f"cache = KernelKeyCache(); vault_id = bytes.fromhex(sys.argv[1]); {call}"
    )
    command = [*prefix, sys.executable, "-c", script, vault_id.hex()]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@needs_kernel
def test_other_processes_of_the_user_share_it(vault_id: bytes) -> None:
    KernelKeyCache().put(vault_id, KEY, 60)
    assert in_another_process("print(cache.get(vault_id) is not None)", vault_id) == "True"
    in_another_process("cache.drop(vault_id)", vault_id)
    assert KernelKeyCache().get(vault_id) is None


@needs_kernel
def test_a_process_that_ends_leaves_it(vault_id: bytes) -> None:
    put = "from offline_agent.vault.secret import Secret; cache.put(vault_id, Secret(b'1' * 32), 60)"
    in_another_process(put, vault_id)
    assert KernelKeyCache().get(vault_id) == KEY


@needs_kernel
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_other_users_do_not(vault_id: bytes) -> None:
    KernelKeyCache().put(vault_id, KEY, 60)
    # By its number, too, which /proc/keys tells: the permissions are what keeps it, not the name.
    read = (
        "import ctypes; n = kernel._find(kernel._description(vault_id)); os.setuid(65534); print(cache.get(vault_id))\n"
        "try: print(kernel._keyctl(kernel._READ, n, ctypes.create_string_buffer(64), 64))\n"
        "except OSError as error: print(error.errno)"
    )
    told = in_another_process(f"from offline_agent.vault import kernel; {read}", vault_id)
    assert told.split() == ["None", "13"]


@needs_kernel
def test_it_expires(vault_id: bytes) -> None:
    cache = KernelKeyCache()
    cache.put(vault_id, KEY, 1)
    give_up = time.monotonic() + 30
    while cache.get(vault_id) is not None and time.monotonic() < give_up:
        time.sleep(0.05)
    assert cache.get(vault_id) is None
    cache.put(vault_id, OTHER, 60)
    assert cache.get(vault_id) == OTHER


def test_no_time_is_not_for_ever(vault_id: bytes) -> None:
    with pytest.raises(ValueError, match="for ever"):
        KernelKeyCache().put(vault_id, KEY, 0)


@needs_kernel
def test_a_kernel_that_refuses_is_said(vault_id: bytes) -> None:
    long = Secret(bytes(1 << 15))  # user keys end at 32,767 bytes
    with pytest.raises(VaultLocked, match="OFFLINE_AGENT_PASSPHRASE_FD") as raised:
        KernelKeyCache().put(vault_id, long, 60)
    assert raised.value.__suppress_context__


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_a_protected_process_leaves_no_core_and_shows_no_memory() -> None:
    script = (
        "import ctypes, resource; from offline_agent.vault.kernel import protect_process\n"
        "protect_process()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert told == ["0", "0"]  # 3 is PR_GET_DUMPABLE
