import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.bundle.bootstrap.hashing import Hasher, count_marks
from offline_agent.bundle.bootstrap.manifest import LARGEST, Manifest, Member, check_members, parse
from offline_agent.errors import BundleBroken, BundleError
from offline_agent.models import HeldFile, Holding

from .made import STRETCH, with_marks

HOLDING = Holding(
    name="tiny",
    kind="chat",
    files=(HeldFile(name="é.gguf", size=3, sha256="0" * 64),),
    trust="catalogue",
    origin="hub",
    at=12.5,
)
MANIFEST = Manifest(
    version="0.1.0",
    python="3.11",
    platforms=("manylinux_2_28_x86_64",),
    models=(HOLDING.model_dump(mode="json"),),
    default_model="tiny",
    members=(with_marks("install.pyz", b"z"), with_marks("models/tiny/é.gguf", b"x" * 10_000)),
    stretch=STRETCH,
)


def changed(**values: object) -> bytes:
    written = {**json.loads(MANIFEST.to_bytes()), **values}
    return (json.dumps(written, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n").encode()


def member(**values: object) -> dict[str, object]:
    return {"marks": [], "name": "a", "sha256": "0" * 64, "size": 0} | values


def test_it_comes_back_as_it_was() -> None:
    found = parse(MANIFEST.to_bytes())
    assert found == MANIFEST
    assert Holding.model_validate(found.models[0]) == HOLDING


def test_it_is_written_in_one_way() -> None:
    data = MANIFEST.to_bytes()
    assert data.startswith(b'{"default_model":"tiny","format":1,"members":[{"marks":[],"name":"install.pyz",')
    assert data.endswith(b'"version":"0.1.0"}\n')
    assert "é".encode() in data
    assert replace(MANIFEST, members=MANIFEST.members[::-1]).to_bytes() == data


@pytest.mark.parametrize(
    "other",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b":", b": ", 1),
        lambda data: data.replace("é".encode(), b"\\u00e9"),
        lambda data: data.replace(b'"format":1', b'"format":1,"format":1'),
        lambda data: json.dumps(json.loads(data), sort_keys=False).encode(),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.decode().encode("utf-16"),
    ],
)
def test_other_bytes_for_the_same_are_refused(other: object) -> None:
    with pytest.raises(BundleBroken, match=r"manifest\.json"):
        parse(other(MANIFEST.to_bytes()))  # type: ignore[operator]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b"1\n",
        b"[" * 100_000,
        b"\xff\n",
        b"1" * 5000,
        changed(format=0),
        changed(format="1"),
        changed(format=True),
        changed(version=1),
        changed(python=None),
        changed(platforms="linux"),
        changed(platforms=[1]),
        changed(models=[1]),
        changed(more="than there is"),
        changed(stretch=0),
        changed(stretch=-1),
        changed(stretch=1),  # not so many marks
        changed(members=None),
        changed(members=[{}]),
        *(
            changed(members=[member(**values)])
            for values in [
                {"name": "../a"},
                {"name": "/etc/passwd"},
                {"name": "manifest.json"},
                {"name": "MANIFEST.sig"},
                {"name": "manifest.json/a"},
                {"name": 1},
                {"size": -1},
                {"size": True},
                {"size": 1.0},
                {"size": float("nan")},
                {"size": 2 * STRETCH},  # a mark is missing
                {"sha256": "0" * 63},
                {"sha256": "A" * 64},
                {"sha256": ""},
                {"marks": ["0" * 64]},
                {"type": "symlink"},
            ]
        ),
        changed(members=[member(), member()]),
        changed(members=[member(), member(name="A")]),
        changed(members=[member(name="b"), member(name="a")]),
        changed(members=[member(name="a"), member(name="install.pyz")]),
    ],
)
def test_what_no_program_of_ours_writes(data: bytes) -> None:
    with pytest.raises(BundleBroken):
        parse(data)


def test_a_later_format_is_no_damage() -> None:
    with pytest.raises(BundleError, match="newer version") as raised:
        parse(changed(format=2, members={}))
    assert not isinstance(raised.value, BundleBroken)


def test_what_cannot_be_written() -> None:
    with pytest.raises(BundleError, match="written down"):
        replace(MANIFEST, version="\ud800").to_bytes()
    with pytest.raises(BundleError, match="written down"):
        replace(MANIFEST, models=({"at": float("nan")},)).to_bytes()
    with pytest.raises(BundleError, match="so many"):
        replace(MANIFEST, version="x" * LARGEST).to_bytes()
    with pytest.raises(BundleError, match="another name"):
        check_members(replace(MANIFEST, members=(Member("nul", 0, "0" * 64),)))


def test_a_size_beyond_any_disk_can_be_read() -> None:
    large = replace(MANIFEST, members=(Member("a", 2**80, "0" * 64),), stretch=2**80)
    assert parse(large.to_bytes()) == large


@given(st.binary(max_size=200), st.integers(1, 40), st.lists(st.integers(1, 60)))
def test_marks_do_not_depend_on_the_pieces(content: bytes, stretch: int, sizes: list[int]) -> None:
    whole, pieces = Hasher(stretch), Hasher(stretch)
    whole.update(memoryview(content))
    rest = memoryview(content)
    for size in [*sizes, len(content)]:
        pieces.update(rest[:size])
        rest = rest[size:]
    assert (pieces.marks, pieces.hexdigest()) == (whole.marks, whole.hexdigest())
    assert len(whole.marks) == count_marks(len(content), stretch)
