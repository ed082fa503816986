"""Which servers may be connected to, and whether by way of a proxy. Everything here is a decision; nothing connects."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from offline_agent.errors import UsageError

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """What a token is given to, and nobody else."""

    scheme: str
    host: str
    port: int

    @property
    def plain_here(self) -> bool:
        """Whether it is spoken to in clear, and is this machine."""
        return self.scheme == "http" and is_loopback(self.host)

    def __str__(self) -> str:
        named = f"[{self.host}]" if ":" in self.host else self.host
        return named if self.port == _PORTS[self.scheme] else f"{named}:{self.port}"


class Proxy(NamedTuple):
    """An HTTP proxy. `user` and `password` are empty where it wants none."""

    host: str
    port: int
    user: str = ""
    password: str = ""


def origin_of(url: str) -> Origin:
    """Scheme, host (in lower case, as DNS has it) and port of an address. Raises ValueError, which does not repeat it: it may hold
    a password."""
    if not url.isprintable() or "\\" in url or any(c.isspace() for c in url):
        raise ValueError("it has characters that no address has")
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user or password does not belong into it")
    if parts.scheme not in _PORTS:
        raise ValueError("it is neither https nor http")
    return Origin(parts.scheme, _host(parts), parts.port or _PORTS[parts.scheme])


def is_loopback(host: str) -> bool:
    """Whether that is this machine. A name is looked up by nobody here: only `localhost` is."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_allowed(host: str, patterns: Sequence[str]) -> bool:
    """Whether a host is among those that may be connected to; all are where none is named. `*.example.org` is all below
    example.org, and not that itself; any other star is no pattern."""
    if not patterns:
        return True
    return any(_matches(host, pattern.strip().lower().rstrip(".")) for pattern in patterns)


def proxy_for(origin: Origin, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy on the way there, from HTTPS_PROXY or ALL_PROXY and NO_PROXY, lower case first as in curl; None where there is
    none.

    What is spoken in clear is for this machine alone and goes to it directly. Raises UsageError for a proxy that is not HTTP.
    """
    if origin.plain_here or _is_exempt(origin, _variable(environment, "no_proxy")):
        return None
    address = _variable(environment, "https_proxy") or _variable(environment, "all_proxy")
    return _parsed(address) if address else None


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise ValueError("it names no host")
    try:
        return host if ":" in host else host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError("its host is no name that a host can have") from None


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return len(pattern) > 2 and host.endswith(pattern[1:]) and len(host) >= len(pattern)
    return host == pattern


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _is_exempt(origin: Origin, listed: str) -> bool:
    """As curl reads NO_PROXY: names with all that is below them, addresses, networks, `*`; a port where one is given."""
    return any(_exempts(entry.strip().lower(), origin) for entry in listed.split(","))


def _exempts(entry: str, origin: Origin) -> bool:
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.endswith("]")):
        if int(port) != origin.port:
            return False
        entry = name
    entry = entry.removeprefix("*").strip("[].") if entry != "*" else entry
    if not entry:
        return False
    try:
        return ipaddress.ip_address(origin.host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return entry == "*" or origin.host == entry or origin.host.endswith(f".{entry}")


def _parsed(address: str) -> Proxy:
    """Of `http://user:password@host:port`, or `host:port`. The address is not repeated: it may hold a password."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        if parts.scheme != "http":
            raise UsageError(
                "The proxy in HTTPS_PROXY or ALL_PROXY is no http:// one, and others are not known here. What is fetched by way of "
                "it is encrypted from end to end all the same."
            )
        return Proxy(_host(parts), parts.port or 80, unquote(parts.username or ""), unquote(parts.password or ""))
    except ValueError:
        raise UsageError(
            "The proxy in HTTPS_PROXY or ALL_PROXY is no address such as http://host:3128. Correct it."
        ) from None
