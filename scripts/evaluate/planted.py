"""Secrets as they are made, in the forms in which people leave them in code. The held-out forms are never looked at while the
detector is tuned: what it does with them says what it does with code that nobody has seen."""

import base64
import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass

_ALNUM = string.ascii_letters + string.digits
_LOWER = string.ascii_lowercase + string.digits
_UPPER = string.ascii_uppercase + string.digits
_URL_SAFE = _ALNUM + "-_"
_BASE64 = _ALNUM + "+/"
_HEX = "0123456789abcdef"
_WORDS = (
    "river",
    "candle",
    "orbit",
    "velvet",
    "tiger",
    "marble",
    "rocket",
    "willow",
    "falcon",
    "copper",
    "meadow",
    "summit",
)


@dataclass(frozen=True)
class Planted:
    """A secret and the lines it was written on; `values` are what must not be left of it."""

    kind: str
    lines: tuple[str, ...]
    values: tuple[str, ...]


Draw = Callable[[random.Random], str]


def _drawn(alphabet: str, length: int) -> Draw:
    return lambda rng: "".join(rng.choices(alphabet, k=length))


def _token(head: str, alphabet: str, length: int, tail: str = "") -> Draw:
    return lambda rng: head + "".join(rng.choices(alphabet, k=length)) + tail


def _password(rng: random.Random) -> str:
    """As people make them, and as managers do."""
    word, other = rng.sample(_WORDS, 2)
    number = rng.randint(10, 9999)
    return rng.choice(
        [
            f"{word.title()}{number}!",
            f"{word}{number}{other}",
            f"{word.title()}-{other.title()}-{number}",
            f"{rng.choice('$#@')}".join([word.title(), f"{other}{number}"]),
            "".join(rng.choices(_ALNUM + "!#*+-_.", k=14)) + "7x",
            "".join(rng.choices(_ALNUM, k=20)) + "4k",
        ]
    )


def _jwt(rng: random.Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    body = {"sub": str(rng.randint(10**6, 10**9)), "iat": rng.randint(1_600_000_000, 1_800_000_000)}
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(body)}.{_drawn(_URL_SAFE, 43)(rng)}"


def _slack(rng: random.Random) -> str:
    return f"xoxb-{rng.randint(10**10, 10**12)}-{rng.randint(10**10, 10**12)}-{_drawn(_ALNUM, 24)(rng)}"


def _github_pat(rng: random.Random) -> str:
    return f"github_pat_{_drawn(_ALNUM, 22)(rng)}_{_drawn(_ALNUM, 59)(rng)}"


def _openai(rng: random.Random) -> str:
    return f"sk-proj-{_drawn(_URL_SAFE, 74)(rng)}T3BlbkFJ{_drawn(_URL_SAFE, 74)(rng)}"


_ANY = [
    'TOKEN = "{v}"',
    "client = Client('{v}')",
    "  value: {v}",
    "export SERVICE={v}",
    '{{"id": 7, "data": "{v}"}}',
    "# left over: {v}",
]
_ANY_HELD_OUT = [
    "fetch(url, {{ headers: {{ 'X-Auth': '{v}' }} }})",
    "echo {v} | login --stdin",
    "const x = [`{v}`];",
    "<item>{v}</item>",
]
_NAMED = [
    '{n} = "{v}"',
    "{n}='{v}'",
    '"{n}": "{v}",',
    "{n}: {v}",
    "export {N}={v}",
    "{N}={v}",
    'self.{n} = "{v}"',
    'const {c} = "{v}";',
    'private static final String {N} = "{v}";',
    '{n} := "{v}"',
    "'{n}' => '{v}',",
    'connect(host="db1", {n}="{v}")',
    "<{c}>{v}</{c}>",
    "# {n}: {v}",
    "tool run --{d} {v} --verbose",
    "{{'name': '{N}', 'value': '{v}'}}",
]
_NAMED_HELD_OUT = [
    'let {c}: String = "{v}".to_string();',
    '{n} = os.environ.get("{N}", "{v}")',
    '<add key="{c}" value="{v}"/>',
    "kubectl create secret generic s --from-literal={d}={v}",
    "ENV {N} {v}",
    'define("{N}", "{v}");',
    'if request.{n} == "{v}":',
    "spring.datasource.{d}={v}",
    'builder.with_{n}("{v}")',
    'std::string {n}("{v}");',
    'log.debug("using {n}={v}")',
    'config["{n}"] = "{v}"',
]
_PASSWORD_NAMES = ("password", "db_password", "smtp_passwd", "admin_pwd", "user_passphrase")
_SECRET_NAMES = (
    "api_key",
    "client_secret",
    "access_token",
    "secret_key",
    "auth_token",
    "signing_key",
    "encryption_key",
)
_FORMATS: dict[str, Draw] = {
    "aws-key": _token("AKIA", string.ascii_uppercase + "234567", 16),
    "github": _token("ghp_", _ALNUM, 36),
    "github-fine": _github_pat,
    "gitlab": _token("glpat-", _URL_SAFE, 20),
    "slack": _slack,
    "stripe": _token("sk_live_", _ALNUM, 24),
    "openai": _openai,
    "anthropic": _token("sk-ant-api03-", _URL_SAFE, 93, "AA"),
    "google": _token("AIza", _URL_SAFE, 35),
    "npm": _token("npm_", _ALNUM, 36),
    "pypi": _token("pypi-AgEIcHlwaS5vcmc", _URL_SAFE, 120),
    "sendgrid": lambda rng: f"SG.{_drawn(_URL_SAFE, 22)(rng)}.{_drawn(_URL_SAFE, 43)(rng)}",
    "jwt": _jwt,
    "huggingface": _token("hf_", string.ascii_letters, 34),
    "telegram": lambda rng: f"{rng.randint(10**8, 10**10 - 1)}:AA{_drawn(_URL_SAFE, 33)(rng)}",
}
_NAMED_VALUES: dict[str, Draw] = {
    "hex": _drawn(_HEX, 32),
    "hex-long": _drawn(_HEX, 64),
    "base64": lambda rng: base64.b64encode(rng.randbytes(32)).decode(),
    "alphanumeric": _drawn(_ALNUM, 32),
    "lower": _drawn(_LOWER, 40),
}
_URLS = [
    "postgres://app:{v}@db.internal:5432/app",
    "redis://:{v}@cache:6379/0",
    'url = "https://bot:{v}@git.corp.net/r.git"',
]
_URLS_HELD_OUT = [
    "amqp://svc-1:{v}@mq/vhost",
    "- mongodb+srv://root:{v}@cluster0.abcde.mongodb.net",
    "git clone https://x:{v}@host/y",
]
_HEADERS = ['-H "Authorization: Bearer {v}"', 'headers = {{"Authorization": "Bearer {v}"}}', "Authorization: token {v}"]
_HEADERS_HELD_OUT = ['req.Header.Set("Authorization", "Bearer {v}")', "X-Api-Key: {v}", "PRIVATE-TOKEN: {v}"]
_AZURE = ["DefaultEndpointsProtocol=https;AccountName=files1;AccountKey={v};EndpointSuffix=core.windows.net"]
_AZURE_HELD_OUT = ['conn = "Endpoint=sb://q1.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={v}"']
KINDS = (*_FORMATS, "password", *_NAMED_VALUES, "aws-secret", "url", "header", "azure", "private-key")


