"""Which hosts may be connected to, and by way of which proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import UsageError
from offline_agent.library.hosts import Proxy, is_allowed, is_loopback, origin_of, proxy_for

LABEL = st.text(alphabet="abcxyz0129-", min_size=1, max_size=5).filter(lambda label: label.strip("-") == label)


@pytest.mark.parametrize(
    ("host", "pattern", "allowed"),
    [
        ("huggingface.co", "huggingface.co", True),
        ("huggingface.co", "HuggingFace.co.", True),
        ("cdn.huggingface.co", "huggingface.co", False),
        ("cdn.huggingface.co", "*.huggingface.co", True),
        ("a.b.huggingface.co", "*.huggingface.co", True),
        ("huggingface.co", "*.huggingface.co", False),
        ("evilhuggingface.co", "*.huggingface.co", False),
        ("huggingface.co.evil.org", "*.huggingface.co", False),
        ("huggingface.co", "*", False),
        ("huggingface.co", "hugging*", False),
        ("huggingfaceXco", "huggingface.co", False),
        ("a.co", "*.", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "*.0.0.1", True),
    ],
)
def test_patterns(host: str, pattern: str, allowed: bool) -> None:
    assert is_allowed(host, (pattern,)) is allowed


def test_without_patterns_everything_is_allowed() -> None:
    assert is_allowed("anything.example", ())


@given(st.lists(LABEL, min_size=1, max_size=3), LABEL)
def test_a_star_is_for_whole_labels_below(above: list[str], glued: str) -> None:
    domain = "example.org"
    assert is_allowed(".".join([*above, domain]), (f"*.{domain}",))
    assert not is_allowed(f"{glued}{domain}", (f"*.{domain}", domain))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Huggingface.CO/x", "huggingface.co"),
        ("https://huggingface.co./x", "huggingface.co"),
        ("https://[::1]:8080/x", "::1"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://huggingface.co#@evil.org/", "huggingface.co"),
    ],
)
def test_the_host_of_an_address(url: str, host: str) -> None:
    assert origin_of(url).host == host


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co@evil.org/",
        "https://user:secret@host/",
        "https://evil.org\\@huggingface.co/",
        "https://huggingface.co/\r\nHost: evil",
        "https:///x",
        "ftp://host/x",
        "file:///etc/passwd",
        "https://host:port/",
        "https://host:99999/",
        "//host/x",
        "",
        f"https://{'a' * 70}.org/",
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  whichever it is
        origin_of(url)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=40))
def test_an_address_is_an_origin_or_a_value_error(text: str) -> None:
    try:
        origin = origin_of(f"https://{text}/x")
    except ValueError:
        return
    assert origin.host.isascii()


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("localhost.evil.org", False),
    ],
)
def test_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) is here


HUB = "https://huggingface.co/x"


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, Proxy("proxy", 3128)),
        ({"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:2"}, Proxy("lower", 1)),
        ({"ALL_PROXY": "proxy:3128"}, Proxy("proxy", 3128)),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": "http://me:a%40b@proxy:3128/"}, Proxy("proxy", 3128, "me", "a@b")),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.org, huggingface.co"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".co"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "face.co"}, Proxy("proxy", 3128)),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "huggingface.co:8443"}, Proxy("proxy", 3128)),
        ({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "huggingface.co:443"}, None),
    ],
)
def test_the_proxy_on_the_way_to_a_hub(environment: dict[str, str], proxy: Proxy | None) -> None:
    assert proxy_for(origin_of(HUB), environment) == proxy


def test_networks_are_exempt_and_so_is_what_is_spoken_in_clear_here() -> None:
    environment = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "10.0.0.0/8,[fd00::1]"}
    assert proxy_for(origin_of("https://10.1.2.3/"), environment) is None
    assert proxy_for(origin_of("https://[fd00::1]/"), environment) is None
    assert proxy_for(origin_of("https://11.1.2.3/"), environment) is not None
    assert proxy_for(origin_of("http://127.0.0.1:8080/"), environment) is None


@pytest.mark.parametrize("address", ["socks5://proxy:1080", "https://proxy:443", "http://:3128", "http://proxy:port"])
def test_a_proxy_that_cannot_be_used_is_said(address: str) -> None:
    with pytest.raises(UsageError, match="proxy"):
        proxy_for(origin_of(HUB), {"HTTPS_PROXY": address})
