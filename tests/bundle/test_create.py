"""A bundle made of small wheels and small models, and opened again."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.collect import INSTALLER_VERSION
from offline_agent.bundle.create import BESIDE, lacking_wheels, make, portable
from offline_agent.bundle.fetch import Pip
from offline_agent.bundle.installer import installer
from offline_agent.bundle.keys import public_of
from offline_agent.bundle.order import CARDS, Order
from offline_agent.bundle.targets import this_machine, this_platform
from offline_agent.errors import BundleError, UsageError
from offline_agent.models import Holding
from tests.library.shelves import gguf, holding

from .wheelhouse import program_wheel, this_python, wheel

SEED = bytes(range(32))
KEY = public_of(SEED)
CONTENT = gguf(b"weights" * 500)
NOWHERE = Pip({"PATH": "/nonexistent"}, say=lambda line: pytest.fail(line))
"""A pip that cannot even be started: what passes with it needs no network."""


def silent(done: int, total: int) -> None:
    """For who does not look."""


def model(directory: Path, content: bytes = CONTENT) -> tuple[Holding, Path]:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tiny.gguf").write_bytes(content)
    kept = holding("tiny", {"tiny.gguf": CONTENT})
    return kept.model_copy(update={"at": 1e9, "origin": "/home/ann/private/tiny.gguf"}), directory


def order(directory: Path, name: str = "bundle", **values: object) -> Order:
    """With a program that needs one wheel, all of them at hand, and one model."""
    house = directory / "house"
    program_wheel(house, "1.0", ["needed"])
    wheel(house, "needed", metadata="License: MIT\n")
    wheel(house, "unneeded")
    wheel(house, "pip", INSTALLER_VERSION)
    usual: dict[str, object] = {
        "models": (model(directory / "tiny"),),
        "default_model": "tiny",
        "targets": (this_machine(),),
        "pins": {"needed": "1.0", "unneeded": "1.0"},
        "wheels": house,
    }
    return Order(out=directory / name, version="1.0", **(usual | values))  # type: ignore[arg-type]


def test_everything_that_was_asked_for_is_in_it(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made = make(order(tmp_path, cards=b"[models]\n"), NOWHERE, SEED, lambda done, total: told.append((done, total)))
    assert (made.files, made.installer, made.wheels) == ((tmp_path / "bundle",), tmp_path / BESIDE, 3)
    assert told[-1][0] == told[-1][1]
    assert (tmp_path / BESIDE).read_bytes() == installer()
    with Bundle.open(tmp_path / "bundle", KEY) as bundle:
        bundle.check()
        found = bundle.manifest
        assert [member.name for member in found.members] == [
            "install.pyz",
            CARDS,
            "models/tiny/tiny.gguf",
            "sbom.cdx.json",
            "wheels/needed-1.0-py3-none-any.whl",
            "wheels/offline_agent-1.0-py3-none-any.whl",
            f"wheels/pip-{INSTALLER_VERSION}-py3-none-any.whl",
        ]
        assert (found.version, found.python, found.platforms) == ("1.0", this_python(), (this_platform(),))
        assert found.default_model == "tiny"
        bill = json.loads(bundle.read("sbom.cdx.json"))
    assert {part["name"] for part in bill["components"]} == {"needed", "offline-agent", "pip", "tiny"}


def test_the_same_inputs_make_the_same_bytes_whenever_and_wherever(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        make(order(tmp_path / place), NOWHERE, SEED, silent)
    assert (tmp_path / "one/bundle").read_bytes() == (tmp_path / "two/bundle").read_bytes()


def test_in_parts_it_is_the_same_bytes(tmp_path: Path) -> None:
    make(order(tmp_path), NOWHERE, SEED, silent)
    made = make(order(tmp_path, "split", split=20_000), NOWHERE, SEED, silent)
    assert len(made.files) > 2
    assert b"".join(file.read_bytes() for file in made.files) == (tmp_path / "bundle").read_bytes()


def test_what_is_this_machines_own_is_left_out(tmp_path: Path) -> None:
    make(order(tmp_path), NOWHERE, SEED, silent)
    assert b"private" not in (tmp_path / "bundle").read_bytes()
    [(kept, _)] = order(tmp_path).models
    assert (portable(kept).origin, portable(kept).at) == ("tiny.gguf", 0)
    assert portable(kept.model_copy(update={"origin": "https://hub.example/a"})).origin == "https://hub.example/a"


def test_a_model_that_is_no_longer_what_came_is_not_packed(tmp_path: Path) -> None:
    changed = (model(tmp_path / "changed", CONTENT[:-1] + b"!"),)
    with pytest.raises(BundleError, match=r"tiny\.gguf"):
        make(order(tmp_path, models=changed), NOWHERE, SEED, silent)
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / BESIDE).exists()


def test_models_alone(tmp_path: Path) -> None:
    made = make(order(tmp_path, targets=(), pins={}, wheels=None), NOWHERE, SEED, silent)
    assert (made.installer, made.wheels) == (None, 0)
    with Bundle.open(tmp_path / "bundle", KEY) as bundle:
        assert [member.name for member in bundle.manifest.members] == ["models/tiny/tiny.gguf", "sbom.cdx.json"]
    with pytest.raises(UsageError, match="of nothing"):
        make(order(tmp_path, "none", targets=(), models=()), NOWHERE, SEED, silent)


def test_what_is_lacking_is_known_before(tmp_path: Path) -> None:
    asked = order(tmp_path)
    assert lacking_wheels(asked) == ()
    (tmp_path / "house/needed-1.0-py3-none-any.whl").unlink()
    assert lacking_wheels(asked) == ("needed",)
    assert lacking_wheels(order(tmp_path, wheels=tmp_path / "none")) == ("offline-agent", "pip")
    assert lacking_wheels(order(tmp_path, wheels=None, own=tmp_path / "house")) == ()


def test_the_programs_own_wheel_is_built_from_its_source_and_comes_from_elsewhere(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "offline-agent"\nversion = "1.0"\nrequires-python = ">=3.11"\n'
        '[tool.hatch.build]\ninclude = ["*.py"]\n'
    )
    (checkout / "offline_agent.py").write_text("")
    asked = order(tmp_path, own=tmp_path / "own")
    (tmp_path / "house/offline_agent-1.0-py3-none-any.whl").unlink()
    (tmp_path / "house/needed-1.0-py3-none-any.whl").unlink()
    Pip({**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}).build_own(checkout, tmp_path / "own")
    made = make(asked, NOWHERE, SEED, silent)
    assert made.wheels == 2
    assert not list((tmp_path / "house").glob("offline_agent*"))


def test_the_installer_is_not_written_through_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / f".{BESIDE}.partial").symlink_to(mine)
    (tmp_path / BESIDE).symlink_to(mine)
    make(order(tmp_path), NOWHERE, SEED, silent)
    assert mine.read_text() == "mine"
    assert (tmp_path / BESIDE).read_bytes() == installer()


def test_an_installer_that_is_made_by_hand_opens_it(tmp_path: Path) -> None:
    """The one beside the bundle is the one inside, and a stranger's unpacker finds it first."""
    make(order(tmp_path), NOWHERE, SEED, silent)
    inside = subprocess.run(["tar", "-xOf", str(tmp_path / "bundle"), "install.pyz"], capture_output=True, check=True)
    assert inside.stdout == (tmp_path / BESIDE).read_bytes()