def planted(kind: str, rng: random.Random, held_out: bool) -> Planted:
    """One secret of that kind, in one of its forms."""

    def pick(tuned: list[str], other: list[str]) -> str:
        return rng.choice(other if held_out else tuned)

    if kind in _FORMATS:
        value = _FORMATS[kind](rng)
        return Planted(kind, (pick(_ANY, _ANY_HELD_OUT).format(v=value),), (value,))
    if kind == "password":
        return _named(kind, _password(rng), rng.choice(_PASSWORD_NAMES), pick(_NAMED, _NAMED_HELD_OUT))
    if kind in _NAMED_VALUES:
        return _named(kind, _NAMED_VALUES[kind](rng), rng.choice(_SECRET_NAMES), pick(_NAMED, _NAMED_HELD_OUT))
    if kind == "url":
        value = _password(rng).replace("@", "").replace("#", "").replace("/", "")
        return Planted(kind, (pick(_URLS, _URLS_HELD_OUT).format(v=value),), (value,))
    if kind == "header":
        value = _drawn(_ALNUM, rng.choice([32, 40, 64]))(rng)
        return Planted(kind, (pick(_HEADERS, _HEADERS_HELD_OUT).format(v=value),), (value,))
    if kind == "azure":
        value = base64.b64encode(rng.randbytes(32 if held_out else 64)).decode()
        return Planted(kind, (pick(_AZURE, _AZURE_HELD_OUT).format(v=value),), (value,))
    return _aws_secret(rng, held_out) if kind == "aws-secret" else _private_key(rng, held_out)


def _named(kind: str, value: str, name: str, form: str) -> Planted:
    first, *rest = name.split("_")
    camel = first + "".join(part.title() for part in rest)
    line = form.format(v=value, n=name, N=name.upper(), c=camel, d=name.replace("_", "-"))
    return Planted(kind, (line,), (value,))


def _aws_secret(rng: random.Random, held_out: bool) -> Planted:
    """Beside its id, which is a secret of its own."""
    key, value = _FORMATS["aws-key"](rng), _drawn(_BASE64, 40)(rng)
    forms = (
        (f'Session("{key}", "{value}")',)
        if held_out
        else (f"aws_access_key_id = {key}", f"aws_secret_access_key = {value}")
    )
    return Planted("aws-secret", forms, (key, value))


def _private_key(rng: random.Random, held_out: bool) -> Planted:
    """A PEM block of the size of a key, with random bytes in it."""
    name = rng.choice(["RSA ", "EC ", "OPENSSH ", ""])
    body = base64.b64encode(rng.randbytes(rng.choice([121, 600, 1190]))).decode()
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    begin, end = f"-----BEGIN {name}PRIVATE KEY-----", f"-----END {name}PRIVATE KEY-----"
    if not held_out:
        return Planted("private-key", (begin, *lines, end), tuple(lines))
    if rng.random() < 0.5:
        return Planted("private-key", ('key = "' + "\\n".join([begin, *lines, end]) + '"',), tuple(lines))
    written = tuple(f'    "{line}\\n"' for line in (begin, *lines, end))
    return Planted("private-key", written, tuple(lines))
