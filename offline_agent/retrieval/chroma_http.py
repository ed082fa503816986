"""How a Chroma server is spoken to.

Chroma 1.x has no authentication of its own: a reverse proxy in front checks the Authorization header, which each request has.
Chroma's client waits for ever, follows the proxies of the environment and loses the status of an answer, so its HTTP session is
replaced by one that does none of it. Whatever goes wrong is Passing: the exact index answers meanwhile.
"""

import contextlib
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from offline_agent.errors import StorageError
from offline_agent.retrieval.chroma import pinned
from offline_agent.retrieval.hydrate import Passing

if TYPE_CHECKING:
    import httpx
    from chromadb.api import ServerAPI
    from chromadb.api.models.Collection import Collection

_CONNECT_SECONDS = 1.0
_SECONDS = 10.0  # for each piece of an answer
_NO_SERVER = "is no Chroma server of version 1"
_SHOWN = 200  # characters of what a server says


@dataclass(frozen=True)
class Server:
    """Where a team's vectors are. `project` names what all clones have in common, which may take a moment to find out;
    `authorization` gives the value of the header of that name, or None; `socket` is a relay's, for who may open no other."""

    url: str
    project: Callable[[], str]
    authorization: Callable[[], str | None]
    socket: Path | None = None


class Refused(Exception):
    """What is wrong, as the rest of a sentence. (Chroma adds words to the arguments of whatever passes through it.)"""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Makes a Passing error, with a sentence for the person, of whatever comes of speaking to the server at `url`."""
    import httpx

    try:
        yield
    except Refused as error:
        raise Passing(f"The Chroma server {url} {error.sentence}") from error
    except httpx.TransportError as error:
        raise Passing(f"The Chroma server {url} cannot be reached: {_reason(error)}.") from error
    except StorageError:
        raise
    except Exception as error:  # an answer can be anything, and so can what Chroma's client makes of it
        raise Passing(f"The Chroma server {url} failed: {_reason(error)}.") from error


def session_with(server: Server) -> "httpx.Client":
    """Without the proxies and the netrc that the environment names, and with the system's certificates: a company has its own."""
    import httpx

    headers = {"Content-Type": "application/json", "User-Agent": "offline-agent"}
    authorization = server.authorization()
    if authorization is not None:
        headers["Authorization"] = authorization
    door = None if server.socket is None else str(server.socket)
    return httpx.Client(
        transport=httpx.HTTPTransport(verify=ssl.create_default_context(), uds=door, trust_env=False),
        headers=headers,
        timeout=httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS),
        trust_env=False,
        event_hooks={"response": [_refuse]},
    )


def _refuse(response: "httpx.Response") -> None:
    """Raises Refused for every answer but success: redirections too, which would carry the token elsewhere."""
    if response.is_success:
        return
    response.read()
    said = _message(response.text)
    if response.status_code in (401, 403):
        given = "does not accept the token" if "Authorization" in response.request.headers else "wants a token"
        raise Refused(f"{given} ({response.status_code}). Set it with `offline-agent credentials set chroma`.")
    if response.status_code in (404, 405, 410) and not said:
        raise Refused(f"{_NO_SERVER} (it answers {response.status_code}). Correct [index] chroma_url.")
    raise Refused(f"answers {response.status_code}{f': {said}' if said else ''}.")


def _message(text: str) -> str:
    """What an error of Chroma's says, on one line; nothing where it is not one of Chroma's."""
    try:
        said = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return " ".join(str(said).split())[:_SHOWN].rstrip(".")


def _reason(error: BaseException) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:_SHOWN].rstrip(".")


def collection(url: str, session: "httpx.Client", name: str) -> "Collection":
    """The collection of that name, made where there is none."""
    from chromadb.api.models.Collection import Collection

    server = _server(url, session)
    version = server.get_version()
    if not isinstance(version, str) or not version.startswith("1."):
        raise Refused(f"{_NO_SERVER} (it says {_reason(ValueError(version))}). Correct [index] chroma_url.")
    model = server.create_collection(name, configuration={"hnsw": {"space": "cosine"}}, get_or_create=True)
    if model.configuration_json["hnsw"]["space"] != "cosine":
        raise Refused(f"has a collection {name} that does not compare by cosine. Remove it there.")
    # Chroma builds embedding functions from what a server says of a collection, with code of the server's choice: we say it.
    model.id, model.configuration_json, model.serialized_schema = UUID(str(model.id)), {}, None
    return Collection(client=server, model=model, embedding_function=None)


def _server(url: str, session: "httpx.Client") -> "ServerAPI":
    """Chroma's client of one server. Not by `chromadb.HttpClient`, which asks the server before its session can be replaced."""
    from chromadb.api.fastapi import FastAPI
    from chromadb.config import System

    settings = pinned(
        "chromadb.api.fastapi.FastAPI",
        chroma_server_host=url,
        chroma_server_http_port=0,  # wanted, and not used: the address has it
        chroma_server_ssl_enabled=False,  # likewise
        chroma_server_headers=None,
        chroma_server_ssl_verify=None,
    )
    server = System(settings).instance(FastAPI)
    server._session.close()
    server._session = session
    return server
