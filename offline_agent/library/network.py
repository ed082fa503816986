"""The only way out: every connection that a pull makes is made here, and nowhere else.

    policy -> proxy -> TLS -> one request -> status, headers, bytes

A connection carries one request. It goes to a host that policy allows, in clear to this machine alone, and by no more redirects
than five. The token is for the origin of the endpoint, whoever points where.

Measured with 500 MB over loopback, hashed and written, on two cores: http.client 1,100 MB/s, urllib3 940, requests 920, httpx2 480,
httpx 390, and curl, which hashes nothing, 740. So it is the standard library's client.
"""

import base64
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import quote, urljoin, urlsplit

from offline_agent.errors import Denied, HubRefused, PullError, UsageError
from offline_agent.library.hosts import Origin, is_allowed, origin_of, proxy_for
from offline_agent.library.trouble import Interrupted, printable
from offline_agent.settings import HubSettings

MAX_REDIRECTS = 5

_REDIRECTS = (301, 302, 303, 307, 308)
_LATER = (408, 425, 429, 500, 502, 503, 504)
_UNQUOTED = "/%:@!$&'()*+,;=~?#[]-._"  # what an address may have as it is


@dataclass(frozen=True)
class Answer:
    """What came back from `origin`. `read_into` fills a buffer with the next bytes, as soon as there are any, and returns how
    many; 0 at the end. It raises Interrupted."""

    origin: Origin
    status: int
    headers: Mapping[str, str]
    read_into: Callable[[memoryview], int]

    def number(self, name: str) -> int | None:
        """A header that is a count; None where it is missing or none."""
        text = self.headers.get(name, "").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


