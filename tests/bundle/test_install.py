"""install.pyz, run as on a machine that has Python and nothing else: an empty home, no network."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from offline_agent.bundle.bootstrap.__main__ import refusal
from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.environment import Environment
from offline_agent.bundle.bootstrap.fits import Here, fault_of, fits, fits_platform, here
from offline_agent.bundle.bootstrap.install import home_of
from offline_agent.bundle.bootstrap.manifest import Manifest, Member
from offline_agent.bundle.installer import installer
from offline_agent.bundle.keys import public_of
from offline_agent.bundle.targets import this_platform
from offline_agent.bundle.write import Content, member_of, write_bundle
from offline_agent.errors import BundleBroken, BundleError, BundleUntrusted, StorageError, UsageError

from .wheelhouse import pip_wheel, program_wheel, this_python, wheel

SEED = bytes(range(32))
MODEL = {"name": "tiny"}


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pip_wheel(tmp_path_factory.mktemp("pip"))


@pytest.fixture(scope="module")
def apart() -> Sequence[str]:
    """What starts a program without a network, where that may be done here."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    return []


class Machine:
    """An empty home in which bundles are installed."""

    def __init__(self, directory: Path, pip: Path, apart: Sequence[str]) -> None:
        self.directory, self._pip, self._apart = directory, pip, apart
        self.home = directory / "there"
        self.home.mkdir()
        self.key = directory / "key.pub"
        self.key.write_text(public_of(SEED, "tests").line())
        self.pyz = directory / "install.pyz"
        self.pyz.write_bytes(installer())
        (directory / "tarfile.py").write_text("raise SystemExit('a module of PYTHONPATH was run')\n")
        self.link = self.home / ".local/bin/offline-agent"
        self.opt = self.home / ".local/opt/offline-agent"

    def bundle(
        self,
        name: str,
        wheels: Sequence[Path],
        seed: bytes = SEED,
        split: int | None = None,
        version: str = "1.0",
        **about: object,
    ) -> Path:
        contents: dict[str, Content] = {f"wheels/{path.name}": path for path in wheels}
        members = tuple(member_of(member, content) for member, content in contents.items())
        values = {
            "python": this_python(),
            "platforms": (this_platform(),),
            "models": (MODEL,),
            "default_model": "",
            **about,
        }
        manifest = Manifest(version=version, members=members, **values)  # type: ignore[arg-type]
        return write_bundle(self.directory / name, manifest, contents, seed, split)[0]

    def small(self, name: str = "bundle", version: str = "1.0", **how: object) -> Path:
        """A bundle with a program that needs one other wheel."""
        house = self.directory / f"house-{name}"
        wheels = [program_wheel(house, version, ["needed>=1"]), wheel(house, "needed"), self._pip]
        return self.bundle(name, wheels, version=version, **how)  # type: ignore[arg-type]

    def command(self, bundle: Path, *options: str) -> list[str]:
        return [*self._apart, sys.executable, str(self.pyz), str(bundle), "--key", str(self.key), *options]

    def environment(self, **more: str) -> dict[str, str]:
        # The names of an index and of another Python's modules must not reach what is started.
        hostile = {
            "PIP_INDEX_URL": "http://127.0.0.1:9/",
            "PYTHONPATH": str(self.directory),
            "PIP_REQUIRE_VIRTUALENV": "1",
        }
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], **hostile, **more}

    def install(self, bundle: Path, *options: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command, environment = self.command(bundle, *options), self.environment(**more)
        # Whatever a person has for a umask, others may not write to what starts next.
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, umask=0)

    def version(self) -> str:
        return subprocess.run([str(self.link), "--version"], capture_output=True, text=True, check=True).stdout.strip()

    def environments(self) -> list[str]:
        return sorted(path.name for path in self.opt.iterdir() if path.is_dir())


@pytest.fixture
def machine(tmp_path: Path, pip: Path, apart: Sequence[str]) -> Machine:
    return Machine(tmp_path, pip, apart)


# --- installed -------------------------------------------------------------------------------------------------------


