"""Bundles as a person makes them, looks at them and takes them in on another machine: here, in another home."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from offline_agent import __version__
from offline_agent.app import library_of, open_vault, signing_key
from offline_agent.bundle.bootstrap.manifest import Manifest
from offline_agent.bundle.keys import public_of
from offline_agent.bundle.write import Content, member_of, write_bundle
from offline_agent.cli import main
from offline_agent.errors import (
    AgentError,
    BundleBroken,
    BundleError,
    BundleUntrusted,
    Denied,
    UsageError,
)
from offline_agent.llm.gguf import hash_file
from offline_agent.models import HeldFile, Holding
from offline_agent.settings import find_declarations, load_settings
from tests.bundle.wheelhouse import program_wheel
from tests.cli.typed import typed

SEED = bytes(range(32))
POCKET = find_declarations() / "models" / "pocket.gguf"
OWN = """\
# my models; the token is hf_123
[models.tiny]
licence = "Apache-2.0"     # as its author says
source = { url = "https://ann:secret@example.org/tiny.gguf", files = [{ name = "tiny.gguf" }] }

[models.elsewhere]
source = { url = "https://example.org/other.gguf", files = [{ name = "other.gguf" }] }

[models.local]
file = "local.gguf"
"""


class Said(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def said(*arguments: str, env: Mapping[str, str] | None = None) -> Said:
    """A command, run in this process: a new one takes half a second to start."""
    before, out, err = dict(os.environ), io.StringIO(), io.StringIO()
    os.environ.update(env or {})
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
    except SystemExit as error:  # argparse
        code = int(error.code or 0)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Said(code, out.getvalue(), err.getvalue())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    made = said("bundle", "keygen", "--out", str(tmp_path / "key.pub"), "--comment", "ann")
    assert made.returncode == 0, made.stderr
    return tmp_path / "key.pub"


@pytest.fixture
def tiny() -> Holding:
    """A model in the library of this home: the built-in one under another name."""
    settings = load_settings()
    library = library_of(settings)
    file = HeldFile(name="tiny.gguf", size=POCKET.stat().st_size, sha256=hash_file(POCKET))
    holding = Holding(name="tiny", kind="chat", files=(file,), trust="first use", origin="/home/ann/tiny.gguf")
    with library.incoming("tiny") as quarantine:
        shutil.copyfile(POCKET, quarantine / "tiny.gguf")
        library.admit(holding)
    return holding


def there(tmp_path: Path, name: str = "there") -> dict[str, str]:
    """The environment of the other machine."""
    (tmp_path / name).mkdir(exist_ok=True)
    return {"HOME": str(tmp_path / name)}


def packed(out: Path, *options: str) -> Said:
    return said("bundle", "create", "--no-program", "--models", "tiny", "--out", str(out), *options)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_made_once_shown_again_and_replaced_on_request(key: Path, home: Path) -> None:
    line = key.read_text()
    assert line.startswith("offline-agent-key-1 ")
    assert line.endswith(" ann\n")
    assert said("bundle", "keygen", "--show").stdout == line
    again = said("bundle", "keygen")
    assert (again.returncode, "--replace" in again.stderr) == (UsageError.exit_code, True)
    occupied = said("bundle", "keygen", "--replace", "--out", str(home))
    assert occupied.returncode != 0
    other = said("bundle", "keygen", "--replace")
    assert other.stdout not in ("", line)
    assert '"keygen"' in said("audit", "show", "--json").stdout


def test_the_private_half_is_in_the_vault_alone(key: Path, home: Path) -> None:
    opened = open_vault(load_settings())
    seed = signing_key(opened.archive.credentials)[0]
    opened.close()
    assert not [file for file in home.rglob("*") if file.is_file() and seed.hex().encode() in file.read_bytes()]
    assert "signing" not in said("credentials", "list").stdout


def test_without_a_key_nothing_is_packed(tiny: Holding, tmp_path: Path) -> None:
    open_vault(load_settings()).close()
    refused = packed(tmp_path / "bundle")
    assert (refused.returncode, "bundle keygen" in refused.stderr) == (BundleError.exit_code, True)
    assert not (tmp_path / "bundle").exists()


# --- there and back ----------------------------------------------------------------------------------------------------


def test_models_travel_with_their_cards(key: Path, tiny: Holding, tmp_path: Path) -> None:
    own = load_settings().config_directory / "models.toml"
    own.write_text(OWN)
    bundle = tmp_path / "bundle"
    made = packed(bundle, "--split", "4M")
    assert made.returncode == 0, made.stderr
    assert "tiny, 9.6 MB" in made.stderr
    assert "offline-agent bundle install bundle.001-of-003 --key PUB" in made.stdout

    checked = said("bundle", "verify", str(bundle), "--key", str(key), "--json")
    found = json.loads(checked.stdout)
    assert found["key"]["comment"] == "ann"
    assert found["models"][0]["name"] == "tiny"
    assert "/home/ann" not in checked.stdout
    assert "Every byte is as it was signed" in said("bundle", "verify", str(bundle), "--key", str(key)).stdout

    environment = there(tmp_path)
    config = tmp_path / "there/.config/offline-agent"
    config.mkdir(parents=True)
    (config / "models.toml").write_text("# theirs\n")
    (config / "config.toml").write_text("# mine\n[log]\ndays = 3\n")
    done = said("bundle", "install", str(bundle), "--key", str(key), env=environment)
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "there/.local/share/offline-agent/models/tiny/holding.json").read_text())
    assert (kept["trust"], kept["files"][0]["sha256"]) == ("bundle", tiny.files[0].sha256)
    assert kept["origin"] == "bundle bundle, from tiny.gguf"
    listed = (config / "models.toml").read_text()
    assert listed.startswith("# theirs\n")
    assert "Apache-2.0" in listed
    assert "https://example.org/tiny.gguf" in listed
    assert not [word for word in ("elsewhere", "hf_123", "secret", "as its author") if word in listed]
    assert "local.gguf" not in listed
    assert (config / "config.toml").read_text() == '# mine\n[log]\ndays = 3\n\n[model]\nname = "tiny"\n'

    again = said("bundle", "install", str(bundle), "--key", str(key), "--only-models", env=environment)
    assert (again.returncode, again.stderr) == (0, "offline-agent: tiny is there already.\n")


def test_a_choice_of_ones_own_stays(key: Path, tiny: Holding, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert packed(bundle).returncode == 0
    config = tmp_path / "there/.config/offline-agent/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[model]\nname = "pocket"\n')
    done = said("bundle", "install", str(bundle), "--key", str(key), env=there(tmp_path))
    assert done.returncode == 0, done.stderr
    assert config.read_text() == '[model]\nname = "pocket"\n'

    strict = there(tmp_path, "strict") | {"OFFLINE_AGENT_LIBRARY_LISTED_ONLY": "true"}
    refused = said("bundle", "install", str(bundle), "--key", str(key), env=strict)
    assert (refused.returncode, "--no-models" in refused.stderr) == (BundleError.exit_code, True)
    alone = said("bundle", "install", str(bundle), "--key", str(key), "--only-models", env=strict)
    assert (alone.returncode, "listed_only" in alone.stderr) == (Denied.exit_code, True)
    assert not list((tmp_path / "strict").rglob("tiny.gguf"))

    other = packed(tmp_path / "second", "--default", "pocket")
    assert other.returncode == 0, other.stderr
    bare = there(tmp_path, "bare")
    assert said("bundle", "install", str(tmp_path / "second"), "--key", str(key), env=bare).returncode == 0
    assert not (tmp_path / "bare/.config/offline-agent/config.toml").exists()


# --- signed, and still not believed ------------------------------------------------------------------------------------


def signed(
    out: Path, model: str = "tiny", card: str = "", default: str = "", listed: str | None = None, seed: bytes = SEED
) -> Path:
    """A bundle as somebody makes it who has the key and means ill, or errs: with the built-in model under that name."""
    file = HeldFile(name="tiny.gguf", size=POCKET.stat().st_size, sha256=hash_file(POCKET))
    holding = Holding(name=listed or model, kind="chat", files=(file,), trust="hub", origin="")
    contents: dict[str, Content] = {f"models/{model}/tiny.gguf": POCKET}
    if card:
        contents["catalogue/models.toml"] = card.encode()
    members = tuple(member_of(name, content) for name, content in contents.items())
    manifest = Manifest("0.1.0", "", (), (holding.model_dump(mode="json"),), default, members)
    return write_bundle(out, manifest, contents, seed)[0]


SOURCE = 'source = { url = "https://example.org/a.gguf", files = [{ name = "a.gguf" }] }'


@pytest.mark.parametrize(
    ("how", "told", "code"),
    [
        ({"model": "Tiny"}, "'Tiny'", BundleBroken),
        ({"model": "a/b"}, "'a/b'", UsageError),
        ({"listed": "../tiny"}, "does not hold what it says", BundleBroken),
        ({"model": "qwen2.5-coder-0.5b"}, "not the qwen2.5-coder-0.5b of the catalogue", BundleError),
        ({"default": "/etc/passwd"}, "'/etc/passwd'", BundleBroken),
        ({"default": "qwen2.5-coder-0.5b"}, "which it does not hold", BundleBroken),
        ({"card": f"[models.other]\n{SOURCE}\n"}, "'other' is not about one of its models", BundleBroken),
        ({"card": f"[embedders.tiny]\n{SOURCE}\n"}, "'tiny' is not about", BundleBroken),
        ({"card": f'[models.tiny]\nfile = "/etc/passwd"\n{SOURCE}\n'}, "'tiny' is not about", BundleBroken),
        ({"card": '[models.tiny]\nlicence = "MIT"\n'}, "'tiny' is not about", BundleBroken),
        ({"card": f"[models.tiny]\nunknown = 1\n{SOURCE}\n"}, "list of models cannot be used", BundleBroken),
        ({"card": "models = 3\n"}, "list of models cannot be used", BundleBroken),
        ({"card": "[models]\ntiny = 3\n"}, "list of models cannot be used", BundleBroken),
        ({"card": "[["}, "list of models cannot be used", BundleBroken),
        ({"card": "a = " + "[" * 9999}, "list of models cannot be used", BundleBroken),
    ],
)
def test_what_a_signed_bundle_may_not_do(
    tmp_path: Path, how: dict[str, str], told: str, code: type[AgentError]
) -> None:
    bundle, public = signed(tmp_path / "bundle", **how), tmp_path / "key.pub"
    public.write_text(public_of(SEED).line())
    done = said("bundle", "install", str(bundle), "--key", str(public), "--only-models", env=there(tmp_path))
    assert (done.returncode, told in done.stderr) == (code.exit_code, True), done.stderr
    assert not [path for path in (tmp_path / "there").rglob("*") if path.suffix in (".gguf", ".toml")]


def test_a_model_that_is_replaced_is_told(tmp_path: Path, tiny: Holding) -> None:
    library = library_of(load_settings())
    kept = (*tiny.files, HeldFile(name="more", size=0, sha256=hashlib.sha256(b"").hexdigest()))
    with library.incoming("tiny") as quarantine:
        shutil.copyfile(POCKET, quarantine / "tiny.gguf")
        (quarantine / "more").touch()
        library.admit(tiny.model_copy(update={"files": kept}))
    (tmp_path / "key.pub").write_text(public_of(SEED).line())
    bundle = signed(tmp_path / "bundle", card=f"[models.tiny]\n{SOURCE}\n", default="tiny")
    done = said("bundle", "install", str(bundle), "--key", str(tmp_path / "key.pub"), "--only-models")
    assert (done.returncode, "in the place of the one that was there" in done.stderr) == (0, True), done.stderr
    assert "[models.tiny.source]" in (load_settings().config_directory / "models.toml").read_text()


# --- refused ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_packed_is_told_before_anything_is_done(key: Path, tiny: Holding, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    for arguments, told in (
        (["--models", "nothing"], "no model 'nothing'"),
        (["--models", "tiny", "--default", "other"], "--default 'other'"),
        (["--models", "tiny", "--platform", "win_amd64"], "no platform"),
        (["--models", "tiny", "--python", "3.9"], "no version of Python"),
        (["--models", "pocket", "--no-program"], "of nothing"),
    ):
        done = said("bundle", "create", "--out", str(bundle), *arguments)
        assert (done.returncode, told in done.stderr) == (UsageError.exit_code, True), done.stderr
    assert said("bundle", "create", "--out", str(bundle), "--split", "12").returncode == 2
    bundle.write_text("mine")
    assert "there already" in packed(bundle).stderr
    assert bundle.read_text() == "mine"
    assert packed(bundle, "--replace").returncode == 0


def test_nothing_is_fetched_without_a_yes(key: Path, tmp_path: Path) -> None:
    index = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "https://ann:secret@127.0.0.1:9/simple",
        "PIP_FIND_LINKS": "",
    }
    mine = program_wheel(tmp_path / "wheels", __version__, ["rich"])
    create = ("bundle", "create", "--out", str(tmp_path / "bundle"), "--wheels", str(tmp_path / "wheels"))
    done = said(*create, env=index)
    assert done.returncode == UsageError.exit_code
    assert "https://127.0.0.1:9/simple" in done.stderr
    assert "pip fetches pip, rich, and" in done.stderr
    assert "secret" not in done.stderr
    code, shown = typed(*create, answers=[("[y/N]", "n")], environment=index)
    assert (code, "Nothing was fetched" in shown) == (0, True)
    assert not (tmp_path / "bundle").exists()
    assert list((tmp_path / "wheels").iterdir()) == [mine]


def test_another_key_a_missing_part_and_damage(key: Path, tiny: Holding, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert packed(bundle).returncode == 0
    newer = said("bundle", "keygen", "--replace")
    (tmp_path / "newer.pub").write_text(newer.stdout)
    refused = said("bundle", "verify", str(bundle), "--key", str(tmp_path / "newer.pub"))
    assert (refused.returncode, "is signed by the key" in refused.stderr) == (BundleUntrusted.exit_code, True)
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    for action in (("verify",), ("install",), ("install", "--only-models")):
        done = said("bundle", action[0], str(bundle), "--key", str(key), *action[1:], env=there(tmp_path))
        assert (done.returncode, "damaged" in done.stderr) == (BundleBroken.exit_code, True)
    assert not list((tmp_path / "there").rglob("tiny.gguf"))
    assert said("bundle", "verify", str(tmp_path / "none"), "--key", str(key)).returncode == BundleError.exit_code
    assert said("bundle", "verify", str(bundle), "--key", str(tmp_path / "none")).returncode == UsageError.exit_code
