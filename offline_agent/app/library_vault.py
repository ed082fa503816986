"""What the vault has to do with models: the record of what came and went, and the token of a hub.

Models are had without a vault. So nothing here makes one, and nobody is asked for a passphrase: a vault that does not open by
itself goes without the record, and the person is told.
"""

from contextlib import closing
from typing import Any

from offline_agent.app.vault import existing_keeper, keeper_of, open_kept
from offline_agent.errors import VaultError
from offline_agent.settings import Settings

HUB = "hub"
"""The credential with which the hub of [hub] endpoint is spoken to: the value of the Authorization header."""


def record(settings: Settings, action: str, **body: Any) -> tuple[str, ...]:
    """Has the audit chain record what was done with models, where there is a vault. Returns sentences about what was not."""
    if not keeper_of(settings).remains:
        return ()
    try:
        with closing(open_kept(settings, existing_keeper(settings))) as opened:
            opened.archive.audit.add("models", action=action, **body)
    except VaultError as error:
        return (f"The audit chain has no record of this. {error}",)
    return ()


class HubToken:
    """The token for the hub, looked for in the vault when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._value: str | None = None
        self._looked = False
        self.problem = ""
        """Why the vault could not be looked into; empty where it could, or there is none."""

    def __call__(self) -> str | None:
        """The value of an Authorization header; None where there is no token, or no vault that opens by itself."""
        if not self._looked:
            self._looked = True
            self._value = self._find()
        return self._value

    def _find(self) -> str | None:
        if not keeper_of(self._settings).remains:
            return None
        try:
            with closing(open_kept(self._settings, existing_keeper(self._settings))) as opened:
                return opened.archive.credentials.get(HUB)
        except VaultError as error:
            self.problem = str(error)
            return None
