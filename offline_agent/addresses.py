"""The addresses of servers that a person may name."""

import ipaddress
from urllib.parse import SplitResult, urlsplit


def fault_of(url: str, credential: str) -> str:
    """What is wrong with the address of a server, in words that do not repeat it: it may hold a password. Empty when nothing is.
    `credential` is the name under which a token for it is kept."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises for what is no port
    except ValueError:
        return "it is no address such as https://host/prefix"
    if not url:
        return ""
    if parts.username is not None or parts.password is not None:
        return (
            f"a user or password does not belong into an address: `offline-agent credentials set {credential}` keeps it"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        return "it is no address such as https://host/prefix"
    if parts.scheme == "http" and not _is_this_machine(parts):
        return "http sends everything in clear over the network: use https for another machine"
    return ""


def _is_this_machine(parts: SplitResult) -> bool:
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"
