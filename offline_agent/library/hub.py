"""What a hub has, by its own client (huggingface_hub), which is given no way out but ours.

    HfApi -> httpx2 -> _Way -> Network -> the endpoint

The client reads a token from disk, follows redirects, tells what is installed, and retries and warns by itself. Of all that nothing
remains: the token is ours, so are headers, and the bytes of a model never come through it.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field, ValidationError

from offline_agent.errors import HubRefused, PullError
from offline_agent.library.hosts import origin_of
from offline_agent.library.network import MAX_REDIRECTS, Answer, Network, gated
from offline_agent.library.trouble import Interrupted, Patience, printable
from offline_agent.models import SourceFile
from offline_agent.types import Value

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

_T = TypeVar("_T")
_LARGEST = 32 << 20  # bytes of an answer; a repository with 50,000 files has 15 MB
_OF_THE_WAY = ("content-length", "transfer-encoding", "connection")  # headers of the connection, not of what came
_ONE_AT_A_TIME = threading.Lock()  # the client's connections are one object for the whole process


class Listed(SourceFile):
    """A file of a repository. `blob` is what git calls the content of one that is not in Git LFS; those have a `sha256`."""

    size: int = Field(default=0, ge=0, lt=1 << 63)
    blob: str = Field(default="", pattern=r"^([0-9a-f]{40})?$")


class Repository(Value):
    """A repository at a `commit`. `licence` is what its tags say; it is empty where they say nothing."""

    commit: str = Field(pattern=r"^[0-9a-f]{40,64}$")
    files: dict[str, Listed]
    licence: str = ""


class Hub:
    """The hub at `endpoint`, over `network`."""

    def __init__(self, endpoint: str, network: Network, patience: Callable[[], Patience]) -> None:
        self._endpoint = endpoint
        self._network = network
        self._patience = patience

    def look(self, repository: str, revision: str = "") -> Repository:
        """What is in the repository at a branch, tag or commit; "" is its newest. Raises PullError, HubRefused, Denied."""

        def ask(api: "HfApi") -> Repository:
            info = api.model_info(repository, revision=revision or None, files_metadata=True)
            licence = next((tag for tag in info.tags or () if tag.startswith("license:")), "")
            return Repository.model_validate(
                {
                    "commit": info.sha,
                    "files": {file.rfilename: _listed(file) for file in info.siblings or () if _is_usable(file)},
                    "licence": printable(licence.removeprefix("license:")),
                }
            )

        return self._asked(ask, f"{repository}{f' at {revision}' if revision else ''}")

    def url_of(self, repository: str, commit: str, name: str) -> str:
        """Where the bytes of a file are asked for."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(repository, name, revision=commit, endpoint=self._endpoint)

    def content_host(self, url: str) -> str:
        """The host that the hub sends those to who ask for a file; its own where it sends them nowhere. Raises as `look`."""
        from huggingface_hub import get_hf_file_metadata

        def ask(api: "HfApi") -> str:
            found = get_hf_file_metadata(url, token=False, endpoint=self._endpoint, timeout=None)
            return self._network.permit(found.location, origin_of(url)).host

        return self._asked(ask, url.removeprefix(f"{self._endpoint}/").replace("/resolve/", " at ", 1))

    def _asked(self, ask: Callable[["HfApi"], _T], what: str) -> _T:
        patience = self._patience()
        while True:
            try:
                with self._client() as api, self._translated(what):
                    return ask(api)
            except Interrupted as trouble:
                patience.wait(trouble)

    @contextmanager
    def _client(self) -> Iterator["HfApi"]:
        import httpx2
        from huggingface_hub import HfApi, set_client_factory

        logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # it prints what servers say
        way = _way(self._network)
        with _ONE_AT_A_TIME:
            set_client_factory(
                lambda: httpx2.Client(
                    transport=way, trust_env=False, follow_redirects=True, max_redirects=MAX_REDIRECTS
                )
            )
            try:
                yield HfApi(endpoint=self._endpoint, token=False)
            finally:
                set_client_factory(_nowhere)  # nobody else in this process is to find an open door

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Whatever the client raises becomes PullError, HubRefused or Interrupted."""
        import httpx2
        from huggingface_hub import errors

        where = printable(str(self._network.endpoint))
        try:
            yield
        except errors.GatedRepoError:
            raise HubRefused(gated(self._endpoint, printable(what))) from None
        except errors.RevisionNotFoundError:
            raise HubRefused(f"{where} has no {printable(what)}. Correct the revision, or leave it out.") from None
        except errors.RepositoryNotFoundError:
            raise HubRefused(
                f"{where} has no {printable(what)}, or does not show it to everybody. Correct the name; if it is private, set a "
                "token with `offline-agent credentials set hub`."
            ) from None
        except errors.HFValidationError:
            raise HubRefused(f"{printable(what)} is no name that a hub knows. Write OWNER/NAME.") from None
        except httpx2.TooManyRedirects:
            raise PullError(f"{where} redirects in circles. Try again later, or choose another server.") from None
        except errors.EntryNotFoundError:
            raise HubRefused(f"{where} has no {printable(what)}. Correct the name of the file.") from None
        except errors.HfHubHTTPError as error:
            told = f"{where} does not give {printable(what)} ({error.response.status_code})"
            raise PullError(f"{told}. Correct the name, or choose another source.") from None
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
        ):
            raise PullError(
                f"{where} answers in a way that cannot be understood. See that [hub] endpoint is that of a hub with the interface "
                "of Hugging Face."
            ) from None


def _is_usable(file: Any) -> bool:
    try:
        SourceFile(name=file.rfilename)
    except ValidationError:
        return False
    return True


def _listed(file: Any) -> dict[str, object]:
    if file.lfs is not None:
        return {"name": file.rfilename, "size": file.lfs.size, "sha256": file.lfs.sha256}
    blob = file.blob_id if re.fullmatch(r"[0-9a-f]{40}", file.blob_id or "") else ""
    return {"name": file.rfilename, "size": file.size or 0, "blob": blob}


def _way(network: Network) -> "httpx2.BaseTransport":
    """The client's only way out. Raises Interrupted where a later attempt may help."""
    import httpx2

    class Way(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            headers = {"Accept": "application/json"}
            with network.request(str(request.url), request.method, headers, start=network.endpoint) as answer:
                if answer.status >= 400 and "x-error-code" not in answer.headers:
                    network.raise_for(answer, request.url.path.rpartition("/api/models/")[2].lstrip("/"))
                body = b"" if request.method == "HEAD" else _body(answer)
                received = {name: value for name, value in answer.headers.items() if name not in _OF_THE_WAY}
                return httpx2.Response(answer.status, headers=received, content=body)

    return Way()


def _body(answer: Answer) -> bytes:
    body, buffer = bytearray(), memoryview(bytearray(1 << 16))
    while count := answer.read_into(buffer):
        body += buffer[:count]
        if len(body) > _LARGEST:
            raise PullError(f"{answer.origin} answers with far too much. Choose another server.")
    if len(body) < (answer.number("content-length") or 0):
        raise Interrupted(f"{answer.origin} broke off in the middle of its answer")
    return bytes(body)


def _nowhere() -> "httpx2.Client":
    """A client that connects to nothing."""
    import httpx2

    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("nothing here may reach the network but a pull", request=request)

    return httpx2.Client(transport=httpx2.MockTransport(refuse), trust_env=False)