class Network:
    """`token` gives the value of an Authorization header for the endpoint, or None; `environment` has the proxies. Nothing is
    connected before `request`."""

    def __init__(
        self, settings: HubSettings, token: Callable[[], str | None], environment: Mapping[str, str] | None = None
    ) -> None:
        self._settings = settings
        self._token = token
        self._environment = environment or {}
        self._endpoint = origin_of(settings.endpoint)
        self._tls: ssl.SSLContext | None = None
        self._reached: set[Origin] = set()

    @property
    def endpoint(self) -> Origin:
        return self._endpoint

    def proxy_of(self, origin: Origin) -> str:
        """The host of the proxy on the way there; empty where there is none."""
        proxy = proxy_for(origin, self._environment)
        return proxy.host if proxy else ""

    def permit(self, url: str, start: Origin | None = None) -> Origin:
        """Whether that may be connected to; `start` is where it was pointed to from. Raises Denied and PullError."""
        try:
            origin = origin_of(url)
        except ValueError as error:
            raise PullError(
                f"{start or 'Something'} points to no usable address: {error}. Nothing was sent there."
            ) from None
        if not is_allowed(origin.host, self._settings.hosts):
            pointed = f", where {start} points to" if start and start != origin else ""
            raise Denied(
                f"Policy does not let {printable(origin.host)} be connected to{pointed}: it is not in [hub] hosts. "
                "Fetch the model from a host that is."
            )
        # An open http address of this machine is another program's: no stranger's server shall have us ask there.
        if origin.scheme == "http" and not (origin.plain_here and (start is None or start.plain_here)):
            pointed = f"{start} points to" if start else "This is"
            raise PullError(
                f"{pointed} an address without encryption on {printable(str(origin))}. Use one that begins with https."
            )
        return origin

    @contextmanager
    def follow(self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Iterator[Answer]:
        """The answer to a request, wherever it is redirected. Raises as `request`."""
        start = None
        for _ in range(MAX_REDIRECTS + 1):
            with self.request(url, method, headers, start) as answer:
                target = answer.headers.get("location", "")
                if answer.status not in _REDIRECTS or not target:
                    yield answer
                    return
                url, start = urljoin(url, quote(target, safe=_UNQUOTED, encoding="latin-1")), answer.origin
        raise PullError(f"{start} redirects in circles. Try again later, or choose another server.")

    @contextmanager
    def request(
        self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, start: Origin | None = None
    ) -> Iterator[Answer]:
        """One request, and the answer whatever its status, except what `refusal` knows. Raises Denied, PullError, HubRefused,
        UsageError and Interrupted."""
        origin = self.permit(url, start)
        sent = {
            "Host": str(origin),
            "User-Agent": "offline-agent",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        if origin == self._endpoint and (token := self._token()):
            sent["Authorization"] = token
        connection = self._connection(origin)
        try:
            with self._translated(origin):
                connection.request(method, _target(url), headers={**(headers or {}), **sent})
                response = connection.getresponse()
                self._reached.add(origin)
            received = {name.lower(): value for name, value in response.getheaders()}
            if received.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
                raise PullError(f"{origin} packs what it sends, though it was asked not to. Choose another server.")
            yield Answer(origin, response.status, received, lambda buffer: self._read_into(response, buffer, origin))
        finally:
            connection.close()

    def raise_for(self, answer: Answer, what: str) -> None:
        """Does nothing where `what` was given. Raises Interrupted where it may be later, and HubRefused where it will not."""
        if answer.status < 300:
            return
        where = printable(str(answer.origin))
        if answer.status in _LATER:
            reason = "has too much to do" if answer.status == 429 else "fails"
            raise Interrupted(f"{where} {reason} ({answer.status})", wait=_retry_after(answer.headers))
        if answer.status == 403 and answer.origin != self._endpoint:
            # The addresses that a hub signs for its content hosts are good for a while only; the next one is fresh.
            raise Interrupted(f"{where} refuses {what} (403), though {self._endpoint} pointed there")
        raise self._refusal(answer, what, where)

    def _refusal(self, answer: Answer, what: str, where: str) -> PullError:
        if answer.headers.get("x-error-code") == "GatedRepo":
            return HubRefused(gated(self._settings.endpoint, what))
        if answer.status in (401, 403):
            fault = "does not accept the token for" if self._token() else "wants a token for"
            return HubRefused(
                f"{where} {fault} {what} ({answer.status}). Set one with `offline-agent credentials set hub`."
            )
        if answer.status in (404, 410):
            return HubRefused(f"{where} has no {what} ({answer.status}). Correct the name; it may have been moved.")
        return PullError(f"{where} does not give {what} ({answer.status}). Choose another source for it.")

    def _connection(self, origin: Origin) -> http.client.HTTPConnection:
        seconds = self._settings.timeout_seconds
        if origin.scheme == "http":
            return http.client.HTTPConnection(origin.host, origin.port, timeout=seconds)
        proxy = proxy_for(origin, self._environment)
        if proxy is None:
            return http.client.HTTPSConnection(origin.host, origin.port, timeout=seconds, context=self._context())
        connection = http.client.HTTPSConnection(proxy.host, proxy.port, timeout=seconds, context=self._context())
        headers = {"Host": f"{origin.host}:{origin.port}"}
        if proxy.user:
            login = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
            headers["Proxy-Authorization"] = f"Basic {login}"
        connection.set_tunnel(origin.host, origin.port, headers)
        return connection

    def _context(self) -> ssl.SSLContext:
        """The system's authorities, and those of [hub] ca_file."""
        if self._tls is None:
            context = ssl.create_default_context()
            if self._settings.ca_file is not None:
                try:
                    context.load_verify_locations(self._settings.ca_file)
                except (OSError, ValueError) as error:  # an SSLError is an OSError
                    raise UsageError(
                        f"The certificates in [hub] ca_file, {self._settings.ca_file}, cannot be used: {error}."
                    ) from None
            self._tls = context
        return self._tls

    def _read_into(self, response: http.client.HTTPResponse, buffer: memoryview, origin: Origin) -> int:
        with self._translated(origin):
            if response.length is None or response.chunked:
                piece = response.read1(len(buffer))
                buffer[: len(piece)] = piece
                return len(piece)
            # By its own `readinto` a response waits for a whole buffer, and by `read1` it makes a new one each time: a third of the
            # time that a pull takes.
            count = response.fp.readinto1(buffer[: response.length]) if response.length else 0
            response.length -= count
            return count

    @contextmanager
    def _translated(self, origin: Origin) -> Iterator[None]:
        """Whatever comes of speaking to a server becomes Interrupted; or PullError, where trying again cannot help."""
        where = printable(str(origin))
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise PullError(
                f"{where} cannot be trusted ({error.verify_message}). If a company's own authority vouches for it, name that "
                "authority's certificate in [hub] ca_file."
            ) from None
        except TimeoutError:
            raise Interrupted(f"{where} has sent nothing for {self._settings.timeout_seconds:g} seconds") from None
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and (told := self._by_proxy(origin, error)):
                raise PullError(told) from None
            if isinstance(error, OSError) and origin not in self._reached:
                raise PullError(self._unreachable(origin, error)) from None
            raise Interrupted(f"{where} broke the connection off ({_reason(error)})") from None

    def _by_proxy(self, origin: Origin, error: OSError) -> str:
        """What is wrong where a proxy answers in place of the server; http.client has nothing but a text for it."""
        if not str(error).startswith("Tunnel connection failed"):
            return ""
        told = printable(str(error).removeprefix("Tunnel connection failed:"))
        return (
            f"The proxy {self.proxy_of(origin)} does not connect to {origin} ({told}). See that HTTPS_PROXY is right, with the "
            "user and password that it asks for."
        )

    def _unreachable(self, origin: Origin, error: OSError) -> str:
        proxy = self.proxy_of(origin)
        via = f" by way of the proxy {proxy}" if proxy else ""
        if isinstance(error, socket.gaierror):
            name = proxy or origin.host
            return f"The name {printable(name)} is not found{via} ({_reason(error)}). See that this machine is on the network."
        return f"{printable(str(origin))} cannot be reached{via} ({_reason(error)}). See that this machine is on the network."


def gated(endpoint: str, what: str) -> str:
    """For people, of a model that a hub gives to those only who accepted its licence."""
    return (
        f"{what} is for those who accepted its licence: do so on its page at {endpoint}, and give the token of that account with "
        "`offline-agent credentials set hub`."
    )


def _target(url: str) -> str:
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_UNQUOTED)
    return f"{path}?{quote(parts.query, safe=_UNQUOTED)}" if parts.query else path


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait (RFC 9110, section 10.2.3): a count, or a date."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    return None


def _reason(error: BaseException) -> str:
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(told.partition("\n")[0] or type(error).__name__).rstrip(".")
