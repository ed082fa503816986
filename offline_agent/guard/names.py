"""What a name says of the value that it is given: `DB_PASSWORD`, `apiKey`, `github-token`; of `PASSWORD_FIELD`, nothing.

A name is read as the words that it is put together from, in lower case: `githubApiKey2` -> `github api key 2`.
"""

import re
from typing import Literal

Strength = Literal["password", "strong", "weak", "none"]


def _any(words: str) -> str:
    """A pattern for any of the words; in a word, `_` is the seam of two."""
    return "(?:" + "|".join(word.replace("_", " ") for word in words.split()) + ")"


_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_GLUED = _any(
    """password passwd passphrase passcode pwd kennwort passwort contrase[n?]?a motdepasse senha secret apikey secretkey privatekey
    accesskey credential"""
)
_KEYS = _any(
    """access account admin aes api app application auth cipher client consumer crypto deploy encode encrypt encryption hmac
    integration jwt license master private push root secret security server service session shared sign signing storage subscription
    webhook write"""
)
_TOKENS = _any(
    """access account admin api app auth bearer bot cd ci client deploy device gh github gitlab identity install integration jwt npm
    oauth personal private publish pypi refresh registry runner security service session slack upload user vault write"""
)
_PASSES = _any("db user admin root my key smtp ftp ldap mail http proxy sudo")
_STRONG = re.compile(
    rf"(?:^| )(?:[a-z]*{_GLUED}s?|{_PASSES}? ?pass|pw|mnemonic|{_KEYS} keys?|{_TOKENS} tokens?)(?: |$)"
)
_PASSWORD = re.compile(
    r"passw|passphrase|passcode|pwd|kennwort|contrase|motdepasse|senha|(?:^| )(?:pass|pw)$|[a-z]pass$"
)
_WEAK = re.compile(
    rf"(?:^| )(?:[a-z]*(?:key|token)|{_any('auth authorization signature cookie jwt salt bearer pat dsn')})s?"
    rf"(?: \d+| {_any('hex base_64 b_64 value raw data string')})?$"
)
_NOT_SECRET = re.compile(
    "(?:^| )"
    + _any(
        """public pub publishable primary foreign sort cache partition idempotency lookup sha commit digest checksum integrity etag
        revision site group index hash_key hashkey row shard dedupe translation i_18_n l_10_n map dict object keyboard hot shortcut
        monkey turkey token_ids? csrf_middleware eos bos pad unk mask cls sep special stop end start next continuation page sync"""
    )
    + "(?: |$)"
)
_LABEL = re.compile(
    " "
    + _any(
        """field names? url uri types? paths? files? filename ids? env var prompt labels? regex pattern headers? params? format
        length len size class errors? message msg help hint text title description placeholder location dir directory endpoint
        provider policy rules? exception encoding algorithm alg method mode scope count index expiry expires ttl at store manager
        mgr refs? reference reset required strength validator input column attribute attr property prop option flag arg
        argument key_name suffix prefix version"""
    )
    + "$"
)


def strength_of(name: str) -> Strength:
    """How surely a value of that name is a secret."""
    words = " ".join(part.lower() for part in _PARTS.findall(name))
    if _NOT_SECRET.search(words) or _LABEL.search(words):
        return "none"
    if _PASSWORD.search(words):
        return "password"
    if _STRONG.search(words):
        return "strong"
    return "weak" if _WEAK.search(words) else "none"


def kind_of(strength: Strength, name: str) -> str:
    """What a secret of that name is called in its mark."""
    lower = name.lower()
    if "aws" in lower and "secret" in lower:
        return "aws-secret"
    if strength == "password":
        return "password"
    return "token" if "token" in lower or "auth" in lower else "key" if "key" in lower else "secret"