def interrupted(machine: Machine, bundle: Path) -> str:
    """An installation that is killed in the middle: the name of what it left."""
    command = machine.command(bundle, "--no-models")
    process = subprocess.Popen(command, env=machine.environment(), stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(machine.opt.glob("*/bin/python")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    [left] = machine.environments()
    assert not (machine.opt / left / "bundle.json").exists()
    assert not machine.link.exists()
    return left


def test_interrupted_installed_again_and_upgraded(machine: Machine) -> None:
    first = machine.small(split=1_500_000)
    left = interrupted(machine, first)
    (machine.opt / f"0.9-{'0' * 16}").mkdir()  # of another one that was interrupted
    (machine.opt / "mine").mkdir()
    done = machine.install(first)
    assert done.returncode == 0, done.stderr
    assert machine.environments() == [left, "mine"]
    assert machine.version() == "offline-agent 1.0"
    assert f"signed by the key {public_of(SEED).id} (tests): offline-agent 1.0 and tiny" in done.stderr
    assert (machine.home / "asked").read_text() == f"{first} --key {machine.key} --only-models\n"
    assert not list((machine.opt / left).glob("wheels"))
    below = [machine.link.parent, machine.opt, *(machine.opt / left).rglob("*")]
    assert not [path for path in below if not path.is_symlink() and path.stat().st_mode & stat.S_IWOTH]

    again = machine.install(first, "--no-models")
    assert again.returncode == 0, again.stderr
    assert "has this very program already" in again.stderr
    assert machine.environments() == [left, "mine"]

    # A program whose models were not taken is not switched to; the next attempt is quick.
    upgrade = machine.small("newer", "1.1")
    models = machine.install(upgrade, MODELS_END_WITH="21")
    assert models.returncode == BundleError.exit_code
    assert "--no-models" in models.stderr
    assert machine.version() == "offline-agent 1.0"
    newer = machine.install(upgrade)
    assert newer.returncode == 0, newer.stderr
    assert "has this very program already" in newer.stderr
    assert machine.version() == "offline-agent 1.1"
    assert len(machine.environments()) == 3

    # A stick cannot bring back what was mended since, unless the person wants it.
    back = machine.install(first)
    assert (back.returncode, "--older" in back.stderr) == (UsageError.exit_code, True)
    assert machine.version() == "offline-agent 1.1"
    assert machine.install(first, "--older", "--no-models").returncode == 0
    assert machine.version() == "offline-agent 1.0"
    assert machine.install(upgrade).returncode == 0

    # What does not start is not switched to, and does not stay.
    house = machine.directory / "bad"
    broken = [program_wheel(house, "1.2", code="raise RuntimeError('broken')\n"), *machine_pip(machine)]
    bad = machine.install(machine.bundle("bad-bundle", broken, version="1.2"))
    assert bad.returncode == BundleError.exit_code
    assert "does not start: RuntimeError: broken" in bad.stderr
    assert machine.version() == "offline-agent 1.1"
    assert len(machine.environments()) == 3

    # One whose Python is gone is not taken for whole.
    with Bundle.open(first, public_of(SEED)) as opened:
        environment = Environment.of(opened.manifest, machine.opt)
    assert environment.is_whole(machine.environment())
    python = machine.opt / left / "bin/python"
    python.unlink()
    python.symlink_to(machine.directory / "gone")
    assert not environment.is_whole(machine.environment())


def machine_pip(machine: Machine) -> list[Path]:
    return [machine._pip]


def test_models_alone_need_a_program(machine: Machine) -> None:
    bundle = machine.bundle("models", [])
    refused = machine.install(bundle)
    assert refused.returncode == BundleError.exit_code
    assert "holds models and no program" in refused.stderr
    program = machine.opt / "1.0-0000000000000000/bin/offline-agent"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@" >"$HOME/asked"\n')
    program.chmod(0o755)
    machine.link.parent.mkdir(parents=True)
    machine.link.symlink_to(program)
    assert "no bundle was installed under it" in machine.install(bundle).stderr
    (program.parent.parent / "bundle.json").write_text("{}")
    done = machine.install(bundle)
    assert done.returncode == 0, done.stderr
    assert "--only-models" in (machine.home / "asked").read_text()


# --- refused ---------------------------------------------------------------------------------------------------------


def refused(machine: Machine, bundle: Path, *options: str) -> tuple[int, str]:
    """How an installation ended that made nothing."""
    done = machine.install(bundle, *options)
    assert not machine.link.exists()
    assert not machine.opt.exists() or machine.environments() == []
    assert len(done.stderr.strip().splitlines()[-1]) < 500
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_another_key_and_damage_are_refused_before_anything_is_made(machine: Machine) -> None:
    code, said = refused(machine, machine.small("theirs", seed=bytes(32)))
    assert (code, "is signed by the key" in said) == (BundleUntrusted.exit_code, True)
    bundle = machine.small("damaged")
    data = bytearray(bundle.read_bytes())
    data[-5000] ^= 1
    bundle.write_bytes(data)
    code, said = refused(machine, bundle)
    assert (code, "is damaged" in said) == (BundleBroken.exit_code, True)


def test_what_is_no_wheel_and_what_a_terminal_would_obey(machine: Machine) -> None:
    odd = machine.directory / "odd.whl"
    odd.write_bytes(b"")
    code, said = refused(machine, machine.bundle("odd", [odd]))
    assert (code, "odd.whl among its wheels" in said) == (BundleError.exit_code, True)
    code, said = refused(machine, machine.bundle("red", [odd], models=({"name": "a\x1b[31m"},)))
    assert "\x1b" not in said


def test_a_directory_that_others_may_change(machine: Machine) -> None:
    machine.opt.mkdir(parents=True)
    machine.opt.chmod(0o777)
    code, said = refused(machine, machine.small())
    assert (code, "--to DIR" in said) == (UsageError.exit_code, True)


def test_a_user_without_a_home_is_told_how_to_name_one(tmp_path: Path) -> None:
    nobody = 2**31 - 7  # no system gives a person that number
    with pytest.raises(UsageError, match="HOME=DIR"):
        home_of({}, nobody)
    with pytest.raises(UsageError, match="HOME=DIR"):
        home_of({"HOME": ""}, nobody)
    assert home_of({"HOME": str(tmp_path)}, nobody) == tmp_path
    assert home_of({}, 0).is_absolute()


def test_a_missing_and_a_short_part_are_named(machine: Machine) -> None:
    first = machine.small("parts", split=1_000_000)
    second = first.with_name(first.name.replace(".001-", ".002-"))
    os.truncate(second, 10)
    code, said = refused(machine, first)
    assert (code, second.name in said) == (BundleBroken.exit_code, True)
    second.unlink()
    code, said = refused(machine, first)
    assert (code, second.name in said, "missing" in said) == (BundleBroken.exit_code, True, True)


def test_a_bundle_that_lacks_a_wheel(machine: Machine) -> None:
    house = machine.directory / "house"
    bundle = machine.bundle("lacking", [program_wheel(house, requires=["needed>=1"]), *machine_pip(machine)])
    code, said = refused(machine, bundle, "--no-models")
    assert (code, "lacks needed>=1" in said) == (BundleError.exit_code, True)
    code, said = refused(machine, machine.bundle("no-pip", [program_wheel(house)]), "--no-models")
    assert (code, "lacks pip" in said) == (BundleError.exit_code, True)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"python": "3.99"}, "made for Python 3.99"),
        ({"platforms": ("macosx_14_0_arm64" if sys.platform == "linux" else "manylinux_2_28_x86_64",)}, "--platform"),
    ],
)
def test_a_bundle_for_another_machine(machine: Machine, about: dict[str, object], said: str) -> None:
    code, told = refused(machine, machine.small(**about))
    assert (code, said in told) == (BundleError.exit_code, True)


