"""Opening the vault, and what concerns every repository in it."""

import logging
from collections.abc import Callable
from contextlib import closing

from offline_agent.environment import session_bus
from offline_agent.retrieval.client import try_connect
from offline_agent.settings import Settings
from offline_agent.vault.inspect import REPOSITORIES, gone
from offline_agent.vault.keeper import Keeper
from offline_agent.vault.kernel import KernelKeyCache, protect_process
from offline_agent.vault.keys import Keys, PassphraseSource, ScriptedPassphrases
from offline_agent.vault.opened import OpenVault
from offline_agent.vault.os_keyring import find_keyring

Say = Callable[[str], None]
"""Called with a sentence for the person."""

log = logging.getLogger(__name__)

ENDING_SECONDS = 6.0
"""An index worker may take as long to end after its session."""


def keeper_of(settings: Settings, passphrases: PassphraseSource | None = None) -> Keeper:
    """What opens the vault. Without `passphrases` there is nobody to ask, and nothing was given."""
    protect_process()  # before a passphrase is asked for
    keys = Keys(
        choice=settings.vault.key,
        key_file_directory=settings.config_directory,
        passphrase=passphrases or ScriptedPassphrases(),
        find_keyring=lambda: find_keyring(session_bus()),
        cache=KernelKeyCache(),
    )
    return Keeper(settings.data_directory, keys, ENDING_SECONDS)


def existing_keeper(settings: Settings, passphrases: PassphraseSource | None = None) -> Keeper:
    """As `keeper_of`, for what must not make a vault. Raises VaultLocked where there is none, VaultDamaged without its header."""
    keeper = keeper_of(settings, passphrases)
    keeper.require()
    return keeper


def open_vault(settings: Settings, passphrases: PassphraseSource | None = None, say: Say = log.info) -> OpenVault:
    """The vault, made on first use; `say` tells the person what they should know about a new one. Raises a VaultError."""
    keeper = keeper_of(settings, passphrases)
    opened = open_kept(settings, keeper)
    if keeper.notice:
        say(keeper.notice)
    return opened


def open_kept(settings: Settings, keeper: Keeper) -> OpenVault:
    """What `keeper` keeps. Raises a VaultError."""
    return OpenVault(settings, keeper.open(), "front")


def forget_gone(opened: OpenVault) -> list[str]:
    """Removes the indexes of repositories whose directory does not exist any more, unless they are in use; returns their paths."""
    removed = []
    for repository in gone(opened.archive.repositories.all()):
        name = f"{REPOSITORIES}/{repository.key}"
        remote = try_connect(opened.vault.directory(name))
        if remote is not None:
            remote.close()
            continue
        opened.vault.destroy(name)
        opened.archive.repositories.forget(repository.key)
        removed.append(repository.root)
    return removed


def end_index_workers(settings: Settings) -> int:
    """Asks every index worker of the vault to end; returns how many there were. It takes them a moment."""
    ended = 0
    for directory in settings.data_directory.glob(f"[0-9]*/{REPOSITORIES}/*"):
        remote = try_connect(directory)
        if remote is not None:
            with closing(remote):
                remote.shutdown()
            ended += 1
    return ended
