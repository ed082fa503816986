"""Checks signatures of Ed25519 (RFC 8032, section 5.1.7) in Python alone: where a bundle is installed there is no library yet.

The equation is the one without the cofactor, [S]B = R + [k]A. OpenSSL checks that one too, so no signature is good for the one and
bad for the other. Refused besides: an S that is not below the order (S + L would be a second signature of the same message), points
that are not written in the one way of the RFC, and public keys of small order, under which one signature fits many messages.

Nothing here is secret, so nothing need take constant time. A check takes some 2 ms. Never sign with this arithmetic.
"""

import hashlib

KEY_SIZE = 32
SIGNATURE_SIZE = 64
_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493  # L, of the base point
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)

Point = tuple[int, int, int, int]
"""(X, Y, Z, T) with x = X/Z, y = Y/Z and xy = T/Z (section 5.1.4)."""

_NEUTRAL: Point = (0, 1, 1, 0)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is that of `message` by the key whose public half (32 bytes) is given. What is no key or no
    signature makes it False."""
    if len(public) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    key = _decode(public)
    s = int.from_bytes(signature[32:], "little")
    if key is None or _is_small(key) or s >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % _ORDER
    # R is compared as it is written: what encodes otherwise is another signature.
    return _encode(_sum_of_multiples(s, _BASE, k, _negative(key))) == signature[:32]


def is_public_key(public: bytes) -> bool:
    """Whether these bytes are a point that signatures can be checked with."""
    key = _decode(public) if len(public) == KEY_SIZE else None
    return key is not None and not _is_small(key)


# --- points ------------------------------------------------------------------------------------------------------


def _decode(data: bytes) -> Point | None:
    """The point that 32 bytes are the canonical encoding of (section 5.1.3); None where there is none."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if (v * x * x + u) % _P == 0:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (v * x * x - u) % _P != 0 or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encode(point: Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, -1, _P)
    return (y * inverse % _P | (x * inverse % _P & 1) << 255).to_bytes(32, "little")


def _add(a: Point, b: Point) -> Point:
    """Section 5.1.4; complete on this curve, so also right for equal points and the neutral one."""
    low, high = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    c, d = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = high - low, d - c, d + c, high + low
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _negative(point: Point) -> Point:
    x, y, z, t = point
    return _P - x, y, z, _P - t


def _is_small(point: Point) -> bool:
    """Whether its order divides 8, the cofactor."""
    for _ in range(3):
        point = _add(point, point)
    return point[0] % _P == 0 and (point[1] - point[2]) % _P == 0


def _sum_of_multiples(a: int, p: Point, b: int, q: Point) -> Point:
    """[a]P + [b]Q, by Straus's method: both multiples share their doublings."""
    choices = (_NEUTRAL, p, q, _add(p, q))
    result = _NEUTRAL
    for bit in reversed(range(max(a.bit_length(), b.bit_length()))):
        result = _add(result, result)
        choice = (a >> bit & 1) | (b >> bit & 1) << 1
        if choice:
            result = _add(result, choices[choice])
    return result


def _base() -> Point:
    point = _decode((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    assert point is not None
    return point


_BASE = _base()