def test_what_has_the_name_of_the_link_stays(machine: Machine) -> None:
    machine.link.parent.mkdir(parents=True)
    machine.link.write_text("mine")
    done = machine.install(machine.small())
    assert (done.returncode, "--bin DIR" in done.stderr) == (UsageError.exit_code, True)
    assert machine.link.read_text() == "mine"
    assert not machine.opt.exists()


def test_a_link_that_cannot_be_made_is_told_before_anything_is(machine: Machine, mounted: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    code, said = refused(machine, machine.small(), "--bin", str(mounted))
    assert (code, "--bin DIR" in said) == (StorageError.exit_code, True)
    assert not machine.opt.exists()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB, which pip does not fit into."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("no right to mount here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_and_one_that_may_not_be_written(machine: Machine, mounted: Path) -> None:
    bundle = machine.small()
    (mounted / "ballast").write_bytes(bytes(3_000_000))
    code, said = refused(machine, bundle, "--to", str(mounted / "opt"))
    assert (code, "Make room" in said) == (StorageError.exit_code, True)
    assert [path.name for path in (mounted / "opt").iterdir()] == [".lock"]
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    code, said = refused(machine, bundle, "--to", str(mounted / "other"))
    assert (code, "--to DIR" in said) == (StorageError.exit_code, True)


# --- install.pyz -----------------------------------------------------------------------------------------------------


def test_the_installer_is_the_same_bytes_and_needs_python_alone(tmp_path: Path) -> None:
    assert installer() == installer()
    path = tmp_path / "install.pyz"
    path.write_bytes(installer())
    said = subprocess.run([sys.executable, "-I", "-S", str(path), "--help"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "another way" in said.stdout
    with zipfile.ZipFile(path) as archive:
        assert {name for name in archive.namelist() if "bootstrap" not in name} == {
            "__main__.py",
            "offline_agent/__init__.py",
            "offline_agent/errors.py",
            "offline_agent/bundle/__init__.py",
        }


def test_a_python_that_is_too_old_is_told(tmp_path: Path) -> None:
    assert refusal((3, 11, 0)) == refusal((3, 14, 1)) == ""
    for version in ((3, 10, 14), (3, 4, 0)):
        assert f"this is {version[0]}.{version[1]}" in refusal(version)
    with zipfile.ZipFile(tmp_path / "install.pyz", "w") as archive:
        archive.writestr("install.pyz", installer())
        first = zipfile.ZipFile(archive.open("install.pyz")).read("__main__.py").decode()
    compile(first, "__main__.py", "exec", dont_inherit=True)
    # What Python 3.0 to 3.5 could not read: f-strings, annotated variables, := and numbers with underscores.
    assert not [line for line in first.splitlines() if ' f"' in line or ":=" in line]


# --- does it fit -----------------------------------------------------------------------------------------------------

LINUX = Here((3, 11), "cpython", "manylinux", (2, 31), "x86_64")
MAC = Here((3, 12), "cpython", "macosx", (14, 2), "arm64")


@pytest.mark.parametrize(
    ("name", "linux", "mac"),
    [
        ("a-1-py3-none-any.whl", True, True),
        ("a-1-py2.py3-none-any.whl", True, True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True, False),
        ("a-1-cp311-cp311-manylinux2014_x86_64.whl", True, False),
        ("a-1-cp311-cp311-manylinux_2_34_x86_64.whl", False, False),
        ("a-1-cp311-cp311-manylinux_2_17_aarch64.whl", False, False),
        ("a-1-cp310-cp310-manylinux_2_17_x86_64.whl", False, False),
        ("a-1-cp39-abi3-manylinux_2_17_x86_64.whl", True, False),
        ("a-1-cp312-abi3-manylinux_2_17_x86_64.whl", False, False),
        ("a-1-py3-none-linux_x86_64.whl", True, False),
        ("a-1-py312-none-any.whl", False, True),
        ("a-1-cp312-none-any.whl", False, True),
        ("a-1-1build-cp312-cp312-macosx_11_0_arm64.whl", False, True),
        ("a-1-cp312-cp312-macosx_11_0_universal2.whl", False, True),
        ("a-1-cp312-cp312-macosx_15_0_arm64.whl", False, False),
        ("a-1-cp312-cp312-musllinux_1_2_x86_64.whl", False, False),
        ("a-1-cp311-cp311-win_amd64.whl", False, False),
        ("a-1-jy27-none-any.whl", False, False),
    ],
)
def test_a_wheel_fits_by_its_name(name: str, linux: bool, mac: bool) -> None:
    assert (fits(name, LINUX), fits(name, MAC)) == (linux, mac)


def test_this_machine_fits_itself() -> None:
    assert fits_platform(this_platform(), here())
    assert here().python == sys.version_info[:2]


def test_a_project_without_a_fitting_wheel_is_named() -> None:
    names = [
        "a-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "A-1-cp311-cp311-macosx_11_0_arm64.whl",
        "b_c-1-py312-none-any.whl",
    ]
    members = tuple(Member(f"wheels/{name}", 0, "0" * 64) for name in names)
    made = Manifest("1.0", "3.11", ("manylinux_2_28_x86_64",), (), "", members)
    assert "no wheel of b-c for Python 3.11 on Linux glibc 2.31, x86_64" in fault_of(made, LINUX)
    assert "run it with that Python" in fault_of(made, MAC)
    assert fault_of(Manifest("1.0", "", (), (), "", ()), MAC) == ""
    pypy = Here((3, 11), "pypy", "manylinux", (2, 31), "x86_64")
    assert fault_of(made, pypy) != ""
