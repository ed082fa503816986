"""What answers: a model on this machine, in a process of its own, or the server that the settings name."""

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.app.library import Chosen, choose_model
from offline_agent.app.stored import ENDPOINT, Stored
from offline_agent.llm.catalogue import card_of
from offline_agent.llm.messages import Confinement
from offline_agent.llm.process import LlamaProcess, wishes_of
from offline_agent.models import Fit, ModelCard
from offline_agent.protocols import ChatModel
from offline_agent.settings import Settings
from offline_agent.vault.archive import Archive

if TYPE_CHECKING:
    from offline_agent.llm.header import Header


def fit_of(settings: Settings, card: ModelCard, path: Path) -> "tuple[Header, Fit]":
    """What the model's file says of it, and how it would be laid out in the memory that is free now. Raises a ModelError:
    ModelTooBig where it does not fit."""
    from offline_agent.llm.fit import fit
    from offline_agent.llm.gpu import with_gpus
    from offline_agent.llm.hardware import look_around
    from offline_agent.llm.header import read_header

    header = read_header(path)
    return header, fit(header, wishes_of(card, settings.model), with_gpus(look_around()))


def explain_fit(settings: Settings, card: ModelCard, path: Path) -> str:
    """The same for people. Raises as `fit_of` does."""
    from offline_agent.llm.fit import explain

    header, fit = fit_of(settings, card, path)
    return explain(fit, header)


class Answerer:
    """The ChatModel of the settings, which is started when first asked for; or the one that is `given`, of which is known what it
    says of itself."""

    def __init__(self, settings: Settings, stored: Stored, given: ChatModel | None = None) -> None:
        self._settings = settings
        self._stored = stored
        self._given = self._model = given

    @property
    def card(self) -> ModelCard:
        """What is known of the model before it is loaded. Raises what `choose_model` does, as `path` does too."""
        return self._named.card

    @property
    def path(self) -> Path:
        """Its file; meaningless where a server answers."""
        return self._named.path

    @cached_property
    def _named(self) -> Chosen:
        if self._given is not None:
            info = self._given.load()
            return Chosen(
                ModelCard(name=info.name, file=info.path, context=info.context), Path(info.path), checked=True
            )
        endpoint = self._settings.endpoint
        return Chosen(card_of(endpoint), Path(), checked=True) if endpoint.url else choose_model(self._settings)

    def start(self) -> ChatModel:
        """Starts the model's process, once, and returns at once. Raises a ModelError for a file that cannot be a model. Where the
        settings name an endpoint, no process is started: that server answers."""
        if self._model is None:
            self._model = self._remote() if self._settings.endpoint.url else self._local()
        return self._model

    def _local(self) -> LlamaProcess:
        store = _States(lambda: self._stored.archive)
        model = LlamaProcess(self.card, self.path, self._settings.model, store=store, checked=self._named.checked)
        model.start()
        return model

    def _remote(self) -> ChatModel:
        from offline_agent.llm.remote import RemoteModel

        return RemoteModel(self.card.name, self._settings.endpoint, key=partial(self._stored.authorization, ENDPOINT))

    @property
    def confinement(self) -> Confinement | None:
        """What the kernel keeps the model's process from; None where there is none."""
        return self._model.confinement if isinstance(self._model, LlamaProcess) else None

    def resume(self, session: str) -> None:
        """Has what was computed of that session looked for before the next answer. Nothing where a server answers."""
        model = self.start()
        if isinstance(model, LlamaProcess):
            model.resume(session)

    def keep(self, session: str) -> None:
        """Keeps what is computed, for `resume`. Nothing where a server answers, or no model was started."""
        if isinstance(self._model, LlamaProcess):
            self._model.keep(session)

    def close(self) -> None:
        if self._model is not None:
            self._model.close()


class _States:
    """The StateStore of an archive that is not looked for before a prompt is computed: a model is started without a vault."""

    def __init__(self, find: Callable[[], Archive]) -> None:
        self._find = find

    def get(self, key: str) -> bytes | None:
        return self._find().states.get(key)

    def put(self, key: str, state: bytes) -> None:
        self._find().states.put(key, state)
